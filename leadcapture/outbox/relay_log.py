"""The relay's own log: a local Postfix says which letters it took, and so settles doubts.

Postfix names a letter thrice: `cleanup` gives its queue id and Message-ID while it is still
coming in, `qmgr` the queue id once it is queued, `smtp` and its kin what became of it. The
first alone proves nothing, for the dot may never have come.
"""

import os
import re
from collections import OrderedDict
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
        while left > 0:
            left -= self._read_file(left)
            if left <= 0 or not self._follow_rotation():
                return

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self) -> None:
        """Look back over the log, and over the one before where this one is young."""
        self._file = self._path.open("rb")
        size = os.fstat(self._file.fileno()).st_size
        before = self._path.with_name(f"{self._path.name}.1")
        if size < LOOKS_BACK and before.exists():
            with before.open("rb") as old:
                _seek_back(old, LOOKS_BACK - size)
                self._take_in(old.read(LOOKS_BACK - size))
        _seek_back(self._file, LOOKS_BACK)
        self._take_in(self._file.read(LOOKS_BACK))

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
        """Go on to the new file where the old one was moved away; it was read to its end."""
        assert self._file is not None
        ours, there = os.fstat(self._file.fileno()), self._path.stat()
        if (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino):
            return False
        self._file.close()
        self._file, self._rest = self._path.open("rb"), b""
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


def _seek_back(file: IO[bytes], most: int) -> None:
    """Go to the last ``most`` bytes, at the beginning of a line."""
    size = os.fstat(file.fileno()).st_size
    if size > most:
        file.seek(size - most)
        file.readline()
