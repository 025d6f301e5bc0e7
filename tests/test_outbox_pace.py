"""The pace: so many messages a minute, whoever sends them (MD-10)."""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, insert, select, text
from sqlalchemy.orm import Session

from leadcapture.database import open_session
from leadcapture.letters import Letter
from leadcapture.models import Message, MessageKind, MessageState, Pace
from leadcapture.outbox import gates, pace
from leadcapture.outbox.dispatch import Dispatcher
from leadcapture.outbox.pace import Allowance, Bucket
from leadcapture.outbox.queue import new_ref
from leadcapture.outbox.relay import RelaySession
from leadcapture.settings import Settings, SettingsError, load
from leadcapture.vault import Vault
from tests.clock import TUESDAY_MORNING, Clock
from tests.people import a_message
from tests.post_office import PostOffice
from tests.served import service_environ

SendDue = Callable[[], int]
MINUTE = timedelta(minutes=1)
BOTH = {"domain_pace": 20, "relay_pace": 100}

TAKES_ALL_IT_CAN = """
import sys
from concurrent.futures import ThreadPoolExecutor
from leadcapture.database import open_engine, open_session
from leadcapture.outbox.pace import Allowance
from tests.clock import TUESDAY_MORNING

engine = open_engine(sys.argv[1])

def take(_):
    taken = 0
    for _ in range(15):
        with open_session(engine) as session:
            if Allowance(20, 100).take(session, "example.org", True, TUESDAY_MORNING):
                session.commit()
                taken += 1
    return taken

with ThreadPoolExecutor(4) as pool:
    print(sum(pool.map(take, range(4))))
engine.dispose()
"""


def a_packet(session: Session, **changes: Any) -> Message:
    return a_message(session, kind=MessageKind.PACKET, **changes)


def most_in_a_minute(moments: list[datetime]) -> int:
    return max(sum(begin <= one <= begin + MINUTE for one in moments) for begin in moments)


@pytest.mark.parametrize("per_minute", [0.5, 1, 2, 3, 5, 20, 100, 1000])
def test_what_stands_and_what_comes_back_in_a_minute_is_no_more_than_promised(
    per_minute: float,
) -> None:
    """MD-10: capacity + refill of 60 s ≤ the pace, or a single message."""
    bucket = Bucket(per_minute)
    window = MINUTE + pace.TOKEN_LASTS
    assert bucket.capacity + int(window / bucket.returns_in) <= max(1, per_minute)
    assert bucket.may_owe(is_awaited=False) <= bucket.may_owe(is_awaited=True)


@pytest.mark.parametrize("per_minute", [1, 3, 20])
def test_no_minute_sees_more_than_its_share(session: Session, per_minute: int) -> None:
    """MD-10: in any 60 seconds, whoever asks however often."""
    allowance, clock, taken = Allowance(per_minute, 0), Clock(), []
    for _ in range(500):
        if allowance.take(session, "example.org", True, clock.now):
            taken.append(clock.now)
        clock.advance(timedelta(seconds=0.7))
    assert most_in_a_minute(taken) <= per_minute
    assert len(taken) >= 500 * 0.7 / 60 * per_minute * 0.6


@pytest.mark.parametrize("settings_changes", [BOTH])
def test_letters_to_one_domain_leave_at_its_pace_and_others_overtake(
    session: Session, send_due: SendDue, office: PostOffice, clock: Clock
) -> None:
    """MD-10: at most 20 a minute to a recipient domain; no attempt is counted for waiting."""
    for _ in range(30):
        a_packet(session)
    other = a_packet(session, recipient="someone@elsewhere.example")
    left: list[datetime] = []
    while len(left) < 31:
        before = len(office.letters)
        send_due()
        left += [clock.now] * (len(office.letters) - before)
        if clock.now == TUESDAY_MORNING:
            assert office.letters_to(other.recipient), "it waits for nobody's domain"
        clock.advance(timedelta(seconds=1))
        assert clock.now < TUESDAY_MORNING + 3 * MINUTE
    # 20 to the one domain, and the letter to the other.
    assert most_in_a_minute(left) <= 21
    assert set(session.scalars(select(Message.attempts))) == {1}


