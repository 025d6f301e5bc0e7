"""Health tells the truth: each reason for not being ready, and none where all is well (OP-01)."""

import contextlib
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, delete, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from leadcapture import integrity, readiness
from leadcapture.database import open_engine
from leadcapture.models import Gate, Heartbeat, Lead, MessageState, SealKey, Task
from leadcapture.outbox import gates
from leadcapture.outbox.alerts import clear_alerts, raise_alert
from leadcapture.outbox.seal_keys import KeyNotes
from leadcapture.scheduler import Timetable
from leadcapture.settings import Settings
from leadcapture.vault import Vault
from tests.clock import Clock
from tests.conftest import SignIn
from tests.load import new_token
from tests.people import a_message, a_request, typed_form
from tests.visitors import Visitor

MINUTE = timedelta(minutes=1)


@pytest.fixture
def ticking(session: Session, clock: Clock) -> None:
    """A scheduler that has just committed a tick."""
    session.merge(Heartbeat(job="upkeep", at=clock(), ok=True, error=""))
    session.commit()


def why(client: Visitor) -> list[str]:
    answer = client.get("/readyz")
    told: list[str] = answer.get_json()["why"]
    assert answer.status_code == (503 if told else 200)
    assert answer.get_json()["ready"] is (not told)
    return told


pytestmark = pytest.mark.usefixtures("ticking")


def test_it_is_ready_where_nothing_is_amiss(client: Visitor) -> None:
    assert why(client) == []


def test_a_silent_scheduler_is_noticed_and_staff_are_told(
    client: Visitor, session: Session, clock: Clock
) -> None:
    """OP-01, SC-05: within 90 s, by the web's own probe, and cleared when it ticks again."""
    clock.advance(timedelta(seconds=90))
    assert why(client) == []
    clock.advance(timedelta(seconds=11))
    assert why(client) == ["scheduler_silent"]
    task = session.scalars(select(Task).where(Task.kind == "scheduler_silent")).one()
    assert task.done_at is None
    session.merge(Heartbeat(job="upkeep", at=clock.advance(MINUTE), ok=True, error=""))
    assert why(client) == []
    session.expire_all()
    assert task.done_at == clock()


def test_staff_see_since_when_letters_stand_still_though_no_monitor_asks(
    sign_in: SignIn, session: Session, clock: Clock
) -> None:
    """SC-05: an open page of the desk asks, is told that something is new, and says it in words."""
    rosa = sign_in()
    page = rosa.get("/desk/").get_data(as_text=True)
    assert "stood still" not in page
    found = re.search(r'data-mark="([^"]+)"', page)
    assert found is not None
    clock.advance(timedelta(seconds=101))
    news = [rosa.get(f"/desk/changes?since={found[1]}").status_code for _ in range(2)]
    assert news[-1] == 200
    task = session.scalars(select(Task).where(Task.kind == "scheduler_silent")).one()
    assert task.done_at is None
    told = rosa.page("/desk/").main_text
    assert "Letters have stood still since" in told
    assert "09:00" in told and "Tell whoever looks after this service" in told

    session.merge(Heartbeat(job="upkeep", at=clock.advance(MINUTE), ok=True, error=""))
    session.commit()
    assert "stood still" not in rosa.page("/desk/").main_text
    session.expire_all()
    assert task.done_at == clock()


def test_where_no_scheduler_ever_ran_the_desk_is_left_in_peace(
    sign_in: SignIn, session: Session
) -> None:
    """Somebody who only looks at the pages is not told that they are broken; `/readyz` says it."""
    session.execute(delete(Heartbeat))
    assert "stood still" not in sign_in().page("/desk/").main_text
    assert session.scalars(select(Heartbeat)).all() == []


def test_a_beat_of_before_the_clock_was_put_back_hides_no_dead_scheduler(
    client: Visitor, clock: Clock
) -> None:
    """SC-07, SC-05: it stands in the future for an hour, and says nothing of now."""
    clock.advance(timedelta(hours=-1))
    assert why(client) == ["scheduler_silent"]


