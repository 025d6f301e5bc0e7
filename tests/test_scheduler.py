"""The timetable: few jobs, none in a web process, and a kill that loses nothing."""

from datetime import timedelta
from pathlib import Path

from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from leadcapture.database import database_now
from leadcapture.models import Heartbeat, Message, MessageKind, MessageState
from leadcapture.outbox import ledger
from leadcapture.scheduler import RESENT, Timetable
from leadcapture.settings import Settings
from leadcapture.vault import Vault
from tests.clock import Clock
from tests.people import a_message
from tests.post_office import PostOffice
from tests.served import a_service
from tests.waiting import until


def test_the_timetable_is_short_and_holds_no_due_time(
    engine: Engine, settings: Settings, vault: Vault, clock: Clock
) -> None:
    """SC-01: at most six interval jobs; a due time is a column."""
    jobs = Timetable(settings, engine, vault, clock).jobs()
    assert len(jobs) <= 6
    assert all(every < timedelta(hours=1) for _, _, every in jobs)


def test_a_job_that_fails_is_survived_and_leaves_its_class_only(
    engine: Engine, session: Session, settings: Settings, vault: Vault, clock: Clock
) -> None:
    timetable = Timetable(settings, engine, vault, clock)

    def fails() -> None:
        raise ValueError("Janet Whitfield, 8135550142")

    timetable.tick("sweep", fails)
    beat = session.get_one(Heartbeat, "sweep")
    assert (beat.ok, beat.error) == (False, "ValueError")
    session.rollback()
    clock.advance(timedelta(seconds=1))
    timetable.tick("sweep", lambda: None)
    session.expire_all()
    assert session.get_one(Heartbeat, "sweep").ok


def test_a_job_beats_by_the_new_clock_as_soon_as_it_was_put_back(
    engine: Engine, session: Session, settings: Settings, vault: Vault, clock: Clock
) -> None:
    """SC-07: a beat that waited until the clock shows the old time again would look like death."""
    timetable = Timetable(settings, engine, vault, clock)
    timetable.tick("sweep", lambda: None)
    now = clock.advance(timedelta(hours=-1))
    timetable.tick("sweep", lambda: None)
    assert session.get_one(Heartbeat, "sweep").at == now


def test_reminders_survive_a_scheduler_that_is_killed_again_and_again(
    database_url: str, session: Session, office: PostOffice, tmp_path: Path
) -> None:
    """SC-01 (short form): kill -9 three times in the middle of 40 letters loses none.

    A copy too many is only there where a doubt is on record (MD-02).
    """
    for _ in range(40):
        a_message(session, kind=MessageKind.PACKET)
    session.commit()
    office.at("rcpt").stall(0.02)
    with a_service(tmp_path, database_url, office.port) as service:
        for wanted in (7, 14, 21):
            scheduler = service.start_scheduler()
            until(
                lambda wanted=wanted: len(office.letters) >= wanted,  # type: ignore[misc]
                within=30,
                what=f"{wanted} letters",
            )
            scheduler.kill()
        service.start_scheduler()

        def all_came() -> bool:
            _let_time_pass(session)
            return len(office.copies()) == 40

        until(all_came, within=60, what="all forty letters")
    session.rollback()
    doubts = sum(session.scalars(select(Message.doubts)))
    assert len(office.letters) - 40 <= doubts
    assert len({letter.sha256 for letter in office.letters}) == 40


def _let_time_pass(session: Session) -> None:
    """Let the leases of dead workers end, and the half hour that doubts wait for evidence."""
    session.rollback()
    now = database_now(session)
    long_ago = now - timedelta(hours=1)
    lost = (MessageState.CLAIMED, MessageState.SENDING)
    session.execute(
        update(Message)
        .where(Message.state.in_(lost), Message.state_at < now - timedelta(seconds=5))
        .values(lease_until=long_ago)
    )
    ledger.reclaim_lost(session, now)
    session.execute(
        update(Message).where(Message.state == MessageState.UNCERTAIN).values(state_at=long_ago)
    )
    ledger.resolve_doubts(session, now, RESENT)
    session.commit()