@pytest.mark.parametrize("settings_changes", [BOTH])
def test_a_minutes_warnings_to_staff_do_not_wait_for_their_domains_pace(
    session: Session, send_due: SendDue, office: PostOffice, clock: Clock
) -> None:
    """MD-10, MD-22: politeness to strangers' servers is not for our own; the relay's pace stays."""
    for _ in range(60):
        a_message(session, kind=MessageKind.STAFF_ALERT)
    patient = a_packet(session)
    while len(office.letters) < 61:
        send_due()
        clock.advance(timedelta(seconds=1))
        assert clock.now < TUESDAY_MORNING + MINUTE
    assert office.letters_to(patient.recipient)
    # They took nothing of what patients at the same domain may have.
    assert (
        session.get_one(Pace, f"domain:{patient.domain}").full_at
        <= clock.now + Bucket(20).returns_in
    )


@pytest.mark.parametrize("settings_changes", [BOTH])
def test_a_closed_gate_of_a_domain_keeps_letters_to_staff_back_too(
    session: Session, send_due: SendDue, office: PostOffice, clock: Clock
) -> None:
    """MD-10: a server that asks for calm gets it."""
    warning = a_message(session, kind=MessageKind.STAFF_ALERT)
    gates.note_domain_deferral(
        session, warning.recipient.rpartition("@")[2], "rcpt_4.7.1", clock.now
    )
    assert send_due() == 0
    clock.advance(gates.DEFERRED_FOR)
    assert send_due() == 1


@pytest.mark.parametrize("settings_changes", [BOTH])
def test_a_server_that_defers_a_letter_to_staff_shuts_its_domain(
    session: Session, send_due: SendDue, office: PostOffice
) -> None:
    a_message(session, kind=MessageKind.STAFF_ALERT)
    a_packet(session)
    office.at("rcpt").defer("4.7.1", times=1)
    assert send_due() == 1


@pytest.mark.parametrize("settings_changes", [{"domain_pace": 0, "relay_pace": 12}])
def test_the_relay_has_a_pace_of_its_own(
    session: Session, send_due: SendDue, office: PostOffice, clock: Clock
) -> None:
    """MD-10: the relay's bucket counts all domains."""
    for number in range(20):
        a_packet(session, recipient=f"someone@place{number}.example")
    left: list[datetime] = []
    while len(left) < 20:
        before = len(office.letters)
        send_due()
        left += [clock.now] * (len(office.letters) - before)
        clock.advance(timedelta(seconds=1))
    assert most_in_a_minute(left) <= 12


def test_workers_of_all_processes_share_one_bucket(
    database_url: str, engine: Engine, session: Session
) -> None:
    """MD-10: two processes with four threads each take what one would have got."""
    command = [sys.executable, "-c", TAKES_ALL_IT_CAN, database_url]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parent.parent)
        for _ in range(2)
    ]
    taken = [int(process.communicate(timeout=120)[0]) for process in both]
    assert sum(taken) == Bucket(20).capacity
    row = session.get_one(Pace, "domain:example.org")
    assert row.full_at == TUESDAY_MORNING + sum(taken) * Bucket(20).returns_in


class LateAtTheDot(RelaySession):
    """A session whose relay takes the body so slowly that there is time for something else."""

    def __init__(self, meanwhile: Callable[[], object], *where: Any, **how: Any) -> None:
        super().__init__(*where, **how)
        self.meanwhile = meanwhile

    def send(
        self,
        sender: str,
        recipient: str,
        letter: Letter | bytes,
        intent: Callable[[], bool],
        envid: str = "",
    ) -> bool:
        def late() -> bool:
            self.meanwhile()
            return intent()

        return super().send(sender, recipient, letter, late, envid)


