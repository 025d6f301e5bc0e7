"""Ways to change the audit behind its back, each with the first row that it touches."""

import random
from collections.abc import Callable

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from leadcapture.models import AuditEntry
from tests.clock import TUESDAY_MORNING

Tampering = Callable[[Session, int, random.Random], int]
_FAR = 1_000_000


def _edit(session: Session, length: int, chance: random.Random) -> int:
    position = chance.randint(1, length)
    change: dict[str, object] = chance.choice(
        [
            {"act": "nothing"},
            {"subject": "somebody else"},
            {"actor_id": 99},
            {"at": TUESDAY_MORNING.replace(year=2020)},
            {"reason": "invented"},
            {"to_state": "sent"},
            {"hash": f"{chance.getrandbits(256):064x}"},
        ]
    )
    session.execute(update(AuditEntry).where(AuditEntry.position == position).values(**change))
    return position


def _delete(session: Session, length: int, chance: random.Random) -> int:
    position = chance.randint(1, length - 1)
    session.execute(delete(AuditEntry).where(AuditEntry.position == position))
    return position


def _delete_and_close_up(session: Session, length: int, chance: random.Random) -> int:
    position = _delete(session, length, chance)
    _shift(session, position + 1, length, -1)
    return position


def _insert(session: Session, length: int, chance: random.Random) -> int:
    position = chance.randint(1, length)
    _shift(session, position, length, 1)
    forged = session.scalar(select(AuditEntry.hash).where(AuditEntry.position == position + 1))
    session.execute(
        insert(AuditEntry).values(
            act="lead_viewed",
            subject="forged",
            reason="",
            at=TUESDAY_MORNING,
            position=position,
            hash=forged,
        )
    )
    return position


def _swap(session: Session, length: int, chance: random.Random) -> int:
    first, second = sorted(chance.sample(range(1, length + 1), 2))
    for start, end in ((first, _FAR), (second, first), (_FAR, second)):
        session.execute(update(AuditEntry).where(AuditEntry.position == start).values(position=end))
    return first


def _shift(session: Session, start: int, end: int, by: int) -> None:
    """Move positions along, by way of numbers that nobody has: each must stay unique."""
    for step in (_FAR, by - _FAR):
        low, high = (start, end) if step == _FAR else (start + _FAR, end + _FAR)
        session.execute(
            update(AuditEntry)
            .where(AuditEntry.position.between(low, high))
            .values(position=AuditEntry.position + step)
        )


_TAMPERINGS: dict[str, Tampering] = {
    "edit": _edit,
    "delete": _delete,
    "delete_and_close_up": _delete_and_close_up,
    "insert": _insert,
    "swap": _swap,
}
KINDS = tuple(_TAMPERINGS)


def tamper(session: Session, kind: str, length: int, chance: random.Random) -> int:
    """Change a sealed chain of this length at random; the first position that is not as it was."""
    touched = _TAMPERINGS[kind](session, length, chance)
    session.flush()
    return touched
