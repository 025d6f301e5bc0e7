"""The mailbox: a real Dovecot, read by any number of processes that may die at any moment."""

import dataclasses
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from leadcapture.intake.inbound.imap import MailboxOut, open_mailbox
from leadcapture.intake.inbound.mail import read_mail
from leadcapture.intake.inbound.reading import read_mailbox
from leadcapture.intake.inbound.taking import take_in
from leadcapture.models import InboundKind, InboundMail, Message, MessageState, Task
from leadcapture.scheduler import Timetable
from leadcapture.settings import Settings
from leadcapture.vault import Vault
from tests.certificates import make_certificate
from tests.clock import Clock
from tests.dovecot import USER, Dovecot, open_dovecot
from tests.incoming import BOUNCES, answer, bounce, mail, verp
from tests.people import a_lead, a_message, a_staff_member
from tests.waiting import until

FILED, SET_ASIDE = "leadcapture.filed", "leadcapture.set-aside"


@pytest.fixture
def settings_changes(dovecot: Dovecot) -> dict[str, Any]:
    return {"bounce_address": BOUNCES, "imap": dovecot.imap}


def read(engine: Engine, settings: Settings, vault: Vault, clock: Clock) -> int:
    assert settings.imap is not None
    return read_mailbox(engine, settings, vault, settings.imap, clock)


def returned_letters(
    session: Session, settings: Settings, dovecot: Dovecot, count: int
) -> list[Message]:
    """Letters that were sent, and the mails that bring them back."""
    letters = [a_message(session, state=MessageState.SENT) for _ in range(count)]
    session.commit()
    for letter in letters:
        dovecot.deliver(bounce(verp(settings, letter), letter))
    return letters


def records(session: Session) -> int:
    session.rollback()
    count = session.scalar(select(func.count()).select_from(InboundMail)) or 0
    # SQLite would keep the readers waiting for us.
    session.rollback()
    return count


def test_a_mail_is_taken_in_and_filed(
    engine: Engine,
    session: Session,
    settings: Settings,
    vault: Vault,
    clock: Clock,
    dovecot: Dovecot,
) -> None:
    """MD-11: a bounce mail leaves the mailbox only after our commit."""
    [letter] = returned_letters(session, settings, dovecot, 1)
    assert read(engine, settings, vault, clock) == 1
    assert read(engine, settings, vault, clock) == 0
    session.refresh(letter)
    assert letter.state is MessageState.BOUNCED
    assert (dovecot.count(), dovecot.count(FILED)) == (0, 1)


def test_a_kill_between_commit_and_move_doubles_nothing(
    engine: Engine,
    session: Session,
    settings: Settings,
    vault: Vault,
    clock: Clock,
    dovecot: Dovecot,
) -> None:
    """What such a kill leaves: a mail on record that still lies in the inbox."""
    lead = a_lead(session)
    sent = a_message(session, lead, state=MessageState.SENT)
    session.commit()
    dovecot.deliver(answer(lead.email, "Please call me.", sent))
    with open_mailbox(dovecot.imap) as mailbox:
        [uid] = mailbox.uids(10)
        arrived = mailbox.fetch(uid)
    assert arrived is not None
    parsed = read_mail(arrived.content)
    take_in(session, vault, settings, arrived.content, parsed, clock.now, clock.now)
    session.commit()
    assert read(engine, settings, vault, clock) == 0, "whoever took it in may still be moving it"
    clock.advance(timedelta(minutes=2))
    assert read(engine, settings, vault, clock) == 1
    assert records(session) == 1
    assert len(session.scalars(select(Task)).all()) == 1
    assert (dovecot.count(), dovecot.count(FILED)) == (0, 1)


