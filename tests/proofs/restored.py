"""MD-24: a cloned and a restored database mail nobody until a person releases them."""

import random
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psycopg
from sqlalchemy import Engine, make_url, select

from leadcapture.database import database_now, open_engine, open_session
from leadcapture.models import Gate, Instance, Message, MessageKind, MessageState
from leadcapture.outbox.instance import FILE
from tests.both import Place
from tests.people import a_message
from tests.proofs.finding import Finding
from tests.served import Service, a_service, run_command
from tests.waiting import until


@dataclass(frozen=True)
class Due:
    """The Message-IDs of what waits in the database: in time, and too late to leave."""

    in_time: set[str]
    too_late: set[str]


def restored_copy(place: Place, quick: bool, seed: int) -> Finding:
    """Clone a database with due mail and run a scheduler on the clone, then release it."""
    count, quiet = (20, 5.0) if quick else (200, 60.0)
    faults: list[str] = []
    _name_the_original(place)
    due = _queue_mail(place.engine, count, random.Random(seed))
    with _clone(place) as url, a_machine(place, "clone", url) as (clone, folder):
        scheduler = clone.start_scheduler()
        threading.Event().wait(quiet)
        before = len(place.office.letters)
        if before:
            faults.append(f"{before} letters left the clone before its release")
        if not scheduler.is_running():
            faults.append("the clone's scheduler ended by itself")
        faults += [] if quick else _gate_faults(url)
        run_command(["release-outbox", "--yes"], clone.environ)
        faults += _wait_for(place, due, url)
        scheduler.stop()
        # The folder of the original is the stranger to the released clone.
        (folder / FILE).write_text((place.folder / FILE).read_text())
        faults += _second_round(place, clone, url)
    sentence = f"{count} due, {before} before release, {len(place.office.letters)} after"
    return Finding(sentence, faults)


@contextmanager
def a_machine(place: Place, name: str, url: str) -> Iterator[tuple[Service, Path]]:
    """Another machine with a data folder of its own, on this database."""
    folder = place.folder / name
    folder.mkdir()
    with a_service(folder, url, place.office.port) as service:
        yield service, folder


def _name_the_original(place: Place) -> None:
    """Its first start makes the name, in the database and in its folder."""
    with a_service(place.folder, place.url, place.office.port) as original:
        scheduler = original.start_scheduler()

        def is_named() -> bool:
            with open_session(place.engine) as session:
                return session.get(Instance, 1) is not None and (place.folder / FILE).exists()

        until(is_named, within=30, what="the name of the original")
        scheduler.stop()


def _queue_mail(engine: Engine, count: int, chance: random.Random) -> Due:
    in_time: set[str] = set()
    too_late: set[str] = set()
    with open_session(engine) as session:
        now = database_now(session)
        for _ in range(count):
            late = chance.random() < 0.25
            message = a_message(
                session,
                kind=MessageKind.PACKET,
                due_at=now - timedelta(minutes=chance.randrange(1, 600)),
                not_after=now - timedelta(minutes=1) if late else None,
                created_at=now - timedelta(hours=1),
            )
            (too_late if late else in_time).add(message.mail_id)
        session.commit()
    return Due(in_time, too_late)


@contextmanager
def _clone(place: Place) -> Iterator[str]:
    """A copy of the database, as an operator would make one by hand; its URL."""
    if place.kind == "sqlite":
        path = place.folder / "clone.sqlite3"
        with (
            closing(sqlite3.connect(make_url(place.url).database or "")) as source,
            closing(sqlite3.connect(path)) as target,
        ):
            source.backup(target)
        yield f"sqlite:///{path}"
        return
    place.engine.dispose()
    original, name = make_url(place.url), f"clone_{secrets.token_hex(6)}"
    admin = original.set(drivername="postgresql", database="postgres")
    dsn = admin.render_as_string(hide_password=False)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{original.database}"'.encode())
        try:
            yield original.set(database=name).render_as_string(hide_password=False)
        finally:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())


def _gate_faults(url: str) -> list[str]:
    engine = open_engine(url)
    with open_session(engine) as session:
        gate = session.get(Gate, "instance")
    engine.dispose()
    return [] if gate is not None else ["staff were not told within a minute"]


def _wait_for(place: Place, due: Due, url: str) -> list[str]:
    engine = open_engine(url)

    def is_settled() -> bool:
        with open_session(engine) as session:
            final = [state for state in MessageState if state.is_final]
            waits = select(Message.id).where(Message.state.not_in(final)).limit(1)
            return session.scalar(waits) is None

    until(is_settled, within=120, what="the released mail")
    engine.dispose()
    copies = place.office.copies()
    faults = [f"{len(due.in_time - set(copies))} never left"] if due.in_time - set(copies) else []
    if due.too_late & set(copies):
        faults.append(f"{len(due.too_late & set(copies))} left though they were too late")
    return faults + [f"{name} left {n} times" for name, n in copies.items() if n > 1]


def _second_round(place: Place, clone: Service, url: str) -> list[str]:
    """With the original's file beside it, the released clone sends nothing more."""
    engine = open_engine(url)
    with open_session(engine) as session:
        a_message(session, kind=MessageKind.PACKET, due_at=database_now(session))
        session.commit()
    engine.dispose()
    before = len(place.office.letters)
    scheduler = clone.start_scheduler()
    threading.Event().wait(5.0)
    scheduler.stop()
    more = len(place.office.letters) - before
    return [f"{more} letters left beside another installation's folder"] if more else []
