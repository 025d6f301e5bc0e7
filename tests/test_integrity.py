"""Damage on the disk is seen: pages turned round in real files, on both databases (DD-11)."""

import contextlib
import os
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from leadcapture import integrity, migrate
from leadcapture.database import open_engine
from leadcapture.models import Lead
from tests.configured import make_settings
from tests.people import a_lead
from tests.postgres import Postgres


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    """A SQLite file with some people in it, its log written back."""
    path = tmp_path / "pages.sqlite3"
    url = f"sqlite:///{path}"
    migrate.upgrade(make_settings(tmp_path, url))
    engine = open_engine(url)
    with Session(engine) as own:
        for _ in range(50):
            a_lead(own)
        own.commit()
    engine.dispose()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


def test_every_page_that_is_turned_round_is_found(pages: Path, tmp_path: Path) -> None:
    """Each bit of one page, of every fifth. Less may go unseen: SQLite keeps no checksums."""
    whole, size = pages.read_bytes(), 4096
    engine = open_engine(f"sqlite:///{pages}")
    unseen = []
    for at in range(0, len(whole), 5 * size):
        turned = bytes(255 - byte for byte in whole[at : at + size])
        pages.write_bytes(whole[:at] + turned + whole[at + size :])
        if integrity.check(engine, tmp_path) is not False:
            unseen.append(at // size)
    assert len(whole) > 100 * size and unseen == []
    assert integrity.is_damaged(tmp_path)
    pages.write_bytes(whole)
    assert integrity.check(engine, tmp_path) is True
    assert not integrity.is_damaged(tmp_path)
    engine.dispose()


def test_what_a_question_meets_is_remembered_at_once(pages: Path, tmp_path: Path) -> None:
    with pages.open("r+b") as file:
        file.seek(2 * 4096)
        file.write(os.urandom(pages.stat().st_size - 2 * 4096))
    engine = open_engine(f"sqlite:///{pages}")
    integrity.remember_damage_met(engine, tmp_path)
    with pytest.raises(DatabaseError), Session(engine) as own:
        own.scalars(select(Lead)).all()
    assert integrity.is_damaged(tmp_path)
    engine.dispose()


def test_a_flipped_page_of_a_server_is_found(tmp_path: Path) -> None:
    """A row's page, and one that only a long value stands on; each is mended in turn."""
    with Postgres() as server:
        url = server.url(server.create())
        migrate.upgrade(make_settings(tmp_path, url))
        engine = open_engine(url)
        assert integrity.check(engine, tmp_path) is True
        files = {
            server.data_dir / file_of(engine, of): of
            for of in ("'letter_version'", "reltoastrelid")
        }
        engine.dispose()
        with server.stopped():
            whole = {file: file.read_bytes() for file in files}
        for file in files:
            engine.dispose()
            with server.stopped():
                for each, content in whole.items():
                    each.write_bytes(spoilt(content) if each == file else content)
            assert integrity.check(engine, tmp_path) is False, files[file]
            assert integrity.is_damaged(tmp_path)
            with engine.begin() as connection:
                # The server counts what it met until it is told that this is over.
                connection.execute(text("SELECT pg_stat_reset()"))
        engine.dispose()
        with server.stopped():
            file.write_bytes(whole[file])
        assert integrity.check(engine, tmp_path) is True
        assert not integrity.is_damaged(tmp_path)
        engine.dispose()


def spoilt(content: bytes) -> bytes:
    """With one byte of the first page turned round."""
    return content[:4000] + bytes([255 - content[4000]]) + content[4001:]


def file_of(engine: Engine, of: str) -> str:
    """Where a table stands below the server's folder, named by an expression over pg_class."""
    named = f"SELECT pg_relation_filepath({of}) FROM pg_class WHERE relname = 'letter_version'"
    with engine.connect() as connection:
        return str(connection.scalar(text(named)))
