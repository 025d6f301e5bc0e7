"""SC-07: the wall clock jumps back an hour and forward a day while letters are under way.

The clock of real processes is moved, the monotonic one is left alone. On SQLite one machine has
one clock. On PostgreSQL the schedulers' machine jumps alone first, which must change nothing,
since the server's clock is the one that counts; then the server jumps too.

"Early" is judged by the clock that counts: who puts a machine's only clock forward by a day has
said that it is tomorrow, and what is due until then leaves.
"""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import func, select

from leadcapture.database import open_session, reading
from leadcapture.models import AuditEntry, Heartbeat, Message, MessageKind, MessageState
from leadcapture.outbox import ledger
from leadcapture.readiness import SILENT_AFTER
from leadcapture.scheduler import RESENT
from leadcapture.settings import load
from tests.both import Place, a_server_of_its_own
from tests.post_office import Letter, PhaseName
from tests.proofs.finding import Finding
from tests.proofs.fleet import Outbox
from tests.proofs.wall_clock import WallClock
from tests.served import Service, a_service
from tests.waiting import until

JUMPS = (timedelta(hours=-1), timedelta(days=1))
LATER = (timedelta(minutes=30), timedelta(hours=12), timedelta(hours=30))
KINDS = (MessageKind.PACKET, MessageKind.FOLLOW_UP)
EARLY = timedelta(seconds=60)
SCHEDULERS, THREADS = 2, 2
UNDER_WAY = SCHEDULERS * THREADS
CLAIMED_WITHIN = timedelta(minutes=1)
BEATS_WITHIN = 30.0
LEAVES_WITHIN = 30.0


@dataclass(frozen=True)
class Size:
    """People who get a packet and a follow-up at each moment, and where the jumps meet letters."""

    people: int
    phases: tuple[PhaseName, ...]
    # Seconds for which the relay is silent to what is under way at a jump.
    stall: float = 3.0


QUICK = Size(people=5, phases=("dot",))
FULL = Size(people=40, phases=("data", "dot", "dot"))


@dataclass
class World:
    """What runs, the clock that counts, and what is known of it: when it jumped how far."""

    place: Place
    service: Service
    outbox: Outbox
    counts: WallClock
    jumps: list[tuple[float, timedelta]] = field(default_factory=list)
    due: dict[str, datetime] = field(default_factory=dict)
    jumped_at: list[datetime] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def clock_jumps(place: Place, quick: bool, seed: int) -> Finding:
    """SC-07: jumps of −1 h and +1 d: 0 duplicates, nothing more than 60 s early, nothing stuck."""
    del seed
    return prove_jumps(place, QUICK if quick else FULL)


def prove_jumps(place: Place, size: Size) -> Finding:
    """On PostgreSQL with a server of its own, whose clock is to be moved."""
    if place.kind == "sqlite":
        machine = WallClock(place.folder, "machine")
        return _prove(place, size, machine, machine)
    with a_server_of_its_own(place) as (server, own):
        counts = WallClock(server.data_dir.parent, "server")
        server.crash()
        server.start(counts.environ(os.environ))
        own.engine.dispose()
        return _prove(own, size, WallClock(server.data_dir.parent, "schedulers"), counts)


def _prove(place: Place, size: Size, ours: WallClock, counts: WallClock) -> Finding:
    more = {"DISPATCH_THREADS": str(THREADS)}
    with a_service(place.folder, place.url, place.office.port, **more) as service:
        service.environ = ours.environ(service.environ)
        world = World(place, service, Outbox(place.engine, load(service.environ)), counts)
        for later in LATER:
            _queue(world, size.people, later)
        for _ in range(SCHEDULERS):
            service.start_scheduler()
        until(lambda: _has_begun(service), within=60, what="schedulers")
        for phase in size.phases:
            if counts is not ours:
                for by in JUMPS:
                    _jump(world, size, phase, by, ours)
                ours.jump(counts.moved_by - ours.moved_by)
            for by in JUMPS:
                _jump(world, size, phase, by, *{ours, counts})
        _settle_doubts(world, *{ours, counts})
        service.stop()
        return _judge(world)


def _has_begun(service: Service) -> bool:
    return all("scheduler started" in process.log for process in service.processes)


def _jump(world: World, size: Size, phase: PhaseName, by: timedelta, *clocks: WallClock) -> None:
    """Jump with letters under way; then whatever is due by the clock that counts leaves."""
    office = world.place.office
    office.at(phase).stall(size.stall, times=UNDER_WAY)
    _queue(world, size.people, timedelta(0))
    wanted = MessageState.SENDING if phase == "dot" else MessageState.CLAIMED
    until(lambda: len(_in(world, wanted)) > 1, within=30, what="letters under way")
    before = world.counts.now()
    for clock in clocks:
        clock.jump(by)
    world.jumped_at.append(before)
    if world.counts in clocks:
        world.jumps.append((time.monotonic(), world.counts.moved_by))
    _keep_up(world, world.counts.now())
    office.behave()
    # Whoever is at the dot hears its reply first: half an hour of doubt outlasts any wait for it.
    threading.Event().wait(size.stall)
    _expect(lambda: _all_due_left(world), world, "a letter is stuck", by)
    _queue(world, 1, timedelta(0))
    _expect(lambda: _all_due_left(world), world, "a letter that came after it is stuck", by)
    _expect(lambda: _beats(world), world, "no heartbeat by the new clock", by)


