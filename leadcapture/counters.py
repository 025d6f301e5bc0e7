"""Counters of the rate limits: one small file that all processes of a machine share."""

import sqlite3
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

from limits.storage import Storage

from leadcapture.kept_file import make_private

SCHEME = "leadcapture-file"
# What keeps from counting although all was asked rightly: the disk, or the file.
FAILURES = (sqlite3.Error, OSError)
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS counter (key TEXT PRIMARY KEY, count INTEGER, expires_at REAL)"
)
_COUNT = """
INSERT INTO counter (key, count, expires_at) VALUES (:key, :amount, :ends)
ON CONFLICT (key) DO UPDATE SET
    count = CASE WHEN expires_at <= :now THEN :amount ELSE count + :amount END,
    expires_at = CASE WHEN expires_at <= :now THEN :ends ELSE expires_at END
RETURNING count
"""
_KEEP_EXPIRED = 3600.0


def storage_uri(folder: Path) -> str:
    """Where the counters of an installation are kept; a restart finds them again."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return f"{SCHEME}://{folder / 'limits.sqlite3'}"


class FileCounters(Storage):
    """Fixed windows, counted by SQLite over all workers (AB-04).

    The file is not synced: a power cut may forget the last counts, which is harmless, and a
    count costs a twentieth of a millisecond.
    """

    STORAGE_SCHEME = [SCHEME]  # noqa: RUF012 - the library declares it so

    def __init__(self, uri: str, wrap_exceptions: bool = False, **_options: object) -> None:
        super().__init__(uri, wrap_exceptions)
        self._path = urlsplit(uri).path
        self._own = threading.local()

    @property
    def base_exceptions(self) -> type[Exception]:
        return sqlite3.Error

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count, and answer with how many there are in this window."""
        now = time.time()
        values = {"key": key, "amount": amount, "ends": now + expiry, "now": now}
        found = self._connection().execute(_COUNT, values).fetchone()
        return int(found[0])

    def get(self, key: str) -> int:
        return int(self._row(key)[0])

    def get_expiry(self, key: str) -> float:
        """When the window ends (seconds since 1970)."""
        return self._row(key)[1]

    def check(self) -> bool:
        self._connection().execute("SELECT 1")
        return True

    def reset(self) -> int | None:
        return self._connection().execute("DELETE FROM counter").rowcount

    def clear(self, key: str) -> None:
        self._connection().execute("DELETE FROM counter WHERE key = ?", (key,))

    def _row(self, key: str) -> tuple[int, float]:
        now = time.time()
        row = (
            self._connection()
            .execute(
                "SELECT count, expires_at FROM counter WHERE key = ? AND expires_at > ?",
                (key, now),
            )
            .fetchone()
        )
        return (int(row[0]), float(row[1])) if row else (0, now)

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._own, "connection", None)
        if connection is None:
            make_private(Path(self._path))
            connection = sqlite3.connect(self._path, timeout=5, isolation_level=None)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute(_SCHEMA)
            # Addresses of visitors are not kept longer than they are needed.
            old = time.time() - _KEEP_EXPIRED
            connection.execute("DELETE FROM counter WHERE expires_at < ?", (old,))
            self._own.connection = connection
        return connection
