"""The post of the demo: letters that left before now, written into the ledger step by step."""

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.leads.stopping import stop_follow_ups
from leadcapture.models import Message, MessageKind, MessageState, Request, SuppressionScope
from leadcapture.outbox import ledger, outcomes, stops
from leadcapture.outbox.policy import Refusal
from leadcapture.outbox.render import Press, versions_of
from leadcapture.outbox.replies import Phase, Reply
from leadcapture.settings import Settings
from leadcapture.vault import Vault

_ANSWERED_WITHIN = timedelta(seconds=1)


class Post:
    """Takes each letter the way that it would have gone, without a relay."""

    def __init__(self, session: Session, vault: Vault, settings: Settings) -> None:
        self._session = session
        self._press = Press(vault, settings)

    def send_at_once(self, request: Request, fate: str, at: datetime) -> None:
        """What leaves with the request: the packet, which meets its fate, and the alert."""
        for message in self._queued(request):
            if message.kind == MessageKind.FOLLOW_UP:
                continue
            meets_fate = message.kind == MessageKind.PACKET
            self._leave(message, fate if meets_fate else "", at)

    def send_later(self, request: Request, fate: str, now: datetime) -> None:
        """The follow-ups that were due before now and that nothing had stopped until then."""
        for message in self._queued(request):
            if message.state is MessageState.QUEUED and message.due_at < now:
                self._follow_up(message, fate)

    def _queued(self, request: Request) -> list[Message]:
        queued = select(Message).where(
            Message.request_id == request.id, Message.state == MessageState.QUEUED
        )
        return list(self._session.scalars(queued.order_by(Message.due_at)))

    def _leave(self, message: Message, fate: str, at: datetime) -> None:
        self._claim(message, at)
        if fate == "failed":
            reply = Reply(Phase.RCPT, 550, "5.1.1")
            outcomes.write_reply(self._session, message, reply, at)
        elif fate == "letter_held":
            outcomes.set_aside(self._session, message, "cannot_be_written", at)
        elif fate == "uncertain":
            self._doubt(message, at)
            again = at + ledger.DOUBT_WAITS
            self._step(message, MessageState.QUEUED, again, reason="resent_after_doubt")
            self._claim(message, again)
            self._doubt(message, again)
            given_up = again + ledger.DOUBT_WAITS
            self._step(message, MessageState.HELD, given_up, reason="doubt_twice")
            ledger.ask_staff(self._session, message, "letter_uncertain", given_up)
        else:
            self._take(message, at)
            if fate == "bounced":
                back_at = at + timedelta(minutes=4)
                ledger.bounce(self._session, message, back_at, "returned_5.1.1")
                ledger.ask_staff(self._session, message, "letter_bounced", back_at)
                scope = SuppressionScope.ALL
                stops.suppress(self._session, message.cap_hash, scope, "no_such_address", back_at)

    def _follow_up(self, message: Message, fate: str) -> None:
        if fate == "expired" and message.not_after is not None:
            self._claim(message, message.not_after)
            refusal = Refusal(MessageState.EXPIRED, "too_late")
            outcomes.apply_refusal(self._session, message, refusal, message.not_after)
        else:
            self._claim(message, message.due_at)
            self._take(message, message.due_at)
        if fate == "unsubscribed":
            stop_follow_ups(self._session, message.cap_hash, message.due_at + timedelta(hours=2))

    def _claim(self, message: Message, at: datetime) -> None:
        self._step(
            message,
            MessageState.CLAIMED,
            at,
            fence=message.fence + 1,
            attempts=message.attempts + 1,
            mail_date=message.mail_date or at.replace(microsecond=0),
        )

    def _intend(self, message: Message, at: datetime) -> None:
        letter = self._press.write(message, lambda keys: versions_of(self._session, keys))
        self._step(message, MessageState.SENDING, at, sha256=letter.sha256)

    def _take(self, message: Message, at: datetime) -> None:
        self._intend(message, at)
        taken_at = at + _ANSWERED_WITHIN
        self._step(message, MessageState.SENT, taken_at, sent_at=taken_at)
        ledger.note_attempt(self._session, message, Phase.DOT, 250, "", "sent", taken_at)

    def _doubt(self, message: Message, at: datetime) -> None:
        self._intend(message, at)
        ledger.doubt(self._session, message, at)
        ledger.note_attempt(self._session, message, Phase.DOT, None, "", "uncertain", at)
        self._session.refresh(message)

    def _step(self, message: Message, state: MessageState, at: datetime, **changes: object) -> None:
        ledger.settle(self._session, message, state, at, since=(message.state,), **changes)
        self._session.refresh(message)
