"""The audit chain: each entry's hash covers the one before, so that no change goes unseen.

Triggers of the database write the entries of messages, `record` those of staff. The sealer
gives them positions 1, 2, 3 … and HMAC-SHA256 hashes (RFC 2104) under a key that the database
does not hold. An edit, a deletion, an insertion and a swap show at the first position that they
touch; entries cut off the end show against a head that is kept outside the database.
"""

import enum
import hashlib
import hmac
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import String, bindparam, func, insert, select, text, type_coerce, update
from sqlalchemy.orm import Session

from leadcapture.database import reading, table_of
from leadcapture.kept_file import replace_file
from leadcapture.models import AuditEntry
from leadcapture.outbox.alerts import clear_alerts, open_subjects, raise_alert

log = logging.getLogger(__name__)

FILE = "audit-head"
ALERT = "audit_broken"
BATCH = 500
SEALED_IN_A_TURN = 10_000
# Each minute a third of a second of the processor: half a percent. What is changed among up to so
# many entries shows within 90 s (OP-01), in one of a million within 40 minutes.
VERIFIED_IN_A_TURN = 25_000
_LOCK = 7_355_609
_WRITTEN = json.JSONEncoder(default=str).encode


@dataclass(frozen=True)
class Head:
    """How far a chain reaches: the last entry's position and hash."""

    position: int
    hash: str


GENESIS = Head(0, "0" * 64)


class Flaw(enum.StrEnum):
    """What is wrong at a position: its entry was altered, is missing, or differs from a head
    that was kept outside."""

    ALTERED = "altered"
    MISSING = "missing"
    CUT_OFF = "cut_off"


@dataclass(frozen=True)
class Fault:
    """The first position at which the chain does not hold."""

    position: int
    flaw: Flaw

    @property
    def sentence(self) -> str:
        """What is wrong with the entry, to stand behind its number."""
        return {
            Flaw.ALTERED: "was altered, put in, or moved",
            Flaw.MISSING: "is missing",
            Flaw.CUT_OFF: "is not what was kept outside: the end was cut off or rewritten",
        }[self.flaw]


def chain_key(hash_key: bytes) -> bytes:
    """The chain's own key: what is signed elsewhere with the hash key never fits here."""
    return hmac.new(hash_key, b"audit\0chain", hashlib.sha256).digest()


def record(
    session: Session,
    actor_id: int | None,
    act: str,
    subject: str,
    now: datetime,
    reason: str = "",
) -> None:
    """Note in this transaction who did what, to which lead, message or gate; never content."""
    session.execute(
        insert(AuditEntry).values(
            actor_id=actor_id, act=act, subject=subject, reason=reason, at=now
        )
    )


def seal(session: Session, key: bytes, limit: int = BATCH) -> int:
    """Chain the oldest unsealed entries, ``limit`` at most; how many. The caller commits.

    One process at a time: on SQLite by the lock of whatever writes.
    """
    if session.get_bind().dialect.name == "postgresql" and not session.scalar(
        text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": _LOCK}
    ):
        return 0
    unsealed = session.execute(
        select(*_COLUMNS).where(AuditEntry.position.is_(None)).order_by(AuditEntry.id).limit(limit)
    ).all()
    if not unsealed:
        return 0
    last = head(session)
    changes = []
    for row in unsealed:
        last = Head(last.position + 1, _hash(key, last, row))
        changes.append({"row": row.id, "position": last.position, "hash": last.hash})
    session.connection().execute(_SEAL, changes)
    return len(changes)


def head(session: Session) -> Head:
    """The end of the chain as the database has it."""
    row = session.execute(
        select(AuditEntry.position, AuditEntry.hash)
        .where(AuditEntry.position.is_not(None))
        .order_by(AuditEntry.position.desc())
        .limit(1)
    ).first()
    return Head(row.position, row.hash or "") if row else GENESIS


def verify(
    session: Session, key: bytes, after: Head = GENESIS, limit: int | None = None
) -> tuple[Head, Fault | None]:
    """Follow the chain from ``after`` for ``limit`` entries or to its end.

    What comes back is how far it holds, and where it breaks, if it does.
    """
    good, left = after, limit
    while left is None or left > 0:
        size = 1_000 if left is None else min(1_000, left)
        rows = _following(session, good.position, size)
        for row in rows:
            position, wanted = good.position + 1, _hash(key, good, row)
            if row.position != position:
                return good, Fault(position, Flaw.MISSING)
            if not hmac.compare_digest(wanted, str(row.hash)):
                return good, Fault(position, Flaw.ALTERED)
            good = Head(position, wanted)
        if len(rows) < size:
            break
        left = None if left is None else left - size
    return good, None


