"""OP-07: hours of a clinic in minutes, with faults: nothing grows, nothing leaks, all adds up.

The same web workers and schedulers live from beginning to end. Around them the relay and the line
to it fail, a further scheduler is killed again and again, and on PostgreSQL all connections are
lost now and then. What they hold in memory and in open files is compared between two rests: after
a while of work, and at the end.
"""

import random
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import psutil
from sqlalchemy import make_url

from leadcapture.database import database_now, open_session
from leadcapture.models import MessageKind
from tests.both import Place
from tests.load import Connection, get_request, in_background
from tests.proofs.delivered import compare
from tests.proofs.finding import Finding
from tests.proofs.fleet import Fleet, a_fleet
from tests.proofs.ledger import read_ledger
from tests.proofs.posting import Visitors
from tests.served import Process
from tests.waiting import until

# The pool of a worker keeps up to this many connections more than it happened to have before.
MORE_FILES = 10
LARGEST_WAL = 64 * 1024 * 1024
RELAY_RATE = 0.02
LINE_RATE = 0.05
AT_ONCE = 4
# Five requests a second or so: the clinic that we build for has some fifty a day.
PAUSE = 0.8
RESTS = 3.0
GOES_ASTRAY = 12.0
PATHS = ("/en", "/es", "/readyz", "/metrics", "/stop/none", "/nowhere")


@dataclass(frozen=True)
class Size:
    """Seconds of work before the first rest, and from there to the end; how much memory may grow
    meanwhile, as a factor.
    """

    warms_up: float
    works: float
    may_grow: float = 1.10


QUICK = Size(warms_up=12, works=20)
FULL = Size(warms_up=60, works=240)


@dataclass
class Held:
    """What processes hold at a rest, by what each is: bytes of memory, open files."""

    memory: dict[str, int] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)


@dataclass
class World:
    """What lives through all of it, and the largest write-ahead log that was seen."""

    fleet: Fleet
    visitors: Visitors
    web: Process
    lasting: list[Process]
    chance: random.Random
    wal: Path | None
    largest_wal: int = 0
    crashes: int = 0


def soak(place: Place, quick: bool, seed: int) -> Finding:
    """OP-07, short: memory grows by 10 % at most, open files do not, the log stays under 64 MB."""
    return prove_soak(place, QUICK if quick else FULL, seed)


def prove_soak(place: Place, size: Size, seed: int) -> Finding:
    """Work, rest and look, work on, rest and look again."""
    with a_fleet(place, seed, relay_rate=RELAY_RATE, line_rate=LINE_RATE) as fleet:
        web = fleet.service.start_web(workers=2, threads=8)
        fleet.start(2)
        fleet.wait_for_work()
        visitors = Visitors(
            fleet.service.port, random.Random(seed), pause=PAUSE, bears=frozenset({503})
        )
        path = make_url(place.url).database if place.kind == "sqlite" else None
        world = World(
            fleet,
            visitors,
            web,
            fleet.running(),
            random.Random(seed),
            Path(f"{path}-wal") if path else None,
        )
        with in_background(fleet.outbox.let_time_pass, 1.0):
            before = _work(world, place, size.warms_up)
            after = _work(world, place, size.works)
        fleet.calm()
        fleet.outbox.drain(120)
        return _judge(world, place, before, after, size.may_grow)


def _work(world: World, place: Place, seconds: float) -> Held:
    """Work so long, with one fault after the other; then what is held at rest."""
    ends_at = time.monotonic() + seconds
    with world.visitors.coming(AT_ONCE), in_background(lambda: _look_around(world), 0.2):
        while time.monotonic() < ends_at:
            world.fleet.outbox.queue(2, (MessageKind.FOLLOW_UP,))
            _go_astray(world, place, min(GOES_ASTRAY, ends_at - time.monotonic()))
    threading.Event().wait(RESTS)
    return _held(world)


def _go_astray(world: World, place: Place, seconds: float) -> None:
    """A scheduler comes and is killed at work; PostgreSQL throws everybody out."""
    world.fleet.start()
    threading.Event().wait(max(0.0, seconds * (0.5 + world.chance.random() / 2)))
    for process in [one for one in world.fleet.running() if one not in world.lasting]:
        process.kill()
        world.fleet.kills += 1
    if place.kind == "postgresql":
        world.fleet.outbox.crash()
        world.crashes += 1
        until(world.fleet.outbox.is_there, within=60, what="the server's recovery")


def _look_around(world: World) -> None:
    """Pages are read besides, and the log's size is noted."""
    with suppress(OSError), Connection(world.fleet.service.port) as connection:
        connection.ask(get_request(world.fleet.service.port, world.chance.choice(PATHS)))
    if world.wal is not None and world.wal.exists():
        world.largest_wal = max(world.largest_wal, world.wal.stat().st_size)


def _held(world: World) -> Held:
    held = Held()
    processes = {f"web worker {worker.pid}": worker.pid for worker in world.web.children()}
    processes |= {f"scheduler {process.pid}": process.pid for process in world.lasting}
    for name, pid in processes.items():
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            held.memory[name] = process.memory_info().rss
            held.files[name] = process.num_fds()
    return held


def _judge(world: World, place: Place, before: Held, after: Held, may_grow: float) -> Finding:
    ledger = read_ledger(place.engine, world.visitors.accepted, world.visitors.posted)
    with open_session(place.engine) as session:
        settings = world.fleet.outbox.settings
        delivered = compare(session, world.fleet.journal(), settings, database_now(session))
    faults = ledger.faults + delivered.faults
    if before.memory.keys() != after.memory.keys():
        faults.append("OP-07: not every process lived to the end")
    lasting = before.memory.keys() & after.memory.keys()
    grown = {name: after.memory[name] / before.memory[name] for name in lasting}
    more = {name: after.files[name] - before.files[name] for name in lasting}
    faults += [f"OP-07: {name} grew × {by:.2f}" for name, by in grown.items() if by > may_grow]
    faults += [f"OP-07: {name} has {by} files more" for name, by in more.items() if by > MORE_FILES]
    if world.largest_wal > LARGEST_WAL:
        faults.append(f"OP-07: a write-ahead log of {world.largest_wal / 2**20:.0f} MB")
    sentence = (
        f"{len(world.visitors.accepted)} acknowledged, {world.fleet.kills} kills, "
        f"{world.crashes} crashes of the server; memory × {max(grown.values()):.2f} at most "
        f"(median × {median(grown.values()):.2f}), open files {max(more.values()):+d}, "
        f"log {world.largest_wal / 2**20:.1f} MB; {delivered.sentence}"
    )
    return Finding(sentence, faults)
