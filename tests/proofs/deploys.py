"""OP-05: deploys under load, as the README tells operators: nothing lost, nothing doubled.

Schedulers are stopped, the database is migrated, the web server is replaced by a successor on its
own socket, schedulers start; visitors post and letters leave meanwhile. Nobody stands in front of
the web server here, so that a refused connection is what a proxy would answer with 502, and
counts as such.
"""

import random
from dataclasses import dataclass

import psutil

from leadcapture.database import database_now, open_session
from leadcapture.models import MessageKind
from tests.both import Place
from tests.proofs.delivered import compare
from tests.proofs.finding import Finding
from tests.proofs.fleet import Fleet, a_fleet
from tests.proofs.ledger import read_ledger
from tests.proofs.posting import Visitors
from tests.served import run_command
from tests.waiting import until

LONGEST_WAIT = 5.0
AT_ONCE = 4
PAUSE = 0.5
SCHEDULERS = 2
# What is in flight when a deploy begins, besides what visitors ask for.
DUE = 20


@dataclass(frozen=True)
class Size:
    """How many deploys, and how many receipts there must be between two of them."""

    deploys: int
    between: int


QUICK = Size(deploys=2, between=15)
FULL = Size(deploys=10, between=60)


def deploys(place: Place, quick: bool, seed: int) -> Finding:
    """OP-05: 10 deploys under load: 0 lost, 0 extra, nobody kept waiting for more than 5 s."""
    return prove_deploys(place, QUICK if quick else FULL, seed)


def prove_deploys(place: Place, size: Size, seed: int) -> Finding:
    """Deploy again and again while visitors come, then hold journal and database together."""
    with a_fleet(place, seed) as fleet:
        # The oracle breaks nothing, so that each copy and each failure is the deploys' own.
        visitors = Visitors(
            fleet.service.port, random.Random(seed), pause=PAUSE, bears=frozenset({502, 503})
        )
        web = psutil.Process(fleet.service.start_web(workers=2, threads=8).pid)
        fleet.start(SCHEDULERS)
        fleet.wait_for_work()
        stops: list[int] = []
        with visitors.coming(AT_ONCE):
            for _ in range(size.deploys):
                fleet.outbox.queue(DUE, (MessageKind.PACKET, MessageKind.FOLLOW_UP))
                _wait_for_receipts(visitors, size.between)
                stops += [process.stop() for process in fleet.running()]
                run_command(["migrate"], fleet.service.environ)
                web = fleet.service.replace_web(web)
                fleet.start(SCHEDULERS)
                fleet.wait_for_work()
            _wait_for_receipts(visitors, size.between)
        fleet.outbox.drain(120)
        return _judge(place, fleet, visitors, size, stops)


def _wait_for_receipts(visitors: Visitors, count: int) -> None:
    wanted = len(visitors.accepted) + count
    until(lambda: len(visitors.accepted) >= wanted, within=60, what="receipts between deploys")


def _judge(place: Place, fleet: Fleet, visitors: Visitors, size: Size, stops: list[int]) -> Finding:
    ledger = read_ledger(place.engine, visitors.accepted, visitors.posted)
    with open_session(place.engine) as session:
        delivered = compare(session, fleet.journal(), fleet.outbox.settings, database_now(session))
    faults = ledger.faults + delivered.faults
    if delivered.extra or delivered.doubts:
        faults.append(f"OP-05: {delivered.extra} extra copies, {delivered.doubts} uncertain")
    if any(stops):
        faults.append(f"OP-05: processes stopped with {sorted(set(stops))}")
    if visitors.longest > LONGEST_WAIT:
        faults.append(f"OP-05: somebody was kept waiting for {visitors.longest:.1f} s")
    sentence = (
        f"{size.deploys} deploys, {len(visitors.accepted)} acknowledged, {visitors.retries} tries "
        f"refused or cut off, {visitors.answers[503]} forms given back, the longest wait "
        f"{visitors.longest:.1f} s; {delivered.sentence}"
    )
    return Finding(sentence, faults)
