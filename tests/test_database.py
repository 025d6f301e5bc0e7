"""What the engine does for us: no lost update, no commit that is not on disk."""

import contextlib
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import IntegrityError, OperationalError, StatementError
from sqlalchemy.orm import Session

from leadcapture import integrity
from leadcapture.database import (
    database_now,
    once_more,
    open_engine,
    open_session,
    pipelined,
    plan_anew,
    reading,
)
from leadcapture.models import Heartbeat, Message, MessageKind
from tests.clock import TUESDAY_MORNING, Clock
from tests.counting import count_together
from tests.parts import find_part
from tests.people import a_message
from tests.post_office import Letter, PostOffice

PROCESSES, ROUNDS = 4, 40


def test_no_update_of_several_processes_is_lost(database_url: str, engine: Engine) -> None:
    """DD-01: read, add one, write, from several processes; none lost, none locked. With the
    longest wait, and 6 × 200: ``python -m tests.proofs --only counted``.
    """
    counted = count_together(engine, database_url, PROCESSES, ROUNDS)
    assert counted.failures == []
    assert counted.count == PROCESSES * ROUNDS


def test_every_connection_of_sqlite_keeps_the_rules(tmp_path: Path) -> None:
    """DD-02."""
    engine = open_engine(f"sqlite:///{tmp_path / 'x.sqlite3'}")
    connections = [engine.connect() for _ in range(5)]
    for connection in connections:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
        }
        assert found == {
            "journal_mode": "wal",
            "synchronous": 2,
            "foreign_keys": 1,
            "secure_delete": 1,
        }
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one() >= 10_000
        connection.rollback()
    for connection in connections:
        connection.close()
    engine.dispose()


def test_every_commit_of_sqlite_is_synced_to_disk(tmp_path: Path) -> None:
    """DD-02: at least one fdatasync for each of ten commits, as the kernel sees it."""
    program = (
        "import sys; from sqlalchemy import text; from leadcapture.database import open_engine\n"
        "engine = open_engine(sys.argv[1])\n"
        "with engine.begin() as c: c.execute(text('CREATE TABLE t (x INTEGER)'))\n"
        "for x in range(10):\n"
        "    with engine.begin() as c: c.execute(text('INSERT INTO t VALUES (1)'))\n"
    )
    url = f"sqlite:///{tmp_path / 'x.sqlite3'}"
    log = tmp_path / "calls"
    tracer = [find_part("strace", "strace"), "-f", "-e", "trace=fsync,fdatasync", "-o", str(log)]
    command = [*tracer, sys.executable, "-c", program, url]
    subprocess.run(command, capture_output=True, check=True, timeout=60)
    assert log.read_text().count("sync(") >= 10


def test_a_reader_never_waits_for_a_writer(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'x.sqlite3'}")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER)"))
    with engine.begin() as writer:
        writer.execute(text("INSERT INTO t VALUES (1)"))
        with reading(), engine.connect() as reader:
            assert reader.execute(text("SELECT count(*) FROM t")).scalar_one() == 0
    engine.dispose()


def test_a_commit_that_fails_keeps_nobody_from_writing(tmp_path: Path) -> None:
    """DD-05: as at a full disk. Its writer would have kept its turn, and all waited for 15 s."""
    engine = open_engine(f"sqlite:///{tmp_path / 'plain.sqlite3'}")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE parent (id INTEGER PRIMARY KEY)"))
        connection.execute(
            text("CREATE TABLE child (of INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED)")
        )
    with engine.connect() as unlucky:
        transaction = unlucky.begin()
        unlucky.execute(text("INSERT INTO child VALUES (1)"))
        with pytest.raises(IntegrityError):
            transaction.commit()
        began = time.monotonic()
        with engine.begin() as next_one:
            next_one.execute(text("INSERT INTO parent VALUES (1)"))
        assert time.monotonic() - began < 5
        assert unlucky.connection.driver_connection.in_transaction is False  # type: ignore[union-attr]


_LOOK_WITHOUT_ROOM = """
import resource, sys
from pathlib import Path
from leadcapture import integrity
from leadcapture.database import open_engine
resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))
print(integrity.check(open_engine(sys.argv[1]), Path(sys.argv[2])))
"""


def test_a_full_disk_is_not_taken_for_damage(tmp_path: Path) -> None:
    """DD-05, DD-11: SQLite needs room beside its file to read it, and says that it has none."""
    path = tmp_path / "plain.sqlite3"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE plain (id INTEGER PRIMARY KEY)")
    done = subprocess.run(
        [sys.executable, "-c", _LOOK_WITHOUT_ROOM, f"sqlite:///{path}", tmp_path],
        capture_output=True,
        text=True,
    )
    assert done.stdout == "None\n", done.stderr
    assert not integrity.is_damaged(tmp_path)


