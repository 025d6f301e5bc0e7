"""DD-05: the disk fills up, at whichever write; nobody loses what they typed, no letter doubles.

Database and data folder stand on a small disk that is filled to the last page and emptied while
visitors post and schedulers send. Nothing of ours is started again. PostgreSQL ends itself where
its log cannot grow; then the proof starts it, as its supervisor would.
"""

import random
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from html import unescape
from pathlib import Path

import psycopg

from leadcapture import integrity
from leadcapture.database import database_now, open_session
from leadcapture.intake import form_token
from leadcapture.models import MessageKind
from tests.both import Place, a_database, a_server_of_its_own
from tests.load import SECRET_KEY, Answer, Connection, get_request, new_token, post_request
from tests.people import typed_form
from tests.postgres import Postgres
from tests.proofs.delivered import compare
from tests.proofs.finding import Finding
from tests.proofs.fleet import Fleet, a_fleet
from tests.proofs.ledger import read_ledger
from tests.proofs.small_disk import PAGE, SmallDisk, a_small_disk
from tests.waiting import until

MEGABYTES = {"sqlite": 48, "postgresql": 256}
# A post finds room in pages that are there already; so many in a row need a new one, and as many
# again for each page that is left.
MOST_POSTS = 60
KINDS = (MessageKind.PACKET, MessageKind.FOLLOW_UP)


@dataclass(frozen=True)
class Size:
    """How many pages are left to the writers, one round each, and how often the disk is full
    under ``people`` who get a packet and a follow-up.
    """

    rooms: tuple[int, ...]
    people: int
    fills: int


QUICK = Size(rooms=(0, 1, 2, 5, 9, 14), people=60, fills=6)
FULL = Size(rooms=(*range(32), *range(32, 96, 4)), people=400, fills=40)


@dataclass
class World:
    """What runs, the disk below it, and what visitors came to know."""

    place: Place
    fleet: Fleet
    disk: SmallDisk
    server: Postgres | None
    accepted: dict[str, str] = field(default_factory=dict)
    posted: set[str] = field(default_factory=set)
    given_back: int = 0
    faults: list[str] = field(default_factory=list)


def disk_full(place: Place, quick: bool, seed: int) -> Finding:
    """DD-05: 503 with the typed text at a full disk; with space again all goes on by itself."""
    return prove_disk_full(place, QUICK if quick else FULL, seed)


def prove_disk_full(place: Place, size: Size, seed: int) -> Finding:
    """Posts at a disk that fills up, then letters, then a server that its disk has ended."""
    with _a_world(place, seed) as world:
        world.fleet.service.start_web(workers=2, threads=4)
        for room in size.rooms:
            _post_until_full(world, room * PAGE)
        if world.server is not None:
            _post_while_its_log_cannot_grow(world, world.server)
        _start_on_a_full_disk(world)
        _send_while_it_fills(world, size, random.Random(seed))
        world.fleet.outbox.drain(120)
        return _judge(world, size)


@contextmanager
def _a_world(place: Place, seed: int) -> Iterator[World]:
    """The same place on a small disk; logs and journal stay where there is room."""
    with ExitStack() as stack:
        # Not in the place's folder: a server's own user must be able to get in.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="leadcapture-")))
        folder.chmod(0o755)
        disk = stack.enter_context(a_small_disk(folder / "disk", MEGABYTES[place.kind]))
        server = None
        if place.kind == "sqlite":
            url = f"sqlite:///{disk.folder / 'leadcapture.sqlite3'}"
            own = replace(place, url=url, engine=stack.enter_context(a_database(url, disk.folder)))
        else:
            server, own = stack.enter_context(a_server_of_its_own(place, disk.folder))
        data_dir = disk.folder / "leadcapture"
        data_dir.mkdir(mode=0o700)
        fleet = stack.enter_context(a_fleet(own, seed, DATA_DIR=str(data_dir)))
        yield World(own, fleet, disk, server)


def _post_until_full(world: World, leaving: int) -> None:
    """Fill the disk, post until a post finds no room, and press again once there is some."""
    most = MOST_POSTS + leaving // PAGE
    for _ in range(most):
        world.disk.fill(leaving)
        typed = _typed(len(world.posted))
        answer = _post(world, typed)
        if answer.status != 303:
            _expect_given_back(world, typed, answer)
            _expect_form(world)
            break
    else:
        world.faults.append(f"DD-05: {most} posts found room in {leaving} bytes")
    world.disk.empty()
    if world.server is not None:
        # Where it was its log that could not grow, it has ended, and recovers by itself.
        _bring_back(world.server)
    again = _post(world, typed)
    if again.status != 303:
        world.faults.append(f"DD-05: with space again, the form was answered {again.status}")


