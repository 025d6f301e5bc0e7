"""Contact: what a person of the clinic did with a lead, from a call to a note."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

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


@dataclass(frozen=True)
class Logged:
    """How many follow-ups it ``cancelled``; whom its note mentions, and whom not."""

    cancelled: int
    mentioned: mentions.Mentioned


def log_call(
    session: Session,
    vault: Vault,
    lead: Lead,
    actor_id: int,
    now: datetime,
    outcome: CallOutcome,
    note: str = "",
) -> Logged:
    """Record a call, with what it came to.

    A conversation answers the person: nobody waits any more, no follow-up leaves, a new lead
    is contacted. A try is recorded and the person keeps waiting.
    """
    cancelled = 0
    if outcome is CallOutcome.REACHED:
        cancelled = _end_wait(session, lead, "contacted", now)
    facts = {"outcome": outcome, "follow_ups_cancelled": cancelled}
    mentioned = _record(session, vault, lead, "call_logged", facts, note, actor_id, now)
    if outcome is CallOutcome.REACHED and lead.status is LeadStatus.NEW:
        pipeline.change_status(session, lead, LeadStatus.CONTACTED, actor_id, now)
    return Logged(cancelled, mentioned)


def log_meeting(
    session: Session,
    vault: Vault,
    lead: Lead,
    actor_id: int,
    now: datetime,
    meeting: Meeting,
    note: str = "",
) -> Logged:
    """Record a written answer or a meeting, which end the wait as a conversation does."""
    reason = "wrote" if meeting is Meeting.WROTE else "contacted"
    cancelled = _end_wait(session, lead, reason, now)
    facts = {"follow_ups_cancelled": cancelled}
    mentioned = _record(session, vault, lead, meeting, facts, note, actor_id, now)
    if lead.status is LeadStatus.NEW:
        pipeline.change_status(session, lead, LeadStatus.CONTACTED, actor_id, now)
    return Logged(cancelled, mentioned)


def _end_wait(session: Session, lead: Lead, reason: str, now: datetime) -> int:
    hold_leads(session, lead.id)
    lead.waiting_since = None
    session.flush()
    return stops.cancel_follow_ups(session, lead.id, reason, now)


def add_note(
    session: Session, vault: Vault, lead: Lead, actor_id: int, now: datetime, text: str
) -> mentions.Mentioned:
    """Add a note, sealed, because staff write of health there; whom it mentions, and whom not."""
    return _record(session, vault, lead, "note_added", {}, text, actor_id, now)


def _record(
    session: Session,
    vault: Vault,
    lead: Lead,
    kind: str,
    facts: Mapping[str, Any],
    note: str,
    actor_id: int,
    now: datetime,
) -> mentions.Mentioned:
    """Put on the timeline what a colleague did; a note to it mentions colleagues by their names."""
    ref = timeline.record(
        session, lead.id, kind, now, actor_id=actor_id, facts=facts, note=note, vault=vault
    )
    return mentions.mention_colleagues(session, ref, note, actor_id, now)


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