@pytest.mark.parametrize("settings_changes", [{"domain_pace": 20, "relay_pace": 0}])
def test_letters_in_flight_count_in_the_minute_in_which_they_leave(
    engine: Engine,
    session: Session,
    settings: Settings,
    vault: Vault,
    send_due: SendDue,
    office: PostOffice,
    clock: Clock,
) -> None:
    """MD-10: four workers wait at the dot for 85 s, and a fifth uses up its minute meanwhile."""
    for _ in range(32):
        a_packet(session)
    session.commit()
    left: list[datetime] = []

    def count_what_left() -> None:
        left.extend([clock.now] * (len(office.letters) - len(left)))

    def one_is_quick() -> None:
        clock.advance(timedelta(seconds=25))
        for _ in range(60):
            send_due()
            count_what_left()
            clock.advance(timedelta(seconds=1))

    meanwhile: Callable[[], object] = one_is_quick
    for _ in range(4):
        line = LateAtTheDot(meanwhile, settings.relay, "clinic.example", timeout=5)
        slow = Dispatcher(engine, settings, vault, line, clock)
        meanwhile = partial(slow.send_due, limit=1)
    meanwhile()
    count_what_left()
    assert len(left) >= 15
    assert most_in_a_minute(left) <= 20
    # What had no token goes later, as if it had not been tried.
    while len(left) < 32:
        send_due()
        count_what_left()
        clock.advance(timedelta(seconds=1))
        assert clock.now < TUESDAY_MORNING + 5 * MINUTE
    assert most_in_a_minute(left) <= 20
    assert len(office.copies()) == 32
    assert set(session.scalars(select(Message.attempts))) == {1}


def test_reminders_leave_a_share_to_what_a_person_waits_for(session: Session) -> None:
    """SC-10: whatever reminders took, a packet still leaves at once."""
    allowance, now = Allowance(20, 100), TUESDAY_MORNING
    reminders = sum(allowance.take(session, "example.org", False, now) for _ in range(10))
    packets = sum(allowance.take(session, "example.org", True, now) for _ in range(10))
    assert (reminders, packets) == (3, 2)


def test_a_slowed_pace_is_half_for_an_hour(session: Session) -> None:
    """MD-10: 421 and 4.7.x halve it for 1 h."""
    clock, allowance = Clock(), Allowance(20, 0)
    pace.slow_down(session, "domain:example.org", clock.now)

    def taken_in(time: timedelta) -> list[datetime]:
        taken, end = [], clock.now + time
        while clock.now < end:
            if allowance.take(session, "example.org", True, clock.now):
                taken.append(clock.now)
            clock.advance(timedelta(seconds=1))
        return taken

    assert most_in_a_minute(taken_in(timedelta(minutes=10))) <= 10
    clock.advance(timedelta(minutes=50))
    assert 10 < most_in_a_minute(taken_in(timedelta(minutes=5))) <= 20


def test_after_a_silence_of_the_relay_its_pace_begins_low_and_doubles(session: Session) -> None:
    """`leadcapture.outbox`: slow start after a circuit opens."""
    clock, allowance = Clock(), Allowance(0, 960)
    for _ in range(gates.FAILURES_BEFORE_PAUSE):
        gates.note_relay_down(session, "connect_lost", clock.now)
    gates.note_relay_up(session, clock.now)
    quarters = []
    for _ in range(5):
        taken, end = 0, clock.now + timedelta(seconds=15)
        while clock.now < end:
            taken += allowance.take(session, "example.org", True, clock.now)
            clock.advance(timedelta(seconds=0.05))
        quarters.append(taken)
    assert quarters[0] <= 960 / 8
    # The first quarter also has what stood in the bucket.
    assert quarters[1:4] == sorted(quarters[1:4])
    assert quarters[3] > 3 * max(quarters[:2])


def test_a_clock_that_was_put_back_does_not_shut_a_domain(session: Session) -> None:
    """What was taken an hour ahead of now owes nothing."""
    allowance, later = Allowance(20, 0), TUESDAY_MORNING + timedelta(hours=1)
    while allowance.take(session, "example.org", True, later):
        pass
    assert allowance.take(session, "example.org", True, TUESDAY_MORNING)


