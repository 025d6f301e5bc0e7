"""Letters again: what an act had ended goes on as a new letter when the act is undone.

A letter that ended stays so for good. The new one keeps its day, and is kept back again where a
colleague had kept the old one back.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.leads.contact import CallOutcome, Meeting
from leadcapture.models import (
    OPEN_STATES,
    Lead,
    Message,
    MessageKind,
    MessageState,
    TimelineEntry,
)
from leadcapture.outbox import ledger, policy, readdressing, stops
from leadcapture.outbox.queue import Draft, domain_of, draft_again, enqueue
from leadcapture.settings import Settings
from leadcapture.vault import Vault

DEALT_WITH = ("answered", "call_logged", *Meeting, "status_changed", "follow_ups_cancelled")


def why_held(session: Session, lead_ids: Sequence[int]) -> dict[str, str]:
    """The reasons of the leads' follow-ups that are held, by their ids as JSON has them."""
    held = session.execute(
        select(Message.id, Message.reason).where(
            Message.lead_id.in_(lead_ids),
            Message.kind == MessageKind.FOLLOW_UP,
            Message.state == MessageState.HELD,
        )
    )
    return {str(number): reason for number, reason in held}


def queue_again(
    session: Session,
    vault: Vault,
    settings: Settings,
    letters: Sequence[Message],
    undone: str,
    held: Mapping[str, str],
    now: datetime,
) -> Counter[int]:
    """Queue anew those of these letters that may still go out; how many, by lead.

    Each goes to its lead's address of now, once for the act ``undone`` (its reference). ``held``
    are the reasons of those that were kept back, as `why_held` gave them.
    """
    again = dict(_drafts(session, vault, settings, letters, undone, now))
    enqueue(session, vault, settings.mail_domain, again.values(), now)
    for number, draft in again.items():
        if why := held.get(str(number)):
            fresh = session.scalars(select(Message).where(Message.ref == draft.ref)).one()
            since = (MessageState.QUEUED,)
            ledger.settle(session, fresh, MessageState.HELD, now, since=since, reason=why)
    return Counter(draft.lead_id for draft in again.values() if draft.lead_id)


def dealt_with_since(session: Session, lead_ids: Sequence[int], after: datetime) -> set[int]:
    """Those of the leads who answered, were spoken with, moved or stopped after this instant."""
    rows = session.execute(
        select(TimelineEntry.lead_id, TimelineEntry.kind, TimelineEntry.facts).where(
            TimelineEntry.lead_id.in_(lead_ids),
            TimelineEntry.kind.in_(DEALT_WITH),
            TimelineEntry.at > after,
        )
    )
    return {lead_id for lead_id, kind, facts in rows if has_dealt(kind, facts)}


def has_dealt(kind: str, facts: Mapping[str, object]) -> bool:
    """Whether such an entry tells of more than a try to call."""
    return kind != "call_logged" or facts.get("outcome") == CallOutcome.REACHED


def _drafts(
    session: Session,
    vault: Vault,
    settings: Settings,
    letters: Sequence[Message],
    undone: str,
    now: datetime,
) -> Iterator[tuple[int, Draft]]:
    """The letters that go on, each beside the id of the one that it stands for."""
    for letter in letters:
        lead = session.get(Lead, letter.lead_id) if letter.lead_id else None
        if lead is None or not _may_go_on(session, letter, lead, now):
            continue
        draft = draft_again(vault, letter, f"again:{undone}:{letter.ref}")
        yield (
            letter.id,
            dataclasses.replace(
                draft,
                recipient=lead.email,
                time_zone=lead.time_zone,
                values=readdressing.values_for(settings, draft.values, lead.cap_hash),
                lead_id=lead.id,
                cap_hash=lead.cap_hash,
            ),
        )


def _may_go_on(session: Session, letter: Message, lead: Lead, now: datetime) -> bool:
    """As when it leaves, on its day; the same step may be on its way there since a new request."""
    refusal = policy.refusal(session, letter, max(letter.due_at, now))
    if refusal is not None and refusal.state is not MessageState.QUEUED:
        return False
    if not domain_of(lead.email) or stops.is_suppressed(session, lead.cap_hash, letter.kind):
        return False
    return not is_on_its_way(session, lead.cap_hash, letter.step)


def is_on_its_way(session: Session, cap_hash: str, step: str) -> bool:
    """Whether this step of a sequence is to go to this address already."""
    same = select(Message.id).where(
        Message.cap_hash == cap_hash,
        Message.kind == MessageKind.FOLLOW_UP,
        Message.step == step,
        Message.state.in_(OPEN_STATES),
    )
    return session.scalar(same.limit(1)) is not None
