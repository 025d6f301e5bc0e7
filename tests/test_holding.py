"""One order of locking: whoever touches a lead and its letters may do so while all others do.

On PostgreSQL a deadlock ends one of the two with an error; on SQLite whoever writes is alone.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from flask import Flask
from sqlalchemy import Engine, delete, select
from sqlalchemy.orm import Session

from leadcapture.database import open_session
from leadcapture.intake import addresses
from leadcapture.intake.inbound.mail import read_mail
from leadcapture.intake.inbound.taking import take_in
from leadcapture.intake.receive import receive, release
from leadcapture.leads import bulk, contact, details, merging, stopping
from leadcapture.leads.watch import ResponseWatch
from leadcapture.models import (
    Lead,
    LeadStatus,
    Message,
    MessageKind,
    MessageState,
    Request,
    Screening,
    Suppression,
)
from leadcapture.outbox import ledger, outcomes
from leadcapture.outbox.replies import Phase, Reply
from leadcapture.settings import Settings
from leadcapture.vault import Vault
from tests import incoming
from tests.clock import Clock
from tests.people import a_lead, a_message, a_request, a_staff_member
from tests.test_intake_receive import a_submission

ROUNDS = 12


@dataclass(frozen=True)
class Round:
    """One lead with letters in every state, and all that may be done about them at one moment."""

    vault: Vault
    settings: Settings
    number: int
    now: datetime
    actor_id: int
    address: str
    cap_hash: str
    lead_id: int
    other_id: int
    request_id: int
    answered_id: int
    claimed_id: int

    def acts(self) -> tuple[Callable[[Session], object], ...]:
        return (
            *(self.correct_the_address, self.take_an_answer, self.stop_letters, self.log_a_call),
            *(self.write_a_refusal, self.resolve_doubts, self.release_a_request, self.ask_again),
            *(self.take_over, self.merge_and_part, self.watch),
        )

    def lead(self, session: Session) -> Lead:
        return session.get_one(Lead, self.lead_id)

    def correct_the_address(self, session: Session) -> None:
        lead = self.lead(session)
        email = f"janet{self.number}@tampamail.example"
        cap_hash = self.vault.keyed_hash("address", addresses.cap_key(email))
        keys = {"address_key": addresses.address_key(email), "cap_hash": cap_hash}
        wanted = replace(details.details_of(lead), email=email, **keys)
        details.change(session, self.vault, self.settings, lead, wanted, self.actor_id, self.now)

    def take_an_answer(self, session: Session) -> None:
        answered = session.get_one(Message, self.answered_id)
        content = incoming.answer(self.address, f"Number {self.number}, please call.", answered)
        mail = read_mail(content)
        take_in(session, self.vault, self.settings, content, mail, self.now, self.now)

    def stop_letters(self, session: Session) -> None:
        stopping.stop_follow_ups(session, self.cap_hash, self.now)

    def log_a_call(self, session: Session) -> None:
        outcome = contact.CallOutcome.REACHED
        lead = self.lead(session)
        contact.log_call(session, self.vault, lead, self.actor_id, self.now, outcome)

    def write_a_refusal(self, session: Session) -> None:
        claimed = session.get_one(Message, self.claimed_id)
        outcomes.write_reply(session, claimed, Reply(Phase.RCPT, 550, "5.1.1"), self.now)

    def resolve_doubts(self, session: Session) -> None:
        ledger.resolve_doubts(session, self.now, [MessageKind.PACKET])
        ledger.reclaim_lost(session, self.now)

    def release_a_request(self, session: Session) -> None:
        request = session.get_one(Request, self.request_id)
        release(session, self.vault, self.settings, request, self.actor_id, self.now)

    def ask_again(self, session: Session) -> None:
        facts = {"token": f"token-{self.number}", "email": self.address}
        asked = a_submission(**facts, email_typed=self.address)
        receive(session, self.vault, self.settings, asked, self.now)

    def take_over(self, session: Session) -> None:
        refs = session.scalars(select(Lead.ref).where(Lead.id.in_((self.lead_id, self.other_id))))
        leads = bulk.leads_by_ref(session, refs.all())
        wish = bulk.Wish(bulk.Act.MOVE, status=LeadStatus.PATIENT)
        bulk.carry_out(session, leads, wish, self.actor_id, self.now)

    def merge_and_part(self, session: Session) -> None:
        kept, other = self.lead(session), session.get_one(Lead, self.other_id)
        facts = (self.actor_id, self.now)
        merge = merging.merge(session, self.vault, self.settings, kept, other, (), *facts)
        merging.undo(session, self.vault, self.settings, merge, *facts)

    def watch(self, session: Session) -> None:
        ResponseWatch(self.settings, self.vault).watch_responses(session, self.now)


def test_all_who_touch_a_lead_and_its_letters_do_so_at_once(
    app: Flask, engine: Engine, session: Session, vault: Vault, settings: Settings, clock: Clock
) -> None:
    with app.app_context():
        actor = a_staff_member(session)
    lead = a_lead(session)
    failures: list[str] = []

    def carry_out(act: Callable[[Session], object], at_once: threading.Barrier) -> None:
        with open_session(engine) as own:
            at_once.wait()
            try:
                act(own)
                own.commit()
            except Exception as error:
                failures.append(f"{act.__name__}: {error!r}"[:300])

    for number in range(ROUNDS):
        now = clock.advance(timedelta(hours=1))
        acts = set_out(session, lead, number, now, vault, settings, actor.id).acts()
        at_once = threading.Barrier(len(acts))
        threads = [threading.Thread(target=carry_out, args=(act, at_once)) for act in acts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures, number


def test_a_release_goes_by_the_lead_as_it_stands(
    app: Flask, engine: Engine, session: Session, vault: Vault, settings: Settings, clock: Clock
) -> None:
    """A colleague reopened it after we had read it: since then they wait, not since the request."""
    with app.app_context():
        actor = a_staff_member(session)
    lead = a_lead(session, waiting_since=None)
    request = a_request(session, lead, screening=Screening.HELD)
    session.commit()
    assert lead.waiting_since is None
    since = clock.now - timedelta(days=2)
    session.commit()
    with open_session(engine) as other:
        other.get_one(Lead, lead.id).waiting_since = since
        other.commit()
    assert release(session, vault, settings, request, actor.id, clock.now)
    session.commit()
    assert lead.waiting_since == since


def set_out(
    session: Session,
    lead: Lead,
    number: int,
    now: datetime,
    vault: Vault,
    settings: Settings,
    actor_id: int,
) -> Round:
    """She waits again, with three follow-ups to come, and letters that were sent, are in doubt,
    and stand at a mail server this moment.
    """
    session.expire_all()
    session.execute(delete(Suppression))
    lead.status, lead.waiting_since, lead.confirmed_at = LeadStatus.NEW, now, now
    for step in ("day-3", "day-10", "day-24"):
        a_message(session, lead, step=step, due_at=now + timedelta(days=3))
    other = a_lead(session, email=f"jan{number}@another.example", waiting_since=None)
    held = a_request(session, other, screening=Screening.HELD)
    a_message(session, other, due_at=now + timedelta(days=3))
    packet: dict[str, Any] = {"kind": MessageKind.PACKET, "fence": 1, "state_at": now}
    sent = a_message(session, lead, state=MessageState.SENT, sent_at=now, **packet)
    until = now + timedelta(seconds=60)
    claimed = a_message(session, lead, state=MessageState.CLAIMED, lease_until=until, **packet)
    long_ago = {"state_at": now - timedelta(hours=1), "doubts": 2}
    a_message(session, lead, state=MessageState.UNCERTAIN, **packet | long_ago)
    lost = {"lease_until": now - timedelta(seconds=1)}
    a_message(session, lead, state=MessageState.CLAIMED, **packet | lost)
    session.commit()
    ids = (lead.id, other.id, held.id, sent.id, claimed.id)
    return Round(vault, settings, number, now, actor_id, lead.email, lead.cap_hash, *ids)
