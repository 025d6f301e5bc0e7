"""Several processes that read a number, add one and write it back, again and again (DD-01)."""

import multiprocessing
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection

from sqlalchemy import Engine, text

from leadcapture.database import open_engine, open_session


@dataclass(frozen=True)
class Counted:
    """How far they came; the longest that one of them waited for its turn, seconds; how each
    that broke off did.
    """

    count: int
    worst_wait: float
    failures: list[str]


def count_together(engine: Engine, url: str, processes: int, rounds: int) -> Counted:
    """Let so many processes count up so often each, beside each other."""
    with open_session(engine) as session:
        session.execute(
            text(
                "INSERT INTO gate (name, reason, failures, since) "
                "VALUES ('count', '', 0, '2026-01-01 00:00:00')"
            )
        )
        session.commit()
    context = multiprocessing.get_context("spawn")
    workers = []
    for _ in range(processes):
        ours, theirs = context.Pipe()
        worker = context.Process(target=_count, args=(url, rounds, theirs))
        worker.start()
        theirs.close()
        workers.append((worker, ours))
    told = [_told(pipe) for _, pipe in workers]
    for worker, _ in workers:
        worker.join()
    with engine.connect() as connection:
        count = connection.execute(text("SELECT failures FROM gate")).scalar_one()
    return Counted(
        count,
        max((one for one in told if isinstance(one, float)), default=0.0),
        [one for one in told if isinstance(one, str)],
    )


def _told(pipe: "Connection[object, float | str]") -> float | str:
    try:
        return pipe.recv()
    except EOFError:
        return "its process has ended"


def _count(url: str, rounds: int, pipe: "Connection[float | str, object]") -> None:
    engine = open_engine(url)
    worst = 0.0
    try:
        with engine.connect():
            pass
        for _ in range(rounds):
            began = time.monotonic()
            _add_one(engine)
            worst = max(worst, time.monotonic() - began)
    except Exception as error:
        pipe.send(f"{type(error).__name__}: {error}")
    else:
        pipe.send(worst)
    finally:
        engine.dispose()


def _add_one(engine: Engine) -> None:
    gate = "UPDATE gate SET failures = :failures WHERE name = 'count'"
    read = "SELECT failures FROM gate WHERE name = 'count'"
    if engine.dialect.name == "postgresql":
        read += " FOR UPDATE"
    with open_session(engine) as session:
        failures = session.execute(text(read)).scalar_one()
        session.execute(text(gate), {"failures": failures + 1})
        session.commit()
