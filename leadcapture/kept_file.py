"""A small file that is replaced as a whole: a crash or a full disk leaves the old or the new."""

import os
import secrets
from pathlib import Path


def replace_file(path: Path, words: str) -> None:
    """Write it, readable by us alone, and have it on disk before it takes the old one's place."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(words)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        # Tried again every few seconds while a disk is full, these would gather.
        fresh.unlink(missing_ok=True)
        raise
