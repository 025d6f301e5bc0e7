"""The relay's own log settles doubts without a second copy (MD-25)."""

import dataclasses
import gzip
import os
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from leadcapture.models import Message, MessageKind, MessageState
from leadcapture.outbox import ledger, relay_log
from leadcapture.outbox.relay_log import RelayLog
from leadcapture.scheduler import RESENT, Timetable
from leadcapture.settings import Settings
from leadcapture.vault import Vault
from tests.clock import TUESDAY_MORNING, Clock
from tests.people import a_lead, a_message

NOW = TUESDAY_MORNING


def postfix_lines(number: int, mail_id: str, end: str = "sent", long_id: bool = False) -> str:
    """What a Postfix 3.7 of Debian 12 writes about one letter (syslog's traditional format).

    ``end`` is ``sent``, ``deferred``, ``bounced``, or how far it came: ``lost`` before the dot,
    ``rejected`` by a milter, ``queued`` and nothing more yet.
    """
    queue = f"4Zq{number:06d}Kz9bM" if long_id else f"{0xA1000000 + number:X}"
    at, pid = f"Mar  3 15:00:{number % 60:02d} mail", 4000 + number
    lines = [
        f"{at} postfix/submission/smtpd[{pid}]: connect from localhost[127.0.0.1]",
        f"{at} postfix/submission/smtpd[{pid}]: {queue}: client=localhost[127.0.0.1]",
        f"{at} postfix/cleanup[{pid + 1}]: {queue}: message-id={mail_id}",
    ]
    if end == "lost":
        lines.append(
            f"{at} postfix/submission/smtpd[{pid}]: lost connection after DATA (5120 bytes) from "
            "localhost[127.0.0.1]"
        )
        return "\n".join(lines) + "\n"
    if end == "rejected":
        lines.append(
            f"{at} postfix/cleanup[{pid + 1}]: {queue}: milter-reject: END-OF-MESSAGE from "
            "localhost[127.0.0.1]: 5.7.1 Command rejected; from=<hello@clinic.example> "
            "to=<somebody@example.org> proto=ESMTP helo=<clinic.example>"
        )
        return "\n".join(lines) + "\n"
    lines.append(
        f"{at} postfix/qmgr[77]: {queue}: from=<hello@clinic.example>, size=5311, nrcpt=1 "
        "(queue active)"
    )
    told = {
        "sent": "dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 4ABCDEF)",
        "deferred": "dsn=4.4.1, status=deferred (connect to mx.example.org: timed out)",
        "bounced": "dsn=5.1.1, status=bounced (host mx.example.org said: 550 5.1.1 no such user)",
    }
    if end in told:
        lines.append(
            f"{at} postfix/smtp[{pid + 2}]: {queue}: to=<somebody@example.org>, "
            f"relay=mx.example.org[192.0.2.1]:25, delay=0.8, delays=0.1/0/0.4/0.3, {told[end]}"
        )
    if end == "sent":
        lines.append(f"{at} postfix/qmgr[77]: {queue}: removed")
    return "\n".join(lines) + "\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "mail.log"
    path.write_text("Mar  3 14:59:59 mail postfix/master[76]: daemon started -- version 3.7.11\n")
    return path


@pytest.fixture
def reader(log: Path) -> Iterator[RelayLog]:
    reader = RelayLog(log, "clinic.example")
    yield reader
    reader.close()


def add(log: Path, text: str) -> None:
    with log.open("a") as file:
        file.write(text)


def in_doubt(session: Session, count: int, at: datetime = NOW) -> list[Message]:
    lead = a_lead(session)
    return [
        a_message(
            session,
            lead,
            kind=MessageKind.PACKET,
            state=MessageState.UNCERTAIN,
            doubts=1,
            fence=1,
            state_at=at,
        )
        for _ in range(count)
    ]


def states(session: Session) -> dict[MessageState, int]:
    session.expire_all()
    found = [message.state for message in session.scalars(select(Message))]
    return {state: found.count(state) for state in set(found)}


