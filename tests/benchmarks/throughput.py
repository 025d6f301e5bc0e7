"""How many letters a second leave, beside a plain loop, Postfix's own source, and a peer."""

import contextlib
import json
import smtplib
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

import psutil
from sqlalchemy import event, insert, select

from leadcapture.models import LetterVersion, Message, MessageKind, MessageState
from leadcapture.outbox.dispatch import Dispatcher
from leadcapture.outbox.queue import new_ref
from leadcapture.outbox.relay import RelaySession
from leadcapture.settings import Relay, load
from tests.benchmarks.post_office_peer import peer_rate
from tests.both import KINDS, Place, Places
from tests.parts import find_part
from tests.people import LETTER_VALUES, test_vault
from tests.served import a_service, free_port, service_environ
from tests.tables import print_table
from tests.waiting import until

SMALL, PACKET = 5_000, 500_000
THREADS = (1, 2, 4)


def throughput(places: Places, quick: bool) -> None:
    """Rates of ours and of what they are set beside, one after the other in each round."""
    rounds = 1 if quick else 5
    for size, count in ((SMALL, 200 if quick else 1_000), (PACKET, 40 if quick else 200)):
        rates: dict[str, list[float]] = {}
        doubts: dict[str, list[float]] = {}
        for _ in range(rounds):
            with smtp_sink() as port:
                _beside(rates, port, size, count)
                for kind in KINDS:
                    _ours(rates, doubts, places, kind, port, size, count)
                    if size == SMALL:
                        with places.place(kind) as place:
                            rate = peer_rate(place.url, place.folder, port, count, size)
                            rates.setdefault(f"django-post_office, {kind}", []).append(rate)
        _print(rates, size, rounds)
        _print_doubt(doubts, size)
    _idle(places, 5 if quick else 30)


def _beside(rates: dict[str, list[float]], port: int, size: int, count: int) -> None:
    rates.setdefault("plain loop", []).append(plain_loop(port, size, count))
    rates.setdefault("smtp-source", []).append(postfix_source(port, size, count))


def _ours(
    rates: dict[str, list[float]],
    doubts: dict[str, list[float]],
    places: Places,
    kind: str,
    port: int,
    size: int,
    count: int,
) -> None:
    for threads in THREADS:
        with places.place(kind) as place:
            windows = doubts.setdefault(kind, []) if threads == 1 else []
            rate = our_rate(place, port, size, count, threads, windows)
            rates.setdefault(f"ours, {kind}, {threads} threads", []).append(rate)


@contextmanager
def smtp_sink() -> Iterator[int]:
    """Postfix's sink on a port of loopback: it takes everything and keeps nothing."""
    port = free_port()
    sink = subprocess.Popen(
        [find_part("postfix", "smtp-sink"), "-u", "nobody", f"inet:127.0.0.1:{port}", "256"],
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: _answers(port), within=10, what="the sink")
        yield port
    finally:
        sink.terminate()
        sink.wait(10)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), smtplib.SMTP("127.0.0.1", port, timeout=5):
        return True
    return False


