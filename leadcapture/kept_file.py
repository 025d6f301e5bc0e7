"""Files for us alone: small ones that are written whole or not at all, and new databases."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def replace_file(path: Path, words: str) -> None:
    """Write it, readable by us alone, and have it on disk before it takes the old one's place."""
    with _written(path, words) as fresh:
        fresh.replace(path)


def create_file(path: Path, words: str) -> bool:
    """Write it once, readable by us alone, and have it on disk; False where it is there already.

    Of two who write it at once, one does and the other's words are dropped.
    """
    if path.exists():
        return False
    with _written(path, words) as fresh:
        try:
            path.hardlink_to(fresh)
        except FileExistsError:
            return False
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return True


def make_private(path: Path) -> None:
    """Make an empty file that we alone can read, where none is; an existing one stays as it is.

    SQLite makes its files for everybody to read, and gives those beside a database its mode.
    Where we may not make one, whoever opens it is told.
    """
    with suppress(OSError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


@contextmanager
def _written(path: Path, words: str) -> Iterator[Path]:
    """The words on disk, in a file beside ``path`` that is gone afterwards."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(words)
            file.flush()
            os.fsync(file.fileno())
        yield fresh
    finally:
        # Tried again every few seconds while a disk is full, these would gather.
        fresh.unlink(missing_ok=True)
