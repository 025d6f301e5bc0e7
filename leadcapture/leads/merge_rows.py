"""The rows that hang on a lead, and how they change hands when two leads become one."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from leadcapture.database import Base, table_of
from leadcapture.models import Tag, lead_tag

MOVED = ("request", "consent", "message", "timeline_entry", "task", "inbound_mail")
"""The tables whose rows go along. Mentions hang on timeline entries, attempts on messages."""

_AT_ONCE = 500


def move_all(session: Session, from_id: int, to_id: int) -> dict[str, list[int]]:
    """Give every row of the one lead to the other; the ids of those that moved, by table."""
    session.flush()
    moved: dict[str, list[int]] = {}
    for name in MOVED:
        table = Base.metadata.tables[name]
        gone = session.execute(
            update(table)
            .where(table.c.lead_id == from_id)
            .values(lead_id=to_id)
            .returning(table.c.id)
        )
        moved[name] = sorted(gone.scalars())
    return moved


def move_back(
    session: Session,
    moved: Mapping[str, Sequence[int]],
    from_id: int,
    to_id: int,
    but_messages: Collection[int] = (),
) -> None:
    """Give back what `move_all` moved, as far as it is still there."""
    session.flush()
    for name in MOVED:
        table = Base.metadata.tables[name]
        ids = moved[name]
        if name == "message":
            ids = [one for one in ids if one not in but_messages]
        for some in _in_parts(ids):
            session.execute(
                update(table)
                .where(table.c.id.in_(some), table.c.lead_id == from_id)
                .values(lead_id=to_id)
            )


def move_tags(session: Session, from_id: int, to_id: int) -> dict[str, list[int]]:
    """Put the one lead's tags on the other; which it had, and which of them are new there."""
    had, carries = (_tags(session, lead_id) for lead_id in (from_id, to_id))
    fresh = sorted(had - carries)
    _put_on(session, to_id, fresh)
    session.execute(delete(lead_tag).where(lead_tag.c.lead_id == from_id))
    return {"tags": sorted(had), "tags_new": fresh}


def move_tags_back(session: Session, moved: Mapping[str, Any], from_id: int, to_id: int) -> None:
    """Take off the tags that were new there, and put the lead's own on it again."""
    session.execute(
        delete(lead_tag).where(
            lead_tag.c.lead_id == from_id, lead_tag.c.tag_id.in_(moved["tags_new"])
        )
    )
    _put_on(session, to_id, sorted(set(moved["tags"]) & _known(session, moved["tags"])))


def _tags(session: Session, lead_id: int) -> set[int]:
    return set(session.scalars(select(lead_tag.c.tag_id).where(lead_tag.c.lead_id == lead_id)))


def _known(session: Session, tag_ids: Sequence[int]) -> set[int]:
    tag = table_of(Tag)
    return set(session.scalars(select(tag.c.id).where(tag.c.id.in_(tag_ids))))


def _put_on(session: Session, lead_id: int, tag_ids: Sequence[int]) -> None:
    if tag_ids:
        rows = [{"lead_id": lead_id, "tag_id": tag_id} for tag_id in tag_ids]
        session.execute(insert(lead_tag), rows)


def _in_parts(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), _AT_ONCE):
        yield ids[start : start + _AT_ONCE]