def plain_loop(port: int, size: int, count: int) -> float:
    """Letters a second of the loop that everybody writes first: no database, one session."""
    words, pdf = "We are here when you have questions.\r\n" * 60, b"\x25PDF" * (size // 4)
    began = time.perf_counter()
    with smtplib.SMTP("127.0.0.1", port) as relay:
        for number in range(count):
            letter = EmailMessage()
            letter["From"], letter["To"] = "hello@clinic.example", f"n{number}@example.org"
            letter["Subject"], letter["Message-ID"] = "A word", f"<{number}@clinic.example>"
            letter.set_content(words)
            letter.add_alternative(f"<p>{words}</p>", subtype="html")
            if size == PACKET:
                letter.add_attachment(pdf, "application", "pdf", filename="packet.pdf")
            relay.send_message(letter)
    return count / (time.perf_counter() - began)


def postfix_source(port: int, size: int, count: int) -> float:
    """Messages a second of Postfix's source in one persistent session: the limit."""
    wire = size if size == SMALL else size * 78 // 57
    command = [find_part("postfix", "smtp-source"), "-d", "-s", "1"]
    began = time.perf_counter()
    subprocess.run(
        [*command, "-m", str(count), "-l", str(wire), f"inet:127.0.0.1:{port}"], check=True
    )
    return count / (time.perf_counter() - began)


def our_rate(
    place: Place, port: int, size: int, count: int, threads: int, windows: list[float]
) -> float:
    """Letters a second of our dispatchers over one queue; ``windows`` gets the seconds of doubt."""
    settings = load(service_environ(place.folder, place.url, port=8000, smtp_port=port))
    settings = replace(settings, relay=Relay("127.0.0.1", port, "none"))
    _queue(place, size, count)
    crew = [
        Dispatcher(
            place.engine, settings, test_vault, RelaySession(settings.relay, "clinic.example")
        )
        for _ in range(threads)
    ]
    if threads == 1:
        _watch_doubt(place, windows)
    workers = [threading.Thread(target=_send_all, args=(one,)) for one in crew]
    began = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    took = time.perf_counter() - began
    for one in crew:
        one.close()
    with place.engine.connect() as connection:
        states = connection.execute(select(Message.state)).scalars().all()
    assert states == [MessageState.SENT] * count, "every letter was accepted"
    return count / took


def _send_all(dispatcher: Dispatcher) -> None:
    while dispatcher.send_due():
        pass


def _queue(place: Place, size: int, count: int) -> None:
    now = datetime.now(UTC)
    with place.engine.begin() as connection:
        letter = connection.scalar(
            select(LetterVersion.id)
            .where(LetterVersion.kind == "packet_letter", LetterVersion.language == "en")
            .limit(1)
        )
        packets = []
        if size == PACKET:
            made = connection.execute(
                insert(LetterVersion).values(
                    kind="packet",
                    topic="measured",
                    language="en",
                    number=1,
                    text="",
                    pdf=b"\x25PDF" * (size // 4),
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


def _watch_doubt(place: Place, windows: list[float]) -> None:
    """Note the seconds from the commit of an intent to that of its outcome."""
    state = {"intent": False, "since": 0.0}

    def on_statement(*given: object) -> None:
        parameters = str(given[3])
        state["intent"] = "UPDATE message" in str(given[2]) and "sending" in parameters

    def on_commit(_connection: object) -> None:
        if state["since"]:
            windows.append(time.perf_counter() - float(state["since"]))
            state["since"] = 0.0
        if state["intent"]:
            state["since"], state["intent"] = time.perf_counter(), False

    event.listen(place.engine, "before_cursor_execute", on_statement)
    event.listen(place.engine, "commit", on_commit)


def _print(rates: dict[str, list[float]], size: int, rounds: int) -> None:
    middle = {name: statistics.median(seen) for name, seen in rates.items()}
    loop, source = middle["plain loop"], middle["smtp-source"]
    rows = []
    for name, rate in middle.items():
        kind = name.split(", ")[1] if name.startswith("ours") else ""
        peer = middle.get(f"django-post_office, {kind}")
        ratios = (rate / loop, rate / source, rate / peer if peer else None)
        rows.append([name, f"{rate:,.0f}/s", *(f"{r:.2f}" if r else "" for r in ratios)])
    print_table(
        f"Letters of {size:,} bytes to smtp-sink, median of {rounds} (goals: loop × "
        f"{'1.0' if size == SMALL else '5'}, source × {'-' if size == SMALL else '0.8'}, peer × 3)",
        ["sender", "rate", "× loop", "× source", "× peer"],
        rows,
    )


def _print_doubt(doubts: dict[str, list[float]], size: int) -> None:
    rows = []
    for kind, seen in doubts.items():
        taken = sorted(seen)
        p50, p99 = taken[len(taken) // 2], taken[int(len(taken) * 0.99)]
        rows.append([kind, f"{len(taken)}", f"{1000 * p50:.1f} ms", f"{1000 * p99:.1f} ms"])
    print_table(
        f"Window of doubt, letters of {size:,} bytes, 1 thread (goal: p99 at most 20 ms)",
        ["database", "letters", "p50", "p99"],
        rows,
    )


def _idle(places: Places, seconds: float) -> None:
    rows = []
    for kind in KINDS:
        with places.place(kind) as place, tempfile.TemporaryDirectory() as folder:
            with a_service(Path(folder), place.url, place.office.port) as service:
                process = psutil.Process(service.start_scheduler().pid)
                threading.Event().wait(5)
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
