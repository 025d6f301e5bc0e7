"""Fences: a tally is kept only where nobody has cleared it since its requests were read."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, null, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from leadcapture.database import reading
from leadcapture.leads.tallies import Content, Reckoning, nothing
from leadcapture.models import DayTally, HourTally

# The triggers pass over what happens to a letter within an hour of its request.
OVER_AFTER = timedelta(minutes=75)
"""So long after its end a part is over: what happens from then on is noted."""

Table = type[DayTally] | type[HourTally]
Part = TypeVar("Part", date, datetime)


def holds(table: Table, reckoning: Reckoning) -> Sequence[ColumnElement[bool]]:
    """That a tally is kept by these rules."""
    return table.rules == reckoning.mark, table.content.is_not(null())


def keep(
    session: Session,
    table: Table,
    parts: Sequence[Part],
    count: Callable[[], Mapping[Part, Content]],
    reckoning: Reckoning,
) -> None:
    """Count these parts and keep what they come to. Commits, before and after."""
    fences = read_fences(session, table, parts)
    session.commit()
    with reading():
        # No lock is held while we read: whoever writes need not wait for us.
        made = count()
        session.rollback()
    store(session, table, {part: made.get(part, nothing()) for part in parts}, fences, reckoning)
    session.commit()


def clear(session: Session, table: Table, parts: Collection[date] | Collection[datetime]) -> None:
    """Have these parts reckoned anew: what somebody is reckoning of them now is not kept."""
    key = _key(table)
    # In order, so that two processes do not wait for one another.
    for part in sorted(parts):
        session.execute(
            update(table).where(key == part).values(content=null(), fence=table.fence + 1)
        )


def read_fences(session: Session, table: Table, parts: Sequence[Part]) -> Mapping[Part, int]:
    """The fence of each part, with a row made for each that has none."""
    key = _key(table)

    def known() -> dict[Part, int]:
        rows = session.execute(select(key.label("part"), table.fence).where(key.in_(parts)))
        return {row.part: row.fence for row in rows}

    fences = known()
    new: list[dict[str, Any]] = [
        {key.name: part, "rules": "", "fence": 0} for part in parts if part not in fences
    ]
    if not new:
        return fences
    make = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    # Another process may make the same row at the same moment.
    session.execute(make(table).on_conflict_do_nothing(), new)
    return known()


def store(
    session: Session,
    table: Table,
    made: Mapping[Part, Content],
    fences: Mapping[Part, int],
    reckoning: Reckoning,
) -> None:
    """Keep what was made under these fences."""
    key = _key(table)
    for part, content in made.items():
        session.execute(
            update(table)
            .where(key == part, table.fence == fences[part])
            .values(rules=reckoning.mark, content=content)
        )


def _key(table: Table) -> Any:
    key = {DayTally: DayTally.day, HourTally: HourTally.begins_at}
    return key[table]
