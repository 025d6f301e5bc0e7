"""Dispatch: what is due leaves, one letter at a time, with no transaction open meanwhile."""

import hashlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from leadcapture.database import database_now, open_session, reading
from leadcapture.models import Message, MessageKind, MessageState, SuppressionScope
from leadcapture.outbox import gates, ledger, policy, stops
from leadcapture.outbox.alerts import raise_alert
from leadcapture.outbox.envelope import envelope_of
from leadcapture.outbox.pace import Allowance
from leadcapture.outbox.queue import domain_of
from leadcapture.outbox.relay import Refused, RelaySession
from leadcapture.outbox.render import render
from leadcapture.outbox.replies import Phase, Reply, Verdict, back_off, judge
from leadcapture.settings import Settings
from leadcapture.vault import Vault

log = logging.getLogger(__name__)

PACKET_GIVES_UP = timedelta(days=5)
MAILBOX_FULL_GIVES_UP = timedelta(hours=24)
OUTCOME_WAITS = 20.0
OUTCOME_PAUSE = 0.25
NONSENSE_TRIES = 3


@dataclass
class Dispatcher:
    """Sends what is due over one relay session; any number may run at once, one a thread.

    ``clock`` answers with the instant that due times and leases are compared with; None asks
    the database (DELIVERY: one clock on PostgreSQL).
    """

    engine: Engine
    settings: Settings
    vault: Vault
    relay: RelaySession
    clock: Callable[[], datetime] | None = None

    def __post_init__(self) -> None:
        self._allowance = Allowance(self.settings.domain_pace, self.settings.relay_pace)
        self._relay_was_down = False

    def send_due(self, limit: int = 1000, stopping: Callable[[], bool] = lambda: False) -> int:
        """Send until nothing is due, a gate closes, or ``limit``; how many were tried."""
        # Asked once, and without a lock: an idle worker keeps nobody from writing.
        if stopping() or self._is_idle():
            return 0
        for tried in range(limit):
            if stopping() or not self._send_next():
                return tried
        return limit

    def abandon(self) -> None:
        """Let go of the letter in hand, save after its dot; safe from another thread."""
        self.relay.abandon()

    def close(self) -> None:
        self.relay.quit()

    def _send_next(self) -> bool:
        message = self._claim()
        if message is None:
            return False
        try:
            letter = self._render(message)
        except Exception as error:
            # The words of the error may hold a patient's; its class is enough to find it.
            log.error("letter %s cannot be written: %s", message.ref, type(error).__name__)
            self._set_aside(message, "cannot_be_written")
            return True
        sha256 = hashlib.sha256(letter).hexdigest()
        if message.sha256 not in (None, sha256):
            self._set_aside(message, "differs_from_first_copy")
            return True
        try:
            envelope = envelope_of(self.settings, message)
            accepted = self.relay.send(
                envelope.sender,
                message.recipient,
                letter,
                lambda: self._declare_intent(message, sha256),
                envelope.envid,
            )
        except Refused as refused:
            return self._take_refusal(message, refused.reply)
        if accepted:
            self._take_acceptance(message)
        return True

    def _claim(self) -> Message | None:
        with self._session() as session:
            while True:
                now = self._now(session)
                message = ledger.claim_next(session, now, self._kept_back(session, now))
                if message is None:
                    return None
                refusal = policy.refusal(session, message, now)
                if refusal is not None:
                    # A refused letter is not the last one.
                    self._apply(session, message, refusal, now)
                    session.commit()
                elif not self._take_token(session, message, now):
                    # The claim never was; the next look passes over what is spent.
                    session.rollback()
                else:
                    # Whole seconds, as the Date header has them: the same on every copy.
                    message.mail_date = message.mail_date or now.replace(microsecond=0)
                    session.commit()
                    return message

    def _kept_back(self, session: Session, now: datetime) -> ledger.KeptBack:
        """What may not be claimed now: closed gates and spent paces."""
        closed = gates.closed(session, now)
        self._relay_was_down = closed.relay_was_down
        if closed.all_mail:
            return ledger.KeptBack(None, None)

        def domains(is_awaited: bool) -> frozenset[str] | None:
            spent = self._allowance.spent(session, now, is_awaited)
            return None if spent.relay else closed.domains | spent.domains

        return ledger.KeptBack(domains(True), domains(False))

    def _take_token(self, session: Session, message: Message, now: datetime) -> bool:
        if message.domain is None:
            message.domain = domain_of(message.recipient)
        return self._allowance.take(session, message.domain, message.priority == 0, now)

    def _is_idle(self) -> bool:
        """True where nothing is due that may leave; asked without a lock."""
        with reading(), self._session() as session:
            now = self._now(session)
            return not ledger.is_anything_due(session, now, self._kept_back(session, now))

    def _render(self, message: Message) -> bytes:
        with self._session() as session:
            return render(session, self.vault, self.settings, message)

    def _declare_intent(self, message: Message, sha256: str) -> bool:
        with self._session() as session:
            now = self._now(session)
            refusal = _stopped(session, now) or policy.refusal(session, message, now)
            if refusal is None:
                declared = ledger.declare_intent(session, message, sha256, now)
            else:
                declared = False
                self._apply(session, message, refusal, now)
            session.commit()
            return declared

    def _apply(
        self, session: Session, message: Message, refusal: policy.Refusal, now: datetime
    ) -> None:
        changes: dict[str, Any] = {"reason": refusal.reason}
        if refusal.due_at is not None:
            # Waiting for the hours is no attempt.
            changes |= {"due_at": refusal.due_at, "attempts": Message.attempts - 1}
        ledger.settle(session, message, refusal.state, now, **changes)
        if refusal.state is MessageState.EXPIRED and message.kind == MessageKind.PACKET:
            ledger.ask_staff(session, message, "letter_expired", now)
        if refusal.state is MessageState.HELD:
            ledger.ask_staff(session, message, "letter_held", now)

    def _take_acceptance(self, message: Message) -> None:
        def settle(session: Session, now: datetime) -> None:
            if ledger.settle(session, message, MessageState.SENT, now, reason="", sent_at=now):
                ledger.note_attempt(session, message, Phase.DOT, 250, "", "sent", now)
                if self._relay_was_down:
                    gates.note_relay_up(session, now)

        self._write_outcome(settle)

    def _take_refusal(self, message: Message, reply: Reply) -> bool:
        """Write what the reply means; False where nothing more can be sent now."""
        verdict = judge(reply)
        if self.relay.is_abandoned and reply.code is None and reply.phase is not Phase.DOT:
            # We hung up ourselves, before the dot: neither the letter nor the relay is at fault.
            self._write_outcome(lambda session, now: self._put_back(session, message, now))
            return False

        def settle(session: Session, now: datetime) -> None:
            outcome = self._settle_verdict(session, message, reply, verdict, now)
            self._note_domain(session, message, reply, verdict, now)
            ledger.note_attempt(
                session, message, reply.phase, reply.code, reply.enhanced, outcome, now
            )

        self._write_outcome(settle)
        return verdict not in (Verdict.RELAY_DOWN, Verdict.HOLD_QUEUE)

    def _write_outcome(self, write: Callable[[Session, datetime], None]) -> None:
        """Write what became of a letter; a database that restarts meanwhile is waited for.

        Each write is a compare-and-swap, so that a second try after a lost answer is safe. What
        cannot be written in time is left to the lease, which makes it a doubt.
        """
        gives_up = time.monotonic() + OUTCOME_WAITS
        while True:
            try:
                with self._session() as session:
                    write(session, self._now(session))
                    session.commit()
                    return
            except (OperationalError, InterfaceError):
                if time.monotonic() > gives_up:
                    raise
            threading.Event().wait(OUTCOME_PAUSE)

    def _put_back(self, session: Session, message: Message, now: datetime) -> None:
        ledger.settle(
            session,
            message,
            MessageState.QUEUED,
            now,
            reason="worker_lost",
            due_at=now,
            attempts=Message.attempts - 1,
        )

    def _note_domain(
        self, session: Session, message: Message, reply: Reply, verdict: Verdict, now: datetime
    ) -> None:
        """Close the domain's gate where its answers ask for calm."""
        domain = message.domain or domain_of(message.recipient)
        if verdict is Verdict.POLICY:
            gates.note_policy_refusal(session, domain, _reason(reply, verdict), now)
        elif reply.asks_domain_for_calm:
            gates.note_domain_deferral(session, domain, _reason(reply, verdict), now)
        if verdict is Verdict.FAILED and reply.phase in (Phase.DATA, Phase.DOT):
            # The relay refuses what we write, and will refuse the next letter too.
            raise_alert(session, "content_refused", reply.phase, now)

    def _settle_verdict(
        self, session: Session, message: Message, reply: Reply, verdict: Verdict, now: datetime
    ) -> MessageState:
        if verdict is Verdict.UNCERTAIN:
            ledger.doubt(session, message, now)
            return MessageState.UNCERTAIN
        if verdict in (Verdict.RELAY_DOWN, Verdict.HOLD_QUEUE):
            return self._close_gate(session, message, reply, verdict, now)
        reason = _reason(reply, verdict)
        gives_up = MAILBOX_FULL_GIVES_UP if verdict is Verdict.MAILBOX_FULL else PACKET_GIVES_UP
        waits = verdict in (Verdict.BACK_OFF, Verdict.MAILBOX_FULL, Verdict.NONSENSE)
        if verdict is Verdict.NONSENSE and message.attempts >= NONSENSE_TRIES:
            ledger.settle(session, message, MessageState.HELD, now, reason="nonsense")
            ledger.ask_staff(session, message, "letter_held", now)
            return MessageState.HELD
        age = now - max(message.created_at, message.mail_date or message.created_at)
        if waits and age < gives_up:
            later = now + back_off(message.attempts, reply.phase)
            ledger.settle(session, message, MessageState.QUEUED, now, reason=reason, due_at=later)
            if age > ledger.STAFF_TOLD_AFTER:
                ledger.ask_staff(session, message, "letter_late", now)
            return MessageState.QUEUED
        ledger.settle(session, message, MessageState.FAILED, now, reason=reason)
        ledger.ask_staff(session, message, "letter_failed", now)
        if verdict is Verdict.FAILED_AND_SUPPRESS and message.cap_hash:
            stops.suppress(session, message.cap_hash, SuppressionScope.ALL, "no_such_address", now)
        return MessageState.FAILED

    def _close_gate(
        self, session: Session, message: Message, reply: Reply, verdict: Verdict, now: datetime
    ) -> MessageState:
        """The relay's trouble is not the letter's: it goes back and no attempt is counted."""
        reason = _reason(reply, verdict)
        ledger.settle(
            session,
            message,
            MessageState.QUEUED,
            now,
            reason=verdict.value,
            due_at=now,
            attempts=Message.attempts - 1,
        )
        if verdict is Verdict.HOLD_QUEUE:
            gates.hold_queue(session, reason, now)
        else:
            gates.note_relay_down(session, reason, now)
        return MessageState.QUEUED

    def _set_aside(self, message: Message, reason: str) -> None:
        with self._session() as session:
            now = self._now(session)
            ledger.settle(session, message, MessageState.HELD, now, reason=reason)
            ledger.note_attempt(session, message, "render", None, "", "held", now)
            ledger.ask_staff(session, message, "letter_held", now)
            session.commit()

    def _session(self) -> Session:
        return open_session(self.engine)

    def _now(self, session: Session) -> datetime:
        return self.clock() if self.clock else database_now(session)


def _stopped(session: Session, now: datetime) -> policy.Refusal | None:
    """Back to the queue where all mail was stopped since the claim until a person decides."""
    # The relay's own gate, which opens by itself, must not hide the queue's.
    reason = gates.pause_reason(session)
    return policy.Refusal(MessageState.QUEUED, reason, now) if reason else None


def _reason(reply: Reply, verdict: Verdict) -> str:
    """The reply as a message's reason: its phase, and its RFC 3463 status, code or loss."""
    if verdict is Verdict.POLICY:
        return f"{reply.phase}_{reply.enhanced or '5.7'}"
    return f"{reply.phase}_{reply.enhanced or reply.code or 'lost'}"
