"""The relay's own log: a local Postfix says which letters it took, and so settles doubts.

Postfix names a letter thrice: `cleanup` gives its queue id and Message-ID while it is still
coming in, `qmgr` the queue id once it is queued, `smtp` and its kin what became of it. The
first alone proves nothing, for the dot may never have come.
"""

import gzip
import os
import re
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import IO

from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.models import Message, MessageState
from leadcapture.outbox import ledger

SOURCE = "relay_log"
# What is read at the start, and at one turn at most: a busy relay writes 1 MB in some minutes.
LOOKS_BACK = 32 * 1024 * 1024
ONE_TURN = 8 * 1024 * 1024
REMEMBERED = 50_000
SETTLED_AT_ONCE = 500

_LINE = re.compile(rb" [\w.-]*?/(?:[\w-]+/)?(\w+)\[\d+\]: ([0-9A-Za-z]{6,20}): (.*)")
_MESSAGE_ID = re.compile(rb"message-id=(<[^<>\s]{3,250}>)")
_QUEUED = re.compile(rb"from=<[^>]*>, size=\d+, nrcpt=\d+ \(queue active\)")
_STATUS = re.compile(rb"\bstatus=(?:sent|deferred|bounced)\b")


class RelayLog:
    """Follows one log through its rotations, and remembers the letters that were taken.

    Only Message-IDs of ours are kept, the newest 50,000; no address ever is. For one thread.
    """

    def __init__(self, path: Path, mail_domain: str) -> None:
        self._path = path
        self._ours = b"@" + mail_domain.encode() + b">"
        self._file: IO[bytes] | None = None
        self._looked_back_at: Path | None = None
        self._was_moved = False
        self._rest = b""
        self._coming: OrderedDict[bytes, str] = OrderedDict()
        self._taken: OrderedDict[str, None] = OrderedDict()

    def settle_by_relay_log(self, session: Session, now: datetime) -> int:
        """Count as sent what the relay took though we never heard so; how many. Raises OSError.

        What the log does not show stays in doubt: the rule for doubts alone sends again.
        """
        self.read_on()
        if not self._taken:
            return 0
        doubtful = session.scalars(
            select(Message)
            .where(Message.state == MessageState.UNCERTAIN)
            .order_by(Message.id)
            .limit(SETTLED_AT_ONCE)
        )
        return sum(
            ledger.settle_by_evidence(session, message, now, SOURCE)
            for message in doubtful.all()
            if message.mail_id in self._taken
        )

    def read_on(self) -> None:
        """Read what was written since the last turn, 8 MB at most."""
        if self._file is None:
            self._begin()
        left = ONE_TURN
        while self._file is not None and left > 0:
            left -= self._read_file(left)
            if left <= 0 or not self._follow_rotation():
                return

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self) -> None:
        """Look back over the log, and over the one before where this one is young.

        Where the log was moved away and nothing has happened since, there is only the one before.
        Raises FileNotFoundError where there is none.
        """
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            before = self._log_before()
            if before is None:
                raise
            if before != self._looked_back_at:
                self._take_in(_end_of(before, LOOKS_BACK))
                self._looked_back_at = before
            return
        try:
            missing = LOOKS_BACK - os.fstat(file.fileno()).st_size
            if missing > 0 and (before := self._log_before()) is not None:
                self._take_in(_end_of(before, missing))
        except OSError:
            # Moved or compressed at this very moment: the next turn begins anew.
            file.close()
            raise
        self._file = file
        _seek_back(self._file, LOOKS_BACK)
        self._take_in(self._file.read(LOOKS_BACK))

    def _log_before(self) -> Path | None:
        """The log that was last rotated away, whoever did it.

        logrotate names it ``mail.log.1`` or ``mail.log-20261126``, ``postfix logrotate``
        ``mail.log.20261126-112347``; each may be compressed, at once or later.
        """
        old = set(self._rotated())
        # A file that is being compressed still stands beside what is not whole yet.
        whole = [path for path in old if path.suffix != ".gz" or path.with_suffix("") not in old]
        return max(whole, key=lambda path: path.stat().st_mtime, default=None)

    def _rotated(self) -> Iterator[Path]:
        name = re.escape(self._path.name)
        rotated = re.compile(rf"{name}[.-](?:\d{{1,3}}|\d{{8}}(?:-\d{{2,10}})?)(?:\.gz)?")
        for path in self._path.parent.iterdir():
            if rotated.fullmatch(path.name):
                yield path

    def _read_file(self, most: int) -> int:
        assert self._file is not None
        if os.fstat(self._file.fileno()).st_size < self._file.tell():
            # Cut short in its place (copytruncate): it begins anew.
            self._file.seek(0)
            self._rest = b""
        chunk = self._file.read(most)
        self._take_in(chunk)
        return len(chunk)

    def _follow_rotation(self) -> bool:
        """Go on to the new file where the old one was moved away a turn ago.

        Whoever writes the log follows some seconds later; until then lines go to the old file.
        """
        assert self._file is not None
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        ours = os.fstat(self._file.fileno())
        if (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino):
            return False
        if not self._was_moved:
            self._was_moved = True
            return False
        self._file.close()
        self._file, self._rest, self._was_moved = self._path.open("rb"), b"", False
        return True

    def _take_in(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > 64 * 1024:
            self._rest = b""
        for line in lines:
            self._read_line(line)

    def _read_line(self, line: bytes) -> None:
        found = _LINE.search(line)
        if found is None:
            return
        program, queue_id, said = found.groups()
        if program == b"cleanup" and (named := _MESSAGE_ID.match(said)):
            # A short queue id is used again: the newest letter has it.
            self._coming.pop(queue_id, None)
            if named[1].endswith(self._ours):
                self._coming[queue_id] = named[1].decode("ascii", "replace")
                _trim(self._coming)
        elif queue_id in self._coming and (_QUEUED.match(said) or _STATUS.search(said)):
            self._taken[self._coming[queue_id]] = None
            _trim(self._taken)
        elif said == b"removed":
            self._coming.pop(queue_id, None)


def _trim(remembered: "OrderedDict[bytes, str] | OrderedDict[str, None]") -> None:
    while len(remembered) > REMEMBERED:
        remembered.popitem(last=False)


def _end_of(path: Path, most: int) -> bytes:
    """The last ``most`` bytes at most, decompressed, from the beginning of a line."""
    if path.suffix != ".gz":
        with path.open("rb") as file:
            _seek_back(file, most)
            return file.read(most)
    end = b""
    with gzip.open(path) as packed, suppress(EOFError):
        while chunk := packed.read(1024 * 1024):
            end += chunk
            if len(end) > 2 * most:
                end = end[-most:]
    return end if len(end) <= most else end[-most:].partition(b"\n")[2]


def _seek_back(file: IO[bytes], most: int) -> None:
    """Go to the last ``most`` bytes, at the beginning of a line."""
    size = os.fstat(file.fileno()).st_size
    if size > most:
        file.seek(size - most)
        file.readline()
