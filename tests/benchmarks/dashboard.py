"""The dashboard at ten thousand, a hundred thousand and a million leads: pages, search, weight."""

import gc
import gzip
import statistics
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session
from werkzeug.serving import make_server

from leadcapture.app import create_app
from leadcapture.database import db, open_session
from leadcapture.leads import sources, tags
from leadcapture.leads.clock import read_rules
from leadcapture.leads.kept_tallies import TallyKeeper
from leadcapture.leads.listing import SORTS, Key
from leadcapture.leads.watch import read_clocks
from leadcapture.models import DayTally, HourTally, Lead, LeadStatus, MonthTally, Tag
from tests.benchmarks.clinic import BUSY, RARE, Clinic
from tests.benchmarks.processor import Processor
from tests.both import KINDS, Place, Places
from tests.chromium import open_browser, open_page
from tests.configured import make_settings
from tests.desk_pages import addresses, asking, sign_in
from tests.people import PASSWORD, a_staff_member
from tests.served import free_port
from tests.tables import print_table

GOAL_MS = 50.0
GOAL_GROWTH = 1.5
GOAL_KB = 60.0
CLINIC_ZONE = "America/Costa_Rica"
_ROUNDS = 30
_FILTERS = (
    *(
        "owner=me",
        "owner=nobody",
        "waiting=yes",
        "waiting=late",
        "source=Google+Ads",
        "language=es",
    ),
    *("country=US", "country=CR", "from=2025-01-01&to=2025-01-07"),
    *("status=closed&language=es&owner=me", "q=whit&status=booked"),
)
# A page slower than this is asked less often.
_PATIENCE = 1.5


@dataclass(frozen=True)
class Measured:
    """What one page took: milliseconds of the processor, questions to the database, bytes sent.

    The processor's time is all that a quiet machine would take, the database's share included.
    ``wall`` is by the clock on the wall, with all that others kept the machine from.
    """

    best: float
    p50: float
    p95: float
    wall: float
    queries: int
    weight: int


@dataclass
class Desk:
    """The application over one place, with a colleague signed in."""

    app: Flask
    place: Place
    client: FlaskClient
    url: str
    email: str

    def ask(self, path: str) -> Any:
        return self.client.get(path, base_url=self.url)


def dashboard(places: Places, quick: bool) -> None:
    """Every page and every kind of search, at each size, on both databases."""
    compare(places, (10_000,) if quick else (10_000, 100_000, 1_000_000))


def compare(places: Places, sizes: Sequence[int], kinds: Sequence[str] = KINDS) -> None:
    """The same at these numbers of leads, smallest first."""
    for kind in kinds:
        with places.place(kind) as place:
            desk, clinic = _open_desk(place)
            measured: dict[int, dict[str, Measured]] = {}
            for size in sizes:
                began = time.monotonic()
                clinic.grow(size)
                print(f"\n{kind}: {size:,} leads stored in {time.monotonic() - began:.0f} s")
                _keep_up(place)
                measured[size] = _measure(desk)
                _explain_slow(desk, measured[size])
            _print_pages(kind, measured)
            _print_shifts(kind, desk)
            with desk.app.app_context():
                db.engine.dispose()


def _open_desk(place: Place) -> tuple[Desk, Clinic]:
    port = free_port()
    settings = make_settings(place.folder, place.url, port=port)
    app = create_app(settings)
    with app.app_context(), open_session(place.engine) as session:
        staff = [a_staff_member(session, "admin"), a_staff_member(session, name="Marta Solís")]
        now = datetime.now(UTC)
        carried = [tags.add_tag(session, name, "plain", now) for name in ("second opinion", "fair")]
        sources.add_rule(session, "Google Ads", {"utm_source": "google", "utm_medium": "cpc"})
        session.commit()
        ids, email = [member.id for member in staff], staff[0].email
        tag_ids = [tag.id for tag in carried]
    client = sign_in(app, email, settings.public_url)
    clinic = Clinic(place.engine, ids, now, tag_ids)
    return Desk(app, place, client, settings.public_url, email), clinic


def _keep_up(place: Place) -> None:
    """Do what the scheduler does besides: read the clocks of those who wait, and reckon all the
    days that are over; the load has told of none.
    """
    keeper = TallyKeeper(CLINIC_ZONE)
    with open_session(place.engine) as session:
        rules = read_rules(session, CLINIC_ZONE)
        while read_clocks(session, rules):
            session.commit()
        for table in (HourTally, DayTally, MonthTally):
            session.execute(delete(table))
        session.commit()
        kept: Sequence[int] = ()
        while kept != (kept := _kept(session)):
            keeper.keep_tallies(session, datetime.now(UTC))


