"""MD-02, MD-03: nothing is lost, nothing doubled unexplained, whatever breaks meanwhile.

Real schedulers send to the oracle through the proxy while they are killed, suspended past their
leases, their relay fails at every phase and, on PostgreSQL, the server crashes and recovers. Then
the world heals, all is sent, and the oracle's journal is held against the database.
"""

import random
import threading
import time
from dataclasses import dataclass

from leadcapture.database import database_now, open_session
from leadcapture.models import MessageKind
from tests.both import Place
from tests.load import in_background
from tests.proofs.delivered import Delivered, compare
from tests.proofs.fault_plan import PHASES
from tests.proofs.finding import Finding
from tests.proofs.fleet import Fleet, a_fleet

KINDS = (MessageKind.PACKET, MessageKind.FOLLOW_UP)
# How often each phase, and each line, has a fault.
RELAY_RATE = 0.05
LINE_RATE = 0.2
TIME_PASSES_EVERY = 0.3


@dataclass(frozen=True)
class Size:
    """How much is sent, for how long at most things go wrong, and for how long none may end once
    all is right again, in seconds.

    Where it is ``whole``, the server crashes too, with all its databases, and each phase must
    have had its fault.
    """

    people: int
    breaks_for: float
    heals_within: float
    whole: bool = True


QUICK = Size(people=250, breaks_for=45, heals_within=60)
FULL = Size(people=5000, breaks_for=600, heals_within=120)


def fault_ledger(place: Place, quick: bool, seed: int) -> Finding:
    """10,000 due messages under faults: 0 lost, extra copies ≤ uncertain events."""
    return prove_ledger(place, QUICK if quick else FULL, seed)


def prove_ledger(place: Place, size: Size, seed: int) -> Finding:
    """Queue, break, heal, drain, and compare."""
    with a_fleet(place, seed, relay_rate=RELAY_RATE, line_rate=LINE_RATE) as fleet:
        total = fleet.outbox.queue(size.people, KINDS)
        fleet.start(4 if place.kind == "postgresql" else 2)
        with in_background(fleet.outbox.let_time_pass, TIME_PASSES_EVERY):
            crashes = _break_things(fleet, place, size, random.Random(seed))
        fleet.calm()
        fleet.outbox.drain(size.heals_within)
        for process in fleet.running():
            process.stop()
        delivered = _compare(fleet)
        faults = delivered.faults + (_quiet_faults(fleet) if size.whole else [])
    if delivered.states.total() < total:
        faults.append(f"{total} were queued, {delivered.states.total()} are there")
    happened = f"{fleet.kills} kills, {fleet.freezes} suspensions, {crashes} crashes of the server"
    return Finding(f"{delivered.sentence}; {happened}", faults)


def _break_things(fleet: Fleet, place: Place, size: Size, chance: random.Random) -> int:
    """One thing after the other goes wrong, until all is sent; how often the server crashed."""
    acts = ["kill", "kill", "freeze"]
    if place.kind == "postgresql" and size.whole:
        acts.append("crash")
    fleet.wait_for_work()
    crashes, heard, pause = 0, 0, threading.Event()
    ends_at = time.monotonic() + size.breaks_for
    while time.monotonic() < ends_at and not fleet.outbox.is_done():
        pause.wait(chance.random())
        # Killed before they get to work, they would prove nothing.
        if fleet.heard() == heard:
            continue
        heard = fleet.heard()
        act = chance.choice(acts)
        if act == "kill":
            fleet.kill(chance)
        elif act == "freeze":
            fleet.freeze(chance, 0.2 + chance.random())
        else:
            fleet.outbox.crash()
            crashes += 1
    return crashes


def _compare(fleet: Fleet) -> Delivered:
    with open_session(fleet.outbox.engine) as session:
        now = database_now(session)
        return compare(session, fleet.journal(), fleet.outbox.settings, now)


def _quiet_faults(fleet: Fleet) -> list[str]:
    """Phases at which nothing went wrong: then nothing is proven about them."""
    met = {phase for phase, _ in fleet.journal().faults}
    return [f"nothing went wrong at {phase}" for phase in PHASES if phase not in met]
