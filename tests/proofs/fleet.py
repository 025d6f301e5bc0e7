"""Real schedulers in front of an oracle, with hands on all that can happen to them.

Leases of 2 and 11 minutes, back-offs and the half hour of a doubt do not pass in a proof that
lasts minutes. Where they must, `Outbox.let_time_pass` moves the rows' instants back, as if that
time had gone by, and does what the timetable's upkeep would then do, by the same functions. No
state is ever written by hand.
"""

import os
import random
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine, func, select, text, update
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from leadcapture.database import database_now, open_session, reading
from leadcapture.letters.versions import current_versions
from leadcapture.models import Gate, Message, MessageKind, MessageState, Staff
from leadcapture.outbox import gates, ledger
from leadcapture.outbox.queue import Draft, enqueue
from leadcapture.scheduler import RESENT
from leadcapture.settings import Settings, load
from tests.both import Place
from tests.people import CONDITIONS, LETTER_VALUES, a_lead, a_request, test_vault
from tests.proofs.held import try_held_again
from tests.proofs.ledger import QUEUED
from tests.proofs.oracle import Journal, read_journal
from tests.served import Process, Service, a_service, free_port
from tests.waiting import until

DOMAINS = 40
BATCH = 250
# Every so many packets carry their PDF; the others are the letter alone.
WITH_PDF = 20
LONG_AGO = timedelta(hours=1)
_AWAY = (OperationalError, InterfaceError)


@dataclass
class Outbox:
    """The database's side: what is queued, and how time passes for it.

    ``people`` have letters so far: each batch goes to others.
    """

    engine: Engine
    settings: Settings
    people: int = 0

    def queue(
        self,
        people: int,
        kinds: tuple[MessageKind, ...],
        due_in: timedelta = timedelta(0),
    ) -> int:
        """Queue one message of each kind for so many people; how many messages."""
        first, self.people = self.people, self.people + people
        for begin in range(first, self.people, BATCH):
            with open_session(self.engine) as session:
                now = database_now(session)
                for number in range(begin, min(begin + BATCH, self.people)):
                    enqueue(
                        session,
                        test_vault,
                        "clinic.example",
                        _drafts(session, number, kinds, now, now + due_in),
                        now,
                    )
                session.commit()
        return people * len(kinds)

    def states(self) -> Counter[str]:
        """How many messages stand in each state."""
        with reading(), open_session(self.engine) as session:
            rows = session.execute(select(Message.state, func.count()).group_by(Message.state))
            return Counter({str(state): count for state, count in rows})

    def let_time_pass(self, leases_of: timedelta = timedelta(seconds=5)) -> None:
        """Back-offs, gates and doubts have waited long enough; so have the leases of claims older
        than ``leases_of``, alive or not. A database that is away is left alone.
        """
        with suppress(*_AWAY), open_session(self.engine) as session:
            now = database_now(session)
            lost = (MessageState.CLAIMED, MessageState.SENDING)
            for condition, changes in (
                (
                    Message.state.in_(lost) & (Message.state_at <= now - leases_of),
                    {"lease_until": now - LONG_AGO},
                ),
                (Message.state == MessageState.UNCERTAIN, {"state_at": now - LONG_AGO}),
                (
                    (Message.state == MessageState.QUEUED) & (Message.due_at > now),
                    {"due_at": now},
                ),
            ):
                session.execute(
                    update(Message)
                    .where(condition)
                    .values(**changes)
                    .execution_options(synchronize_session=False)
                )
            session.execute(
                update(Gate).where(Gate.closed_until.is_not(None)).values(closed_until=now)
            )
            # The operator mends what the relay blamed on us, and lets mail through again.
            gates.open_gate(session, gates.QUEUE, now)
            session.commit()
            ledger.reclaim_lost(session, now)
            ledger.resolve_doubts(session, now, RESENT)
            session.commit()

    def release_held(self) -> None:
        """Staff have each held letter tried again."""
        with suppress(*_AWAY), open_session(self.engine) as session:
            now = database_now(session)
            try_held_again(session, _somebody(session, now), now)
            session.commit()

    def is_done(self) -> bool:
        """True where every message stands in a final state; False too where nobody can tell."""
        with suppress(*_AWAY):
            return all(MessageState(state).is_final for state in self.states())
        return False

    def wait(self, within: float) -> None:
        """Wait until all is final by itself; what is not by then is left for the judge.

        No lease is hurried: whoever is slow here is alive, and a machine may stand still for long.
        """
        with suppress(AssertionError):
            until(self.is_done, within=within, what="the end of all messages")

    def drain(self, within: float) -> None:
        """Let time pass until all is final, or for so many seconds none more has become so: what
        is not by then is left for the judge. A slow machine has lost nothing.
        """
        left, since = -1, time.monotonic()
        while not self.is_done() and time.monotonic() - since < within:
            self.let_time_pass()
            self.release_held()
            with suppress(*_AWAY):
                states = self.states()
                now_left = sum(n for state, n in states.items() if not MessageState(state).is_final)
                if now_left != left:
                    left, since = now_left, time.monotonic()
            threading.Event().wait(0.1)

    def crash(self) -> None:
        """kill -9 of a backend: PostgreSQL throws everybody out, which is awaited here, and
        recovers from its log, as an immediate restart does.
        """
        with suppress(*_AWAY), self.engine.connect() as witness, self.engine.connect() as victim:
            os.kill(victim.scalar(text("SELECT pg_backend_pid()")) or 0, signal.SIGKILL)
            while witness.scalar(text("SELECT 1")):
                threading.Event().wait(0.01)
        self.engine.dispose()

    def is_there(self) -> bool:
        """Whether the database answers; a server that recovers lets nobody in."""
        with suppress(*_AWAY), self.engine.connect() as connection:
            return bool(connection.scalar(text("SELECT 1")))
        return False


