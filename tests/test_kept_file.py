"""A kept file is the old one or the new one, also where the disk is full."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from leadcapture import up
from leadcapture.kept_file import create_file, replace_file

# Room for the secrets' first line alone.
_SECRETS_AT_A_FULL_DISK = """
import resource, sys
from pathlib import Path
from leadcapture import up
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
up.make_secrets(Path(sys.argv[1]))
"""

# In a process of its own, so that the limit meets nobody else: no file may grow beyond 4 bytes.
_AT_A_FULL_DISK = """
import resource, sys
from pathlib import Path
from leadcapture.kept_file import replace_file
resource.setrlimit(resource.RLIMIT_FSIZE, (4, 4))
replace_file(Path(sys.argv[1]), "a name that is longer")
"""


def test_it_is_replaced_as_a_whole_and_readable_by_us_alone(tmp_path: Path) -> None:
    replace_file(tmp_path / "kept", "old")
    replace_file(tmp_path / "kept", "new")
    assert (tmp_path / "kept").read_text() == "new"
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


@pytest.mark.parametrize("before", ["", "old"])
def test_a_full_disk_leaves_the_old_one_and_nothing_beside_it(tmp_path: Path, before: str) -> None:
    """DD-05: tried again every ten seconds, its leavings would gather."""
    path = tmp_path / "kept"
    if before:
        replace_file(path, before)
    done = subprocess.run([sys.executable, "-c", _AT_A_FULL_DISK, path], capture_output=True)
    assert b"File too large" in done.stderr
    assert [found.read_text() for found in tmp_path.iterdir()] == ([before] if before else [])


def test_secrets_are_written_whole_or_not_at_all_and_never_over_others(tmp_path: Path) -> None:
    """DD-05, OP-04: half of them would start a service with keys that nobody ever has again."""
    done = subprocess.run(
        [sys.executable, "-c", _SECRETS_AT_A_FULL_DISK, tmp_path], capture_output=True
    )
    assert b"File too large" in done.stderr
    assert list(tmp_path.iterdir()) == []
    with ThreadPoolExecutor() as several:
        done_by = list(several.map(lambda _: up.make_secrets(tmp_path), range(8)))
    path = tmp_path / "secrets.env"
    assert len(done_by) == 8 and list(tmp_path.iterdir()) == [path]
    first = path.read_text()
    assert first.endswith("\n") and len(first.splitlines()) == 3
    assert not create_file(path, "others") and path.read_text() == first