def test_readers_that_are_killed_lose_and_double_nothing(
    session: Session, settings: Settings, dovecot: Dovecot, database_url: str, tmp_path: Path
) -> None:
    """kill -9 at whatever moment, three times, in the middle of forty mails."""
    program = (
        "import dataclasses, sys; from pathlib import Path;"
        "from leadcapture.database import open_engine;"
        "from leadcapture.intake.inbound.reading import read_mailbox;"
        "from leadcapture.settings import Imap; from tests.configured import make_settings;"
        "from tests.people import test_vault;"
        "imap = Imap('127.0.0.1', int(sys.argv[3]), sys.argv[4], sys.argv[5], 'none');"
        "settings = make_settings(Path(sys.argv[1]), sys.argv[2]);"
        f"settings = dataclasses.replace(settings, bounce_address='{BOUNCES}');"
        "from datetime import UTC, datetime, timedelta;"
        "later = timedelta(minutes=5 * int(sys.argv[6]));"
        "clock = lambda: datetime.now(UTC) + later;"
        "read_mailbox(open_engine(sys.argv[2]), settings, test_vault, imap, clock)"
    )
    letters = returned_letters(session, settings, dovecot, 40)
    imap = dovecot.imap
    words = [str(tmp_path), database_url, str(imap.port), imap.user, imap.password]
    for round_ in range(1, 5):
        process = subprocess.Popen([sys.executable, "-c", program, *words, str(round_)])
        if round_ == 4:
            assert process.wait(60) == 0
            break
        until(lambda wanted=round_ * 8: records(session) >= wanted, within=30)  # type: ignore[misc]
        process.kill()
        process.wait(10)
    assert records(session) == 40
    assert (dovecot.count(), dovecot.count(FILED)) == (0, 40)
    session.expire_all()
    assert {letter.state for letter in letters} == {MessageState.BOUNCED}
    assert len(session.scalars(select(Task)).all()) == 40


def test_two_readers_at_once_take_each_mail_in_once(
    engine: Engine,
    session: Session,
    settings: Settings,
    vault: Vault,
    clock: Clock,
    dovecot: Dovecot,
) -> None:
    letters = returned_letters(session, settings, dovecot, 30)
    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read, engine, settings, vault, clock) for _ in range(2)]
        assert sum(reader.result(60) for reader in readers) == 30
    assert records(session) == 30
    # Of two that move at once, Dovecot may show the last mail a moment later.
    until(lambda: (dovecot.count(), dovecot.count(FILED)) == (0, 30))
    session.expire_all()
    assert {letter.state for letter in letters} == {MessageState.BOUNCED}


def nested(depth: int) -> bytes:
    body = "--b\nContent-Type: text/plain\n\nhello\n--b--\n"
    for number in range(depth):
        kind = f"Content-Type: multipart/mixed; boundary=b{number - 1 if number else ''}\n\n"
        body = f"--b{number}\n{kind}{body}\n--b{number}--\n"
    kind = f"multipart/mixed; boundary=b{depth - 1}"
    return mail({"From": "who@else.example", "Content-Type": kind}, body)


@pytest.mark.parametrize(
    "content",
    [nested(40), nested(400), b"", b"\x00\xff\xfe no header at all", b"X" * 5_000_000],
    ids=["deep", "too many parts", "empty", "no mail", "five million"],
)
def test_a_mail_that_cannot_be_read_is_set_aside_and_stops_no_other(
    engine: Engine,
    session: Session,
    settings: Settings,
    vault: Vault,
    clock: Clock,
    dovecot: Dovecot,
    content: bytes,
) -> None:
    dovecot.deliver(content)
    [letter] = returned_letters(session, settings, dovecot, 1)
    assert read(engine, settings, vault, clock) == 2
    session.refresh(letter)
    assert letter.state is MessageState.BOUNCED
    unread = session.scalars(select(InboundMail).where(InboundMail.message_id.is_(None))).one()
    assert unread.kind is InboundKind.UNREADABLE
    assert session.get_one(Task, unread.task_id).kind == "mail_unreadable"
    assert (dovecot.count(), dovecot.count(FILED), dovecot.count(SET_ASIDE)) == (0, 1, 1)


