"""An outbox in which everything happens one step at a time, watched after every step.

Three people, three workers, one relay that does as it is told. `tests.proofs.states` lets
Hypothesis choose the steps; tests with a name take those that once went wrong.
"""

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.database import open_engine, open_session
from leadcapture.leads import letters_stuck, pipeline
from leadcapture.letters.versions import current_versions
from leadcapture.models import (
    Lead,
    LeadStatus,
    Message,
    MessageKind,
    MessageState,
    Staff,
    SuppressionScope,
)
from leadcapture.outbox import gates, ledger, stops
from leadcapture.outbox.dispatch import Dispatcher
from leadcapture.outbox.queue import Draft, enqueue, new_ref
from leadcapture.scheduler import RESENT
from leadcapture.settings import load
from tests.clock import Clock
from tests.compiled import CompiledStatements
from tests.people import LETTER_VALUES, a_lead, a_request, test_vault
from tests.proofs.held import try_held_again
from tests.proofs.relay_script import TAKES, Answer, Copy, ScriptedRelay
from tests.proofs.state_table import FINAL, LEASED, Standing, fault_of_move
from tests.proofs.stepping import Stepper
from tests.served import service_environ

LETTER_OF = {
    MessageKind.PACKET: ("packet_letter", ""),
    MessageKind.PACKET_LINK: ("packet_link", ""),
    MessageKind.FOLLOW_UP: ("follow_up", "day-3"),
    MessageKind.STAFF_ALERT: ("staff_alert", ""),
}
STAFF_ADDRESS = "desk@clinic.example"
# Refused at their claim, many letters may go through one worker's hands at a time.
STEPS_OF_A_LETTER = 400


# Each world has engines of its own, and says what the others said.
_statements = CompiledStatements()


