"""The pipeline: where a lead may go next, in one table, and what a move causes."""

import enum
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy.orm import Session

from leadcapture.leads import timeline
from leadcapture.models import Lead, LeadStatus
from leadcapture.outbox import stops
from leadcapture.outbox.holding import hold_leads

_NEW, _CONTACTED, _BOOKED, _PATIENT, _CLOSED = (
    LeadStatus.NEW,
    LeadStatus.CONTACTED,
    LeadStatus.BOOKED,
    LeadStatus.PATIENT,
    LeadStatus.CLOSED,
)

# A held lead is not here: only releasing or discarding its request moves it.
MOVES: Mapping[LeadStatus, tuple[LeadStatus, ...]] = {
    _NEW: (_CONTACTED, _BOOKED, _PATIENT, _CLOSED),
    _CONTACTED: (_BOOKED, _PATIENT, _CLOSED),
    _BOOKED: (_PATIENT, _CONTACTED, _CLOSED),
    _PATIENT: (_CLOSED,),
    # Reopening puts the person back among those who have been spoken with.
    _CLOSED: (_CONTACTED,),
}


class ClosedReason(enum.StrEnum):
    """Why a lead was closed; a closing names one of them."""

    NOT_INTERESTED = "not_interested"
    NOT_A_CANDIDATE = "not_a_candidate"
    COST = "cost"
    TREATED_ELSEWHERE = "treated_elsewhere"
    UNREACHABLE = "unreachable"
    NOT_A_PERSON = "not_a_person"
    OTHER = "other"


class MoveRefused(Exception):
    """The table has no such move, or the move lacks its reason."""


def moves_from(status: LeadStatus) -> tuple[LeadStatus, ...]:
    """Where a lead of this status may go, the likeliest first."""
    return MOVES.get(status, ())


def change_status(
    session: Session,
    lead: Lead,
    status: LeadStatus,
    actor_id: int,
    now: datetime,
    reason: str = "",
    among: int = 1,
) -> None:
    """Move the lead, say so on its timeline, and stop what the move makes needless.

    Every move means that a person has dealt with the lead: nobody waits any more and no
    follow-up leaves. ``among`` is how many move at once: of many, nobody says that each was spoken
    with, and reports count no answer. `MoveRefused` where the table forbids it, or a closing has
    no reason.
    """
    # Two colleagues may press at once: the second sees where the first left the lead.
    hold_leads(session, lead.id)
    if status not in moves_from(lead.status):
        raise MoveRefused(f"{lead.status} to {status}")
    if status is LeadStatus.CLOSED and reason not in set(ClosedReason):
        raise MoveRefused("closing needs a reason")
    before, lead.status = lead.status, status
    lead.closed_reason = reason if status is LeadStatus.CLOSED else ""
    lead.waiting_since = None
    session.flush()
    cancelled = stops.cancel_follow_ups(session, lead.id, f"status_{status}", now)
    timeline.record(
        session,
        lead.id,
        "status_changed",
        now,
        actor_id=actor_id,
        facts={
            "from": before,
            "to": status,
            "reason": lead.closed_reason,
            "follow_ups_cancelled": cancelled,
            **({"among": among} if among > 1 else {}),
        },
    )
