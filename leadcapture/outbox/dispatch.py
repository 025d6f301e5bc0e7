"""Dispatch: what is due leaves, one letter at a time, with no transaction open meanwhile."""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from leadcapture.database import database_now, open_session, reading
from leadcapture.models import Gate, Message, MessageKind, MessageState, SuppressionScope
from leadcapture.outbox import gates, ledger, policy, stops
from leadcapture.outbox.relay import Refused, RelaySession
from leadcapture.outbox.render import render
from leadcapture.outbox.replies import Phase, Reply, Verdict, back_off, judge
from leadcapture.settings import Settings
from leadcapture.vault import Vault

log = logging.getLogger(__name__)

PACKET_GIVES_UP = timedelta(days=5)
MAILBOX_FULL_GIVES_UP = timedelta(hours=24)
STAFF_TOLD_AFTER = timedelta(hours=4)
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

    def send_due(self, limit: int = 1000, stopping: Callable[[], bool] = lambda: False) -> int:
        """Send until nothing is due, a gate closes, or ``limit``; how many were tried."""
        for tried in range(limit):
            if stopping() or not self._send_next():
                return tried
        return limit

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
            accepted = self.relay.send(
                self.settings.mail_from,
                message.recipient,
                letter,
                lambda: self._declare_intent(message, sha256),
            )
        except Refused as refused:
            return self._take_refusal(message, refused.reply)
        if accepted:
            self._take_acceptance(message)
        return True

    def _claim(self) -> Message | None:
        if self._is_idle():
            return None
        with self._session() as session:
            now = self._now(session)
            while ledger.is_anything_due(session, now):
                message = ledger.claim_next(session, now)
                # A lost race is not an empty queue, and a refused letter not the last one.
                refusal = policy.refusal(session, message, now) if message else None
                if message is not None and refusal is not None:
                    self._apply(session, message, refusal, now)
                elif message is not None:
                    # Whole seconds, as the Date header has them: the same on every copy.
                    message.mail_date = message.mail_date or now.replace(microsecond=0)
                    session.commit()
                    return message
                session.commit()
            return None

    def _is_idle(self) -> bool:
        """True where nothing is due or a gate is closed; asked without a lock."""
        with reading(), self._session() as session:
            now = self._now(session)
            return bool(gates.closed_gate(session, now)) or not ledger.is_anything_due(session, now)

    def _render(self, message: Message) -> bytes:
        with self._session() as session:
            return render(session, self.vault, self.settings, message)

    def _declare_intent(self, message: Message, sha256: str) -> bool:
        with self._session() as session:
            now = self._now(session)
            refusal = policy.refusal(session, message, now)
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

    def _take_acceptance(self, message: Message) -> None:
        with self._session() as session:
            now = self._now(session)
            if ledger.settle(session, message, MessageState.SENT, now, reason="", sent_at=now):
                ledger.note_attempt(session, message, Phase.DOT, 250, "", "sent", now)
                if gate := session.get(Gate, gates.RELAY):
                    session.delete(gate)
            session.commit()

    def _take_refusal(self, message: Message, reply: Reply) -> bool:
        """Write what the reply means; False where nothing more can be sent now."""
        verdict = judge(reply)
        with self._session() as session:
            now = self._now(session)
            outcome = self._settle_verdict(session, message, reply, verdict, now)
            ledger.note_attempt(
                session, message, reply.phase, reply.code, reply.enhanced, outcome, now
            )
            session.commit()
        return verdict not in (Verdict.RELAY_DOWN, Verdict.HOLD_QUEUE)

    def _settle_verdict(
        self, session: Session, message: Message, reply: Reply, verdict: Verdict, now: datetime
    ) -> MessageState:
        if verdict is Verdict.UNCERTAIN:
            ledger.doubt(session, message, now)
            return MessageState.UNCERTAIN
        if verdict in (Verdict.RELAY_DOWN, Verdict.HOLD_QUEUE):
            return self._close_gate(session, message, reply, verdict, now)
        reason = f"{reply.phase}_{reply.enhanced or reply.code or 'lost'}"
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
            if age > STAFF_TOLD_AFTER:
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
        reason = f"{reply.phase}_{reply.enhanced or reply.code or 'lost'}"
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