def test_of_a_hundred_doubts_those_that_the_log_shows_are_settled(
    session: Session, log: Path, reader: RelayLog
) -> None:
    """MD-25: 97 of 100 were taken, and not one of the three others is called sent."""
    ends = ["lost", "rejected", "nothing"] + ["deferred", "bounced", "queued"] * 4 + ["sent"] * 85
    messages = in_doubt(session, 100)
    for number, (message, end) in enumerate(zip(messages, ends, strict=True)):
        if end != "nothing":
            add(log, postfix_lines(number, message.mail_id, end, long_id=bool(number % 2)))
    assert reader.settle_by_relay_log(session, NOW) == 97
    assert states(session) == {MessageState.SENT: 97, MessageState.UNCERTAIN: 3}
    settled = session.scalars(select(Message).where(Message.state == MessageState.SENT)).all()
    assert {message.reason for message in settled} == {"evidence_relay_log"}
    assert all(message.sent_at is not None for message in settled)
    assert reader.settle_by_relay_log(session, NOW) == 0


def test_what_the_log_does_not_show_waits_for_the_rule_of_doubts(
    session: Session, log: Path, reader: RelayLog
) -> None:
    """MD-25: a rejected letter is sent again after half an hour, not before."""
    (message,) = in_doubt(session, 1)
    add(log, postfix_lines(1, message.mail_id, "rejected"))
    for minutes, state in ((29, MessageState.UNCERTAIN), (31, MessageState.QUEUED)):
        now = NOW + timedelta(minutes=minutes)
        assert reader.settle_by_relay_log(session, now) == 0
        ledger.resolve_doubts(session, now, RESENT)
        assert states(session) == {state: 1}


def test_lines_that_come_in_pieces_are_read_whole(
    session: Session, log: Path, reader: RelayLog
) -> None:
    (message,) = in_doubt(session, 1)
    text = postfix_lines(1, message.mail_id)
    for piece in re.findall(r"(?s).{1,37}", text):
        add(log, piece)
        reader.read_on()
    assert reader.settle_by_relay_log(session, NOW) == 1


def half_and_half(message: Message) -> tuple[str, str]:
    """The lines of a letter before and after a rotation in between."""
    lines = postfix_lines(1, message.mail_id).splitlines(keepends=True)
    return "".join(lines[:3]), "".join(lines[3:])


@pytest.mark.parametrize("way", ["moved away", "copied and cut"])
def test_a_rotation_loses_no_line(session: Session, log: Path, reader: RelayLog, way: str) -> None:
    """MD-25: a letter's lines may stand on both sides of it."""
    (message,) = in_doubt(session, 1)
    first, second = half_and_half(message)
    reader.read_on()
    add(log, first)
    if way == "copied and cut":
        reader.read_on()
        log.with_name("mail.log.1").write_bytes(log.read_bytes())
        os.truncate(log, 0)
        add(log, second.splitlines(keepends=True)[0])
    else:
        log.rename(log.with_name("mail.log.1"))
        reader.read_on()
        log.write_text(second)
        reader.read_on()
    assert reader.settle_by_relay_log(session, NOW) == 1


def test_what_is_still_written_to_the_old_file_is_read(
    session: Session, log: Path, reader: RelayLog
) -> None:
    """MD-25: logrotate makes the new file before the logger is told to follow."""
    before, after = in_doubt(session, 2)
    reader.read_on()
    old = log.rename(log.with_name("mail.log.1"))
    log.touch()
    reader.read_on()
    add(old, postfix_lines(1, before.mail_id))
    add(log, postfix_lines(2, after.mail_id))
    assert reader.settle_by_relay_log(session, NOW) == 2


@pytest.mark.parametrize(
    "name", ["mail.log.1", "mail.log-20261126", "mail.log.20261126-112347", "mail.log.2.gz"]
)
def test_a_start_right_after_a_rotation_looks_back(
    session: Session, log: Path, reader: RelayLog, name: str
) -> None:
    """MD-25: as logrotate and `postfix logrotate` name it, compressed or not."""
    (message,) = in_doubt(session, 1)
    first, second = half_and_half(message)
    add(log, first)
    old = log.rename(log.with_name(name.removesuffix(".gz")))
    if name.endswith(".gz"):
        with gzip.open(log.with_name(name), "wb") as packed:
            packed.write(old.read_bytes())
        old.unlink()
    else:
        # Being compressed at this moment: what is there of it is no whole file.
        log.with_name(f"{name}.gz").write_bytes(b"\x1f\x8b")
    # Older, and somebody else's.
    for other in ("mail.log.3", "mail.log.old"):
        log.with_name(other).write_text(postfix_lines(9, message.mail_id, "lost"))
        os.utime(log.with_name(other), (0, 0))
    log.write_text(second)
    assert reader.settle_by_relay_log(session, NOW) == 1