def _kept(session: Session) -> Sequence[int]:
    numbers = [
        select(func.count()).select_from(table) for table in (HourTally, DayTally, MonthTally)
    ]
    return [session.scalars(number).one() for number in numbers]


def _measure(desk: Desk) -> dict[str, Measured]:
    """Every page, and how much the machine itself wanders meanwhile."""
    pages = _pages(desk)
    wandering: list[float] = []
    for path in pages.values():
        desk.ask(path)
    # As the server does with what stays: else each pass of the collector would walk through it.
    gc.collect()
    gc.freeze()
    measured = {name: _measure_page(desk, path, wandering) for name, path in pages.items()}
    p50, p95 = statistics.median(wandering), statistics.quantiles(wandering, n=20)[-1]
    print(f"a sum that never changes, after every turn: {p50:.1f} ms, p95 {p95:.1f} ms")
    return measured


def _pages(desk: Desk) -> dict[str, str]:
    """Every page from the URL map, then the list's pages and filters, then searches."""
    with open_session(desk.place.engine) as session:
        found = addresses(desk.app, session)
        busy = session.scalars(select(Lead.ref).where(Lead.id == BUSY)).one()
        tag = session.scalars(select(Tag.ref).limit(1)).one()
        digits = session.scalars(select(Lead.phone).where(Lead.phone.is_not(None)).limit(1)).one()
    pages = {name.removeprefix("dashboard."): path for name, path in found.items()}
    pages["lead, 250 entries"] = f"/desk/leads/{busy}"
    pages |= {f"list: {status}": f"/desk/leads?status={status}" for status in LeadStatus}
    pages |= {f"list: {given}": f"/desk/leads?{given}" for given in (*_FILTERS, f"tag={tag}")}
    pages |= {f"list by {name}": f"/desk/leads?sort={name}" for name in SORTS}
    year_ago = datetime.now(UTC).date() - timedelta(days=364)
    pages |= {"reports of a year": f"/desk/reports?from={year_ago}"}
    pages |= dict(_neighbours(desk))
    searches = {
        "start of a name": "whit",
        "whole name": "janet whitfield",
        "start of an address": "janet.whitfield.4",
        "last digits": (digits or "")[-4:],
        "a rare word": RARE,
        "a very common word": "example",
        "one letter": "j",
        "nothing found": "zzqqx",
    }
    return pages | {
        f"search: {name}": f"/desk/leads?q={typed.replace(' ', '+')}"
        for name, typed in searches.items()
    }


def _neighbours(desk: Desk) -> Iterator[tuple[str, str]]:
    """The list's second page, and its last: the one that leads back from the oldest lead."""
    second = _link(desk.ask("/desk/leads").text, 'rel="next"')
    if second:
        yield "list: second page", second
    with open_session(desk.place.engine) as session:
        oldest = session.scalars(
            select(Lead)
            .where(Lead.status != LeadStatus.HELD)
            .order_by(Lead.last_request_at, Lead.id)
            .offset(30)
            .limit(1)
        ).one()
        key = Key(oldest.last_request_at, oldest.id)
    yield "list: last page", f"/desk/leads?at={key}"


def _link(page: str, mark: str) -> str:
    """The address of the link that has this mark; empty where there is none."""
    before, found, _after = page.partition(mark)
    if not found:
        return ""
    tag = before[before.rfind("<a ") :] + _after.partition(">")[0]
    return tag.partition('href="')[2].partition('"')[0].replace("&amp;", "&")


def _measure_page(desk: Desk, path: str, wandering: list[float]) -> Measured:
    with desk.app.app_context():
        engine = db.engine
    with asking(engine) as asked:
        answer = desk.ask(path)
    assert answer.status_code < 400, f"{path}: {answer.status}"
    processor = Processor(engine)
    times: list[float] = []
    walls: list[float] = []
    ends = time.monotonic() + _PATIENCE
    while len(times) < _ROUNDS and (len(times) < 3 or time.monotonic() < ends):
        began, spent = time.perf_counter(), processor.spent()
        desk.ask(path)
        times.append(processor.spent() - spent)
        walls.append((time.perf_counter() - began) * 1000)
        wandering.append(_same_sum())
    slowest = statistics.quantiles(times, n=20)[-1] if len(times) > 5 else max(times)
    weight = len(gzip.compress(answer.data, 6))
    wall = statistics.median(walls)
    return Measured(min(times), statistics.median(times), slowest, wall, len(asked), weight)


