"""The pipeline: which moves there are, and what a move or a call causes."""

from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.leads import contact, pipeline
from leadcapture.leads.contact import CallOutcome
from leadcapture.leads.duplicates import duplicates
from leadcapture.models import (
    Lead,
    LeadStatus,
    Message,
    MessageKind,
    MessageState,
    Staff,
    TimelineEntry,
)
from leadcapture.vault import Vault
from tests.clock import TUESDAY_MORNING
from tests.people import NOTE, PHONE, a_lead, a_message

NOW = TUESDAY_MORNING + timedelta(minutes=20)


@pytest.fixture
def rosa(session: Session) -> Staff:
    staff = Staff(
        email="rosa@clinic.example",
        name="Rosa Alvarado",
        fs_uniquifier="r" * 32,
        created_at=TUESDAY_MORNING,
    )
    session.add(staff)
    session.flush()
    return staff


def entries(session: Session, lead: Lead) -> list[TimelineEntry]:
    return list(
        session.scalars(
            select(TimelineEntry).where(TimelineEntry.lead_id == lead.id).order_by(TimelineEntry.id)
        )
    )


def states(session: Session, lead: Lead) -> list[str]:
    session.expire_all()
    letters = session.scalars(
        select(Message).where(Message.lead_id == lead.id).order_by(Message.id)
    )
    return [letter.state for letter in letters]


@pytest.mark.parametrize("start", [s for s in LeadStatus if s is not LeadStatus.HELD])
@pytest.mark.parametrize("end", list(LeadStatus))
def test_a_lead_moves_only_as_the_table_allows(
    session: Session, rosa: Staff, start: LeadStatus, end: LeadStatus
) -> None:
    lead = a_lead(session, status=start)
    if end in pipeline.moves_from(start):
        pipeline.change_status(session, lead, end, rosa.id, NOW, reason="cost")
        assert lead.status is end
        return
    with pytest.raises(pipeline.MoveRefused):
        pipeline.change_status(session, lead, end, rosa.id, NOW, reason="cost")
    assert entries(session, lead) == []


def test_a_held_lead_is_moved_by_deciding_about_its_request_only(
    session: Session, rosa: Staff
) -> None:
    lead = a_lead(session, status=LeadStatus.HELD)
    for status in LeadStatus:
        with pytest.raises(pipeline.MoveRefused):
            pipeline.change_status(session, lead, status, rosa.id, NOW, reason="other")


def test_closing_needs_a_reason_from_the_list(session: Session, rosa: Staff) -> None:
    lead = a_lead(session)
    for reason in ("", "because"):
        with pytest.raises(pipeline.MoveRefused):
            pipeline.change_status(session, lead, LeadStatus.CLOSED, rosa.id, NOW, reason)
    pipeline.change_status(session, lead, LeadStatus.CLOSED, rosa.id, NOW, "cost")
    assert lead.closed_reason == "cost"


def test_reopening_forgets_why_the_lead_was_closed(session: Session, rosa: Staff) -> None:
    lead = a_lead(session, status=LeadStatus.CLOSED, closed_reason="cost", waiting_since=None)
    pipeline.change_status(session, lead, LeadStatus.CONTACTED, rosa.id, NOW)
    assert lead.closed_reason == ""


def test_a_move_ends_the_wait_and_cancels_what_has_not_left(session: Session, rosa: Staff) -> None:
    lead = a_lead(session)
    a_message(session, lead, step="day-3", state=MessageState.SENT)
    a_message(session, lead, step="day-10")
    a_message(session, lead, kind=MessageKind.PACKET)
    pipeline.change_status(session, lead, LeadStatus.BOOKED, rosa.id, NOW)
    session.commit()
    assert lead.waiting_since is None
    assert states(session, lead) == ["sent", "cancelled", "queued"]
    (entry,) = entries(session, lead)
    assert entry.kind == "status_changed"
    assert entry.facts == {
        "from": "new",
        "to": "booked",
        "reason": "",
        "follow_ups_cancelled": 1,
    }


def test_reaching_a_person_answers_them(session: Session, vault: Vault, rosa: Staff) -> None:
    lead = a_lead(session)
    a_message(session, lead)
    logged = contact.log_call(session, vault, lead, rosa.id, NOW, CallOutcome.REACHED, NOTE)
    session.commit()
    assert logged.cancelled == 1
    assert (lead.status, lead.waiting_since) == (LeadStatus.CONTACTED, None)
    assert states(session, lead) == ["cancelled"]
    assert [entry.kind for entry in entries(session, lead)] == ["call_logged", "status_changed"]


@pytest.mark.parametrize("outcome", [CallOutcome.LEFT_MESSAGE, CallOutcome.NO_ANSWER])
def test_a_try_is_recorded_and_the_person_keeps_waiting(
    session: Session, vault: Vault, rosa: Staff, outcome: CallOutcome
) -> None:
    lead = a_lead(session)
    a_message(session, lead)
    assert contact.log_call(session, vault, lead, rosa.id, NOW, outcome).cancelled == 0
    session.commit()
    assert (lead.status, lead.waiting_since) == (LeadStatus.NEW, TUESDAY_MORNING)
    assert states(session, lead) == ["queued"]
    assert entries(session, lead)[0].facts["outcome"] == outcome


def test_a_note_rests_sealed(session: Session, vault: Vault, rosa: Staff) -> None:
    lead = a_lead(session)
    contact.add_note(session, vault, lead, rosa.id, NOW, NOTE)
    (entry,) = entries(session, lead)
    assert entry.note is not None
    assert b"marzipanitis" not in entry.note
    assert vault.open("timeline_entry", "note", entry.ref, entry.note) == NOTE


def test_the_same_telephone_suggests_a_duplicate_and_joins_nothing(session: Session) -> None:
    janet = a_lead(session)
    other = a_lead(session, full_name="J. Whitfield")
    a_lead(session, phone="+50688881234")
    no_phone = a_lead(session, phone=None)
    assert [suggested.lead.id for suggested in duplicates(session, janet)] == [other.id]
    assert list(duplicates(session, no_phone)) == []
    assert janet.phone == other.phone == PHONE