def _somebody(session: Session, now: datetime) -> int:
    """Who decides: a colleague whom nothing is assigned to."""
    found = session.scalar(select(Staff.id).limit(1))
    if found is not None:
        return found
    staff = Staff(email="r@x.example", name="R", fs_uniquifier="r", active=False, created_at=now)
    session.add(staff)
    session.flush()
    return staff.id


def _drafts(
    session: Session, number: int, kinds: tuple[MessageKind, ...], now: datetime, due_at: datetime
) -> list[Draft]:
    address = f"patient{number}@domain{number % DOMAINS}.example"
    lead = a_lead(
        session,
        email=address,
        created_at=now,
        last_request_at=now,
        confirmed_at=now,
        # Nobody has to call them, or the watch would queue alerts of its own.
        waiting_since=None,
    )
    request = a_request(
        session,
        lead,
        token=f"{QUEUED}{number}",
        packet_note="" if MessageKind.PACKET in kinds else "not_in_this_proof",
    )
    versions = current_versions(session, now)
    attached = (versions["packet", CONDITIONS[0], "en"],) if number % WITH_PDF == 0 else ()
    words = {
        MessageKind.PACKET: (f"packet:{request.receipt}", "packet_letter", "", attached),
        MessageKind.FOLLOW_UP: (f"step:{lead.ref}:care:day-3", "follow_up", "day-3", ()),
    }
    drafts = []
    for kind in kinds:
        key, letter, topic, packets = words[kind]
        drafts.append(
            Draft(
                kind=kind,
                dedupe_key=key,
                recipient=address,
                language="en",
                time_zone=noon_zone(now),
                due_at=due_at,
                letter=versions[letter, topic, "en"],
                packets=packets,
                values=LETTER_VALUES,
                step=topic,
                lead_id=lead.id,
                request_id=request.id,
                cap_hash=lead.cap_hash,
            )
        )
    return drafts


def noon_zone(now: datetime) -> str:
    """A time zone in which it is about noon now, so that follow-ups need not wait for morning."""
    # In these names the sign is turned round: Etc/GMT+6 is six hours behind.
    behind = now.astimezone(UTC).hour - 12
    return f"Etc/GMT{behind:+d}" if behind else "Etc/GMT"


@dataclass
class Fleet:
    """Schedulers over one database, a proxy and the oracle behind it."""

    service: Service
    outbox: Outbox
    journal_path: Path
    relay: list[Process] = field(default_factory=list)
    kills: int = 0
    freezes: int = 0

    def running(self) -> list[Process]:
        """The schedulers that have not ended."""
        return [
            process
            for process in self.service.processes
            if process.words[1] == "scheduler" and process.is_running()
        ]

    def at_work(self) -> list[Process]:
        """Those of them that have said that they began."""
        return [process for process in self.running() if "scheduler started" in process.log]

    def wait_for_work(self) -> None:
        """Return once every scheduler has begun."""
        until(lambda: len(self.at_work()) == len(self.running()), within=60, what="schedulers")

    def start(self, count: int = 1) -> None:
        for _ in range(count):
            self.service.start_scheduler()

    def kill(self, chance: random.Random) -> None:
        """kill -9 one scheduler at work, whichever, and start another."""
        if at_work := self.at_work():
            chance.choice(at_work).kill()
            self.kills += 1
            self.start()

    def freeze(self, chance: random.Random, seconds: float) -> None:
        """SIGSTOP one scheduler past its leases; it wakes by itself and goes on where it stood."""
        at_work = self.at_work()
        if not at_work:
            return
        process = chance.choice(at_work)
        os.kill(process.pid, signal.SIGSTOP)
        self.freezes += 1
        awake = threading.Timer(seconds, _wake, [process])
        awake.start()
        self.outbox.let_time_pass(leases_of=timedelta(0))
        awake.join()

    def calm(self) -> None:
        """Proxy and oracle break nothing from now on."""
        for process in self.relay:
            os.kill(process.pid, signal.SIGUSR1)

    def heard(self) -> int:
        """How much the oracle has written down, in bytes: it grows while anybody sends."""
        return self.journal_path.stat().st_size

    def journal(self) -> Journal:
        return read_journal(self.journal_path)


def _wake(process: Process) -> None:
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGCONT)


@contextmanager
def a_fleet(
    place: Place,
    seed: int,
    *,
    relay_rate: float = 0.0,
    line_rate: float = 0.0,
    threads: int = 2,
    **settings: str,
) -> Iterator[Fleet]:
    """A fleet without a scheduler yet; whatever runs is ended."""
    port, front = free_port(), free_port()
    journal = place.folder / "journal"
    given = [f"--seed={seed}"]
    oracle = ["tests.proofs.oracle", f"--port={port}", f"--journal={journal}"]
    proxy = ["tests.proofs.tcp_proxy", f"--port={front}", f"--to={port}"]
    with ExitStack() as stack:
        more = {"BOUNCE_ADDRESS": "bounces@clinic.example", "DISPATCH_THREADS": str(threads)}
        more |= settings
        service = stack.enter_context(a_service(place.folder, place.url, front, **more))
        fleet = Fleet(service, Outbox(place.engine, load(service.environ)), journal)
        for words, rate, at in ((oracle, relay_rate, port), (proxy, line_rate, front)):
            log = place.folder / f"{words[0]}.log"
            process = Process([*words, *given, f"--rate={rate}"], service.environ, log).start()
            stack.callback(process.kill)
            until(lambda at=at: _listens(at), within=30, what=words[0])  # type: ignore[misc]
            fleet.relay.append(process)
        yield fleet


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