def test_the_webs_own_beat_does_not_hide_a_silent_scheduler(client: Visitor, clock: Clock) -> None:
    for _ in range(10):
        clock.advance(timedelta(seconds=15))
        told = why(client)
    assert told == ["scheduler_silent"]


def test_mail_that_waits_too_long_is_noticed(
    client: Visitor, session: Session, clock: Clock
) -> None:
    """OP-01: oldest due > 15 min; where a gate keeps it back, that is the reason."""
    a_message(session, due_at=clock() - 15 * MINUTE)
    a_message(session, due_at=clock() + 15 * MINUTE)
    assert why(client) == []
    a_message(session, due_at=clock() - 16 * MINUTE)
    assert why(client) == ["mail_late"]
    gates.hold_queue(session, "auth_535", clock())
    assert why(client) == ["mail_kept_back_by_queue"]


def test_a_closed_gate_alone_is_no_reason(client: Visitor, session: Session, clock: Clock) -> None:
    session.add(Gate(name="queue", reason="auth_535", since=clock(), closed_until=None))
    assert why(client) == []


def test_a_doubt_that_does_not_settle_is_noticed(
    client: Visitor, session: Session, clock: Clock
) -> None:
    """OP-01: any uncertain > 30 min, and a minute for the duty that settles it."""
    doubt = a_message(session, state=MessageState.UNCERTAIN, state_at=clock() - 31 * MINUTE)
    assert why(client) == []
    doubt.state_at = clock() - 31 * MINUTE - timedelta(seconds=1)
    assert why(client) == ["uncertain_too_long"]


def test_a_broken_audit_chain_is_noticed(client: Visitor, session: Session, clock: Clock) -> None:
    """OP-01."""
    raise_alert(session, "audit_broken", "7", clock())
    assert why(client) == ["audit_broken"]
    clear_alerts(session, "audit_broken", clock())
    assert why(client) == []


def test_a_key_that_is_missing_is_noticed(
    client: Visitor, session: Session, vault: Vault, clock: Clock
) -> None:
    """OP-01: rows are there that were sealed with a key that the settings no longer hold."""
    request = a_request(session)
    other = Vault({"k000": b"o" * 32}, "k000", b"h" * 32)
    notes = KeyNotes()
    notes.note_keys(session, clock())
    assert session.scalars(select(SealKey.id)).all() == ["k001"]
    assert why(client) == []
    late = a_request(session, receipt="late")
    late.answers = other.seal("request", "answers", request.receipt, "{}")
    session.flush()
    notes.note_keys(session, clock())
    assert why(client) == ["seal_key_missing"]


def test_a_disk_that_fills_is_noticed(tmp_path: Path) -> None:
    """OP-01: less than 5 % free; asked of the real disk with a share that no disk has."""
    assert readiness.disk_reasons(tmp_path, least=0.0) == []
    assert readiness.disk_reasons(tmp_path, least=1.01) == ["disk_nearly_full"]


def test_a_database_that_takes_no_write_is_noticed(
    client: Visitor, session: Session, database_url: str, clock: Clock
) -> None:
    """OP-01: reading still works."""
    assert why(client) == []
    session.commit()
    with unwritable(database_url):
        clock.advance(timedelta(seconds=5))
        assert why(client) == []  # Tried at most every 10 s.
        clock.advance(timedelta(seconds=5))
        assert why(client) == ["database_not_writable"]
    clock.advance(timedelta(seconds=10))
    assert why(client) == []


@contextlib.contextmanager
def unwritable(url: str) -> Iterator[None]:
    """As a full disk or a standby: every write is refused."""
    engine = open_engine(url)
    if engine.dialect.name == "sqlite":
        on = "CREATE TRIGGER full_disk BEFORE {} ON heartbeat BEGIN SELECT RAISE(FAIL, 'full'); END"
        off = "DROP TRIGGER full_disk"
        with engine.begin() as connection:
            connection.execute(text(on.format("UPDATE")))
        yield
        with engine.begin() as connection:
            connection.execute(text(off))
    else:
        name = make_url(url).database
        # Those who are connected keep what they had: they are thrown out.
        for value in ("on", "off"):
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("SET default_transaction_read_only = off"))
                connection.execute(
                    text(f'ALTER DATABASE "{name}" SET default_transaction_read_only = {value}')
                )
                connection.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
                )
            engine.dispose()
            if value == "on":
                yield
    engine.dispose()


