"""Changes: what is new since a page was made, so that it follows and nobody overwrites unseen.

A form that changes what others see too carries the version that it was made from:

    <input type="hidden" name="version" value="{{ lead|version }}">

and what takes it asks first, in the transaction that will write:

    stale = changes.check_version(session, lead, request.form.get("version", ""))
    if stale:
        return show_stale(lead, stale, [(gettext("Name"), typed_name)])

(`dashboard.stale_page.ask_if_stale` does both; the macro ``version(lead)`` of
``dashboard/_acts.html`` writes the field.)

The version counts by itself: triggers of the database (migration 0009) add one with every change
to a column of the lead that people see, whoever writes it and by whatever statement.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, Select, delete, func, literal, select
from sqlalchemy.orm import Session, joinedload

from leadcapture.models import Change, Lead, Staff, TimelineEntry
from leadcapture.outbox.holding import hold_leads

KEPT = 5_000
# A line may be committed after one with a higher number. So many lines below the newest are
# counted again at each look, so that none is missed.
LATE = 1_000
_FORGOTTEN_AT_ONCE = 20_000
_TOLD = 20
_NUMBER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(milliseconds=1)


@dataclass(frozen=True)
class Stale:
    """The lead has changed since the form was made: by whom and how, the newest first.

    ``entries`` is empty where no timeline tells of it.
    """

    entries: Sequence[TimelineEntry]


@dataclass(frozen=True)
class Mark:
    """How far a page has followed the feed: ``count`` lines above ``floor``, up to ``newest``."""

    floor: int
    count: int
    newest: int

    def __str__(self) -> str:
        return f"{self.floor}.{self.count}.{self.newest}"


def read_mark(typed: str) -> Mark | None:
    """The mark that a page sent back; None for anything else."""
    parts = typed.split(".")
    if len(parts) != 3 or not all(_NUMBER.fullmatch(part) for part in parts):
        return None
    return Mark(*map(int, parts))


def set_mark(session: Session, lead_ref: str | None = None) -> Mark:
    """Where the feed stands, of one lead or of all; read it before what the page shows."""
    last = func.coalesce(func.max(Change.id), 0)
    floor = select(last - LATE).scalar_subquery()
    return Mark(*session.execute(_above(floor, lead_ref)).one())


def has_moved_on(session: Session, mark: Mark, lead_ref: str | None = None) -> bool:
    """True where something has happened since the mark, to the lead or to any."""
    return Mark(*session.execute(_above(literal(mark.floor), lead_ref)).one()) != mark


def forget_old_changes(session: Session, _now: datetime) -> None:
    """Keep the newest lines of the feed; a page that is further behind fetches itself anew."""
    oldest = session.scalar(select(func.min(Change.id))) or 0
    newest = session.scalar(select(func.max(Change.id))) or 0
    if oldest <= newest - KEPT:
        # After an import of a million a bit at a time, so that nobody waits for the lock.
        last = min(newest - KEPT, oldest + _FORGOTTEN_AT_ONCE)
        session.execute(delete(Change).where(Change.id <= last))


def _above(floor: ColumnElement[int], lead_ref: str | None) -> Select[int, int, int]:
    newest = func.coalesce(func.max(Change.id), 0)
    wanted = select(floor, func.count(), newest).where(Change.id > floor)
    if lead_ref is None:
        return wanted
    lead_id = select(Lead.id).where(Lead.ref == lead_ref).scalar_subquery()
    return wanted.where(Change.lead_id == lead_id)


def version_of(lead: Lead, now: datetime) -> str:
    """What a form made now carries: the lead's version and the moment, in milliseconds."""
    return f"{lead.version}.{(now - _EPOCH) // _TICK}"


def check_version(session: Session, lead: Lead, version: str) -> Stale | None:
    """None where the lead is still as the form shows it; else what happened meanwhile.

    Locks the lead and reads it anew: until the commit it stays as checked. A form of the
    release before carries no version and passes, as it did there.
    """
    number, _, made = version.partition(".")
    if not (number.isdecimal() and made.isdecimal() and len(version) < 40):
        return None
    hold_leads(session, lead.id)
    session.expire(lead, ["owner"])
    if lead.version == int(number):
        return None
    return Stale(_since(session, lead.id, int(made)))


def _since(session: Session, lead_id: int, made: int) -> Sequence[TimelineEntry]:
    try:
        made_at = _EPOCH + made * _TICK
    except OverflowError:
        return ()
    return session.scalars(
        select(TimelineEntry)
        .where(TimelineEntry.lead_id == lead_id, TimelineEntry.at >= made_at)
        .options(joinedload(TimelineEntry.actor).lazyload(Staff.roles))
        .order_by(TimelineEntry.at.desc(), TimelineEntry.id.desc())
        .limit(_TOLD)
    ).all()
