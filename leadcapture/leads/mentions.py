"""Mentions: a note that says ``@Ana`` is shown to Ana on her first page until she opens it."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import ColumnElement, Engine, insert, select, update
from sqlalchemy.orm import Session, joinedload, lazyload

from leadcapture.database import open_session
from leadcapture.models import Mention, Staff, TimelineEntry

SHOWN = 20
# An address has something before its @, and a dot after it.
_AT = re.compile(r"(?<!\w)@")
_WORD = re.compile(r"\w[\w'’-]*(?:\.\w+)*")
_LONGEST_TOLD = 40
_FAR_ENOUGH = 300


@dataclass(frozen=True)
class Mentioned:
    """Whom a note mentions; and the first words, as they were typed, of names
    that no colleague bears (``unknown``) or several (``shared``).
    """

    colleagues: Sequence[Staff] = ()
    unknown: Sequence[str] = ()
    shared: Sequence[str] = ()


def mention_colleagues(
    session: Session, entry_ref: str, note: str, actor_id: int, now: datetime
) -> Mentioned:
    """Keep whom the note of this entry mentions, its writer apart; whom it reaches and not."""
    if "@" not in note:
        return Mentioned()
    colleagues = session.scalars(
        select(Staff).where(Staff.active).options(lazyload(Staff.roles))
    ).all()
    found = find_mentioned(note, colleagues)
    named = [one for one in found.colleagues if one.id != actor_id]
    if named:
        entry_id = session.scalars(
            select(TimelineEntry.id).where(TimelineEntry.ref == entry_ref)
        ).one()
        rows = [{"entry_id": entry_id, "staff_id": one.id, "created_at": now} for one in named]
        session.execute(insert(Mention), rows)
    return replace(found, colleagues=named)


def find_mentioned(note: str, colleagues: Sequence[Staff]) -> Mentioned:
    """Whom the text names after an ``@``, by first or full name, and which names reach nobody.

    A name that two colleagues share names neither; the full name tells two Anas apart.
    """
    calls = _who_is_called(colleagues)
    named: dict[int, Staff] = {}
    unknown: dict[str, str] = {}
    shared: dict[str, str] = {}
    for call, typed in _names_in(note, calls):
        if one := calls.get(call):
            named[one.id] = one
        elif typed:
            (shared if call else unknown).setdefault(_folded(typed), typed)
    return Mentioned(list(named.values()), list(unknown.values()), list(shared.values()))


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


def _who_is_called(colleagues: Sequence[Staff]) -> dict[str, Staff | None]:
    """Who is meant by each name there is; None where several are."""
    shared = Counter(call for one in colleagues for call in set(_calls(one)))
    return {call: one if shared[call] == 1 else None for one in colleagues for call in _calls(one)}


def _names_in(note: str, calls: Mapping[str, Staff | None]) -> Iterator[tuple[str, str]]:
    """Each name after an ``@``: as `calls` has it, empty where it has none; and its first word."""
    # The longest first: "@Ana Vargas" is she, however many Anas there are.
    known = "|".join(re.escape(call) for call in sorted(calls, key=len, reverse=True))
    pattern = re.compile(rf"({known})(?!\w)") if known else None
    for at in _AT.finditer(note):
        # A note of nothing but @ would else be folded as often as it is long.
        rest = note[at.end() : at.end() + _FAR_ENOUGH]
        found = pattern.match(_folded(rest)) if pattern else None
        word = _WORD.match(rest)
        is_name = word is not None and "." not in word[0]
        yield found[1] if found else "", word[0][:_LONGEST_TOLD] if word and is_name else ""


def _calls(colleague: Staff) -> Iterator[str]:
    name = _folded(" ".join(colleague.name.split()))
    if name:
        yield name
        yield name.split()[0]


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()
