"""How many letters a second leave, beside a plain loop, Postfix's own source, and a peer.

All send the same words (and the same packet) into the same sink, one sender after the other in
an order that moves on by one each round, after letters that nobody counts. Our paces are off:
they exist to make us slower than this.
"""

import json
import statistics
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import psutil
from sqlalchemy import func, insert, select

from leadcapture.models import LetterVersion, Message, MessageKind, MessageState
from leadcapture.outbox.dispatch import Dispatcher
from leadcapture.outbox.queue import new_ref
from leadcapture.outbox.relay import RelaySession
from leadcapture.settings import Relay, Settings, load
from tests.benchmarks.post_office_peer import peer_rate
from tests.benchmarks.senders import Sample, plain_loop, postfix_source, smtp_sink
from tests.both import KINDS, Place, Places
from tests.people import LETTER_VALUES, test_vault
from tests.served import a_service, service_environ
from tests.tables import print_table

PACKET = 500_000
THREADS = (1, 2, 4)
PEER, PEER_AS_IT_COMES = "django-post_office", "django-post_office as it comes"


def throughput(places: Places, quick: bool) -> None:
    """Rates of ours and of what they are set beside, in alternating order, side by side."""
    rounds = 3 if quick else 5
    # Sixty packets leave a fast machine within a seventh of a second: too soon to tell a rate.
    sizes = ((b"", 300 if quick else 1_000), (b"\x25PDF" * (PACKET // 4), 60 if quick else 300))
    for packet, count in sizes:
        with places.place("sqlite") as place:
            sample = Sample.of(_manuscript(place), packet)
        race = Race(places, sample, warm=max(20, count // 5), count=count)
        for number in range(rounds):
            race.run(number)
        race.print_rates(rounds)
        race.print_doubt()
    _idle(places, 10 if quick else 60)


@dataclass
class Race:
    """All senders of one sample. ``doubts`` are the seconds of doubt, by database."""

    places: Places
    sample: Sample
    warm: int
    count: int
    rates: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    doubts: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def run(self, number: int) -> None:
        """One round: everybody once, beginning with another one each time."""
        senders = self._senders()
        names = list(senders)
        first = number % len(names)
        for name in names[first:] + names[:first]:
            with smtp_sink() as port:
                self.rates[name].append(senders[name](port))

    def _senders(self) -> dict[str, Callable[[int], float]]:
        sample, warm, count = self.sample, self.warm, self.count
        senders: dict[str, Callable[[int], float]] = {
            "plain loop": lambda port: plain_loop(port, sample, warm, count),
            "smtp-source": lambda port: postfix_source(port, sample, count),
        }
        for kind in KINDS:
            for threads in THREADS:
                senders[f"ours, {kind}, {threads} threads"] = self._ours(kind, threads)
            senders[f"{PEER}, {kind}"] = self._peer(kind, at_its_best=True)
            senders[f"{PEER_AS_IT_COMES}, {kind}"] = self._peer(kind, at_its_best=False)
        return senders

    def _ours(self, kind: str, threads: int) -> Callable[[int], float]:
        def send(port: int) -> float:
            with self.places.place(kind) as place:
                return our_rate(place, port, self, threads)

        return send

    def _peer(self, kind: str, at_its_best: bool) -> Callable[[int], float]:
        def send(port: int) -> float:
            with self.places.place(kind) as place:
                return peer_rate(place, port, self.sample, self.warm, self.count, at_its_best)

        return send

    def print_rates(self, rounds: int) -> None:
        middle = {name: statistics.median(seen) for name, seen in self.rates.items()}
        rows = []
        for name in self._senders():
            rate, kind = middle[name], name.split(", ")[1] if ", " in name else ""
            beside = ("plain loop", "smtp-source", f"{PEER}, {kind}", f"{PEER_AS_IT_COMES}, {kind}")
            ratios = [f"{rate / middle[other]:.2f}" if other in middle else "" for other in beside]
            spread = f"{min(self.rates[name]):,.0f}-{max(self.rates[name]):,.0f}"
            rows.append([name, f"{rate:,.0f}/s", spread, *ratios])
        goals = "loop 5, source 0.8, peer 3" if self.sample.packet else "loop 1.0, peer 3"
        print_table(
            f"Letters of {self.sample.size:,} bytes to smtp-sink, median of {rounds} rounds, "
            f"paces off (goals: {goals})",
            ["sender", "rate", "from-to", "× loop", "× source", "× peer", "× peer as it comes"],
            rows,
        )

    def print_doubt(self) -> None:
        rows = []
        for kind, seen in self.doubts.items():
            taken = sorted(seen)
            p50, p99 = taken[len(taken) // 2], taken[int(len(taken) * 0.99)]
            rows.append([kind, f"{len(taken)}", f"{1000 * p50:.1f} ms", f"{1000 * p99:.1f} ms"])
        print_table(
            f"Window of doubt, letters of {self.sample.size:,} bytes, 1 thread: from the dot to "
            "the end of the commit, and of the next claim (goal: p99 at most 20 ms)",
            ["database", "letters", "p50", "p99"],
            rows,
        )


class Watched(Dispatcher):
    """Notes how long each letter was in doubt: no less than it was."""

    windows: list[float]

    def _declare_intent(self, message: Message, sha256: str) -> bool:
        declared = super()._declare_intent(message, sha256)
        self._dot_at = time.perf_counter()
        return declared

    def _take_acceptance(self, message: Message, ends: Callable[[], bool]) -> Message | None:
        following = super()._take_acceptance(message, ends)
        self.windows.append(time.perf_counter() - self._dot_at)
        return following


def our_rate(place: Place, port: int, race: Race, threads: int) -> float:
    """Letters a second of our dispatchers over one queue."""
    settings = load(service_environ(place.folder, place.url, port=8000, smtp_port=port))
    settings = replace(
        settings, relay=Relay("127.0.0.1", port, "none"), domain_pace=0, relay_pace=0
    )
    _queue(place, race.sample, race.warm + race.count)
    crew = [_dispatcher(place, settings) for _ in range(threads)]
    for one in crew:
        one.send_due(limit=race.warm // threads)
        one.windows.clear()
    left = _left(place)
    workers = [threading.Thread(target=_send_all, args=(one,)) for one in crew]
    began = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    took = time.perf_counter() - began
    for one in crew:
        one.close()
    assert _left(place) == 0, "every letter was accepted"
    if threads == 1:
        race.doubts[place.kind] += crew[0].windows
    return left / took


def _dispatcher(place: Place, settings: Settings) -> Watched:
    line = RelaySession(settings.relay, "clinic.example")
    dispatcher = Watched(place.engine, settings, test_vault, line)
    dispatcher.windows = []
    return dispatcher


def _left(place: Place) -> int:
    left = select(func.count()).where(Message.state != MessageState.SENT)
    with place.engine.connect() as connection:
        return connection.scalar(left) or 0


def _send_all(dispatcher: Dispatcher) -> None:
    while dispatcher.send_due():
        pass


_LETTER = (
    select(LetterVersion.id, LetterVersion.text)
    .where(LetterVersion.kind == "packet_letter", LetterVersion.language == "en")
    .limit(1)
)


def _manuscript(place: Place) -> str:
    with place.engine.connect() as connection:
        return str(connection.execute(_LETTER).one().text)


def _queue(place: Place, sample: Sample, count: int) -> None:
    now = datetime.now(UTC)
    with place.engine.begin() as connection:
        letter = connection.execute(_LETTER).one().id
        packets = []
        if sample.packet:
            made = connection.execute(
                insert(LetterVersion).values(
                    kind="packet",
                    topic="measured",
                    language="en",
                    number=1,
                    text="",
                    pdf=sample.packet,
                    sha256=new_ref(),
                    created_at=now,
                )
            )
            packets = list(made.inserted_primary_key or ())
        payload = {"letter": letter, "packets": packets, "values": LETTER_VALUES}
        rows = [_row(number, json.dumps(payload), now) for number in range(count)]
        connection.execute(insert(Message), rows)


def _row(number: int, payload: str, now: datetime) -> dict[str, object]:
    ref = new_ref()
    return {
        "ref": ref,
        "kind": MessageKind.PACKET,
        "dedupe_key": ref,
        "recipient": f"n{number}@example.org",
        "domain": "example.org",
        "cap_hash": ref,
        "language": "en",
        "time_zone": "America/New_York",
        "priority": 0,
        "payload": test_vault.seal("message", "payload", ref, payload),
        "state": MessageState.QUEUED,
        "due_at": now,
        "mail_id": f"<{ref}@clinic.example>",
        "created_at": now,
        "state_at": now,
    }


def _idle(places: Places, seconds: float) -> None:
    rows = []
    for kind in KINDS:
        with places.place(kind) as place, tempfile.TemporaryDirectory() as folder:
            with a_service(Path(folder), place.url, place.office.port) as service:
                process = psutil.Process(service.start_scheduler().pid)
                # The first turns build what later ones have; the last of them comes after 60 s.
                threading.Event().wait(66)
                before = process.cpu_times()
                threading.Event().wait(seconds)
                after = process.cpu_times()
            used = after.user + after.system - before.user - before.system
            rows.append([kind, f"{100 * used / seconds:.1f} %"])
    print_table(
        f"An idle scheduler over {seconds:g} s (goal: at most 1 % of a core)",
        ["database", "of a core"],
        rows,
    )
