"""Answers: what a patient's own mail causes: the letters stop, staff are called, the clock runs."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from leadcapture.intake.inbound.mail import Mail
from leadcapture.intake.inbound.text import is_only_stop, is_stop
from leadcapture.leads import stopping, timeline
from leadcapture.leads.staff_letters import values_about
from leadcapture.letters.versions import current_versions
from leadcapture.models import Lead, Message, MessageKind, Staff, Task, TimelineEntry
from leadcapture.outbox import ledger, stops
from leadcapture.outbox.queue import Draft, enqueue, new_ref
from leadcapture.settings import Settings
from leadcapture.vault import SealBroken, Vault

TASK = "answer"
_COPIES_COME_WITHIN = timedelta(hours=1)


@dataclass(frozen=True)
class Answer:
    """A mail from a person whose lead we know; ``message`` is the letter of ours it answers."""

    mail: Mail
    lead: Lead
    message: Message | None
    received_at: datetime


def take_answer(
    session: Session, vault: Vault, settings: Settings, answer: Answer, now: datetime
) -> None:
    """Do what an answer asks for; the same words a second time change nothing.

    A stop word counts only in an answer to a letter of ours: an address in From proves
    nothing, the Message-ID of a letter is known to whoever has the letter.
    """
    mail, lead = answer.mail, answer.lead
    if answer.message is not None:
        ledger.settle_by_evidence(session, answer.message, now, "answer")
        if is_stop(mail.subject, mail.text):
            stopping.stop_follow_ups(session, answer.message.cap_hash, now)
            if is_only_stop(mail.text) or not mail.text:
                return
    words = f"{mail.subject}\n\n{mail.text}".strip()
    if _is_known(session, vault, lead, words, answer.received_at):
        return
    cancelled = stops.cancel_follow_ups(session, lead.id, "answered", now)
    timeline.record(
        session,
        lead.id,
        "answered",
        answer.received_at,
        message_id=answer.message.id if answer.message else None,
        facts={"follow_ups_cancelled": cancelled},
        # A mail of nothing but a picture has no words.
        note=words or "—",
        vault=vault,
    )
    _let_wait(session, lead, answer.received_at)
    _ask_staff(session, lead, now)
    _alert(session, vault, settings, lead, now)


def _is_known(
    session: Session, vault: Vault, lead: Lead, words: str, received_at: datetime
) -> bool:
    """True where a copy of this answer came by another way: to two of our addresses, say."""
    entries = session.scalars(
        select(TimelineEntry)
        .where(TimelineEntry.lead_id == lead.id, TimelineEntry.kind == "answered")
        .order_by(TimelineEntry.id.desc())
        .limit(5)
    )
    for entry in entries:
        try:
            known = vault.open("timeline_entry", "note", entry.ref, entry.note or b"")
        except SealBroken:
            continue
        if known == words and abs(received_at - entry.at) < _COPIES_COME_WITHIN:
            return True
    return False


def _let_wait(session: Session, lead: Lead, since: datetime) -> None:
    """Start the first-response clock if it stands; an answer never stops it."""
    session.execute(
        update(Lead)
        .where(Lead.id == lead.id, Lead.waiting_since.is_(None))
        .values(waiting_since=since)
    )


def _ask_staff(session: Session, lead: Lead, now: datetime) -> None:
    """Give the owner, or the team, one task, however many answers came before it is done."""
    standing = select(Task.id).where(
        Task.lead_id == lead.id, Task.kind == TASK, Task.done_at.is_(None)
    )
    if session.scalar(standing.limit(1)) is not None:
        return
    ref = new_ref()
    session.add(
        Task(
            ref=ref,
            dedupe_key=f"{TASK}:{ref}",
            kind=TASK,
            lead_id=lead.id,
            owner_id=lead.owner_id,
            due_at=now,
            created_at=now,
        )
    )


def _alert(session: Session, vault: Vault, settings: Settings, lead: Lead, now: datetime) -> None:
    """Write to the owner, or the team: no name and no word of the answer; once an hour a lead."""
    owner = session.get(Staff, lead.owner_id) if lead.owner_id else None
    active = owner if owner is not None and owner.active else None
    language = active.language if active else "en"
    draft = Draft(
        kind=MessageKind.STAFF_ALERT,
        dedupe_key=f"alert:answer:{lead.ref}:{now:%Y%m%d%H}",
        recipient=active.email if active else settings.staff_alerts_to,
        language=language,
        time_zone=settings.clinic.time_zone,
        due_at=now,
        letter=current_versions(session, now)["staff_answer", "", language],
        values=values_about(session, settings, lead, now, language),
        lead_id=lead.id,
    )
    enqueue(session, vault, settings.mail_domain, [draft], now)
