"""A restored or cloned database mails nobody until a person releases it (MD-24)."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import Engine, delete, select
from sqlalchemy.orm import Session

from leadcapture.database import open_session
from leadcapture.models import Gate, Instance, Message, MessageKind, MessageState
from leadcapture.outbox import gates, instance
from leadcapture.outbox.dispatch import Dispatcher
from leadcapture.outbox.instance import Guard, Named, Standing, read_file, standing, write_file
from leadcapture.outbox.relay import RelaySession
from leadcapture.scheduler import Timetable
from leadcapture.settings import Settings
from leadcapture.vault import Vault
from tests.clock import TUESDAY_MORNING, Clock
from tests.conftest import make_visitor
from tests.load import in_background
from tests.people import PASSWORD, a_message, a_staff_member
from tests.post_office import PostOffice

NOW = TUESDAY_MORNING


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The data folder of the machine that the database belongs to."""
    return a_folder(tmp_path, "here")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """The data folder of another machine."""
    return a_folder(tmp_path, "elsewhere")


def a_folder(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir()
    return folder


def watch(guard: Guard, engine: Engine, now: object = NOW) -> None:
    with open_session(engine) as session:
        guard.watch_instance(session, now)  # type: ignore[arg-type]


def test_the_first_start_of_a_fresh_database_names_it_and_the_folder(
    engine: Engine, here: Path
) -> None:
    """MD-24."""
    assert Guard(engine, here).admits(NOW)
    known = read_file(here)
    with open_session(engine) as session:
        row = session.get_one(Instance, 1)
    assert known == Named(row.name, row.mark)
    assert (here / "instance").stat().st_mode & 0o077 == 0


def test_a_database_is_named_before_a_letter_is_due(engine: Engine, here: Path) -> None:
    """MD-24, SC-09: a second machine may join at once."""
    watch(Guard(engine, here), engine)
    assert read_file(here) is not None
    assert Guard(engine, here).admits(NOW)


def test_a_folder_that_knows_nothing_keeps_everything_back(
    engine: Engine, here: Path, elsewhere: Path
) -> None:
    """MD-24: a clone runs on a machine of its own."""
    assert Guard(engine, here).admits(NOW)
    assert not Guard(engine, elsewhere).admits(NOW)
    assert Guard(engine, here).admits(NOW)


def test_a_database_that_has_gone_back_in_time_is_a_copy(engine: Engine, here: Path) -> None:
    """MD-24: a backup copied over the database, beside the folder that knows its name."""
    guard = Guard(engine, here)
    assert guard.admits(NOW)
    with open_session(engine) as session:
        old = session.get_one(Instance, 1)
        backed_up = (old.name, old.mark, old.since)
    watch(guard, engine)
    assert guard.admits(NOW)
    with open_session(engine) as session:
        session.execute(delete(Instance))
        name, mark, since = backed_up
        session.add(Instance(id=1, name=name, mark=mark, since=since))
        session.commit()
    assert not guard.admits(NOW)


def test_an_old_copy_without_a_name_is_a_copy_where_letters_wait(
    engine: Engine, session: Session, here: Path
) -> None:
    """MD-24: the folder has sent before, the database never: they do not belong together."""
    write_file(here, Named("a" * 32, 7))
    message = a_message(session)
    session.commit()
    assert not Guard(engine, here).admits(NOW)
    message.state = MessageState.SENT
    session.commit()
    assert Guard(engine, here).admits(NOW), "an empty outbox endangers nobody"


def test_a_crash_between_file_and_database_loses_no_name(engine: Engine, here: Path) -> None:
    write_file(here, Named("b" * 32, 0))
    assert Guard(engine, here).admits(NOW)
    assert read_file(here) == Named("b" * 32, 1)


def test_a_file_that_cannot_be_read_keeps_mail_back(engine: Engine, here: Path) -> None:
    assert Guard(engine, here).admits(NOW)
    (here / "instance").write_text("nonsense")
    assert not Guard(engine, here).admits(NOW)


def test_the_gate_closes_only_where_nobody_else_sends_for_the_database(
    engine: Engine, session: Session, here: Path, elsewhere: Path
) -> None:
    """MD-24, SC-09: a machine that has not joined keeps back its own mail, never the others'."""
    ours, newcomer = Guard(engine, here), Guard(engine, elsewhere)
    assert ours.admits(NOW)
    for seconds in range(0, 60, 10):
        now = NOW + timedelta(seconds=seconds)
        watch(ours, engine)
        watch(newcomer, engine, now)
        assert not newcomer.admits(now)
    assert gates.closed_gate(session, NOW) is None
    session.rollback()
    # The machine that belongs is gone: what the newcomer sees may be a copy.
    for seconds in range(60, 110, 10):
        watch(newcomer, engine, NOW + timedelta(seconds=seconds))
    closed = gates.closed_gate(session, NOW)
    assert closed is not None
    assert (closed.name, closed.reason, closed.closed_until) == ("instance", "restored_copy", None)
    session.rollback()
    # It comes back and proves that there is no copy here.
    watch(ours, engine)
    session.expire_all()
    assert gates.closed_gate(session, NOW) is None


def test_a_release_names_the_copy_anew_and_one_machine_takes_the_name(
    engine: Engine, session: Session, here: Path, elsewhere: Path
) -> None:
    """MD-24: afterwards the original's folder is the stranger."""
    assert Guard(engine, here).admits(NOW)
    instance.disown(session, NOW)
    session.commit()
    for folder in (here, elsewhere):
        assert standing(session, folder) is Standing.STRANGE
    assert gates.closed_gate(session, NOW) is not None
    instance.release(session, NOW)
    session.commit()
    assert gates.closed_gate(session, NOW) is None
    session.rollback()
    assert Guard(engine, elsewhere).admits(NOW)
    assert not Guard(engine, here).admits(NOW)


def test_a_second_machine_joins_where_the_first_is_at_work(
    engine: Engine, here: Path, elsewhere: Path
) -> None:
    """SC-09, OP-05."""
    ours = Guard(engine, here)
    assert ours.admits(NOW)
    with in_background(lambda: watch(ours, engine), 0.1):
        assert instance.join(engine, elsewhere, patience=15)
    assert Guard(engine, elsewhere).admits(NOW)


def test_nobody_joins_a_database_whose_mark_stands_still(
    engine: Engine, here: Path, elsewhere: Path
) -> None:
    """MD-24: a clone looks just like a second machine, save that nobody is at work there."""
    assert Guard(engine, here).admits(NOW)
    assert not instance.join(engine, elsewhere, patience=0.5)
    assert not Guard(engine, elsewhere).admits(NOW)


def test_a_lost_folder_is_told_from_none(engine: Engine, here: Path) -> None:
    assert Guard(engine, here).admits(NOW)
    shutil.rmtree(here)
    assert not Guard(engine, here).admits(NOW)


def test_the_timetable_of_a_copy_sends_nothing_and_after_release_what_is_not_too_late(
    engine: Engine,
    session: Session,
    settings: Settings,
    vault: Vault,
    clock: Clock,
    office: PostOffice,
) -> None:
    """MD-24: nothing leaves, a person releases, and what came too late never leaves."""
    in_time = a_message(session, kind=MessageKind.PACKET)
    too_late = a_message(session, kind=MessageKind.PACKET, not_after=NOW - timedelta(days=1))
    instance.disown(session, NOW)
    session.commit()
    timetable = Timetable(settings, engine, vault, clock)
    jobs = {name: job for name, job, _ in timetable.jobs()}
    for _ in range(3):
        jobs["dispatch"]()
        timetable.finish_dispatch()
    assert office.letters == []
    instance.release(session, NOW)
    session.commit()
    jobs["dispatch"]()
    timetable.close()
    session.expire_all()
    assert [letter.message_id for letter in office.letters] == [in_time.mail_id]
    states = {row.ref: row.state for row in session.scalars(select(Message))}
    assert states == {in_time.ref: MessageState.SENT, too_late.ref: MessageState.EXPIRED}
    assert session.scalars(select(Gate)).all() == []


def test_staff_read_why_mail_stands_still_and_release_it_with_their_password(
    app: Flask, session: Session, settings: Settings, elsewhere: Path
) -> None:
    """MD-24, OP-06: a sentence, what it means, and one act that asks who is acting."""
    instance.disown(session, NOW)
    with app.app_context():
        people = [a_staff_member(session, role) for role in ("coordinator", "front_desk")]
    rosa, desk = (make_visitor(app, settings, session) for _ in people)
    for visitor, staff in zip((rosa, desk), people, strict=True):
        visitor.enter(staff)
    page = rosa.page("/desk/")
    assert "this database may be a copy" in page.main_text
    assert "Your password" not in desk.page("/desk/").main_text
    rosa.send(page, "/outbox/release", password="not her password")
    assert "That is not your password" in rosa.get("/desk/").text
    assert standing(session, elsewhere) is Standing.STRANGE
    rosa.send(page, "/outbox/release", password=PASSWORD)
    assert standing(session, elsewhere) is Standing.RELEASED
    assert "may be a copy" not in rosa.page("/desk/").main_text


def test_a_gate_that_closes_between_claim_and_intent_keeps_the_letter(
    engine: Engine,
    session: Session,
    settings: Settings,
    vault: Vault,
    clock: Clock,
    office: PostOffice,
) -> None:
    """MD-24: the dot is never sent once all mail was stopped; the letter goes back as it was."""
    message = a_message(session, kind=MessageKind.PACKET)
    session.commit()
    relay = RelaySession(settings.relay, "clinic.example")
    dispatcher = Dispatcher(engine, settings, vault, relay, clock)
    claimed = dispatcher._claim()
    assert claimed is not None
    instance.disown(session, NOW)
    session.commit()
    assert not dispatcher._declare_intent(claimed, "0" * 64)
    dispatcher.close()
    session.refresh(message)
    assert (message.state, message.attempts) == (MessageState.QUEUED, 0)
    assert message.reason == "restored_copy"
