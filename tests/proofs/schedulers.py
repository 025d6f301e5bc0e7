"""SC-01, SC-02, SC-09, SC-11: schedulers die, come in numbers, stop in time and are resumed.

All are real processes. Leases are judged by the instants in the rows and by the upkeep's own
functions, to which time is an argument.
"""

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from sqlalchemy import func, select

from leadcapture.database import database_now, open_session, reading
from leadcapture.models import Message, MessageKind, MessageState
from leadcapture.outbox import ledger
from leadcapture.outbox.queue import Draft, enqueue
from leadcapture.settings import load
from tests.both import Place
from tests.load import in_parallel
from tests.people import test_vault
from tests.post_office import PhaseName
from tests.proofs.delivered import compare
from tests.proofs.finding import Finding
from tests.proofs.fleet import Fleet, Outbox, a_fleet
from tests.served import Service, a_service
from tests.waiting import until

STOPS_WITHIN = 30.0
REMINDERS = 5
AT_ONCE = 100
BEFORE_DOT = timedelta(seconds=120)
AFTER_DOT = timedelta(minutes=11)
# What frees it comes by so often.
UPKEEP = timedelta(seconds=10)
STALL = 4.0
# Of so many reminders without a fault one may be in doubt.
DOUBT_IN = 1000
DEATHS: tuple[PhaseName, ...] = ("data", "dot")
PHASES: tuple[PhaseName, ...] = ("connect", "ehlo", "mail", "rcpt", "data", "body", "dot")


@dataclass(frozen=True)
class Size:
    """Kills of SC-01 with so many reminders each, reminders of SC-02, phases of SC-09 and SC-11.

    A part without any is left out.
    """

    kills: int
    shared: int
    stops: tuple[PhaseName, ...]
    deaths: tuple[PhaseName, ...]


QUICK = Size(kills=3, shared=100, stops=("rcpt", "dot"), deaths=DEATHS)
FULL = Size(kills=100, shared=2000, stops=PHASES, deaths=DEATHS)


def schedulers(place: Place, quick: bool, seed: int) -> Finding:
    """100 kills lose none of 500; four at once double none; stops leave no doubt."""
    return prove_schedulers(place, QUICK if quick else FULL, seed)


def prove_schedulers(place: Place, size: Size, seed: int) -> Finding:
    """The parts in turn on one database; each begins where all is final."""
    told, faults = [], []
    with a_fleet(place, seed) as fleet:
        if size.kills:
            told.append(_survive_kills(fleet, size.kills, random.Random(seed)))
            faults += _judge(fleet)
        if size.shared:
            doubts, found = _share(fleet, size.shared)
            told.append(f"{size.shared} shared by 4 schedulers of 2 threads, {doubts} doubts")
            faults += found + _judge(fleet)
    with a_service(place.folder, place.url, place.office.port) as service:
        outbox = Outbox(place.engine, load(service.environ), fleet.outbox.people)
        for phase in size.stops:
            seconds, found = _stop_at(place, service, outbox, phase)
            told.append(f"stopped at {phase} in {seconds:.1f} s")
            faults += found
        for phase in size.deaths:
            faults += _resume_after(place, service, outbox, phase)
            told.append(f"resumed after death at {phase}")
    return Finding("; ".join(told), faults)


def _survive_kills(fleet: Fleet, kills: int, chance: random.Random) -> str:
    """SC-01: in each life a few reminders come due; the first of them leaves, then it dies."""
    fleet.start(2)
    fleet.wait_for_work()
    moment = threading.Event()
    total = 0
    while fleet.kills < kills:
        heard = fleet.heard()
        total += fleet.outbox.queue(REMINDERS, (MessageKind.FOLLOW_UP,))
        until(lambda heard=heard: fleet.heard() > heard, within=60, what="a letter")  # type: ignore[misc]
        moment.wait(0.02 * chance.random())
        fleet.kill(chance)
    fleet.outbox.drain(60)
    _stop_all(fleet)
    return f"{fleet.kills} kills under {total} reminders"


def _share(fleet: Fleet, count: int) -> tuple[int, list[str]]:
    """SC-02: each reminder is queued by several at once, exists once and is delivered once.

    How many doubts came: an outcome that the database did not take in time, beside other load,
    is left to its lease, which nobody holds once all have stopped.
    """
    before = len(fleet.journal().copies)
    doubts = _doubts(fleet.outbox)
    fleet.start(4)
    fleet.wait_for_work()
    fleet.outbox.queue(count, (MessageKind.FOLLOW_UP,))
    existing = fleet.outbox.states().total()
    in_parallel([partial(_queue_again, fleet.outbox)] * 4)
    fleet.outbox.wait(60 + count / 20)
    _stop_all(fleet)
    fleet.outbox.drain(10)
    copies = Counter(copy.mail_id for copy in fleet.journal().copies[before:])
    faults = [f"SC-02: {mail_id} left {n} times" for mail_id, n in copies.items() if n != 1]
    more = _doubts(fleet.outbox) - doubts
    if len(copies) != count or more > count // DOUBT_IN:
        faults.append(f"SC-02: {count} reminders, {len(copies)} delivered, {more} doubts came")
    if fleet.outbox.states().total() != existing:
        faults.append("SC-02: a reminder that was queued twice exists twice")
    return more, faults


