"""How soon the letter is out: from the POST to the relay's 250."""

import statistics
import threading
import time
from datetime import UTC, datetime, timedelta

from leadcapture.database import open_session, reading
from leadcapture.queue_table import read_queue
from tests.benchmarks.stored import store_leads, store_waiting
from tests.both import KINDS, Place, Places
from tests.load import Connection, form_posts
from tests.served import a_service
from tests.tables import print_table

WAITING = 10_000


def latency(places: Places, quick: bool) -> None:
    """POST to 250 at one request a second, with 10,000 follow-ups waiting for their day."""
    rows = []
    for kind in KINDS:
        with places.place(kind) as place:
            store_leads(place.engine, WAITING)
            store_waiting(place.engine, WAITING, datetime.now(UTC) + timedelta(days=3))
            taken = sorted(_latencies(place, 15 if quick else 120))
            p50, p99 = taken[len(taken) // 2], taken[int(len(taken) * 0.99)]
            rows.append([kind, f"{len(taken)}", f"{p50:.2f} s", f"{p99:.2f} s"])
    print_table(
        f"POST to the relay's 250, 1 request/s, {WAITING:,} follow-ups waiting "
        "(goal: p99 at most 1 s)",
        ["database", "letters", "p50", "p99"],
        rows,
    )


def queue(places: Places, quick: bool) -> None:
    """`leadcapture queue` over 100,000 messages against over a tenth of them (OP-02)."""
    most = 20_000 if quick else 100_000
    rows = []
    for kind in KINDS:
        took = []
        for messages in (most // 10, most):
            with places.place(kind) as place:
                store_leads(place.engine, messages)
                store_waiting(place.engine, messages, datetime.now(UTC) - timedelta(hours=2))
                took.append(_seconds_of_queue(place))
        growth = f"{took[1] / took[0]:.1f}"
        rows.append([kind, f"{most:,}", f"{took[1] * 1000:.0f} ms", growth])
    print_table(
        "Counting the queue by state and age (goal: at most 1 s)",
        ["database", "messages", "took", "against a tenth"],
        rows,
    )


def _seconds_of_queue(place: Place) -> float:
    taken = []
    for _ in range(5):
        with reading(), open_session(place.engine) as session:
            began = time.perf_counter()
            read_queue(session, datetime.now(UTC))
            taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def _latencies(place: Place, count: int) -> list[float]:
    """Seconds from the first byte of the POST to the moment that the relay took the packet."""
    began: dict[str, float] = {}
    pause = threading.Event()
    with a_service(place.folder, place.url, place.office.port) as service:
        service.start_web()
        service.start_scheduler()
        pause.wait(3)
        with Connection(service.port) as connection:
            for number, post in enumerate(form_posts(service.port, count, "soon")):
                began[f"soon.{number}@tampamail.example"] = time.monotonic()
                assert connection.ask(post).status == 303
                pause.wait(1)
        # A packet and an alert to staff each.
        place.office.wait_for(2 * count, within=60)
        service.stop()
    return [
        letter.taken_monotonic - began[letter.recipients[0]]
        for letter in place.office.letters
        if letter.recipients[0] in began
    ]
