"""Backups restore (DD-07), and a restored copy keeps its mail (MD-24)."""

import dataclasses
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, make_url, select, text
from sqlalchemy.orm import Session

from leadcapture.archive import BackupRefused, read_manifest
from leadcapture.backup import AT_FILE, rotate, take_backup
from leadcapture.database import open_engine, open_session
from leadcapture.models import Gate, Lead, Message, MessageKind, MessageState
from leadcapture.outbox.instance import Guard, Standing, standing
from leadcapture.restore import restore_into, verify
from leadcapture.settings import Settings
from tests.clock import TUESDAY_MORNING
from tests.databases import PostgresDatabases, SqliteFiles
from tests.load import in_background
from tests.people import NOTE, a_lead, a_message, a_request
from tests.postgres import Postgres
from tests.proofs.backups import store_patients
from tests.served import service_environ

NOW = TUESDAY_MORNING


@pytest.fixture(autouse=True)
def programs(
    request: pytest.FixtureRequest, database_kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pg_dump and pg_restore of the server's own version stand first on the PATH."""
    if database_kind == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        monkeypatch.setenv("PATH", f"{server.bin_dir}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def filled(engine: Engine, session: Session, settings: Settings) -> Settings:
    """The settings of a service that has a patient, her request and a packet that is due."""
    lead = a_lead(session)
    request = a_request(session, lead)
    a_message(session, lead, kind=MessageKind.PACKET, dedupe_key=f"packet:{request.receipt}")
    session.commit()
    return settings


@pytest.fixture
def another_url(databases: SqliteFiles | PostgresDatabases, tmp_path: Path) -> str:
    """An empty database of the same kind, to restore into."""
    folder = tmp_path / "another"
    folder.mkdir()
    return databases.empty(folder)


def test_a_backup_under_writes_restores_whole(
    engine: Engine, session: Session, filled: Settings
) -> None:
    """DD-07: 50 writes a second go on while it is taken."""
    store_patients(engine, 500)

    def write() -> None:
        with open_session(engine) as writer:
            lead = a_lead(writer)
            a_request(writer, lead, packet_note="sent_today")
            writer.commit()

    with in_background(write, 0.02):
        path, size = take_backup(filled, NOW)
        drill = verify(filled, path, NOW + timedelta(minutes=3))
    assert [check for check in drill.checks if not check.holds] == []
    assert {check.name for check in drill.checks} >= {
        "archive",
        "integrity",
        "content",
        "migrations",
        "sealed rows",
        "invariants",
    }
    assert drill.rpo == timedelta(minutes=3)
    assert drill.rto is not None and drill.rto < timedelta(minutes=1)
    assert size == path.stat().st_size
    assert read_manifest(path).rows["lead"] >= 501


def test_a_backup_is_ours_alone_and_holds_no_key(filled: Settings) -> None:
    """OP-04, DD-07: whoever finds the file finds the health answers sealed."""
    path, _ = take_backup(filled, NOW)
    assert path.name == "leadcapture-20260303T150000Z.zip"
    assert path.stat().st_mode & 0o077 == 0
    manifest = read_manifest(path)
    assert manifest.key_ids == ("k001",)
    assert manifest.taken_at == NOW
    content = path.read_bytes()
    for secret in (filled.secret_key.encode(), filled.seal_keys["k001"], filled.hash_key):
        assert secret not in content
    assert NOTE.encode() not in content
    assert [entry.name for entry in path.parent.iterdir()] == [path.name], "no scratch is left"


def test_health_reads_when_the_last_good_backup_was(filled: Settings, tmp_path: Path) -> None:
    """OP-01: a backup that failed does not count."""
    take_backup(filled, NOW)
    mark = filled.data_dir / AT_FILE
    assert datetime.fromisoformat(mark.read_text().strip()) == NOW
    with pytest.raises(BackupRefused, match="never overwritten"):
        take_backup(filled, NOW)
    assert datetime.fromisoformat(mark.read_text().strip()) == NOW


def test_the_oldest_go_and_nothing_else_does(filled: Settings, tmp_path: Path) -> None:
    paths = [take_backup(filled, NOW + timedelta(hours=hour))[0] for hour in range(3)]
    stranger = paths[0].with_name("a-friends.zip")
    stranger.touch()
    assert rotate(paths[0].parent, 2) == paths[:1]
    assert stranger.exists() and paths[2].exists()


@pytest.mark.parametrize("harm", ["cut", "flip", "flip the manifest", "empty", "another zip"])
def test_a_broken_backup_is_refused_in_a_sentence(
    filled: Settings, tmp_path: Path, another_url: str, harm: str
) -> None:
    """DD-07."""
    path, size = take_backup(filled, NOW)
    content = bytearray(path.read_bytes())
    if harm == "cut":
        del content[size // 2 :]
    elif harm == "flip":
        content[size // 3] ^= 0x40
    elif harm == "flip the manifest":
        place = content.rindex(b"manifest.json", 0, content.rindex(b"manifest.json"))
        content[place + 60] ^= 0x08
    elif harm == "empty":
        content.clear()
    else:
        content[:] = Path(pytest.__file__).read_bytes()
    path.write_bytes(content)
    drill = verify(filled, path, NOW)
    assert not drill.holds
    assert drill.checks[-1].found.endswith(".")
    with pytest.raises(BackupRefused):
        restore_into(filled, path, another_url, NOW)


def test_a_backup_whose_keys_are_lost_does_not_pass_the_drill(filled: Settings) -> None:
    """DD-07: a backup that nobody can read is none."""
    path, _ = take_backup(filled, NOW)
    other = dataclasses.replace(filled, seal_keys={"k001": bytes(32)})
    drill = verify(other, path, NOW)
    assert [check.name for check in drill.checks if not check.holds] == ["sealed rows"]


def test_a_backup_of_a_later_release_asks_for_that_release(
    filled: Settings, engine: Engine
) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    path, _ = take_backup(filled, NOW)
    drill = verify(filled, path, NOW)
    told = {check.name: check for check in drill.checks}["migrations"]
    assert not drill.holds and not told.holds
    assert "later release (schema 9999)" in told.found


def test_a_restored_copy_holds_what_was_backed_up_and_keeps_its_mail(
    engine: Engine, session: Session, filled: Settings, another_url: str
) -> None:
    """DD-07, MD-24: neither the old machine nor a new one sends for it."""
    assert Guard(engine, filled.data_dir).admits(NOW)
    session.commit()
    path, _ = take_backup(filled, NOW)
    restore_into(filled, path, another_url, NOW)
    restored = open_engine(another_url)
    with open_session(restored) as copy:
        assert copy.scalar(select(func.count()).select_from(Lead)) == 1
        assert copy.scalars(select(Message.state)).all() == [MessageState.QUEUED]
        assert standing(copy, filled.data_dir) is Standing.STRANGE
        assert [gate.name for gate in copy.scalars(select(Gate))] == ["instance"]
    restored.dispose()


def test_a_filled_database_is_never_restored_over(filled: Settings, session: Session) -> None:
    """DD-07."""
    path, _ = take_backup(filled, NOW)
    with pytest.raises(BackupRefused, match="empty one"):
        restore_into(filled, path, filled.database_url, NOW)
    assert session.scalar(select(func.count()).select_from(Lead)) == 1


def test_a_backup_of_one_kind_is_not_put_into_the_other(filled: Settings, tmp_path: Path) -> None:
    path, _ = take_backup(filled, NOW)
    sqlite = filled.database_url.startswith("sqlite")
    url = "postgresql+psycopg://nobody@127.0.0.1:1/x" if sqlite else f"sqlite:///{tmp_path}/x.db"
    with pytest.raises(BackupRefused, match="cannot take it"):
        restore_into(filled, path, url, NOW)


def test_without_the_client_programs_it_says_what_to_install(
    filled: Settings, database_kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """SQLite needs none."""
    monkeypatch.setenv("PATH", str(tmp_path))
    if database_kind == "sqlite":
        assert take_backup(filled, NOW)[0].exists()
        return
    with pytest.raises(BackupRefused, match="postgresql-client"):
        take_backup(filled, NOW)
    assert list((filled.data_dir / "backups").iterdir()) == []


@pytest.mark.parametrize("mode", [None, 0o640])
def test_what_is_restored_is_for_us_alone_unless_an_empty_file_says_otherwise(
    filled: Settings, another_url: str, database_kind: str, mode: int | None
) -> None:
    """OP-04."""
    path, _ = take_backup(filled, NOW)
    assert path.stat().st_mode & 0o777 == 0o600
    target = Path(make_url(another_url).database or "")
    if database_kind == "sqlite" and mode is not None:
        target.touch()
        target.chmod(mode)
    restore_into(filled, path, another_url, NOW)
    if database_kind == "sqlite":
        assert target.stat().st_mode & 0o777 == (mode or 0o600)


def test_the_commands_take_a_backup_and_prove_it(filled: Settings, tmp_path: Path) -> None:
    """DD-07: exit status 1 where the drill fails."""
    environ = service_environ(tmp_path, filled.database_url, port=8000, smtp_port=25)
    file = tmp_path / "off-site" / "clinic.zip"

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "leadcapture", *words],
            env=environ,
            capture_output=True,
            text=True,
            timeout=120,
        )

    taken = run("backup", str(file))
    assert taken.returncode == 0, taken.stderr
    proved = run("restore", str(file), "--verify")
    assert proved.returncode == 0, proved.stdout + proved.stderr
    assert "RTO" in proved.stdout and "FAULT" not in proved.stdout
    age = datetime.now(UTC) - read_manifest(file).taken_at
    assert age < timedelta(minutes=5)
    with file.open("r+b") as broken:
        broken.truncate(file.stat().st_size // 2)
    failed = run("restore", str(file), "--verify")
    assert failed.returncode == 1
    assert "damaged or cut short" in failed.stdout
    assert run("backup", str(file)).returncode == 2
