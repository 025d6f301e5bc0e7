"""Dispatch: what is due leaves, one letter at a time, with no transaction open meanwhile."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, update
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from leadcapture.database import database_now, own_moment, reading
from leadcapture.letters import Letter
from leadcapture.models import LetterVersion, Message, MessageState
from leadcapture.outbox import caps, claims, gates, ledger, outcomes, policy
from leadcapture.outbox.claims import Claimed
from leadcapture.outbox.envelope import envelope_of
from leadcapture.outbox.pace import TOKEN_LASTS, Allowance
from leadcapture.outbox.queue import STAFF_LANE, lane_of
from leadcapture.outbox.relay import Refused, RelaySession
from leadcapture.outbox.render import Press, versions_of
from leadcapture.outbox.replies import Phase, Reply, Verdict, judge
from leadcapture.settings import Settings
from leadcapture.vault import Vault

log = logging.getLogger(__name__)

OUTCOME_WAITS = 20.0
OUTCOME_PAUSE = 0.25
_AWAY = (OperationalError, InterfaceError)


@dataclass
class Dispatcher:
    """Sends what is due over one relay session; any number may run at once, one a thread.

    ``clock`` answers with the instant that due times and leases are compared with; None asks
    the database (one clock on PostgreSQL). One connection to the database is held
    while there is something to send.
    """

    engine: Engine
    settings: Settings
    vault: Vault
    relay: RelaySession
    clock: Callable[[], datetime] | None = None

    def __post_init__(self) -> None:
        self._allowance = Allowance(self.settings.domain_pace, self.settings.relay_pace)
        self._press = Press(self.vault, self.settings)
        self._is_served = self.engine.dialect.name == "postgresql"
        self._relay_was_down = False
        self._probe: gates.Probe | None = None
        self._held: Connection | None = None
        self._is_one_by_one = False

    def send_due(self, limit: int = 1000, stopping: Callable[[], bool] = lambda: False) -> int:
        """Send until nothing is due, a gate closes, or ``limit``; how many were tried."""
        try:
            # Asked without a lock: an idle worker keeps nobody from writing.
            if stopping() or self._is_idle():
                return 0
            tried, message = 0, self._claim()
            while message is not None:
                tried += 1
                is_last = tried == limit
                message = self._send(message, lambda: is_last or _ends(stopping))  # noqa: B023
            if self._probe is not None:
                with self._transaction(one_by_one=True) as connection:
                    self._end_probe(connection)
            return tried
        finally:
            self._let_go()

    def abandon(self) -> None:
        """Let go of the letter in hand, save after its dot; safe from another thread."""
        self.relay.abandon()

    def close(self) -> None:
        self.relay.quit()
        self._let_go()

    def _send(self, message: Message, ends: Callable[[], bool]) -> Message | None:
        """Send one letter; the next one, claimed, or None where nothing more can be sent now."""
        try:
            letter = self._press.write(message, self._find_versions)
        except Exception as error:
            # The words of the error may hold a patient's; its class is enough to find it.
            log.error("letter %s cannot be written: %s", message.ref, type(error).__name__)
            return self._set_aside(message, "cannot_be_written", ends)
        if message.sha256 is not None and message.sha256 != letter.sha256:
            return self._set_aside(message, "differs_from_first_copy", ends)
        try:
            envelope = envelope_of(self.settings, message)
            accepted = self.relay.send(
                envelope.sender,
                message.recipient,
                letter,
                # A first copy is hashed here: the relay reads its packet meanwhile.
                lambda: self._declare_intent(message, letter.sha256),
                envelope.envid,
            )
        except Refused as refused:
            goes_on = self._take_refusal(message, letter, refused.reply)
            return None if not goes_on or ends() else self._claim()
        if accepted:
            return self._take_acceptance(message, ends)
        return None if ends() else self._claim()

    def _claim(self) -> Message | None:
        """Claim what goes next; what may not leave is settled on the way."""
        while True:
            with self._transaction(one_by_one=not self._allowance.is_limited) as connection:
                claimed = self._take_next(connection)
                _name_domain(connection, claimed)
                if claimed is None:
                    return None
                message = claimed.message
                if not self._take_token(connection, message, message.state_at):
                    # The claim never was; the next look passes over what is spent.
                    connection.rollback()
                    self._probe = None
                    continue
            if self._may_leave(claimed):
                return message

    def _take_next(self, connection: Connection) -> Claimed | None:
        # Whatever became of the last try, it did not tell that the relay is down.
        self._end_probe(connection)
        now, kept_back = self._kept_back(connection)
        if kept_back == claims.EVERYTHING:
            return None
        if self._relay_was_down:
            self._probe = gates.take_probe(connection, now)
            if self._probe is None:
                return None
        claimed = claims.claim_next(connection, now, kept_back)
        if claimed is None:
            self._end_probe(connection)
        return claimed

    def _end_probe(self, connection: Connection) -> None:
        probe, self._probe = self._probe, None
        if probe is not None:
            gates.give_probe_back(connection, probe)

    def _kept_back(self, connection: Connection) -> tuple[datetime, claims.KeptBack]:
        """The moment, and what may not be claimed then: closed gates and spent paces."""
        now, closed = gates.look(connection, self._moment())
        self._relay_was_down = closed.relay_was_down
        if closed.all_mail:
            return now, claims.EVERYTHING
        # A letter to staff waits for its domain's gate, though not for its pace.
        shut = closed.domains | {f"{STAFF_LANE}{domain}" for domain in closed.domains}
        awaited, reminders = (
            None if spent.relay else shut | spent.domains
            for spent in self._allowance.spent(connection, now)
        )
        return now, claims.KeptBack(awaited, reminders)

    def _take_token(self, line: Session | Connection, message: Message, now: datetime) -> bool:
        return self._allowance.take(line, message.domain or "", message.priority == 0, now)

    def _may_leave(self, claimed: Claimed) -> bool:
        """Ask again what only the moment of leaving can tell; a refusal is written."""
        message, now = claimed.message, claimed.message.state_at
        if policy.needs_no_question(message, claimed.is_suppressed, now):
            return True
        with self._session() as session:
            refusal = policy.refusal(session, message, now)
            if refusal is not None:
                outcomes.apply_refusal(session, message, refusal, now)
        return refusal is None

    def _is_idle(self) -> bool:
        """True where nothing is due that may leave; asked without a lock."""
        with reading(), self._transaction(one_by_one=True) as connection:
            now, kept_back = self._kept_back(connection)
            return not claims.may_anything_leave(connection, now, kept_back)

    def _declare_intent(self, message: Message, sha256: str) -> bool:
        if message.kind in policy.AWAITED:
            within = TOKEN_LASTS if self._allowance.is_limited else claims.CLAIM_LEASE
            with self._transaction(one_by_one=True) as connection:
                if claims.declare_intent(connection, message, sha256, self._moment(), within):
                    return True
        with self._session() as session:
            if message.kind not in policy.AWAITED:
                caps.take_turn(session, message.cap_hash)
            now = self._now(session)
            refusal = _stopped(session, now) or policy.refusal(session, message, now)
            if refusal is None and not self._has_token(session, message, now):
                refusal = policy.Refusal(MessageState.QUEUED, "pace", now)
            if refusal is None:
                return claims.declare_intent(session.connection(), message, sha256, now)
            outcomes.apply_refusal(session, message, refusal, now)
            return False

    def _has_token(self, session: Session, message: Message, now: datetime) -> bool:
        """True where the claim's token still lasts, or another one can be taken instead (MD-10)."""
        if not self._allowance.is_limited or now - message.state_at <= TOKEN_LASTS:
            return True
        with session.begin_nested() as taking:
            if self._take_token(session, message, now):
                return True
            taking.rollback()
        return False

    def _take_acceptance(self, message: Message, ends: Callable[[], bool]) -> Message | None:
        """Write that it was taken and claim the next, with one sync for both."""
        if self._relay_was_down or self._allowance.is_limited or ends():
            self._write_outcome(lambda session, now: self._note_sent(session, message, now))
            return None if ends() else self._claim()
        try:
            with self._transaction(one_by_one=True) as connection:
                claimed = claims.note_sent_and_claim(connection, message, self._moment())
                if claimed is None:
                    claimed = self._take_next(connection)
                _name_domain(connection, claimed)
        except Exception as error:
            # Whatever is wrong with the next letter or the database, this one was taken.
            self._write_outcome(lambda session, now: self._note_sent(session, message, now))
            if not isinstance(error, _AWAY):
                raise
            return self._claim()
        if claimed is None:
            return None
        return claimed.message if self._may_leave(claimed) else self._claim()

    def _note_sent(self, session: Session, message: Message, now: datetime) -> None:
        if claims.note_sent(session.connection(), message, now) and self._relay_was_down:
            gates.note_relay_up(session, now)

    def _take_refusal(self, message: Message, letter: Letter, reply: Reply) -> bool:
        """Write what the reply means; False where nothing more can be sent now."""
        if self.relay.is_abandoned and reply.code is None and reply.phase is not Phase.DOT:
            self._write_outcome(lambda session, now: outcomes.put_back(session, message, now))
            return False
        payload = self._press.payload_with(message, letter) if reply.phase is Phase.DOT else None

        def write(session: Session, now: datetime) -> None:
            outcomes.write_reply(session, message, reply, now)
            if payload is not None:
                ledger.keep_copy(session, message, payload)

        self._write_outcome(write)
        is_relays = judge(reply) in (Verdict.RELAY_DOWN, Verdict.HOLD_QUEUE)
        if is_relays or reply.says_relay_closes:
            # Its gate was closed anew.
            self._probe = None
            return False
        return True

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
                return
            except _AWAY:
                self._let_go()
                if time.monotonic() > gives_up:
                    raise
            threading.Event().wait(OUTCOME_PAUSE)

    def _set_aside(self, message: Message, reason: str, ends: Callable[[], bool]) -> Message | None:
        with self._session() as session:
            outcomes.set_aside(session, message, reason, self._now(session))
        return None if ends() else self._claim()

    def _find_versions(self, keys: Sequence[int]) -> Sequence[LetterVersion]:
        with reading(), self._session() as session:
            return versions_of(session, keys)

    @contextmanager
    def _session(self) -> Iterator[Session]:
        """A session for one transaction, which it commits."""
        with Session(self._line(), expire_on_commit=False) as session:
            yield session
            session.commit()

    @contextmanager
    def _transaction(self, one_by_one: bool = False) -> Iterator[Connection]:
        """A transaction of statements without a session: these cost a third.

        ``one_by_one`` is for statements that are each whole: a server commits each by itself,
        which spares two ways to it; SQLite, to which no way leads, commits them together.
        """
        connection = self._line(one_by_one)
        with connection.begin():
            yield connection

    def _line(self, one_by_one: bool = False) -> Connection:
        """The connection that is ours until we let it go."""
        if self._held is None:
            self._held = self.engine.connect()
            self._is_one_by_one = False
        if self._is_served and one_by_one is not self._is_one_by_one:
            level = "AUTOCOMMIT" if one_by_one else self._held.default_isolation_level
            self._held.execution_options(isolation_level=level)
            self._is_one_by_one = one_by_one
        return self._held

    def _let_go(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            held.close()

    def _moment(self) -> datetime | None:
        return own_moment(self.engine, self.clock)

    def _now(self, session: Session) -> datetime:
        return self.clock() if self.clock else database_now(session)


def _ends(stopping: Callable[[], bool]) -> bool:
    """True also where nobody can say: what is in hand is settled, and nothing more is begun."""
    try:
        return stopping()
    except SQLAlchemyError:
        return True


def _stopped(session: Session, now: datetime) -> policy.Refusal | None:
    """Back to the queue where all mail was stopped since the claim until a person decides."""
    # The relay's own gate, which opens by itself, must not hide the queue's.
    reason = gates.pause_reason(session)
    return policy.Refusal(MessageState.QUEUED, reason, now) if reason else None


def _name_domain(connection: Connection, claimed: Claimed | None) -> None:
    """Give a row of the release before its domain."""
    if claimed is not None and claimed.message.domain is None:
        message = claimed.message
        message.domain = lane_of(message.kind, message.recipient)
        row = update(Message).where(Message.id == claimed.message.id)
        connection.execute(row.values(domain=claimed.message.domain))