def verify_kept(session: Session, kept: Head) -> Fault | None:
    """Look whether a head that was kept outside is still part of the chain."""
    if kept.position == 0:
        return None
    found = session.scalar(select(AuditEntry.hash).where(AuditEntry.position == kept.position))
    return None if found == kept.hash else Fault(kept.position, Flaw.CUT_OFF)


def read_head(data_dir: Path) -> Head:
    """The head that the data folder keeps; the beginning where it keeps none."""
    try:
        position, found = (data_dir / FILE).read_text().split()
        return Head(int(position), found)
    except (OSError, ValueError):
        return GENESIS


def write_head(data_dir: Path, kept: Head) -> None:
    """Keep a head in the data folder; a crash leaves the old one or the new one."""
    replace_file(data_dir / FILE, f"{kept.position} {kept.hash}\n")


class Keeper:
    """Seals the chain for one scheduler process, and looks after it in bounded turns.

    Each turn verifies what is new since the last one, and a stretch of the rest from where the
    last stretch ended, round and round.
    """

    def __init__(self, hash_key: bytes, data_dir: Path) -> None:
        self._key = chain_key(hash_key)
        self._data_dir = data_dir
        self._newest: Head | None = None
        self._stretch = GENESIS

    def seal_audit(self, session: Session, _now: datetime) -> None:
        """Chain what has gathered. Commits each batch, so that no writer waits for long."""
        for _ in range(SEALED_IN_A_TURN // BATCH):
            sealed = seal(session, self._key)
            session.commit()
            if sealed < BATCH:
                return

    def verify_audit(self, session: Session, now: datetime) -> None:
        """Raise an alert where the chain breaks, clear it where it holds again."""
        begun = self._stretch
        with reading():
            session.rollback()
            fault, end = self._look(session), head(session)
            session.rollback()
        if fault is not None:
            log.error("the audit chain is broken at %d: %s", fault.position, fault.flaw)
            raise_alert(session, ALERT, str(fault.position), now)
            return
        is_round = self._stretch == end
        # Another process may have found a fault where this one has not looked yet.
        unseen = {
            subject
            for subject in open_subjects(session, ALERT)
            if not begun.position < int(subject) <= self._stretch.position
        }
        clear_alerts(session, ALERT, now, () if is_round and begun == GENESIS else unseen)
        if is_round:
            self._stretch = GENESIS

    def _look(self, session: Session) -> Fault | None:
        kept = read_head(self._data_dir)
        fault = verify_kept(session, kept)
        if fault is not None:
            return fault
        known = self._newest or kept
        self._newest, fault = verify(session, self._key, known, VERIFIED_IN_A_TURN)
        if fault is not None:
            return fault
        if self._newest != kept:
            write_head(self._data_dir, self._newest)
        self._stretch, fault = verify(session, self._key, self._stretch, VERIFIED_IN_A_TURN)
        return fault


def _following(session: Session, position: int, size: int) -> Sequence[Any]:
    return session.execute(
        select(*_COLUMNS)
        .where(AuditEntry.position > position)
        .order_by(AuditEntry.position)
        .limit(size)
    ).all()


def _hash(key: bytes, previous: Head, row: Any) -> str:
    content = _WRITTEN([previous.position + 1, *_content(row)])
    return hmac.digest(key, f"{previous.hash}\n{content}".encode(), "sha256").hex()


def _content(row: Any) -> Sequence[object]:
    """What an entry says, the same on both databases."""
    *said, at = row[:_SAID]
    if isinstance(at, datetime):
        at = at.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
    return (*said, at)


# In the order in which an entry is hashed, and then its place in the chain. The instant is as
# the driver gives it: one that somebody made unreadable must not end the look.
_COLUMNS = (
    AuditEntry.id,
    AuditEntry.act,
    AuditEntry.subject,
    AuditEntry.actor_id,
    AuditEntry.message_id,
    AuditEntry.from_state,
    AuditEntry.to_state,
    AuditEntry.fence,
    AuditEntry.reason,
    AuditEntry.sha256,
    type_coerce(AuditEntry.at, String).label("at"),
    AuditEntry.position,
    AuditEntry.hash,
)
_SAID = len(_COLUMNS) - 2
_TABLE = table_of(AuditEntry)
_SEAL = (
    update(_TABLE)
    .where(_TABLE.c.id == bindparam("row"), _TABLE.c.position.is_(None))
    .values(position=bindparam("position"), hash=bindparam("hash"))
)


def count_unsealed(session: Session) -> int:
    """How many entries wait for the sealer."""
    waiting = select(func.count()).where(AuditEntry.position.is_(None))
    return session.scalar(waiting) or 0
