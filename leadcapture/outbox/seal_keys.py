"""The keys that sealed what is here: noted by their ids, so that a lost one is missed at once."""

from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from leadcapture.models import Message, Request, SealKey, TimelineEntry

LOOKED_AT = 2_000
_SEALED: tuple[tuple[Any, Any], ...] = (
    (Message.id, Message.payload),
    (Request.id, Request.answers),
    (TimelineEntry.id, TimelineEntry.note),
)


class KeyNotes:
    """Notes for one scheduler process which keys have sealed the rows that came since it looked."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def note_keys(self, session: Session, now: datetime) -> None:
        """Look at the newest rows, two thousand of each kind at most."""
        found: set[str] = set()
        for number, sealed in _SEALED:
            newest = _newest(number, sealed, self._last.get(str(number), 0))
            rows = session.execute(newest).all()
            if rows:
                self._last[str(number)] = rows[0][0]
            found |= {bytes(row[1]).decode("ascii", "replace") for row in rows}
        for key_id in found - set(session.scalars(select(SealKey.id))):
            session.merge(SealKey(id=key_id, seen_at=now))


def _newest(number: Any, sealed: Any, after: int) -> Select[*tuple[Any, ...]]:
    return (
        select(number, func.substr(sealed, 1, 4))
        .where(number > after, sealed.is_not(None))
        .order_by(number.desc())
        .limit(LOOKED_AT)
    )
