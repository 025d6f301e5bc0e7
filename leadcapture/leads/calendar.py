"""The calendar: what falls due for a staff member, as a feed that calendars read (RFC 5545, 7986).

The feed travels through other people's services: it says initials and a link, never a name, a
telephone or a word about health. Times are in UTC, which every calendar shows on its own clock.
"""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from icalendar import Calendar, Event
from sqlalchemy import and_, delete, or_, select
from sqlalchemy.orm import Session, joinedload, lazyload

from leadcapture.leads import cover
from leadcapture.models import CalendarFeed, Staff, Task
from leadcapture.outbox import audit

SHOWN = 500
_LASTS = timedelta(minutes=15)
_REFRESHED_EVERY = timedelta(minutes=15)
_PRODUCT = "-//leadcapture//calls and tasks//EN"


@dataclass(frozen=True)
class Feed:
    """How a feed presents itself: its name, who we are, and where leads' pages are."""

    name: str
    host: str
    desk: str
    words: Mapping[str, str]


def open_feed(session: Session, staff: Staff, now: datetime) -> str:
    """A new link's token, 256 bits, which is shown once; the link before stops working."""
    token = secrets.token_urlsafe(32)
    session.merge(CalendarFeed(staff_id=staff.id, token_sha256=_hash(token), created_at=now))
    audit.record(session, staff.id, "feed_opened", staff.email[:80], now)
    return token


def close_feed(session: Session, staff: Staff, now: datetime) -> bool:
    """Let the link open nothing any more; False where there was none."""
    if session.get(CalendarFeed, staff.id) is None:
        return False
    session.execute(delete(CalendarFeed).where(CalendarFeed.staff_id == staff.id))
    audit.record(session, staff.id, "feed_closed", staff.email[:80], now)
    return True


def reader_of(session: Session, token: str) -> Staff | None:
    """Whose feed the token opens; None for any other token, and where the account is closed."""
    return session.scalar(
        select(Staff)
        .join(CalendarFeed, CalendarFeed.staff_id == Staff.id)
        .where(CalendarFeed.token_sha256 == _hash(token), Staff.active)
        .options(lazyload(Staff.roles))
    )


def due_for(session: Session, staff_id: int, now: datetime) -> Sequence[Task]:
    """The open tasks of this person, the earliest first, 500 at most.

    With those of whom they stand in for, as far as they fall due before that colleague is back.
    """
    covered = (
        and_(Task.owner_id == owner_id, Task.due_at < absence.until)
        if absence.until
        else Task.owner_id == owner_id
        for owner_id, absence in cover.covered_by(session, staff_id, now).items()
    )
    return session.scalars(
        select(Task)
        .where(or_(Task.owner_id == staff_id, *covered), Task.done_at.is_(None))
        .options(joinedload(Task.lead))
        .order_by(Task.due_at, Task.id)
        .limit(SHOWN)
    ).all()


def write_feed(feed: Feed, tasks: Sequence[Task]) -> bytes:
    """The calendar of these tasks; the same bytes as long as the same is due."""
    calendar = Calendar()
    calendar.add("prodid", _PRODUCT)
    calendar.add("version", "2.0")
    calendar.add("name", feed.name)
    # What Apple and Google read in place of NAME.
    calendar.add("x-wr-calname", feed.name)
    calendar.add("refresh-interval", _REFRESHED_EVERY, parameters={"VALUE": "DURATION"})
    calendar.add("x-published-ttl", _REFRESHED_EVERY)
    for task in tasks:
        calendar.add_component(_event(feed, task))
    written: bytes = calendar.to_ical()
    return written


def initials(name: str) -> str:
    """``Janet Whitfield`` as ``J. W.``: the first and the last of the names."""
    parts = [part for part in name.split() if part[0].isalnum()]
    shown = parts if len(parts) < 2 else [parts[0], parts[-1]]
    return " ".join(f"{part[0].upper()}." for part in shown)


def _event(feed: Feed, task: Task) -> Event:
    event = Event()
    event.add("uid", f"{task.ref}@{feed.host}")
    # Without METHOD this is when the task was last revised (RFC 5545, 3.8.7.2).
    event.add("dtstamp", task.created_at)
    event.add("dtstart", task.due_at)
    event.add("dtend", task.due_at + _LASTS)
    summary = feed.words.get(task.kind) or feed.words[""]
    link = feed.desk
    if task.lead is not None:
        who = initials(task.lead.full_name)
        summary = f"{summary}: {who}" if who else summary
        link = f"{feed.desk}/leads/{task.lead.ref}"
    event.add("summary", summary)
    event.add("url", link)
    event.add("description", link)
    event.add("class", "PRIVATE")
    # A reminder takes nobody's time: it must not block a diary that patients book in.
    event.add("transp", "TRANSPARENT")
    return event


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
