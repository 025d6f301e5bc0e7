"""Contact: what a person of the clinic did with a lead, from a call to a note."""

import enum
from datetime import datetime

from sqlalchemy.orm import Session

from leadcapture.leads import mentions, pipeline, timeline
from leadcapture.models import Lead, LeadStatus
from leadcapture.outbox import stops
from leadcapture.outbox.holding import hold_leads
from leadcapture.vault import Vault

LONGEST_NOTE = 5_000


class CallOutcome(enum.StrEnum):
    REACHED = "reached"
    LEFT_MESSAGE = "left_message"
    NO_ANSWER = "no_answer"
    WRONG_NUMBER = "wrong_number"


class Meeting(enum.StrEnum):
    """How a person of the clinic answered other than by telephone."""

    WROTE = "wrote"
    MET = "met"


def log_call(
    session: Session,
    vault: Vault,
    lead: Lead,
    actor_id: int,
    now: datetime,
    outcome: CallOutcome,
    note: str = "",
) -> int:
    """Record a call; how many follow-ups it cancelled.

    A conversation answers the person: nobody waits any more, no follow-up leaves, a new lead
    is contacted. A try is recorded and the person keeps waiting.
    """
    cancelled = 0
    if outcome is CallOutcome.REACHED:
        cancelled = _end_wait(session, lead, "contacted", now)
    timeline.record(
        session,
        lead.id,
        "call_logged",
        now,
        actor_id=actor_id,
        facts={"outcome": outcome, "follow_ups_cancelled": cancelled},
        note=note,
        vault=vault,
    )
    if outcome is CallOutcome.REACHED and lead.status is LeadStatus.NEW:
        pipeline.change_status(session, lead, LeadStatus.CONTACTED, actor_id, now)
    return cancelled


def log_meeting(
    session: Session,
    vault: Vault,
    lead: Lead,
    actor_id: int,
    now: datetime,
    meeting: Meeting,
    note: str = "",
) -> int:
    """Record a written answer or a meeting, which end the wait as a conversation does.

    How many follow-ups it cancelled.
    """
    reason = "wrote" if meeting is Meeting.WROTE else "contacted"
    cancelled = _end_wait(session, lead, reason, now)
    timeline.record(
        session,
        lead.id,
        meeting,
        now,
        actor_id=actor_id,
        facts={"follow_ups_cancelled": cancelled},
        note=note,
        vault=vault,
    )
    if lead.status is LeadStatus.NEW:
        pipeline.change_status(session, lead, LeadStatus.CONTACTED, actor_id, now)
    return cancelled


def _end_wait(session: Session, lead: Lead, reason: str, now: datetime) -> int:
    hold_leads(session, lead.id)
    lead.waiting_since = None
    session.flush()
    return stops.cancel_follow_ups(session, lead.id, reason, now)


def add_note(
    session: Session, vault: Vault, lead: Lead, actor_id: int, now: datetime, text: str
) -> mentions.Mentioned:
    """Add a note, sealed, because staff write of health there; whom it mentions, and whom not."""
    ref = timeline.record(
        session, lead.id, "note_added", now, actor_id=actor_id, note=text, vault=vault
    )
    return mentions.mention_colleagues(session, ref, text, actor_id, now)


def assign(session: Session, lead: Lead, owner_id: int, actor_id: int, now: datetime) -> bool:
    """Make a person the lead's owner; False where they were already."""
    if lead.owner_id == owner_id:
        return False
    lead.owner_id = owner_id
    session.flush()
    timeline.record(
        session,
        lead.id,
        "assigned",
        now,
        actor_id=actor_id,
        facts={"to_actor": owner_id == actor_id},
    )
    return True


def cancel_follow_ups(session: Session, lead: Lead, actor_id: int, now: datetime) -> int:
    """Cancel, by hand, the follow-ups that have not left; how many there were."""
    hold_leads(session, lead.id)
    cancelled = stops.cancel_follow_ups(session, lead.id, "staff_cancelled", now)
    if cancelled:
        timeline.record(
            session,
            lead.id,
            "follow_ups_cancelled",
            now,
            actor_id=actor_id,
            facts={"follow_ups_cancelled": cancelled},
        )
    return cancelled
