"""The proofs, and how they take turns: one after the other, or side by side."""

import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from queue import SimpleQueue

from tests.both import KINDS, Place, Places, open_places
from tests.proofs.acknowledged import prove_acknowledged
from tests.proofs.answer_lost import answer_lost
from tests.proofs.audit import audit_tampered
from tests.proofs.backups import backups
from tests.proofs.bots_and_people import bots_and_people
from tests.proofs.clock_jumps import clock_jumps
from tests.proofs.counted import counted
from tests.proofs.deploys import deploys
from tests.proofs.disk_full import disk_full
from tests.proofs.exported import exported
from tests.proofs.fault_ledger import fault_ledger
from tests.proofs.finding import Finding
from tests.proofs.forged import forged
from tests.proofs.fuzzed import fuzzed
from tests.proofs.honest_letters import honest_letters
from tests.proofs.injected import injected
from tests.proofs.interpreters import interpreters
from tests.proofs.killed_upgrades import killed_upgrades
from tests.proofs.largest_posts import largest_posts
from tests.proofs.planted import planted
from tests.proofs.relay_log import relay_log
from tests.proofs.release_before import release_before
from tests.proofs.restarts import database_restarts
from tests.proofs.restored import restored_copy
from tests.proofs.schedulers import schedulers
from tests.proofs.smuggled import smuggled
from tests.proofs.soak import soak
from tests.proofs.states import states
from tests.proofs.stop_races import stop_races
from tests.proofs.synced import synced
from tests.proofs.window import window
from tests.proofs.year import year
from tests.served import a_service


def acknowledged(place: Place, quick: bool, seed: int) -> Finding:
    """MD-01: acknowledged posts survive kill -9 of the web workers every 200 ms."""
    count = 100 if quick else 1000
    with a_service(place.folder, place.url, place.office.port) as service:
        outcome = prove_acknowledged(service, place.engine, count, seed)
    faults = list(outcome.ledger.faults)
    if outcome.acknowledged < count:
        faults.append(f"only {outcome.acknowledged} of {count} were acknowledged")
    sentence = (
        f"{outcome.acknowledged} acknowledged, {outcome.ledger.packets} packets, "
        f"{outcome.kills} kills, {outcome.retries} lost answers, {outcome.abandoned} given up"
    )
    return Finding(sentence, faults)


Proof = Callable[[Place, bool, int], Finding]
# A proof's name, and the kind of its database.
Turn = tuple[str, str]
PROOFS: dict[str, Proof] = {
    "acknowledged": acknowledged,
    "synced": synced,
    "counted": counted,
    "killed_upgrades": killed_upgrades,
    "answer_lost": answer_lost,
    "ledger": fault_ledger,
    "schedulers": schedulers,
    "database_restarts": database_restarts,
    "disk_full": disk_full,
    "deploys": deploys,
    "clock_jumps": clock_jumps,
    "soak": soak,
    "window": window,
    "states": states,
    "year": year,
    "stop_races": stop_races,
    "planted": planted,
    "relay_log": relay_log,
    "restored_copy": restored_copy,
    "backups": backups,
    "release_before": release_before,
    "audit_tampered": audit_tampered,
    "forged": forged,
    "honest_letters": honest_letters,
    "interpreters": interpreters,
    "exported": exported,
    "injected": injected,
    "smuggled": smuggled,
    "fuzzed": fuzzed,
    "largest_posts": largest_posts,
    "bots_and_people": bots_and_people,
}
# What does not depend on the database is proved once; only a server can be restarted.
ONLY_ON = dict.fromkeys(
    ("planted", "honest_letters", "interpreters", "bots_and_people", "exported", "smuggled"),
    KINDS[:1],
) | {"database_restarts": KINDS[1:]}


# These begin first, so that none of them runs alone at the end.
LONGEST = ("soak", "schedulers", "relay_log", "deploys", "interpreters")


def choose(names: Iterable[str], on: str | None, once: bool, seed: int) -> list[Turn]:
    """Which proof runs on which database: on both, on one alone, or ``once``, by the seed."""
    turns = []
    for number, name in enumerate(names):
        kinds = ONLY_ON.get(name, KINDS)
        if once and on is None:
            # Five minutes are for all of them.
            kinds = (kinds[(seed + number) % len(kinds)],)
        turns += [(name, kind) for kind in kinds if on in (None, kind)]
    return turns


def take_turns(
    turns: list[Turn], quick: bool, seed: int, at_once: int
) -> Iterator[tuple[Turn, Finding, float]]:
    """What each came to, and its seconds, in order; so many run side by side, the longest first."""
    lanes = [Lane(quick, seed) for _ in range(at_once)]
    free: SimpleQueue[Lane] = SimpleQueue()
    for lane in lanes:
        free.put(lane)

    def take(turn: Turn) -> tuple[Finding, float]:
        lane = free.get()
        try:
            return lane.take(turn)
        finally:
            free.put(lane)

    pool = ThreadPoolExecutor(at_once)
    try:
        ordered = sorted(turns, key=lambda turn: turn[0] not in LONGEST)
        futures = {turn: pool.submit(take, turn) for turn in ordered}
        for turn in turns:
            yield turn, *futures[turn].result()
    finally:
        # Whoever is told to end takes the processes of the proofs along.
        pool.shutdown(wait=False, cancel_futures=True)
        for lane in lanes:
            lane.end()


class Lane:
    """A process that runs one proof after the other. It has a PostgreSQL of its own, since some
    of them crash it.
    """

    def __init__(self, quick: bool, seed: int) -> None:
        self._given = quick, seed
        self._start()

    def take(self, turn: Turn) -> tuple[Finding, float]:
        """Run this proof: what it came to, and its seconds."""
        if not self._process.is_alive():
            self._start()
        try:
            self._asked.send(turn)
            found: tuple[Finding, float] = self._asked.recv()
        except (EOFError, OSError):
            return Finding("broke off", ["its process has ended"]), 0.0
        return found

    def _start(self) -> None:
        context = get_context("spawn")
        self._asked, theirs = context.Pipe()
        self._process = context.Process(target=_run_proofs, args=(theirs, *self._given))
        self._process.start()
        theirs.close()

    def end(self) -> None:
        self._process.terminate()
        self._process.join()


def _run_proofs(asked: "Connection[object, Turn]", quick: bool, seed: int) -> None:
    end_when_told()
    with open_places() as places, suppress(EOFError):
        while True:
            name, kind = asked.recv()
            began = time.monotonic()
            print(f"{name} on {kind} …", file=sys.stderr, flush=True)
            finding = find(PROOFS[name], places, kind, quick, seed)
            asked.send((finding, time.monotonic() - began))


def end_when_told() -> None:
    """Let SIGTERM be an exit like others, by way of all that is to be closed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def find(proof: Proof, places: Places, kind: str, quick: bool, seed: int) -> Finding:
    """What a proof came to. One that breaks off falls short, and keeps no other from its turn."""
    try:
        with places.place(kind) as place:
            return proof(place, quick, seed)
    except Exception as error:
        traceback.print_exc()
        return Finding("broke off", [f"{type(error).__name__}: {error}"[:500]])