class World:
    """One outbox over the database at this URL, from its first message to its last."""

    def __init__(self, database_url: str, folder: Path, workers: int = 3) -> None:
        environ = service_environ(folder, database_url, port=8000, smtp_port=9)
        self.settings = load(environ)
        self.engine = open_engine(database_url)
        self.clock = Clock()
        self.taken: list[Copy] = []
        self.faults: list[str] = []
        self.steppers = [Stepper(database_url) for _ in range(workers)]
        for engine in (self.engine, *(stepper.engine for stepper in self.steppers)):
            _statements.serve(engine)
        self.relays = [
            ScriptedRelay(self.taken, lambda: self._steps, stepper.stop_here)
            for stepper in self.steppers
        ]
        self._steps = 0
        self.standings: dict[int, Standing] = {}
        self._stopped: list[tuple[int, str, SuppressionScope]] = []
        self._cancelled: list[tuple[int, int]] = []
        self._paused_since: int | None = None
        with open_session(self.engine) as session:
            self._settle_in(session)
            session.commit()

    def _settle_in(self, session: Session) -> None:
        now = self.clock.now
        staff = Staff(email="rosa@clinic.example", name="R", fs_uniquifier="r", created_at=now)
        session.add(staff)
        first = a_lead(session, confirmed_at=now)
        unconfirmed = a_lead(session)
        # The same mailbox under another spelling: caps and stops count it as one.
        same_mailbox = a_lead(session, cap_hash=first.cap_hash, confirmed_at=now)
        leads = (first, unconfirmed, same_mailbox)
        self.requests = {lead.id: a_request(session, lead).id for lead in leads}
        self.lead_ids = tuple(lead.id for lead in leads)
        self.cap_hashes = {lead.id: lead.cap_hash for lead in leads}
        self.addresses = {lead.id: lead.email for lead in leads}
        self.actor_id = staff.id

    # What happens

    def queue(
        self,
        kind: MessageKind,
        person: int = 0,
        due_in: timedelta = timedelta(0),
        keeps: timedelta | None = None,
    ) -> None:
        """A cause is committed and with it its message."""
        lead_id, now = self.lead_ids[person], self.clock.now
        to_staff = kind is MessageKind.STAFF_ALERT
        with open_session(self.engine) as session:
            letter, topic = LETTER_OF[kind]
            draft = Draft(
                kind=kind,
                dedupe_key=f"proof:{new_ref()}",
                recipient=STAFF_ADDRESS if to_staff else self.addresses[lead_id],
                language="en",
                time_zone="America/New_York",
                due_at=now + due_in,
                letter=current_versions(session, now)[letter, topic, "en"],
                values=LETTER_VALUES,
                lead_id=lead_id,
                request_id=self.requests[lead_id],
                cap_hash="" if to_staff else self.cap_hashes[lead_id],
                not_after=now + due_in + keeps if keeps else None,
            )
            enqueue(session, test_vault, "clinic.example", [draft], now)
            session.commit()
        self.look()

    def work(self, worker: int, answer: Answer = TAKES, steps: int = 1) -> None:
        """A worker goes on to its next transaction, or to the dot, so many times."""
        stepper, relay = self.steppers[worker], self.relays[worker]
        for _ in range(steps):
            relay.answer = answer
            if stepper.is_at_work:
                stepper.go_on()
            else:
                dispatcher = Dispatcher(
                    stepper.engine, self.settings, test_vault, relay, self.clock
                )
                stepper.begin(lambda: dispatcher.send_due(limit=1))  # noqa: B023
            self.look()

    def work_to_the_end(self, worker: int, answer: Answer = TAKES) -> None:
        """A worker goes on until it has done with its letter, if there is one."""
        for _ in range(STEPS_OF_A_LETTER):
            self.work(worker, answer)
            if not self.steppers[worker].is_at_work:
                return
        raise AssertionError("a worker never came to an end")

    def lose(self, worker: int) -> None:
        """kill -9."""
        self.steppers[worker].kill()
        self.look()

    def keep_up(self) -> None:
        """The timetable's upkeep: leases that ended, doubts that have waited."""
        self._do(lambda session: ledger.reclaim_lost(session, self.clock.now))
        self._do(lambda session: ledger.resolve_doubts(session, self.clock.now, RESENT))

    def wait(self, time: timedelta) -> None:
        """The clock moves, back too."""
        self.clock.advance(time)
        self.look()

    def stop(self, person: int, scope: SuppressionScope) -> None:
        """An unsubscribe, a complaint or a hard bounce commits."""
        cap_hash = self.cap_hashes[self.lead_ids[person]]
        self._do(lambda session: stops.suppress(session, cap_hash, scope, "told", self.clock.now))
        self._stopped.append((self._steps, cap_hash, scope))

    def answer_lead(self, person: int) -> None:
        """Staff reach the person: the sequence ends."""
        lead_id = self.lead_ids[person]

        def close(session: Session) -> None:
            lead = session.get_one(Lead, lead_id)
            if lead.status is LeadStatus.NEW:
                pipeline.change_status(
                    session, lead, LeadStatus.CONTACTED, self.actor_id, self.clock.now
                )

        self._do(close)
        self._cancelled.append((self._steps, lead_id))

    def release(self) -> None:
        """A person has whatever is held tried again, or ends it."""
        self._do(lambda session: try_held_again(session, self.actor_id, self.clock.now))

    def hear_of_arrivals(self) -> None:
        """Readers tell a person of the letters in doubt that they have; she says so."""
        arrived = {copy.mail_id for copy in self.taken}

        def say_so(session: Session) -> None:
            for message in session.scalars(select(Message).where(Message.mail_id.in_(arrived))):
                if letters_stuck.may_have_arrived(message):
                    told = letters_stuck.note_arrival(
                        session, message, self.actor_id, self.clock.now
                    )
                    assert told.is_done

        self._do(say_so)

    def hold_queue(self) -> None:
        """Somebody pauses the outbox."""
        self._do(lambda session: gates.hold_queue(session, "told", self.clock.now))
        if self._paused_since is None:
            self._paused_since = self._steps

    def open_queue(self) -> None:
        """Somebody opens it again."""
        self._paused_since = None
        self._do(lambda session: gates.open_gate(session, gates.QUEUE))

    def _do(self, act: Callable[[Session], object]) -> None:
        with open_session(self.engine) as session:
            act(session)
            session.commit()
        self.look()

    # What must be true after it

    def look(self) -> None:
        """Compare every message with what it was; raises AssertionError where a rule is broken."""
        self._steps += 1
        with open_session(self.engine) as session:
            messages = session.scalars(select(Message)).all()
        for message in messages:
            now = Standing.of(message)
            before = self.standings.get(message.id)
            if before is None:
                assert (now.state, now.fence, now.attempts, now.doubts) == ("queued", 0, 0, 0)
            else:
                fault = fault_of_move(before, now)
                assert not fault, f"{message.kind}: {fault} ({now.reason})"
            self.standings[message.id] = now
        self._look_at_copies(messages)

    def _look_at_copies(self, messages: object) -> None:
        copies: dict[str, list[Copy]] = {}
        paused = self._paused_since
        for copy in self.taken:
            copies.setdefault(copy.mail_id, []).append(copy)
            assert paused is None or copy.intended <= paused, "an intent while the queue is paused"
        assert isinstance(messages, list | tuple)
        for message in messages:
            mine = copies.pop(message.mail_id, [])
            self._look_at_copies_of(message, mine)
        assert not copies, "a copy of a message that nobody queued"

    def _look_at_copies_of(self, message: Message, copies: list[Copy]) -> None:
        told = f"{message.kind} {message.state} ({message.reason})"
        most = 1 + message.doubts if MessageKind(message.kind).is_resent_after_doubt else 1
        assert len(copies) <= most, f"I5: {told}: {len(copies)} copies, {message.doubts} doubts"
        if message.state is MessageState.SENT:
            assert copies or message.reason == "assumed_sent", f"I4: {told} without a copy"
        same = {(copy.date, copy.sha256) for copy in copies}
        assert len(same) <= 1, f"I6: {told}: {len(same)} different copies"
        assert not same or next(iter(same))[1] == message.sha256, f"I6: {told}: not its hash"
        for copy in copies:
            assert copy.recipient == copy.header_to == message.recipient, f"I8: {told}"
            self._look_at_stops(message, copy)

    def _look_at_stops(self, message: Message, copy: Copy) -> None:
        follow_up = message.kind == MessageKind.FOLLOW_UP
        for step, cap_hash, scope in self._stopped:
            concerned = cap_hash == message.cap_hash and (
                follow_up or scope is SuppressionScope.ALL
            )
            assert not (concerned and copy.intended > step), "I7: intent after a stop"
        for step, lead_id in self._cancelled:
            concerned = follow_up and lead_id == message.lead_id
            assert not (concerned and copy.intended > step), "I7: intent after a cancellation"

    # How it ends

    def finish(self) -> None:
        """Let everything go well from now on: each message must come to a final state (I3)."""
        for stepper in self.steppers:
            stepper.kill()
        self.look()
        self.open_queue()
        for _ in range(200):
            self.wait(timedelta(minutes=31))
            self.keep_up()
            self._send_all()
            self.release()
            if all(standing.state in FINAL for standing in self.standings.values()):
                return
        left = Counter(s.state for s in self.standings.values() if s.state not in FINAL)
        raise AssertionError(f"I3: not final after four days in which all went well: {left}")

    def _send_all(self) -> None:
        before = None
        while before != self.standings:
            before = dict(self.standings)
            self.work_to_the_end(0)

    def overdue(self) -> list[str]:
        """States of those that stand past their lease and a minute; empty right after upkeep."""
        late: datetime = self.clock.now - timedelta(seconds=60)
        return [
            standing.state
            for standing in self.standings.values()
            if standing.state in LEASED and standing.lease_until and standing.lease_until < late
        ]

    def close(self) -> None:
        for stepper in self.steppers:
            stepper.close()
        self.engine.dispose()
