"""How soon the letter is out: from the POST to the relay's 250."""

import resource
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

from leadcapture.database import open_session, reading
from leadcapture.queue_table import read_queue
from tests.benchmarks.stored import store_leads, store_waiting
from tests.both import KINDS, Place, Places
from tests.load import Connection, form_posts
from tests.served import a_service, run_command, service_environ
from tests.tables import print_table

WAITING = 10_000


def latency(places: Places, quick: bool) -> None:
    """POST to 250 at one request a second, with 10,000 follow-ups waiting for their day."""
    rows = []
    for kind in KINDS:
        with places.place(kind) as place:
            _store_clinic(place)
            taken = sorted(_latencies(place, 15 if quick else 120))
            shares = [f"{_share(taken, share):.2f} s" for share in (0.5, 0.99)]
            rows.append([kind, f"{len(taken)}", *shares])
    print_table(
        f"POST to the relay's 250, 1 request/s, {WAITING:,} follow-ups waiting "
        "(goal: p99 at most 1 s)",
        ["database", "letters", "p50", "p99"],
        rows,
    )


def steady(places: Places, quick: bool) -> None:
    """MD-22: half an hour at one request a second, on both databases at the same time."""
    count = 60 if quick else 1_800
    with ExitStack() as stack, ThreadPoolExecutor() as threads:
        open_at = [stack.enter_context(places.place(kind)) for kind in KINDS]
        for place in open_at:
            _store_clinic(place)
        taken = threads.map(lambda place: sorted(_latencies(place, count)), open_at)
        rows = [
            [
                place.kind,
                f"{len(one)}",
                *(f"{_share(one, share):.2f} s" for share in (0.5, 0.95, 0.99)),
            ]
            for place, one in zip(open_at, taken, strict=True)
        ]
    print_table(
        f"POST to the relay's 250, {count:,} requests at 1/s, both databases at once, paces off: "
        "120 letters a minute are more than a relay gets by default "
        "(goal: p95 at most 10 s, p99 at most 60 s)",
        ["database", "letters", "p50", "p95", "p99"],
        rows,
    )


def _store_clinic(place: Place) -> None:
    store_leads(place.engine, WAITING)
    store_waiting(place.engine, WAITING, datetime.now(UTC) + timedelta(days=3))


def _share(taken: list[float], share: float) -> float:
    """The time within which this share of them was done; ``taken`` is in order."""
    return taken[int(len(taken) * share)]


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
                command = _processor_of_queue(place)
        growth = f"{took[1] / took[0]:.1f}"
        whole = f"{command:.2f} s"
        rows.append([kind, f"{most:,}", f"{took[1] * 1000:.0f} ms", growth, whole])
    print_table(
        "Counting the queue by state and age (goal: at most 1 s)",
        ["database", "messages", "took", "against a tenth", "processor, with its start"],
        rows,
    )


def _processor_of_queue(place: Place) -> float:
    """What the whole command takes of a processor, from the start of Python to its end."""
    environ = service_environ(place.folder, place.url, port=8000, smtp_port=9)
    taken = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run_command(["queue"], environ)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(taken)


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
