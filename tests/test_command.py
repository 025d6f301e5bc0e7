"""What commands say where something is amiss: a sentence with what to mend, and no traceback."""

import gc
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session

from leadcapture import up
from leadcapture.accounts import invitations
from leadcapture.cli import first_administrator, main
from leadcapture.command import loading, why_it_ended
from leadcapture.outbox import gates
from leadcapture.scheduler import Timetable
from leadcapture.settings import Settings
from leadcapture.vault import Vault
from leadcapture.web import utc_now
from tests.served import free_port, service_environ

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, database_url: str) -> Run:
    """Runs a command over this database, or another one."""

    def ran(*words: str, url: str = database_url) -> Result:
        environ = service_environ(tmp_path, url, port=8000, smtp_port=25)
        return CliRunner().invoke(main, words, env=dict(environ))

    return ran


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize(
    "words", [("queue",), ("ledger", "verify"), ("hold-outbox",), ("add-staff",), ("join",)]
)
def test_to_look_for_a_database_makes_none(
    run: Run, tmp_path: Path, words: tuple[str, ...]
) -> None:
    nowhere = tmp_path / "mistyped.sqlite3"
    ended = run(*words, url=f"sqlite:///{nowhere}")
    assert (ended.exit_code, nowhere.exists()) == (2, False)
    assert f"There is no database at {nowhere}" in ended.output


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize(
    "words", [("queue",), ("ledger", "check"), ("hold-outbox",), ("add-staff",)]
)
def test_a_database_without_tables_is_named(
    run: Run, tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "blank.sqlite3").touch()
    ended = run(*words, url=f"sqlite:///{tmp_path / 'blank.sqlite3'}")
    assert ended.exit_code == 2
    assert "leadcapture migrate" in ended.output and "Traceback" not in ended.output


@pytest.mark.parametrize("words", [("migrate",), ("migrate", "--to", "0001"), ("up",)])
def test_a_database_of_a_later_release_is_left_as_it_is(
    run: Run, engine: Engine, words: tuple[str, ...]
) -> None:
    """DD-12: the release before serves on it, but would not know how to migrate it."""
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    ended = run(*words)
    assert ended.exit_code == 2
    assert ended.output == (
        "The database was migrated by a later release (schema 9999). Install that release, or "
        "one after it; nothing was changed.\n"
    )


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_a_table_that_is_missing_on_postgresql_is_named(engine: Engine) -> None:
    with engine.connect() as connection, pytest.raises(ProgrammingError) as met:
        connection.execute(text("SELECT 1 FROM nowhere"))
    assert "leadcapture migrate" in (why_it_ended(met.value) or "")
    with engine.connect() as connection, pytest.raises(ProgrammingError) as met:
        connection.execute(text("SELECT nonsense("))
    assert "The database refuses" in (why_it_ended(met.value) or "")


@pytest.mark.parametrize("words", [("queue",), ("backup",), ("add-staff",), ("migrate",)])
@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_server_that_is_down_is_named(run: Run, words: tuple[str, ...]) -> None:
    ended = run(*words, url=f"postgresql+psycopg://nobody:hidden@127.0.0.1:{free_port()}/none")
    assert ended.exit_code == 2
    assert "LEADCAPTURE_DATABASE_URL" in ended.output
    assert "hidden" not in ended.output


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("up", "--port", "70000"), "70000 is not in the range"),
        (("up", "--port", "0"), "0 is not in the range"),
        (("web", "--workers", "0"), "0 is not in the range"),
        (("backup", "/proc/leads.zip"), "/proc/"),
    ],
)
def test_what_cannot_be_done_as_it_was_asked_is_said(
    run: Run, session: Session, words: tuple[str, ...], said: str
) -> None:
    session.commit()
    ended = run(*words)
    assert ended.exit_code == 2
    assert said in ended.output and "Traceback" not in ended.output


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_an_address_that_is_none_is_named(run: Run, session: Session, tmp_path: Path) -> None:
    session.commit()
    assert run("backup", str(tmp_path / "leads.zip")).exit_code == 0
    ended = run("restore", str(tmp_path / "leads.zip"), "--into", "nonsense")
    assert ended.exit_code == 2
    assert "That is no address of a database" in ended.output


def test_what_is_a_fault_of_ours_is_shown_as_it_came() -> None:
    assert why_it_ended(ValueError("a fault of ours")) is None


def test_the_collector_of_garbage_rests_while_a_service_is_loaded() -> None:
    with suppress(ImportError), loading():
        assert not gc.isenabled()
        raise ImportError
    assert gc.isenabled(), "also where loading failed"


def test_to_release_a_copy_does_not_say_that_held_mail_flows(run: Run, session: Session) -> None:
    assert "sends what is due" in run("release-outbox", "--yes").output
    assert run("hold-outbox").exit_code == 0
    told = run("release-outbox", "--yes")
    assert "all mail is held" in told.output and "sends what is due" not in told.output
    assert gates.pause_reason(session) == "held_by_operator"


def test_one_process_runs_from_a_folder(tmp_path: Path) -> None:
    assert up.take_folder(tmp_path)
    assert not up.take_folder(tmp_path)


def test_the_link_of_the_first_administrator_is_the_only_one(
    settings: Settings, session: Session
) -> None:
    """AU-10: what stood on a screen before opens nothing once another start shows another."""
    links = [first_administrator(settings) or "" for _ in range(2)]
    tokens = [link.rpartition("/")[2] for link in links]
    states = [invitations.state_of(session, token, utc_now()) for token in tokens]
    assert states == ["expired", "open"]


def test_a_scheduler_without_tables_says_so_and_ends(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "blank.sqlite3").touch()
    ended = run("scheduler", url=f"sqlite:///{tmp_path / 'blank.sqlite3'}")
    assert ended.exit_code == 2
    assert "leadcapture migrate" in caplog.text


def test_a_failure_that_lasts_is_told_once_a_minute(
    settings: Settings, engine: Engine, vault: Vault, caplog: pytest.LogCaptureFixture
) -> None:
    timetable = Timetable(settings, engine, vault)

    def fail_by(problem: Exception) -> None:
        raise problem

    with caplog.at_level(logging.ERROR, "leadcapture.scheduler"):
        for problem in (OSError("one"), OSError("two"), ValueError("three"), ValueError("four")):
            timetable.tick("any", lambda problem=problem: fail_by(problem))  # type: ignore[misc]
        timetable.tick("any", lambda: None)
        timetable.tick("any", lambda: fail_by(ValueError("five")))
    told = [record.getMessage() for record in caplog.records]
    assert told == [f"job any failed: {kind}" for kind in ("OSError", "ValueError", "ValueError")]
    timetable.close()