def test_buckets_that_nobody_uses_are_forgotten(session: Session) -> None:
    allowance, now = Allowance(20, 100), TUESDAY_MORNING
    allowance.take(session, "example.org", True, now)
    pace.slow_down(session, "domain:slow.example", now + timedelta(hours=2))
    assert pace.forget_idle_paces(session, now + timedelta(minutes=30)) == 0
    pace.forget_idle_paces(session, now + timedelta(hours=2))
    assert session.scalars(select(Pace.name)).all() == ["domain:slow.example"]


@pytest.mark.parametrize("settings_changes", [BOTH])
def test_a_new_packet_overtakes_ten_thousand_reminders_and_two_thousand_retries(
    engine: Engine, session: Session, send_due: SendDue, office: PostOffice, clock: Clock
) -> None:
    """SC-10: it leaves within 30 s of its acceptance, though all of them are to its domain."""
    store_crowd(session, clock.now)
    for _ in range(40):
        send_due()
        clock.advance(timedelta(seconds=1))
    packet = a_packet(session)
    accepted = clock.now
    while not office.letters_to(packet.recipient):
        clock.advance(timedelta(seconds=1))
        send_due()
        assert clock.now - accepted <= timedelta(seconds=30)


def store_crowd(session: Session, now: datetime) -> None:
    """10,000 reminders and 2,000 deferred packets, all due, to the domain of `a_lead`."""
    packet = a_packet(session, state=MessageState.CANCELLED)
    reminder = a_message(session, state=MessageState.CANCELLED)
    for row, count, attempts in ((reminder, 10_000, 0), (packet, 2_000, 3)):
        kept = {column.key: getattr(row, column.key) for column in Message.__table__.columns}
        del kept["id"]
        kept |= {"state": MessageState.QUEUED, "attempts": attempts}
        kept |= {"due_at": now - timedelta(hours=1), "cap_hash": "crowd"}
        rows = [
            kept | {"ref": (ref := new_ref()), "dedupe_key": ref, "mail_id": f"<{ref}@x.example>"}
            for _ in range(count)
        ]
        session.execute(insert(Message), rows)
    session.commit()


def test_a_claim_passes_over_a_closed_domain_without_its_rows(
    engine: Engine, session: Session, clock: Clock
) -> None:
    """SC-10: the index alone says which of 12,000 waiting letters may leave."""
    store_crowd(session, clock.now)
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE message"))
    explain = "EXPLAIN QUERY PLAN" if engine.dialect.name == "sqlite" else "EXPLAIN"
    plan = session.execute(
        text(
            f"{explain} SELECT id FROM message WHERE state = 'queued' AND priority = 0 "
            "AND due_at <= :now AND attempts = 0 AND (domain IS NULL OR domain NOT IN "
            "('tampamail.example')) ORDER BY due_at, id LIMIT 8"
        ),
        {"now": clock.now.replace(tzinfo=None) if engine.dialect.name == "sqlite" else clock.now},
    ).all()
    told = " ".join(str(row) for row in plan)
    assert "COVERING INDEX ix_message_lane" in told or "Index Only Scan" in told, told


def test_the_pace_is_settable(tmp_path: Path) -> None:
    """MD-10: 20 and 100 by default, 0 for none, and nothing but whole numbers."""
    environ = service_environ(tmp_path, "", port=8000, smtp_port=25)
    assert (load(environ).domain_pace, load(environ).relay_pace) == (0, 0)
    for name in ("DOMAIN_PACE", "RELAY_PACE"):
        del environ[f"LEADCAPTURE_{name}"]
    assert (load(environ).domain_pace, load(environ).relay_pace) == (20, 100)
    with pytest.raises(SettingsError, match="DOMAIN_PACE"):
        load(environ | {"LEADCAPTURE_DOMAIN_PACE": "fast"})


def test_four_threads_take_no_more_than_one(engine: Engine) -> None:
    """MD-10: within one process too, on the same moment of the clock."""

    def take(_: int) -> int:
        taken = 0
        for _ in range(15):
            with open_session(engine) as session:
                taken += Allowance(20, 0).take(session, "example.org", True, TUESDAY_MORNING)
                session.commit()
        return taken

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(take, range(4))) == Bucket(20).capacity