def _queue(world: World, people: int, due_in: timedelta) -> None:
    # A server's clock tells the time itself; SQLite's is the proof's own, which does not jump.
    is_told = world.place.kind == "postgresql"
    moved_by = timedelta(0) if is_told else world.counts.moved_by
    world.outbox.queue(people, KINDS, due_in + moved_by)
    with reading(), open_session(world.outbox.engine) as session:
        for mail_id, due_at in session.execute(select(Message.mail_id, Message.due_at)):
            world.due.setdefault(mail_id, due_at)


def _in(world: World, *states: MessageState) -> set[str]:
    with reading(), open_session(world.outbox.engine) as session:
        return set(session.scalars(select(Message.mail_id).where(Message.state.in_(states))))


def _keep_up(world: World, now: datetime) -> None:
    """What a scheduler's upkeep does by the new clock, at the worst moment."""
    with open_session(world.outbox.engine) as session:
        ledger.reclaim_lost(session, now)
        ledger.resolve_doubts(session, now, RESENT)
        session.commit()


def _settle_doubts(world: World, *clocks: WallClock) -> None:
    """The half hour of any doubt passes, and what is sent again arrives."""
    for clock in clocks:
        clock.jump(ledger.DOUBT_WAITS + timedelta(minutes=1))
    world.jumps.append((time.monotonic(), world.counts.moved_by))
    _keep_up(world, world.counts.now())
    _expect(lambda: _all_due_left(world), world, "a letter in doubt is stuck", timedelta(0))


def _all_due_left(world: World) -> bool:
    """True where nothing that is due by the clock that counts waits, or is under way."""
    ends = [state for state in MessageState if state.is_final]
    waits = Message.state.not_in((*ends, MessageState.UNCERTAIN))
    is_due = (Message.due_at <= world.counts.now()) | (Message.state != MessageState.QUEUED)
    with reading(), open_session(world.outbox.engine) as session:
        return session.scalar(select(Message.id).where(waits, is_due).limit(1)) is None


def _beats(world: World) -> bool:
    """True where the last beat is of now: only then would a scheduler that died be noticed."""
    with reading(), open_session(world.outbox.engine) as session:
        last = session.scalar(select(func.max(Heartbeat.at)))
    return last is not None and abs(world.counts.now() - last) < SILENT_AFTER


def _expect(question: Callable[[], bool], world: World, fault: str, by: timedelta) -> None:
    try:
        until(question, within=LEAVES_WITHIN, what=fault)
    except AssertionError:
        world.faults.append(f"SC-07: {fault} after a jump of {by.total_seconds() / 3600:+g} h")


def _judge(world: World) -> Finding:
    copies = Counter(letter.message_id for letter in world.place.office.letters)
    faults = world.faults + [
        f"SC-07: {mail_id} left {count} times" for mail_id, count in copies.items() if count > 1
    ]
    was_due = _claimed_when_due(world)
    for letter in world.place.office.letters:
        early = world.due[letter.message_id] - _clock_at(world, letter)
        if early > EARLY and letter.message_id not in was_due:
            faults.append(f"SC-07: {letter.message_id} left {early} early")
    with reading(), open_session(world.outbox.engine) as session:
        rows = session.execute(select(Message.mail_id, Message.state, Message.doubts)).all()
    states = Counter(str(row.state) for row in rows)
    for row in rows:
        if row.state is MessageState.SENT and not copies[row.mail_id]:
            faults.append(f"SC-07: {row.mail_id} is lost")
    unsettled = [state for state in states if state not in ("sent", "queued")]
    faults += [f"SC-07: {states[state]} are {state}" for state in unsettled]
    told = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    sentence = (
        f"{len(JUMPS)} jumps with up to {UNDER_WAY} letters under way each: {told}, "
        f"{copies.total()} copies, {sum(row.doubts for row in rows)} doubts"
    )
    return Finding(sentence, faults)


def _claimed_when_due(world: World) -> set[str]:
    """What was claimed right before a jump, by the clock that stood then, and left after it."""
    claimed = select(Message.mail_id).join(AuditEntry, AuditEntry.message_id == Message.id)
    found: set[str] = set()
    with reading(), open_session(world.outbox.engine) as session:
        for moment in world.jumped_at:
            lately = AuditEntry.at.between(moment - CLAIMED_WITHIN, moment + timedelta(seconds=1))
            asked = claimed.where(AuditEntry.to_state == MessageState.CLAIMED, lately)
            found |= {one for one in session.scalars(asked) if world.due[one] <= moment}
    return found


def _clock_at(world: World, letter: Letter) -> datetime:
    """What the clock that counts showed when this letter was taken."""
    moved = [by for at, by in world.jumps if at <= letter.taken_monotonic]
    return letter.taken_at + (moved[-1] if moved else timedelta(0))