def test_a_database_out_of_reach_is_noticed(tmp_path: Path, clock: Clock) -> None:
    """OP-01."""
    engine = open_engine(f"sqlite:///{tmp_path}/no/such/folder.sqlite3")
    probe = readiness.Probe(engine, tmp_path, ("k001",))
    assert probe.reasons(clock()) == ["database_not_writable", "database_out_of_reach"]
    engine.dispose()


def test_it_is_cheap_to_ask_however_much_there_is(
    client: Visitor, session: Session, database_kind: str, clock: Clock
) -> None:
    """OP-01: each question is answered from an index, never by a walk through the messages."""
    if database_kind == "postgresql":
        session.execute(text("SET LOCAL enable_seqscan = off"))
    plans = []
    for question in (
        "SELECT due_at FROM message WHERE state = 'queued' AND priority = 0 "
        "AND due_at <= '2026-03-03' ORDER BY due_at LIMIT 1",
        "SELECT id FROM message WHERE state = 'uncertain' AND state_at < '2026-03-03' LIMIT 1",
    ):
        explain = "EXPLAIN QUERY PLAN " if database_kind == "sqlite" else "EXPLAIN "
        plans.append(str(session.execute(text(explain + question)).all()))
    assert ["ix_message_" in plan for plan in plans] == [True, True], plans


class TestDamage:
    """DD-11."""

    def test_a_whole_database_is_found_whole(self, engine: Engine, tmp_path: Path) -> None:
        assert integrity.check(engine, tmp_path) is True
        assert not integrity.is_damaged(tmp_path)

    def test_other_failures_are_no_damage(self, engine: Engine, tmp_path: Path) -> None:
        integrity.remember_damage_met(engine, tmp_path)
        with pytest.raises(DatabaseError), engine.connect() as connection:
            connection.execute(text("SELECT no_such_column FROM lead"))
        assert not integrity.is_damaged(tmp_path)

    def test_a_look_that_runs_out_of_time_says_nothing(
        self, engine: Engine, session: Session, tmp_path: Path
    ) -> None:
        if engine.dialect.name == "sqlite":
            for _ in range(300):
                a_message(session)
        session.commit()
        (tmp_path / integrity.FILE).write_text("found before")
        longest = -1.0 if engine.dialect.name == "sqlite" else 120.0
        verdict = integrity.check(engine, tmp_path, longest)
        assert verdict is (None if engine.dialect.name == "sqlite" else True)
        assert integrity.is_damaged(tmp_path) is (verdict is None)

    def test_the_timetable_looks_before_it_starts_and_then_daily(
        self, engine: Engine, settings: Settings, vault: Vault, clock: Clock
    ) -> None:
        timetable = Timetable(settings, engine, vault, clock)
        mark = settings.data_dir / integrity.FILE
        mark.write_text("found before")
        timetable.check_before_start()
        assert not mark.exists()
        jobs = {name: job for name, job, _ in timetable.jobs()}
        mark.write_text("as if found")
        jobs["watch"]()
        assert not mark.exists()

    def test_nothing_is_written_to_a_damaged_database(
        self,
        client: Visitor,
        engine: Engine,
        session: Session,
        settings: Settings,
        vault: Vault,
        clock: Clock,
    ) -> None:
        a_message(session)
        session.commit()
        (settings.data_dir / integrity.FILE).write_text("damaged")
        assert "database_damaged" in why(client)
        answer = client.post("/", data=typed_form(new_token()))
        assert answer.status_code == 503
        timetable = Timetable(settings, engine, vault, clock)
        for name, job, _ in timetable.jobs():
            if name != "watch":
                timetable.tick(name, job)
        session.expire_all()
        assert len(session.scalars(select(Lead)).all()) == 1
        assert set(session.scalars(select(Heartbeat.job))) == {"upkeep"}
