"""Mentions: a note that says ``@Ana`` is shown to Ana on her first page until she opens it."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from contextvars import Context
from datetime import datetime

from sqlalchemy import ColumnElement, Engine, insert, select, update
from sqlalchemy.orm import Session, joinedload, lazyload

from leadcapture.database import open_session
from leadcapture.models import Mention, Staff, TimelineEntry

SHOWN = 20


def mention_colleagues(
    session: Session, entry_ref: str, note: str, actor_id: int, now: datetime
) -> Sequence[Staff]:
    """Keep whom the note of this entry mentions, its writer apart; who they are."""
    if "@" not in note:
        return ()
    colleagues = session.scalars(select(Staff).where(Staff.active).options(lazyload(Staff.roles)))
    named = [one for one in find_mentioned(note, colleagues.all()) if one.id != actor_id]
    if named:
        entry_id = session.scalars(
            select(TimelineEntry.id).where(TimelineEntry.ref == entry_ref)
        ).one()
        rows = [{"entry_id": entry_id, "staff_id": one.id, "created_at": now} for one in named]
        session.execute(insert(Mention), rows)
    return named


def find_mentioned(note: str, colleagues: Sequence[Staff]) -> list[Staff]:
    """Whom the text names after an ``@``, by first or full name, each once.

    A name that two colleagues share names neither; the full name tells two Anas apart.
    """
    calls: dict[str, Staff] = {}
    shared = Counter(call for one in colleagues for call in set(_calls(one)))
    for one in colleagues:
        calls |= {call: one for call in _calls(one) if shared[call] == 1}
    # The longest first: "@Ana Vargas" is she, however many Anas there are.
    known = "|".join(re.escape(call) for call in sorted(shared, key=len, reverse=True))
    pattern = re.compile(rf"(?<!\w)@({known})(?!\w)") if known else None
    found = pattern.findall(_folded(note)) if pattern else []
    return list({calls[call].id: calls[call] for call in found if call in calls}.values())


def unopened(session: Session, staff_id: int) -> Sequence[Mention]:
    """Where somebody is mentioned and has not looked yet, the newest first, twenty at most."""
    entry = joinedload(Mention.entry)
    return session.scalars(
        select(Mention)
        .where(Mention.staff_id == staff_id, Mention.opened_at.is_(None))
        .options(
            entry.joinedload(TimelineEntry.actor).lazyload(Staff.roles),
            entry.joinedload(TimelineEntry.lead),
        )
        .order_by(Mention.created_at.desc(), Mention.entry_id.desc())
        .limit(SHOWN)
    ).all()


def open_mentions(
    session: Session, engine: Engine, staff_id: int, lead_id: int, now: datetime
) -> None:
    """Take off the first page what this person sees now: the notes of this lead.

    Written in a transaction of its own, and only where there is something to write: a page
    that is read does not queue behind a writer.
    """
    mine = _mine(staff_id, lead_id)
    if session.scalar(select(Mention.entry_id).where(*mine).limit(1)) is None:
        return
    # A fresh context, because the page has said in its own that it only reads.
    Context().run(_note_opened, engine, mine, now)


def _note_opened(engine: Engine, which: tuple[ColumnElement[bool], ...], now: datetime) -> None:
    with open_session(engine) as session:
        session.execute(
            update(Mention)
            .where(*which)
            .values(opened_at=now)
            .execution_options(synchronize_session=False)
        )
        session.commit()


def _mine(staff_id: int, lead_id: int) -> tuple[ColumnElement[bool], ...]:
    of_lead = select(TimelineEntry.id).where(TimelineEntry.lead_id == lead_id)
    return (
        Mention.staff_id == staff_id,
        Mention.opened_at.is_(None),
        Mention.entry_id.in_(of_lead),
    )


def _calls(colleague: Staff) -> Iterator[str]:
    name = _folded(" ".join(colleague.name.split()))
    if name:
        yield name
        yield name.split()[0]


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()