def test_a_mail_that_we_fail_to_take_in_is_set_aside_whole(
    app: Flask,
    engine: Engine,
    session: Session,
    settings: Settings,
    vault: Vault,
    clock: Clock,
    dovecot: Dovecot,
) -> None:
    """There is no alert in this owner's language: half of what follows an answer never stands."""
    with app.app_context():
        rosa = a_staff_member(session, language="tlh")
    lead = a_lead(session, owner_id=rosa.id, waiting_since=None)
    session.commit()
    dovecot.deliver(answer(lead.email, "Please call me."))
    assert read(engine, settings, vault, clock) == 1
    session.refresh(lead)
    assert lead.waiting_since is None
    assert session.scalars(select(Task)).one().kind == "mail_unreadable"
    assert dovecot.count(SET_ASIDE) == 1


def test_a_long_mail_is_read_by_its_beginning(
    engine: Engine,
    session: Session,
    settings: Settings,
    vault: Vault,
    clock: Clock,
    dovecot: Dovecot,
) -> None:
    """A patient sends pictures: the words come first."""
    lead = a_lead(session)
    session.commit()
    picture = "\n".join(["R0lGODlhAQABAAAAACw" * 4] * 60_000)
    body = (
        "--b\nContent-Type: text/plain\n\nHere is my picture.\n"
        f"--b\nContent-Type: image/png\nContent-Transfer-Encoding: base64\n\n{picture}\n--b--\n"
    )
    dovecot.deliver(answer(lead.email, body, Content_Type="multipart/mixed; boundary=b"))
    assert read(engine, settings, vault, clock) == 1
    assert session.scalars(select(InboundMail)).one().kind is InboundKind.ANSWER


def test_the_mailbox_is_a_job_of_the_timetable_where_there_is_one(
    engine: Engine,
    session: Session,
    settings: Settings,
    vault: Vault,
    clock: Clock,
    dovecot: Dovecot,
) -> None:
    """SC-01: at most six jobs; MD-12: every 30 s."""
    without = dataclasses.replace(settings, imap=None)
    assert "mailbox" not in [name for name, *_ in Timetable(without, engine, vault, clock).jobs()]
    timetable = Timetable(settings, engine, vault, clock)
    jobs = {name: (job, every) for name, job, every in timetable.jobs()}
    assert len(jobs) <= 6
    job, every = jobs["mailbox"]
    assert every.total_seconds() <= 30
    returned_letters(session, settings, dovecot, 1)
    timetable.tick("mailbox", job)
    assert records(session) == 1


@pytest.mark.parametrize("trusted", [True, False], ids=["trusted", "unknown"])
@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_no_password_leaves_before_the_certificate_is_verified(
    tmp_path: Path, trusted: bool, security: str
) -> None:
    certificate = make_certificate(tmp_path)
    with open_dovecot(certificate) as dovecot:
        imap = dataclasses.replace(
            dovecot.imap,
            host="localhost",
            port=dovecot.tls_port if security == "tls" else dovecot.port,
            security=security,  # type: ignore[arg-type]
            ca_file=str(certificate.path) if trusted else "",
        )
        before = (dovecot.folder / "dovecot.log").read_text().count("Login: user=")
        if trusted:
            with open_mailbox(imap) as mailbox:
                assert mailbox.uids(1) == []
            return
        with pytest.raises(MailboxOut) as caught, open_mailbox(imap):
            raise AssertionError("let in")
        assert USER not in str(caught.value)
        assert (dovecot.folder / "dovecot.log").read_text().count("Login: user=") == before


def test_a_mailbox_out_of_reach_says_so_without_a_word_of_the_server(
    engine: Engine, settings: Settings, vault: Vault, clock: Clock, dovecot: Dovecot
) -> None:
    assert settings.imap is not None
    wrong = dataclasses.replace(settings.imap, host="127.0.0.1", port=1)
    with pytest.raises(MailboxOut, match=r"^ConnectionRefusedError$"):
        read_mailbox(engine, settings, vault, wrong, clock)