def _same_sum() -> float:
    """Milliseconds of the processor for work that is always the same."""
    spent = time.process_time()
    sum(number * number for number in range(100_000))
    return (time.process_time() - spent) * 1000


def _explain_slow(desk: Desk, measured: Mapping[str, Measured]) -> None:
    """Print the plan of each statement that makes a page slow."""
    pages, told = _pages(desk), set()
    with desk.app.app_context():
        engine = db.engine
    for name, page in measured.items():
        if page.best <= GOAL_MS:
            continue
        with asking(engine) as asked:
            desk.ask(pages[name])
        for statement, parameters in asked.statements:
            if not statement.lstrip().upper().startswith(("SELECT", "WITH")) or statement in told:
                continue
            took, plan = _plan(desk, statement, parameters)
            if took > GOAL_MS / 4:
                told.add(statement)
                print(f"\n{desk.place.kind}, {name}: {took:.0f} ms\n{statement}\n  {plan}")


def _plan(desk: Desk, statement: str, parameters: Any) -> tuple[float, str]:
    explain = "EXPLAIN QUERY PLAN" if desk.place.kind == "sqlite" else "EXPLAIN"
    with desk.place.engine.connect() as connection:
        began = time.perf_counter()
        connection.exec_driver_sql(statement, parameters).all()
        took = (time.perf_counter() - began) * 1000
        rows = connection.exec_driver_sql(f"{explain} {statement}", parameters).all()
    return took, "\n  ".join(str(row[-1]) for row in rows)


def _print_pages(kind: str, measured: Mapping[int, Mapping[str, Measured]]) -> None:
    smallest, largest = min(measured), max(measured)
    rows: list[Sequence[str]] = []
    for name, page in measured[largest].items():
        first = measured[smallest].get(name, page)
        # The best of many turns is what a busy machine disturbs least.
        grown = page.best / first.best
        same = "" if first.queries == page.queries else f" (was {first.queries})"
        wrong = page.p95 > GOAL_MS or grown > GOAL_GROWTH or page.weight > GOAL_KB * 1024 or same
        rows.append(
            [
                name,
                *(_both(sizes.get(name)) for sizes in measured.values()),
                f"{page.wall:.1f}",
                f"{grown:.2f}",
                f"{page.queries}{same}",
                f"{page.weight / 1024:.1f} KB",
                "!" if wrong else "",
            ]
        )
    print_table(
        f"{kind}: pages of the desk, ms of the processor, p50 / p95 (goals at the largest: p95 "
        f"{GOAL_MS:.0f} ms, growth {GOAL_GROWTH}, {GOAL_KB:.0f} KB; ! where one is missed)",
        [
            "page",
            *(f"{size:,}" for size in measured),
            "wall",
            "growth",
            "queries",
            "compressed",
            "",
        ],
        rows,
    )


def _both(page: Measured | None) -> str:
    return f"{page.p50:.1f} / {page.p95:.1f}" if page else "–"


_WATCH_SHIFTS = """
window.shifted = 0;
new PerformanceObserver(seen => {
  for (const one of seen.getEntries()) window.shifted += one.value;
}).observe({type: "layout-shift", buffered: true});
"""


def _print_shifts(kind: str, desk: Desk) -> None:
    """How much jumps while a page loads, in Chromium (goal: nothing)."""
    port = int(desk.url.rpartition(":")[2])
    server = make_server("127.0.0.1", port, desk.app, threaded=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    rows = []
    with open_browser() as browser, open_page(browser, desk.url) as page:
        page.add_init_script(_WATCH_SHIFTS)
        page.goto("/sign-in")
        page.fill("#email", desk.email)
        page.fill("#password", PASSWORD)
        page.get_by_role("button").last.click()
        page.wait_for_url("**/desk/**")
        for name, path in _pages(desk).items():
            if desk.ask(path).mimetype != "text/html":
                continue
            moved = []
            for width in (1280, 320):
                page.set_viewport_size({"width": width, "height": 800})
                page.goto(path, wait_until="load")
                page.wait_for_timeout(150)
                moved.append(float(page.evaluate("window.shifted")))
            rows.append([name, *(f"{shift:.3f}" for shift in moved)])
    server.shutdown()
    print_table(
        f"{kind}: cumulative layout shift while loading (goal: 0)",
        ["page", "1280 px", "320 px"],
        rows,
    )
