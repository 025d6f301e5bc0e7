"""Waiting: who waits for a person, until when, and who of them can be called now."""

import enum
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import and_, func, select, union
from sqlalchemy.orm import Session, joinedload

from leadcapture.leads.clock import Rules, due_at
from leadcapture.models import (
    UNLISTED,
    Lead,
    Request,
    Screening,
    Staff,
    Suppression,
    SuppressionScope,
)
from leadcapture.outbox import hours as daytime

SHOWN = 25
COUNTED = 1_000

# When on the patient's own clock a wish is meant: from, until.
WISHES = {
    "morning": (time(9), time(12)),
    "afternoon": (time(12), time(17)),
    "evening": (time(17), time(20)),
}


# Ways to be reached that are no call, and that nobody has to be awake for.
_BY_MAIL = {"email"}
_WRITTEN = _BY_MAIL | {"whatsapp", "text"}


class Turn(enum.IntEnum):
    """In which part of the queue somebody stands; whom no call reaches is written to.

    Out of reach is who gave no telephone that can be dialled, and gets no mail.
    """

    NOW = 0
    WRITE = 1
    ASKED_LATER = 2
    ASLEEP = 3
    OUT_OF_REACH = 4


@dataclass(frozen=True)
class Waiting:
    """One person who waits; ``request`` is their latest, ``callable_at`` when their day begins.

    ``no_mail`` is the reason word of why nobody writes to their address; empty where one may.
    """

    lead: Lead
    request: Request | None
    since: datetime
    due_at: datetime
    left: timedelta
    turn: Turn
    callable_at: datetime
    no_mail: str = ""

    @property
    def is_late(self) -> bool:
        return self.left < timedelta(0)

    @property
    def late(self) -> timedelta:
        return max(-self.left, timedelta(0))


@dataclass(frozen=True)
class Queue:
    """A page of those who wait. ``count`` ends at a thousand; pages are numbered from 1."""

    waiting: Sequence[Waiting]
    count: int
    page: int
    pages: int


