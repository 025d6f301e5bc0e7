"""Assignment: who gets a new request, by language, shift and load, and who takes over."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, cast

from sqlalchemy import ColumnElement, CursorResult, func, or_, select, update
from sqlalchemy.orm import Session, joinedload

from leadcapture.leads import timeline
from leadcapture.leads.clock import Rules
from leadcapture.leads.hours import Hours, read_week
from leadcapture.models import UNLISTED, Lead, Roster, Staff

AT_ONCE = 100
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def on_duty(session: Session, rules: Rules, now: datetime) -> list[Roster]:
    """Those who take new requests and are at work now."""
    lines = session.scalars(
        select(Roster)
        .join(Roster.staff)
        .where(
            Staff.active,
            Roster.takes_requests,
            or_(Roster.out_until.is_(None), Roster.out_until <= now),
        )
        .options(joinedload(Roster.staff).lazyload(Staff.roles))
    )
    return [line for line in lines if is_on_shift(line, rules, now)]


def is_on_shift(line: Roster, rules: Rules, now: datetime) -> bool:
    """True within the person's own shifts, or the clinic's hours where they have none.

    Neither reaches into a day on which the clinic is closed.
    """
    if line.shifts is None:
        return rules.hours.is_open(now)
    clinic = rules.hours
    shifts = Hours(clinic.zone, read_week(line.shifts), _closures(clinic), clinic.closed_on)
    return shifts.is_open(now)


def next_person(
    session: Session, rules: Rules, language: str, now: datetime, but: Collection[int] = ()
) -> Staff | None:
    """Who of those on duty speaks the language and has least to do; None where nobody does."""
    able = [
        line
        for line in on_duty(session, rules, now)
        if language in line.languages and line.staff_id not in but
    ]
    chosen = _least_loaded(able, _loads(session, able))
    return chosen.staff if chosen else None


def assign_waiting(session: Session, rules: Rules, now: datetime) -> int:
    """Give those who wait without an owner to whoever is on duty, in turn; how many were given.

    What nobody on duty can take stays without an owner, and first on the page.
    """
    able = on_duty(session, rules, now)
    spoken = {language for line in able for language in line.languages}
    if not spoken:
        return 0
    waiting = _waiting(session, Lead.owner_id.is_(None), Lead.language.in_(spoken))
    return _share_out(session, waiting, able, now, "round") if waiting else 0


def hand_over(session: Session, rules: Rules, now: datetime) -> int:
    """Take those who wait from an owner who is out or gone to somebody on duty; how many.

    To whom they named to stand in, where that colleague is on duty and speaks the language; else
    in turn.
    """
    rows = session.execute(
        select(Staff.id, Roster.cover_id)
        .outerjoin(Roster, Roster.staff_id == Staff.id)
        .where(or_(Staff.active.is_(False), Roster.out_until > now))
    ).all()
    away = {row.id: row.cover_id for row in rows}
    if not away:
        return 0
    waiting = _waiting(session, Lead.owner_id.in_(away))
    return _share_out(session, waiting, on_duty(session, rules, now), now, "out", away)


def assign_to(
    session: Session, lead: Lead, to: Staff, actor_id: int | None, now: datetime, why: str = "asked"
) -> bool:
    """Make a colleague the owner, and say so on the timeline; False where they were already.

    ``why``: ``asked`` by the actor, ``round`` where it was their turn, ``out`` for a hand-over.
    False too where somebody else was quicker.
    """
    if lead.owner_id == to.id:
        return False
    before = Lead.owner_id.is_(None) if lead.owner_id is None else Lead.owner_id == lead.owner_id
    moved = session.execute(update(Lead).where(Lead.id == lead.id, before).values(owner_id=to.id))
    if not cast(CursorResult[Any], moved).rowcount:
        return False
    session.refresh(lead, ["owner_id", "owner"])
    timeline.record(
        session,
        lead.id,
        "assigned_to",
        now,
        actor_id=actor_id,
        facts={"to": to.name, "why": why},
    )
    return True


def _share_out(
    session: Session,
    waiting: Sequence[Lead],
    able: Sequence[Roster],
    now: datetime,
    why: str,
    named: Mapping[int, int | None] = MappingProxyType({}),
) -> int:
    loads = _loads(session, able)
    given = 0
    for lead in waiting:
        speakers = [
            line
            for line in able
            if lead.language in line.languages and line.staff_id != lead.owner_id
        ]
        stands_in = named.get(lead.owner_id or 0)
        covers = [line for line in speakers if line.staff_id == stands_in]
        chosen = _least_loaded(covers or speakers, loads)
        if chosen is not None and assign_to(session, lead, chosen.staff, None, now, why):
            loads[chosen.staff_id] = loads.get(chosen.staff_id, 0) + 1
            chosen.assigned_at = now
            given += 1
    return given


def _waiting(session: Session, *which: ColumnElement[bool]) -> Sequence[Lead]:
    return session.scalars(
        select(Lead)
        .where(Lead.waiting_since.is_not(None), Lead.status.not_in(UNLISTED), *which)
        .order_by(Lead.waiting_since)
        .limit(AT_ONCE)
        # Whom somebody holds is given out a moment later: nobody is waited for.
        .with_for_update(skip_locked=True, of=Lead, key_share=True)
    ).all()


def _least_loaded(able: Sequence[Roster], loads: dict[int, int]) -> Roster | None:
    """The one with the fewest who wait; among equals whoever was given one the longest ago."""
    return min(
        able,
        key=lambda line: (
            loads.get(line.staff_id, 0),
            line.assigned_at or _LONG_AGO,
            line.staff_id,
        ),
        default=None,
    )


def _loads(session: Session, able: Sequence[Roster]) -> dict[int, int]:
    """How many wait for each of them."""
    counted = session.execute(
        select(Lead.owner_id, func.count())
        .where(
            Lead.waiting_since.is_not(None),
            Lead.owner_id.in_([line.staff_id for line in able]),
        )
        .group_by(Lead.owner_id)
    )
    return {owner: number for owner, number in counted if owner is not None}


def _closures(hours: Hours) -> dict[Any, None]:
    return {day: None for day, span in hours.exceptions.items() if span is None}
