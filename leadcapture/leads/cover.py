"""Cover: who stands in for a colleague who is away, told from the roster alone.

Nothing of theirs is written over: from the day on which they are back, what is still open is
theirs again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, lazyload

from leadcapture.leads.assignment import next_person
from leadcapture.leads.clock import Rules
from leadcapture.models import Roster, Staff


@dataclass(frozen=True)
class Absence:
    """A colleague who is out of office ``until`` then; None where their account is closed.

    ``cover`` is the colleague who was named to stand in; None where nobody was, or who is away
    as well.
    """

    until: datetime | None
    cover: Staff | None

    def holds(self, at: datetime) -> bool:
        """Whether they are still away at this instant."""
        return self.until is None or at < self.until


def team(session: Session, now: datetime) -> tuple[Sequence[Staff], Mapping[int, Absence]]:
    """Everybody whose account is open, by name, and who is away, by their ids: one question."""
    rows = session.execute(
        select(Staff, Roster.out_until, Roster.cover_id)
        .outerjoin(Roster, Roster.staff_id == Staff.id)
        .options(lazyload(Staff.roles))
        .order_by(Staff.name, Staff.id)
    ).all()
    here = {
        one.id: one
        for one, out_until, _ in rows
        if one.active and (out_until is None or out_until <= now)
    }
    away = {
        one.id: Absence(out_until if one.active else None, here.get(cover_id or 0))
        for one, out_until, cover_id in rows
        if one.id not in here
    }
    return [one for one, *_ in rows if one.active], away


def absences(session: Session, now: datetime) -> Mapping[int, Absence]:
    """Who is away, by their ids."""
    return team(session, now)[1]


def covered_by(session: Session, staff_id: int, now: datetime) -> Mapping[int, Absence]:
    """For whom this colleague was named to stand in and does now, by their ids."""
    return {
        owner_id: absence
        for owner_id, absence in absences(session, now).items()
        if absence.cover is not None and absence.cover.id == staff_id
    }


def acting_for(
    session: Session, rules: Rules, owner: Staff, language: str, now: datetime
) -> Staff | None:
    """Who does now what is this colleague's to do: themselves, as long as they are here.

    Else whom they named, or the next person in the round who speaks the language. None: the team.
    """
    absence = absences(session, now).get(owner.id)
    if absence is None:
        return owner
    return absence.cover or next_person(session, rules, language, now, but=[owner.id])
