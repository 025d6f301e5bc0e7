"""Hostile words under other Pythons: CPython 3.12.1 and 3.13.2, as Pyodide builds them for node."""

import json
import platform
import subprocess
import tempfile
from pathlib import Path

import idna
import markdown_it
import mdurl

from tests.both import Place
from tests.hostile import COUNT, try_words
from tests.parts import find_part
from tests.proofs.finding import Finding

HOUSE = Path(__file__).resolve().parents[2]
# The npm package whose version holds this CPython.
PYTHONS = {"3.12.1": "0.26.4", "3.13.2": "0.28.3"}
_SCRIPT = """
const { loadPyodide } = require("./node_modules/pyodide");
const [places, seed, count] = JSON.parse(process.argv[2]);
(async () => {
  const python = await loadPyodide();
  for (const [inside, outside] of Object.entries(places)) {
    python.FS.mkdirTree(inside);
    python.FS.mount(python.FS.filesystems.NODEFS, { root: outside }, inside);
  }
  console.log(await python.runPythonAsync(`
import json, sys, types
sys.path[:0] = ["/site", "/house"]
# What draws the HTML is compiled for this machine alone, and writes no header.
sys.modules["mrml"] = types.ModuleType("mrml")
for name in ("leadcapture", "leadcapture.letters"):
    room = types.ModuleType(name)
    room.__path__ = ["/house/" + name.replace(".", "/")]
    sys.modules[name] = room
from leadcapture.letters.self_test import interpreter_is_safe
from tests.hostile import try_words
letters, faults = try_words(${seed}, ${count})
json.dumps([sys.version.split()[0], interpreter_is_safe(), letters, faults])
`));
})();
"""


def try_under(version: str, package: str, seed: int, count: int) -> tuple[int, list[str]]:
    """How many letters of hostile words were written under this Python, and what was wrong."""
    with tempfile.TemporaryDirectory(prefix="leadcapture-python-") as name:
        folder = Path(name)
        (folder / "package.json").write_text('{"private": true}')
        (folder / "try.js").write_text(_SCRIPT)
        npm, node = find_part("npm", "npm"), find_part("nodejs", "node", "nodejs")
        install = ["install", "--no-audit", "--no-fund", "--ignore-scripts", f"pyodide@{package}"]
        subprocess.run([npm, *install], cwd=folder, check=True, capture_output=True, timeout=300)
        places = {f"/house/{room}": str(HOUSE / room) for room in ("leadcapture", "tests")}
        for part in (idna, markdown_it, mdurl):
            home = Path(part.__file__ or "").parent
            places[f"/site/{home.name}"] = str(home)
        done = subprocess.run(
            [node, "try.js", json.dumps([places, seed, count])],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=600,
        )
    if done.returncode != 0:
        return 0, [f"{version} did not run: {done.stderr[-500:]}"]
    found, is_safe, letters, faults = json.loads(done.stdout.strip().splitlines()[-1])
    if found != version:
        faults.append(f"this is {found}, not {version}")
    if not is_safe:
        faults.append("the self-test fails")
    return letters, [f"{version}: {fault}" for fault in faults]


def interpreters(place: Place, quick: bool, seed: int) -> Finding:
    """MD-19: 5,000 hostile words under this CPython, 3.12.1 and 3.13.2."""
    if place.kind != "sqlite":
        return Finding("tried once: no database is asked")
    here = platform.python_version()
    count = 1_000 if quick else COUNT
    letters, faults = try_words(seed % 1000, count)
    told = [f"CPython {here}: {letters} letters of hostile words, {len(faults)} faults"]
    for version, package in PYTHONS.items():
        letters, wrong = try_under(version, package, seed % 1000, count)
        told.append(f"CPython {version}: {letters} letters of hostile words, {len(wrong)} faults")
        faults += wrong
    return Finding("; ".join(told), faults)
