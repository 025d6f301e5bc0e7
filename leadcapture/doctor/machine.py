"""The machine: room on the disk, who can read the secrets, the last backup, the interpreter."""

import platform
import shutil
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from pathlib import Path

from sqlalchemy import make_url

from leadcapture.backup import AT_FILE, FOLDER
from leadcapture.doctor.finding import Finding, attention, fault, ok
from leadcapture.letters.compose import Envelope, NotAnAddress, UnsafeHeader, compose
from leadcapture.letters.mail_html import Written
from leadcapture.settings import SECRETS_FILE, Settings

SCARCE, FULL = 0.15, 0.05
BACKUP_LATE, BACKUP_LOST = timedelta(minutes=15), timedelta(hours=26)

# What visitors have typed elsewhere to become a header of their own (MD-19).
HOSTILE = (
    "=?utf-8?q?Bob=0ABcc:_evil@x.test?=",
    "Bob\r\nBcc: evil@x.test",
    "Bob\nBcc: evil@x.test",
    "Bob\x85Bcc: evil@x.test",
    "Bob\u2028Bcc: evil@x.test",
    '"Bob" <evil@x.test>, ',
    "=?utf-8?b?Qm9iDQpCY2M6IGV2aWxAeC50ZXN0?=",
    "Bob\x00\x0bBcc: evil@x.test",
)
_MEANT = ("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "Content-Language")


def examine(settings: Settings, now: datetime) -> list[Finding]:
    return [
        ok("settings", "all can be read"),
        _check_disk(settings.data_dir),
        _check_modes(settings),
        _check_backup(settings.data_dir, now),
        check_interpreter(),
    ]


def _check_disk(folder: Path) -> Finding:
    try:
        room = shutil.disk_usage(folder)
    except FileNotFoundError:
        return fault("disk", f"{folder} is not there", "Start the service once, or make it.")
    free = room.free / room.total
    found = f"{free:.0%} of {room.total / 1e9:,.0f} GB free"
    mend = "Make room: a full disk takes no request. Old backups are the first to go elsewhere."
    if free < FULL:
        return fault("disk", found, mend)
    return attention("disk", found, mend) if free < SCARCE else ok("disk", found)


def _check_modes(settings: Settings) -> Finding:
    """Secrets and backups are for our own eyes; the database is where its folder is open."""
    shared = [path for path in _private_files(settings) if _is_shared(path)]
    if not shared:
        return ok("file modes", "secrets, database and backups can be read by us alone")
    names = ", ".join(sorted(path.name for path in shared)[:5])
    return fault(
        "file modes", f"others can read {names}", "chmod 600 these files, chmod 700 their folder."
    )


def _private_files(settings: Settings) -> Iterator[Path]:
    yield settings.data_dir / SECRETS_FILE
    yield from (settings.data_dir / FOLDER).glob("*")
    url = make_url(settings.database_url)
    if url.get_backend_name() == "sqlite" and url.database:
        database = Path(url.database)
        if _is_shared(database.parent):
            yield database


def _is_shared(path: Path) -> bool:
    return path.exists() and bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def _check_backup(data_dir: Path, now: datetime) -> Finding:
    mend = "Run leadcapture backup every 15 minutes, and copy the files to another place."
    try:
        age = now - datetime.fromisoformat((data_dir / AT_FILE).read_text().strip())
    except FileNotFoundError:
        return attention("backup", "none has been taken", mend)
    except (OSError, ValueError, TypeError):
        return attention("backup", f"{AT_FILE} cannot be read", mend)
    found = f"the last is {age.total_seconds() / 60:,.0f} min old"
    if age > BACKUP_LOST:
        return fault("backup", found, mend)
    return attention("backup", found, mend) if age > BACKUP_LATE else ok("backup", found)


def check_interpreter() -> Finding:
    """Compose letters around hostile names and subjects, and read each header back (WS-17)."""
    version = f"Python {platform.python_version()}"
    for words in HOSTILE:
        if not _is_harmless(words):
            return fault(
                "interpreter",
                f"{version} lets a typed name become a header",
                "Do not send mail with it: use another release of Python.",
            )
    return ok("interpreter", f"{version} passes the header self-test")


def _is_harmless(words: str) -> bool:
    envelope = Envelope(
        sender="a@clinic.example",
        sender_name=words,
        recipient="b@clinic.example",
        message_id="<self.test@clinic.example>",
        date=datetime(2026, 1, 1, tzinfo=UTC),
    )
    for subject in (words, "A subject"):
        try:
            letter = compose(envelope, Written(subject=subject, text="", html="", language="en"))
        except (UnsafeHeader, NotAnAddress):
            continue
        names = message_from_bytes(letter).keys()
        if tuple(names) != (*_MEANT, "MIME-Version", "Content-Type"):
            return False
    return True