def test_who_reads_has_each_question_planned_and_who_writes_keeps_a_plan(engine: Engine) -> None:
    """On PostgreSQL; SQLite has no such choice, and must only not mind."""
    asked = "SHOW plan_cache_mode" if engine.dialect.name == "postgresql" else "SELECT 'same'"
    with open_session(engine) as session:
        writing = session.scalar(text(asked))
        plan_anew(session.connection())
        searching = session.scalar(text(asked))
    with reading(), open_session(engine) as session:
        found = session.scalar(text(asked))
    with open_session(engine) as session:
        again = session.scalar(text(asked))
    if engine.dialect.name == "postgresql":
        anew = "force_custom_plan"
        assert (writing, searching, found, again) == ("auto", anew, anew, "auto")


def test_a_naive_instant_is_refused(session: Session) -> None:
    naive = datetime(2026, 1, 1)  # noqa: DTZ001
    session.add(Heartbeat(job="x", at=naive, ok=True))
    with pytest.raises(StatementError, match="aware"):
        session.flush()


def test_an_instant_comes_back_aware_and_equal(session: Session) -> None:
    session.add(Heartbeat(job="x", at=TUESDAY_MORNING, ok=True))
    session.commit()
    session.expire_all()
    assert session.get_one(Heartbeat, "x").at == TUESDAY_MORNING
    assert database_now(session).utcoffset() is not None


def test_no_transaction_is_open_while_the_relay_makes_us_wait(
    database_url: str,
    session: Session,
    send_due: Callable[[], int],
    office: PostOffice,
    clock: Clock,
) -> None:
    """DD-10, rule 3: while the relay holds the dot, another writes at once."""
    message = a_message(session, kind=MessageKind.PACKET)
    session.commit()
    states: list[str] = []

    def look(_letter: Letter) -> None:
        # A writer of its own: it would wait, and fail, if the sender held a transaction.
        engine = open_engine(database_url)
        with open_session(engine) as other:
            states.append(other.scalars(select(Message.state)).one())
            other.add(Heartbeat(job="other", at=clock.now, ok=True))
            other.commit()
        engine.dispose()

    office.before_taking = look
    assert send_due() == 1
    assert states == ["sending"], "the intent is committed before the dot"
    session.refresh(message)
    assert message.state == "sent"


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_whoever_meets_a_dead_connection_past_sqlalchemy_may_ask_once_more(
    engine: Engine, database_url: str
) -> None:
    """DD-06: at the end of a pipeline, and where a reader begins."""
    beat = "INSERT INTO heartbeat (job, at, ok, error) VALUES ('pipelined', now(), true, '')"
    killer = open_engine(database_url)
    tries: list[str] = []

    def server_of(session: Session) -> int:
        driver: Any = session.connection().connection.driver_connection
        return int(driver.info.backend_pid)

    def kill(server: int) -> None:
        with killer.connect() as connection:
            gone = text("SELECT pg_terminate_backend(:server, 5000)")
            assert connection.scalar(gone, {"server": server})

    def write() -> None:
        tries.append("write")
        with open_session(engine) as session:
            with pipelined(session):
                session.connection().exec_driver_sql(beat)
                if len(tries) == 1:
                    kill(server_of(session))
            session.commit()

    def read() -> None:
        tries.append("read")
        with reading(), open_session(engine) as session:
            assert session.scalar(select(Heartbeat.ok))

    once_more(write)
    with open_session(engine) as session:
        idle = server_of(session)
    kill(idle)
    once_more(read)
    assert tries == ["write", "write", "read", "read"]
    with pytest.raises(IntegrityError):
        write()
    killer.dispose()


def test_the_driver_here_is_new_enough() -> None:
    """RETURNING and upserts need SQLite 3.35."""
    assert sqlite3.sqlite_version_info >= (3, 35)


def modes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}


def test_a_file_that_we_make_is_readable_by_us_alone_in_an_open_folder_too(tmp_path: Path) -> None:
    """OP-04: patients' names stand in it, and in what SQLite keeps beside it."""
    tmp_path.chmod(0o755)
    engine = open_engine(f"sqlite:///{tmp_path / 'made.sqlite3'}")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE patient (name TEXT)"))
        beside = {"made.sqlite3", "made.sqlite3-wal", "made.sqlite3-shm"}
        assert modes(tmp_path) == dict.fromkeys(beside, 0o600)
    engine.dispose()


def test_a_file_that_an_operator_made_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "made.sqlite3").touch()
    (tmp_path / "made.sqlite3").chmod(0o640)
    engine = open_engine(f"sqlite:///{tmp_path / 'made.sqlite3'}")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE patient (name TEXT)"))
        assert set(modes(tmp_path).values()) == {0o640}
    engine.dispose()


def test_where_no_file_can_be_made_sqlite_says_so(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'nowhere' / 'made.sqlite3'}")
    with pytest.raises(OperationalError, match="unable to open"), engine.connect():
        pass
