"""Assignment: in turn by language, shift and load; handed over when the owner is out."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.leads import assignment, clock
from leadcapture.models import Lead, LeadStatus, Staff, TimelineEntry
from leadcapture.models.roster import Roster
from tests.clock import TUESDAY_MORNING
from tests.people import a_lead, a_staff_member

RULES = clock.default_rules("America/Costa_Rica")
NIGHT = TUESDAY_MORNING + timedelta(hours=12)
Hire = Callable[..., Staff]


@pytest.fixture
def hire(app: Flask, session: Session) -> Hire:
    """A colleague with a line of the roster."""

    def hired(name: str, *languages: str, **line: Any) -> Staff:
        with app.app_context():
            staff = a_staff_member(session, name=name)
        facts = {"takes_requests": True, "languages": [*languages], "shifts": None} | line
        session.add(Roster(staff_id=staff.id, **facts))
        session.flush()
        return staff

    return hired


def names(session: Session) -> list[str | None]:
    session.expire_all()
    return [
        lead.owner.name if lead.owner else None
        for lead in session.scalars(select(Lead).order_by(Lead.id))
    ]


def test_requests_go_round_by_language_and_load(session: Session, hire: Hire) -> None:
    hire("Ana", "en")
    hire("Bea", "en", "es")
    for language in ("en", "en", "es", "en", "en", "fr"):
        a_lead(session, language=language)
    assert assignment.assign_waiting(session, RULES, TUESDAY_MORNING) == 5
    assert names(session) == ["Ana", "Bea", "Bea", "Ana", "Ana", None]
    assert assignment.assign_waiting(session, RULES, TUESDAY_MORNING) == 0


def test_among_equals_it_is_the_turn_of_whoever_was_given_one_longest_ago(
    session: Session, hire: Hire
) -> None:
    hire("Ana", "en", assigned_at=TUESDAY_MORNING - timedelta(hours=1))
    hire("Bea", "en", assigned_at=TUESDAY_MORNING - timedelta(hours=2))
    a_lead(session)
    assignment.assign_waiting(session, RULES, TUESDAY_MORNING)
    assert names(session) == ["Bea"]


@pytest.mark.parametrize(
    ("line", "gets"),
    [
        ({}, True),
        ({"takes_requests": False}, False),
        ({"out_until": TUESDAY_MORNING + timedelta(hours=1)}, False),
        ({"out_until": TUESDAY_MORNING}, True),
        ({"shifts": [None, ["08:00", "12:00"], None, None, None, None, None]}, True),
        ({"shifts": [None, ["12:00", "16:00"], None, None, None, None, None]}, False),
    ],
)
def test_only_who_is_on_duty_gets_requests(
    session: Session, hire: Hire, line: dict[str, Any], gets: bool
) -> None:
    hire("Ana", "en", **line)
    a_lead(session)
    assignment.assign_waiting(session, RULES, TUESDAY_MORNING)
    assert names(session) == ["Ana" if gets else None]


def test_at_night_a_request_stays_without_an_owner_until_the_morning(
    session: Session, hire: Hire
) -> None:
    hire("Ana", "en")
    a_lead(session)
    assert assignment.assign_waiting(session, RULES, NIGHT) == 0
    assert assignment.assign_waiting(session, RULES, NIGHT + timedelta(hours=12)) == 1


def test_held_leads_and_those_nobody_waits_on_are_not_given_out(
    session: Session, hire: Hire
) -> None:
    hire("Ana", "en")
    a_lead(session, status=LeadStatus.HELD)
    a_lead(session, waiting_since=None)
    assert assignment.assign_waiting(session, RULES, TUESDAY_MORNING) == 0


def test_who_is_out_hands_over_to_who_is_there(session: Session, hire: Hire) -> None:
    ana = hire("Ana", "en", out_until=TUESDAY_MORNING + timedelta(days=3))
    a_lead(session, owner_id=ana.id)
    a_lead(session, owner_id=ana.id, waiting_since=None)
    assert assignment.hand_over(session, RULES, TUESDAY_MORNING) == 0
    hire("Bea", "en")
    assert assignment.hand_over(session, RULES, TUESDAY_MORNING) == 1
    assert names(session) == ["Bea", "Ana"]
    entry = session.scalars(select(TimelineEntry)).one()
    assert (entry.kind, entry.actor_id) == ("assigned_to", None)
    assert entry.facts == {"to": "Bea", "why": "out"}


def test_who_was_named_to_stand_in_gets_those_who_wait(session: Session, hire: Hire) -> None:
    """However much they have; but nobody who is not at work or cannot speak with the patient."""
    bea, cid = hire("Bea", "en"), hire("Cid", "en", "es")
    ana = hire("Ana", "en", out_until=TUESDAY_MORNING + timedelta(days=3), cover_id=bea.id)
    a_lead(session, owner_id=bea.id)
    for language in ("en", "en", "es"):
        a_lead(session, owner_id=ana.id, language=language)
    assert assignment.hand_over(session, RULES, TUESDAY_MORNING) == 3
    assert names(session) == ["Bea", "Bea", "Bea", "Cid"]
    a_lead(session, owner_id=ana.id)
    session.get_one(Roster, bea.id).out_until = TUESDAY_MORNING + timedelta(days=1)
    session.flush()
    assignment.hand_over(session, RULES, TUESDAY_MORNING)
    assert names(session)[-1] == cid.name


def test_of_two_who_assign_at_once_the_first_wins(session: Session, hire: Hire) -> None:
    ana, bea = hire("Ana", "en"), hire("Bea", "en")
    lead = a_lead(session)
    stale = Lead(id=lead.id, owner_id=bea.id)
    assert assignment.assign_to(session, lead, ana, None, TUESDAY_MORNING)
    assert not assignment.assign_to(session, stale, bea, None, TUESDAY_MORNING)
    assert names(session) == ["Ana"]