@pytest.mark.parametrize("name", ["mail.log.1", "mail.log.20261126-112347.gz"])
def test_a_start_before_the_new_log_begins_reads_the_one_before(
    session: Session, log: Path, reader: RelayLog, name: str
) -> None:
    """MD-25: a relay that has nothing to say makes no new file, perhaps for hours."""
    before, after = in_doubt(session, 2)
    first, second = half_and_half(after)
    log.unlink(missing_ok=True)
    words = postfix_lines(1, before.mail_id) + first
    log.with_name(name).write_bytes(
        gzip.compress(words.encode()) if name.endswith(".gz") else words.encode()
    )
    for expected in (1, 0):
        assert reader.settle_by_relay_log(session, NOW) == expected
    log.write_text(second)
    assert reader.settle_by_relay_log(session, NOW) == 1
    assert states(session) == {MessageState.SENT: 2}


def test_a_moment_without_a_log_is_no_failure(
    session: Session, log: Path, reader: RelayLog
) -> None:
    """Postfix makes the new file when it has something to say."""
    (message,) = in_doubt(session, 1)
    add(log, postfix_lines(1, message.mail_id))
    reader.read_on()
    log.rename(log.with_name("mail.log.1"))
    assert reader.settle_by_relay_log(session, NOW) == 1


def test_a_queue_id_that_is_used_again_settles_the_right_letter(
    session: Session, log: Path, reader: RelayLog
) -> None:
    lost, taken = in_doubt(session, 2)
    add(log, postfix_lines(1, lost.mail_id, "lost"))
    add(log, postfix_lines(1, "<a-stranger@other.example>", "sent"))
    add(log, postfix_lines(1, taken.mail_id, "sent"))
    assert reader.settle_by_relay_log(session, NOW) == 1
    session.expire_all()
    assert (lost.state, taken.state) == (MessageState.UNCERTAIN, MessageState.SENT)


def test_the_log_of_a_stranger_proves_nothing(
    session: Session, log: Path, reader: RelayLog
) -> None:
    """Words that a sender chose, such as a HELO name, cannot pass for Postfix's own."""
    (message,) = in_doubt(session, 1)
    forged = f"A1000001: message-id={message.mail_id}"
    add(
        log,
        f"Mar  3 15:00:01 mail postfix/smtpd[1]: NOQUEUE: reject: helo=<{forged}>\n"
        "Mar  3 15:00:01 mail postfix/smtpd[1]: A1000001: to=<x>, status=sent (250 ok)\n"
        f"Mar  3 15:00:01 mail postfix/cleanup[1]: A1000002: warning: header {forged}\n",
    )
    assert reader.settle_by_relay_log(session, NOW) == 0


def test_what_is_remembered_and_read_at_once_is_bounded(log: Path, reader: RelayLog) -> None:
    count = relay_log.REMEMBERED + 500
    add(log, "".join(postfix_lines(n, f"<{n}@clinic.example>", "queued") for n in range(count)))
    reader.read_on()
    assert len(reader._taken) == relay_log.REMEMBERED
    assert len(reader._coming) <= relay_log.REMEMBERED


def test_the_timetable_hears_the_log_before_it_settles_doubts(
    engine: Engine,
    session: Session,
    settings: Settings,
    vault: Vault,
    clock: Clock,
    log: Path,
) -> None:
    """MD-25: even at the very end of the half hour evidence comes first."""
    (message,) = in_doubt(session, 1, NOW - timedelta(hours=1))
    session.commit()
    add(log, postfix_lines(1, message.mail_id))
    timetable = Timetable(dataclasses.replace(settings, relay_log=log), engine, vault, clock)
    jobs = {name: job for name, job, _ in timetable.jobs()}
    jobs["upkeep"]()
    assert timetable.relay_log is not None
    timetable.relay_log.close()
    assert states(session) == {MessageState.SENT: 1}
