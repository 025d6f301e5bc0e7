"""The form against its floor: how much of a bare route's pace is left when all is done."""

import gzip
import re
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.stored import store_leads
from tests.benchmarks.web_servers import SERVERS, installed, serving
from tests.both import KINDS, Place, Places
from tests.load import Connection, Run, ask_all, form_posts, get_request
from tests.served import free_port, service_environ
from tests.tables import print_table

ROUNDS = 3
STATIC = Path(__file__).parents[2] / "leadcapture" / "static"


@contextmanager
def _service(place: Place, server: str = SERVERS[0]) -> Iterator[int]:
    """The service over this place; its port."""
    port = free_port()
    environ = service_environ(place.folder, place.url, port=port, smtp_port=place.office.port)
    with serving("service", port, environ, place.folder, server):
        yield port


@contextmanager
def _both_apps(place: Place, server: str = SERVERS[0]) -> Iterator[tuple[int, int]]:
    """The service and the floor behind the same server; their ports."""
    floor_port = free_port()
    page_path = place.folder / "page.html"
    with _service(place, server) as port:
        environ = service_environ(place.folder, place.url, port=port, smtp_port=place.office.port)
        with Connection(port) as connection:
            page_path.write_bytes(connection.ask(get_request(port)).body)
        floor = {"FLOOR_DSN": _floor_dsn(place), "FLOOR_PAGE": str(page_path)}
        with serving("floor", floor_port, environ | floor, place.folder, server):
            yield port, floor_port


def _floor_dsn(place: Place) -> str:
    if place.kind == "sqlite":
        return str(place.folder / "floor.sqlite3")
    return place.url.replace("postgresql+psycopg://", "postgresql://")


def posts(places: Places, quick: bool) -> None:
    """POST of the form against one durable INSERT, with no leads stored and with many.

    All three take turns: a machine that is slower after a while is so for each of them.
    """
    stored, each = (5_000, 300) if quick else (100_000, 1_500)
    rows = []
    for kind in KINDS:
        with places.place(kind) as place, places.place(kind) as full:
            store_leads(full.engine, stored)
            with _both_apps(place) as (port, floor_port), _service(full) as full_port:
                empty, floor, filled = _in_turns((port, floor_port, full_port), each, "posts")
            for leads, pace in ((0, empty), (stored, filled)):
                share, flat = f"{pace / floor:.2f}", f"{pace / empty:.2f}"
                rows.append([kind, f"{leads:,}", f"{pace:.0f}", f"{floor:.0f}", share, flat])
    print_table(
        "POST of the form, requests/s (goal: at least 0.35 of the floor, at least 0.9 of empty)",
        ["database", "leads stored", "form", "floor", "form/floor", "of empty"],
        rows,
    )


def _in_turns(ports: Sequence[int], each: int, tag: str) -> list[float]:
    """The median pace of posts at each port, taking turns, so that all meet the same weather."""
    for port in ports:
        ask_all(port, form_posts(port, 50, f"{tag}-warm"))
    paces: list[list[float]] = [[] for _ in ports]
    for turn in range(ROUNDS):
        for port, own in zip(ports, paces, strict=True):
            own.append(_pace(ask_all(port, form_posts(port, each, f"{tag}-{turn}")), 303))
    return [statistics.median(own) for own in paces]


def _pace(run: Run, wanted: int) -> float:
    assert set(run.statuses) == {wanted}, f"answers other than {wanted}: {run.statuses}"
    return run.per_second


def gets(places: Places, quick: bool) -> None:
    """GET of the form against a bare route that returns the same bytes, and what it weighs."""
    each = 1_000 if quick else 5_000
    rows = []
    for kind in KINDS:
        with places.place(kind) as place, _both_apps(place) as (port, floor_port):
            ours: list[float] = []
            floor: list[float] = []
            for _turn in range(ROUNDS):
                for paces, at in ((ours, port), (floor, floor_port)):
                    paces.append(_pace(ask_all(at, [get_request(at)] * each), 200))
            mine, theirs = statistics.median(ours), statistics.median(floor)
            weight = f"{_weight(place.folder / 'page.html') / 1024:.1f} KB"
            row = [kind, f"{mine:.0f}", f"{theirs:.0f}", f"{mine / theirs:.2f}", weight]
            rows.append(row)
    print_table(
        "GET of the form, requests/s (goal: at least 0.7 of the same bytes, at most 14 KB)",
        ["database", "form", "same bytes", "form/same bytes", "compressed with its CSS"],
        rows,
    )


def _weight(page: Path) -> int:
    """Bytes over the wire, compressed: the page and the style sheets that it names."""
    content = page.read_bytes()
    sheets = re.findall(rb'href="/static/([^"?]+\.css)', content)
    pieces = [content, *((STATIC / name.decode()).read_bytes() for name in sheets)]
    return sum(len(gzip.compress(piece, 6)) for piece in pieces)


def servers(places: Places, quick: bool) -> None:
    """The web servers side by side: pace of the form's POST and GET behind each."""
    each = 300 if quick else 1_000
    rows = []
    for kind in KINDS:
        for server in installed():
            with places.place(kind) as place, _both_apps(place, server) as (port, floor_port):
                post, floor = _in_turns((port, floor_port), each, "web")
                get = _pace(ask_all(port, [get_request(port)] * each * 2), 200)
                slow = ask_all(port, form_posts(port, each, "slow")).percentile(0.99)
            cells = [f"{post:.0f}", f"{post / floor:.2f}", f"{get:.0f}", f"{slow * 1000:.0f} ms"]
            rows.append([kind, server, *cells])
    print_table(
        "Web servers, two workers of eight threads (waitress: one of sixteen)",
        ["database", "server", "POST/s", "POST/floor", "GET/s", "POST p99"],
        rows,
    )
