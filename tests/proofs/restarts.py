"""DD-06: PostgreSQL restarts at once, again and again, under posts and sends.

An immediate restart is a crash: no checkpoint, everybody thrown out in the middle of whatever
they did, recovery from the log. The restarts are spread over the load, so that each of them
meets some.
"""

import random
import threading
from dataclasses import dataclass

from leadcapture.database import database_now, open_session
from leadcapture.models import MessageKind
from tests.both import Place, a_server_of_its_own
from tests.postgres import Postgres
from tests.proofs.delivered import compare
from tests.proofs.finding import Finding
from tests.proofs.fleet import Fleet, a_fleet
from tests.proofs.ledger import read_ledger
from tests.proofs.posting import Visitors
from tests.served import Process
from tests.waiting import until

AT_ONCE = 4
# Between two posts of one visitor; they come until the last restart is over.
PAUSE = 0.05
GIVES_UP = 8
# The form comes back with all that was typed while the database is away; so do pages (DD-05).
AWAY = frozenset({503})


@dataclass(frozen=True)
class Size:
    """Restarts, how many posts must be acknowledged at least, and letters that fall due, a share at
    each restart.
    """

    restarts: int
    posts: int
    sends: int


QUICK = Size(restarts=3, posts=120, sends=120)
FULL = Size(restarts=6, posts=400, sends=400)


def database_restarts(place: Place, quick: bool, seed: int) -> Finding:
    """DD-06: 6 immediate restarts during 400 sends and 400 posts lose no acknowledged lead."""
    return prove_restarts(place, QUICK if quick else FULL, seed)


def prove_restarts(place: Place, size: Size, seed: int) -> Finding:
    """On a server of its own: other databases are not to be crashed with it."""
    with (
        a_server_of_its_own(place) as (server, own),
        a_fleet(own, seed, relay_rate=0.0, line_rate=0.0) as fleet,
    ):
        visitors = Visitors(
            fleet.service.port, random.Random(seed), gives_up=GIVES_UP, pause=PAUSE, bears=AWAY
        )
        fleet.service.start_web(workers=2, threads=8)
        fleet.start(2)
        fleet.wait_for_work()
        with visitors.coming(AT_ONCE):
            _restart_under_load(server, fleet, visitors, size, random.Random(seed))
            until(
                lambda: len(visitors.accepted) >= size.posts, within=120, what="the posts after it"
            )
        fleet.outbox.drain(120)
        return _judge(own, fleet, visitors, size)


def _restart_under_load(
    server: Postgres, fleet: Fleet, visitors: Visitors, size: Size, chance: random.Random
) -> None:
    """Each restart comes while a share of the letters leaves and more posts are kept."""
    for number in range(size.restarts):
        wanted = size.posts * (number + 1) // (size.restarts + 2)
        heard = fleet.heard()
        fleet.outbox.queue(size.sends // size.restarts, (MessageKind.PACKET,))
        until(
            lambda wanted=wanted, heard=heard: (  # type: ignore[misc]
                len(visitors.accepted) >= wanted and fleet.heard() > heard
            ),
            within=120,
            what=f"the load of restart {number + 1}",
        )
        threading.Event().wait(0.2 * chance.random())
        server.restart_at_once()
        fleet.outbox.engine.dispose()


def _judge(place: Place, fleet: Fleet, visitors: Visitors, size: Size) -> Finding:
    ledger = read_ledger(place.engine, visitors.accepted, visitors.posted)
    with open_session(place.engine) as session:
        delivered = compare(session, fleet.journal(), fleet.outbox.settings, database_now(session))
    faults = ledger.faults + delivered.faults
    if not visitors.answers[503] + visitors.retries:
        faults.append("no visitor met a restart, so nothing is proven")
    faults += [f"{process.words[1]} ended" for process in _ended(fleet)]
    sentence = (
        f"{size.restarts} immediate restarts, {len(visitors.accepted)} acknowledged, "
        f"{ledger.requests} kept, {visitors.answers[503]} forms given back and "
        f"{visitors.retries} lost answers; {delivered.sentence}"
    )
    return Finding(sentence, faults)


def _ended(fleet: Fleet) -> list[Process]:
    """What did not survive a restart: each process has to go on by itself."""
    return [process for process in fleet.service.processes if not process.is_running()]
