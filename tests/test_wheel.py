"""A wheel built from the tree has all that the service needs, and serves elsewhere."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.served import service_environ

TREE = Path(__file__).parent.parent
_BUILD = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
_SERVE = """
import sys
from pathlib import Path
import leadcapture
from leadcapture import migrate
from leadcapture.app import create_app
from leadcapture.settings import load
assert Path(leadcapture.__file__).is_relative_to(sys.argv[1]), leadcapture.__file__
settings = load()
migrate.upgrade(settings)
client = create_app(settings).test_client()
form = client.get("/es", base_url=settings.public_url)
assert form.status_code == 200 and "Enviarme el paquete" in form.text, form.text[:300]
for name in ("tokens.css", "public.css", "request.js"):
    assert client.get("/static/" + name, base_url=settings.public_url).status_code == 200, name
assert client.get("/sign-in", base_url=settings.public_url).status_code == 200
"""


def test_a_wheel_of_the_tree_migrates_and_serves_from_another_folder(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-c", _BUILD, tmp_path], cwd=TREE, capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr
    home, elsewhere = tmp_path / "installed", tmp_path / "elsewhere"
    elsewhere.mkdir()
    with zipfile.ZipFile(tmp_path / built.stdout.split()[-1]) as wheel:
        wheel.extractall(home)
        assert not [name for name in wheel.namelist() if name.startswith("tests/")]
    url = f"sqlite:///{elsewhere / 'there.sqlite3'}"
    environ = service_environ(elsewhere, url, port=8000, smtp_port=25)
    environ |= {"PYTHONPATH": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    for words in (["-c", _SERVE, str(home)], ["-m", "leadcapture", "--help"]):
        ran = subprocess.run(
            [sys.executable, *words],
            cwd=elsewhere,
            env={**os.environ, **environ},
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 0, ran.stderr
    assert "migrate" in ran.stdout