def _post_while_its_log_cannot_grow(world: World, server: Postgres) -> None:
    """PostgreSQL ends itself; visitors keep what they typed until it is started again."""
    world.disk.fill()
    with suppress(psycopg.Error), psycopg.connect(server.dsn(), autocommit=True) as connection:
        while True:
            connection.execute("SELECT pg_switch_wal()")
            connection.execute("SELECT pg_logical_emit_message(true, 'proof', 'x')")
    typed = _typed(len(world.posted))
    _expect_given_back(world, typed, _post(world, typed))
    world.disk.empty()
    _bring_back(server)
    if _post(world, typed).status != 303:
        world.faults.append("DD-05: its server is back, and the form is still refused")


def _bring_back(server: Postgres) -> None:
    def is_up() -> bool:
        if server.is_up():
            return True
        # One that still tries to recover will be there by itself.
        with suppress(subprocess.CalledProcessError):
            server.start()
        return server.is_up()

    until(is_up, within=60, what="PostgreSQL")


def _start_on_a_full_disk(world: World) -> None:
    """A scheduler that begins while there is no room neither dies nor cries damage."""
    for process in world.fleet.service.processes:
        process.stop()
    world.fleet.outbox.engine.dispose()
    world.disk.fill()
    world.fleet.start(2)
    world.fleet.wait_for_work()
    threading.Event().wait(1)
    _expect_whole(world)
    world.disk.empty()


def _send_while_it_fills(world: World, size: Size, chance: random.Random) -> None:
    """The disk is full now and then, for less than a worker waits with an outcome."""
    pause = threading.Event()
    for _ in range(size.fills):
        heard = world.fleet.heard()
        world.fleet.outbox.queue(size.people // size.fills, KINDS)
        until(lambda heard=heard: world.fleet.heard() > heard, within=60, what="a letter")  # type: ignore[misc]
        world.disk.fill(chance.randrange(16) * PAGE)
        pause.wait(0.2 + chance.random())
        _expect_whole(world)
        world.disk.empty()
        if world.server is not None:
            _bring_back(world.server)


def _expect_whole(world: World) -> None:
    if integrity.is_damaged(world.disk.folder / "leadcapture"):
        world.faults.append("DD-05: a full disk was taken for a damaged database")


def _typed(number: int) -> dict[str, object]:
    return typed_form(
        new_token(),
        email=f"patient.{number}@tampamail.example",
        message=f"I would rather be called <after six>, & that is all.\nNumber {number}",
        consent_follow_ups=None,
    )


def _post(world: World, typed: dict[str, object]) -> Answer:
    token = form_token.read([SECRET_KEY], str(typed["token"]))
    assert token is not None
    world.posted.add(token.id)
    with Connection(world.fleet.service.port) as connection:
        answer = connection.ask(post_request(world.fleet.service.port, typed))
    if answer.status == 303:
        world.accepted[token.id] = answer.receipt
    return answer


def _expect_given_back(world: World, typed: dict[str, object], answer: Answer) -> None:
    """503, and every word that was typed stands in the form."""
    world.given_back += 1
    page = unescape(answer.body.decode()).replace("\r\n", "\n")
    gone = [
        name
        for name in ("token", "full_name", "email", "phone", "message")
        if str(typed[name]) not in page
    ]
    if answer.status != 503 or gone:
        world.faults.append(f"DD-05: a full disk was answered {answer.status} without {gone}")


def _expect_form(world: World) -> None:
    with Connection(world.fleet.service.port) as connection:
        status = connection.ask(get_request(world.fleet.service.port)).status
    if status != 200:
        world.faults.append(f"DD-05: at a full disk the blank form is answered {status}")


def _judge(world: World, size: Size) -> Finding:
    engine = world.place.engine
    ledger = read_ledger(engine, world.accepted, world.posted)
    with open_session(engine) as session:
        settings = world.fleet.outbox.settings
        delivered = compare(session, world.fleet.journal(), settings, database_now(session))
    faults = world.faults + ledger.faults + delivered.faults
    if delivered.extra or delivered.doubts:
        faults.append(f"DD-05: {delivered.extra} extra copies, {delivered.doubts} uncertain")
    if not integrity.check(engine, world.place.folder):
        faults.append("DD-05: the database is damaged")
    sentence = (
        f"{world.given_back} forms given back at a full disk, all taken later; the disk full "
        f"{size.fills} times under letters: {delivered.sentence}"
    )
    return Finding(sentence, faults)
