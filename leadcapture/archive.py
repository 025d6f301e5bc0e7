"""A backup's archive: a zip with one database part and a manifest that says what it holds."""

import contextlib
import hashlib
import json
import os
import secrets
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

MANIFEST = "manifest.json"
FORMAT = 1
_CHUNK = 1 << 20


class BackupRefused(Exception):
    """A backup could not be made, or is not one that can be trusted; the words are for people."""


@dataclass(frozen=True)
class Manifest:
    """What a backup holds. It never holds a key nor a secret, only the ids of the keys needed.

    ``kind`` is the database's dialect, ``rows`` counts each table, ``sha256`` is the part's.
    """

    taken_at: datetime
    kind: str
    part: str
    sha256: str
    size: int
    revision: str
    rows: Mapping[str, int]
    key_ids: tuple[str, ...]

    def as_json(self) -> bytes:
        facts = asdict(self) | {"format": FORMAT, "taken_at": self.taken_at.isoformat()}
        return json.dumps(facts, indent=2, sort_keys=True).encode()


def write_archive(path: Path, part: Path, manifest: Manifest) -> None:
    """Write the archive for us alone, so that ``path`` is whole or not there at all.

    Raises `BackupRefused` where something stands at ``path`` already.
    """
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    handle = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w+b") as file:
            # A dump of PostgreSQL is compressed already.
            kind = zipfile.ZIP_DEFLATED if manifest.kind == "sqlite" else zipfile.ZIP_STORED
            with zipfile.ZipFile(file, "w", kind, compresslevel=1) as archive:
                archive.write(part, manifest.part)
                archive.writestr(MANIFEST, manifest.as_json())
            file.flush()
            os.fsync(file.fileno())
        try:
            # A rename would overwrite; a link never does.
            os.link(fresh, path)
        except FileExistsError:
            raise BackupRefused(f"{path} exists, and a backup is never overwritten.") from None
    finally:
        fresh.unlink()
    sync_folder(path.parent)


def read_manifest(path: Path) -> Manifest:
    """The manifest; raises `BackupRefused` where this is no backup of ours or a broken one."""
    with _reading(path) as archive:
        return _read_manifest(archive)


def extract(path: Path, folder: Path) -> tuple[Manifest, Path]:
    """The manifest, and the database part written into ``folder`` after its hash was compared."""
    with _reading(path) as archive:
        manifest = _read_manifest(archive)
        part = folder / manifest.part
        with archive.open(manifest.part) as packed, private_file(part) as target:
            found, size = hashlib.sha256(), 0
            while chunk := packed.read(_CHUNK):
                found.update(chunk)
                size += len(chunk)
                target.write(chunk)
    if (found.hexdigest(), size) != (manifest.sha256, manifest.size):
        raise BackupRefused(f"{path.name} is damaged: its content is not what was written.")
    return manifest, part


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def private_file(path: Path) -> IO[bytes]:
    """A new file to write that nobody else can read."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def sync_folder(folder: Path) -> None:
    """Let a new name in this folder outlive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except FileNotFoundError:
        raise BackupRefused(f"There is no file {path}.") from None
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, zlib.error, NotImplementedError):
        raise BackupRefused(f"{path.name} is damaged or cut short: it cannot be read.") from None
    except (KeyError, ValueError, TypeError):
        raise BackupRefused(f"{path.name} is no backup of leadcapture.") from None


def _read_manifest(archive: zipfile.ZipFile) -> Manifest:
    facts: dict[str, Any] = json.loads(archive.read(MANIFEST))
    if facts.pop("format") != FORMAT:
        raise BackupRefused("This backup was made by a later release: use that one to restore it.")
    if facts["part"] not in ("database.sqlite3", "database.pgdump"):
        raise ValueError("an unknown part")
    facts["taken_at"] = datetime.fromisoformat(facts["taken_at"])
    facts["key_ids"] = tuple(facts["key_ids"])
    return Manifest(**facts)
