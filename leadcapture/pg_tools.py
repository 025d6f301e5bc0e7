"""PostgreSQL's own programs, run so that no password shows in the list of processes."""

import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from psycopg.conninfo import make_conninfo
from sqlalchemy import make_url

from leadcapture.archive import BackupRefused

_LONGEST = 3600.0


def dump(url: str, snapshot: str, target: Path) -> None:
    """Write a dump in the custom format of exactly what this exported snapshot sees."""
    _run("pg_dump", url, "--format=custom", f"--snapshot={snapshot}", f"--file={target}")


def restore(url: str, source: Path) -> None:
    """Load a dump into this database, whole or not at all."""
    options = ("--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction")
    _run("pg_restore", url, *options, str(source))


def _run(program: str, url: str, *options: str) -> None:
    given = make_url(url)
    words = given.translate_connect_args(username="user", database="dbname") | dict(given.query)
    words.pop("password", None)
    with TemporaryDirectory(prefix="leadcapture-") as folder:
        if given.password is not None:
            # Neither on the command line nor in the environment: both show in /proc.
            passfile = Path(folder) / "pass"
            passfile.touch(0o600)
            passfile.write_text(f"*:*:*:*:{_escape(str(given.password))}\n")
            words["passfile"] = str(passfile)
        _call(program, [f"--dbname={make_conninfo(**words)}", *options])


def _call(program: str, options: list[str]) -> None:
    path = shutil.which(program)
    if path is None:
        raise BackupRefused(
            f"{program} is not on the PATH: install PostgreSQL's client of the server's version "
            "(Debian: apt-get install postgresql-client)."
        )
    done = subprocess.run(  # noqa: S603 - a program of PostgreSQL's own
        [path, *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        timeout=_LONGEST,
    )
    if done.returncode != 0:
        raise BackupRefused(f"{program} failed: {_first_line(done.stderr)}")


def _escape(password: str) -> str:
    return password.replace("\\", "\\\\").replace(":", "\\:")


def _first_line(stderr: bytes) -> str:
    """The first complaint. Lines that begin with DETAIL or CONTEXT may quote a row: not those."""
    lines = [line for line in stderr.decode(errors="replace").splitlines() if "error:" in line]
    return lines[0].partition("error:")[2].strip()[:300] if lines else "it gave no reason"