def _queue_again(outbox: Outbox) -> None:
    """Another process finds the same causes and queues what follows from them, some at a time:
    nobody who writes keeps the others waiting for thousands of letters.
    """
    with reading(), open_session(outbox.engine) as session:
        now = database_now(session)
        drafts = [
            Draft(
                kind=MessageKind(message.kind),
                dedupe_key=message.dedupe_key,
                recipient=message.recipient,
                language=message.language,
                time_zone=message.time_zone,
                due_at=now,
                letter=1,
            )
            for message in session.scalars(select(Message).order_by(Message.dedupe_key))
        ]
    for first in range(0, len(drafts), AT_ONCE):
        with open_session(outbox.engine) as session:
            some = drafts[first : first + AT_ONCE]
            enqueue(session, test_vault, "clinic.example", some, now)
            session.commit()


def _doubts(outbox: Outbox) -> int:
    with reading(), open_session(outbox.engine) as session:
        return session.scalar(select(func.sum(Message.doubts))) or 0


def _judge(fleet: Fleet) -> list[str]:
    with open_session(fleet.outbox.engine) as session:
        now = database_now(session)
        return compare(session, fleet.journal(), fleet.outbox.settings, now).faults


def _stop_all(fleet: Fleet) -> None:
    for process in fleet.running():
        process.stop()


def _stop_at(
    place: Place, service: Service, outbox: Outbox, phase: PhaseName
) -> tuple[float, list[str]]:
    """SC-09: SIGTERM while the relay is silent at this phase; how long the stop took."""
    first = len(place.office.letters)
    place.office.at(phase).stall(STALL, times=2)
    count = outbox.queue(2, (MessageKind.PACKET, MessageKind.FOLLOW_UP))
    scheduler = service.start_scheduler()
    _wait_for(outbox, MessageState.SENDING if phase == "dot" else MessageState.CLAIMED)
    threading.Event().wait(STALL / 8)
    began = time.monotonic()
    status = scheduler.stop()
    seconds = time.monotonic() - began
    place.office.behave()
    states = outbox.states()
    faults = []
    if seconds > STOPS_WITHIN or status:
        faults.append(f"SC-09: stopped at {phase} after {seconds:.0f} s with {status}")
    unsettled = ("uncertain", "sending", "claimed")
    faults += [
        f"SC-09: {phase} left {states[state]} {state}" for state in unsettled if states[state]
    ]
    _finish(service, outbox)
    copies = Counter(letter.message_id for letter in place.office.letters[first:])
    if len(copies) != count or copies.total() != count:
        faults.append(f"SC-09: {count} letters stopped at {phase}, {copies.total()} copies")
    return seconds, faults


def _resume_after(place: Place, service: Service, outbox: Outbox, phase: PhaseName) -> list[str]:
    """SC-11: killed at this phase, its letter is claimable in 120 s, after the dot in 11 min."""
    first, faults = len(place.office.letters), []
    is_after_dot = phase == "dot"
    place.office.at(phase).stall(STALL, times=1)
    outbox.queue(1, (MessageKind.PACKET,))
    scheduler = service.start_scheduler()
    _wait_for(outbox, MessageState.SENDING if is_after_dot else MessageState.CLAIMED)
    scheduler.kill()
    place.office.behave()
    with open_session(outbox.engine) as session:
        now = database_now(session)
        if ledger.reclaim_lost(session, now):
            faults.append(f"SC-11: killed at {phase}, its letter was taken from it at once")
        free_at = now + (AFTER_DOT if is_after_dot else BEFORE_DOT) - UPKEEP
        if ledger.reclaim_lost(session, free_at) != 1:
            faults.append(f"SC-11: killed at {phase}, its letter is kept for too long")
        session.commit()
    wanted = MessageState.UNCERTAIN if is_after_dot else MessageState.QUEUED
    if not outbox.states()[wanted]:
        faults.append(f"SC-11: killed at {phase}, its letter is not {wanted}")
    _finish(service, outbox)
    copies = len(place.office.letters) - first
    if not 1 <= copies <= 1 + is_after_dot:
        faults.append(f"SC-11: killed at {phase}, {copies} copies came")
    return faults


def _finish(service: Service, outbox: Outbox) -> None:
    scheduler = service.start_scheduler()
    outbox.drain(60)
    scheduler.stop()


def _wait_for(outbox: Outbox, state: MessageState) -> None:
    until(lambda: outbox.states()[state] > 0, within=60, what=f"a letter that is {state}")