def call_queue(
    session: Session, rules: Rules, now: datetime, page: int = 1, most: int = COUNTED
) -> Queue:
    """Those who wait for a person: who can be called now first, the least time left first.

    Then those to write to, and those to be called at another time. Who wished for mail at an
    address that mail is stopped for, as it came back or its owner complained, is called.

    In each part come first those whom nobody has taken. Of more than ``most``: the
    half that has waited longest and the half that asked last, so that nobody whose clock runs is
    hidden by those whom nobody could reach.
    """
    placed = _in_order(session, rules, now, most)
    pages = max(-(-len(placed) // SHOWN), 1)
    page = min(max(page, 1), pages)
    shown = placed[(page - 1) * SHOWN : page * SHOWN]
    return Queue(_load(session, shown, now), len(placed), page, pages)


def next_in_line(
    session: Session,
    rules: Rules,
    now: datetime,
    after: str,
    me_id: int,
    looked_at: Collection[int] = (),
) -> str | None:
    """The reference of who comes after the lead ``after``, or first; None where nobody else waits.

    Passes over whom a colleague owns and, unless nobody else is left, whom a colleague looks at.
    After the last comes the first again, because who was not reached still waits.
    """
    order = [place for place in _in_order(session, rules, now) if place.owner_id in (None, me_id)]
    after_id = session.scalar(select(Lead.id).where(Lead.ref == after)) if after else None
    begin = next((at for at, place in enumerate(order, 1) if place.lead_id == after_id), 0)
    others = [p.lead_id for p in order[begin:] + order[:begin] if p.lead_id != after_id]
    chosen = next((one for one in others if one not in looked_at), next(iter(others), None))
    return session.scalar(select(Lead.ref).where(Lead.id == chosen)) if chosen else None


def due_of(lead: Lead, rules: Rules) -> datetime | None:
    """Until when a person should answer; None where nobody waits."""
    if lead.waiting_since is None:
        return None
    return lead.first_response_due_at or due_at(lead.waiting_since, rules.hours, rules.target)


def latest_requests(session: Session, lead_ids: Sequence[int]) -> dict[int, Request]:
    """The latest request of each lead that counts: held and discarded ones do not."""
    newest = (
        select(func.max(Request.id))
        .where(
            Request.lead_id.in_(lead_ids),
            Request.screening.in_((Screening.ACCEPTED, Screening.RELEASED)),
        )
        .group_by(Request.lead_id)
    )
    found = session.scalars(select(Request).where(Request.id.in_(newest)))
    return {request.lead_id: request for request in found}


@dataclass(frozen=True)
class _Place:
    lead_id: int
    due_at: datetime
    turn: Turn
    callable_at: datetime
    owner_id: int | None
    no_mail: str


class _Days:
    """What time of day it is where people are; each zone is looked up once."""

    def __init__(self, now: datetime, clinic: str) -> None:
        self.now = now
        self.clinic = clinic
        self._known: dict[str, tuple[datetime, datetime]] = {}

    def of(self, zone: str) -> tuple[datetime, datetime]:
        """When somebody there can be called next, and what their clock says now."""
        if zone not in self._known:
            try:
                local = self.now.astimezone(ZoneInfo(zone))
            except (KeyError, ValueError, OSError):
                # A zone that the tz database has dropped must not hide its lead.
                return self.of(self.clinic)
            self._known[zone] = daytime.next_open(self.now, zone), local
        return self._known[zone]


def _in_order(session: Session, rules: Rules, now: datetime, most: int = COUNTED) -> list[_Place]:
    """Those who wait, in the order in which they should be called."""
    waits = select(Lead.id).where(Lead.waiting_since.is_not(None), Lead.status.not_in(UNLISTED))
    longest = waits.order_by(Lead.waiting_since, Lead.id).limit(most // 2)
    latest = waits.order_by(Lead.waiting_since.desc(), Lead.id.desc()).limit(most // 2)
    either = union(*(select(half.subquery().c.id) for half in (longest, latest))).subquery()
    rows = session.execute(
        select(
            Lead.id,
            Lead.waiting_since,
            Lead.first_response_due_at,
            Lead.time_zone,
            Lead.phone,
            Lead.contact_by,
            Lead.contact_time,
            Lead.owner_id,
            Suppression.reason.label("no_mail"),
        )
        .join(either, either.c.id == Lead.id)
        .outerjoin(
            Suppression,
            and_(Suppression.cap_hash == Lead.cap_hash, Suppression.scope == SuppressionScope.ALL),
        )
        .where(Lead.waiting_since.is_not(None), Lead.status.not_in(UNLISTED))
    ).all()
    days = _Days(now, rules.hours.zone)
    placed = sorted((_place(row, rules, days) for row in rows), key=lambda one: one[0])
    return [place for _, place in placed]


def _place(row: Any, rules: Rules, days: _Days) -> tuple[tuple[Any, ...], _Place]:
    due = row.first_response_due_at or due_at(row.waiting_since, rules.hours, rules.target)
    callable_at, local = days.of(row.time_zone)
    if not row.phone and row.no_mail:
        turn = Turn.OUT_OF_REACH
    elif not row.phone or row.contact_by in _WRITTEN - (_BY_MAIL if row.no_mail else set()):
        turn = Turn.WRITE
    else:
        turn = _turn(row.contact_time, callable_at, local, days.now)
    place = _Place(row.id, due, turn, callable_at, row.owner_id, row.no_mail or "")
    return (turn, row.owner_id is not None, due, row.id), place


def _turn(wish: str, callable_at: datetime, local: datetime, now: datetime) -> Turn:
    if callable_at > now:
        return Turn.ASLEEP
    begins, ends = WISHES.get(wish, (time.min, time.max))
    return Turn.NOW if begins <= local.time() < ends else Turn.ASKED_LATER


def _load(session: Session, places: Sequence[_Place], now: datetime) -> list[Waiting]:
    ids = [place.lead_id for place in places]
    found = session.scalars(
        select(Lead).where(Lead.id.in_(ids)).options(joinedload(Lead.owner).lazyload(Staff.roles))
    )
    leads = {lead.id: lead for lead in found}
    latest = latest_requests(session, ids)
    return [
        Waiting(
            lead,
            latest.get(lead.id),
            since=lead.waiting_since,
            due_at=place.due_at,
            left=place.due_at - now,
            turn=place.turn,
            callable_at=place.callable_at,
            no_mail=place.no_mail,
        )
        for place in places
        # Whom a colleague answered between the two questions is not shown.
        if (lead := leads.get(place.lead_id)) is not None and lead.waiting_since is not None
    ]
