"""How letters leave, with a post office that does all that goes wrong, on both databases."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from leadcapture.database import open_session
from leadcapture.letters import Letter
from leadcapture.models import (
    Attempt,
    Gate,
    Lead,
    LeadStatus,
    Message,
    MessageKind,
    MessageState,
    SuppressionScope,
    Task,
)
from leadcapture.outbox import caps, claims, ledger, stops
from leadcapture.outbox.dispatch import Dispatcher
from leadcapture.outbox.relay import RelaySession
from leadcapture.scheduler import RESENT, Timetable
from leadcapture.settings import Settings
from leadcapture.vault import Vault
from tests.clock import Clock
from tests.people import a_lead, a_message, a_request, claim
from tests.post_office import PhaseName, PostOffice

SendDue = Callable[[], int]
Upkeep = Callable[[timedelta], None]


def a_packet(session: Session, **changes: object) -> Message:
    return a_message(session, kind=MessageKind.PACKET, **changes)  # type: ignore[arg-type]


def a_follow_up(session: Session, **changes: object) -> Message:
    lead = a_lead(session)
    a_request(session, lead)
    return a_message(session, lead, **changes)  # type: ignore[arg-type]


VALUES = {
    "greeting": "Hello Janet,",
    "first_name": "Janet",
    "clinic_name": "Cellebration Wellness",
    "clinic_phone": "(858) 258-5090",
    "postal_address": "Escazú",
    "packet_link": "http://127.0.0.1/packet/x",
    "stop_link": "http://127.0.0.1/stop/x",
    "preferences_link": "http://127.0.0.1/stop/x",
    "lead_link": "http://127.0.0.1/desk/leads/x",
    "receipt": "r",
    "received_at": "now",
    "language": "English",
}


def test_a_letter_that_is_due_arrives_once(
    session: Session, send_due: SendDue, office: PostOffice
) -> None:
    message = a_packet(session, values=VALUES)
    assert send_due() == 1
    assert send_due() == 0
    [letter] = office.letters
    assert letter.recipients == (message.recipient,)
    assert letter.message_id == message.mail_id
    session.refresh(message)
    assert (message.state, message.sha256) == (MessageState.SENT, letter.sha256)


def test_a_letter_that_is_not_due_waits(
    session: Session, send_due: SendDue, office: PostOffice, clock: Clock
) -> None:
    a_packet(session, values=VALUES, due_at=clock.now + timedelta(minutes=1))
    assert send_due() == 0
    clock.advance(timedelta(minutes=1))
    assert send_due() == 1
    assert len(office.letters) == 1


@pytest.mark.parametrize("phase", ["mail", "rcpt", "data", "dot"])
def test_a_deferred_letter_comes_later_as_the_same_letter(
    session: Session, send_due: SendDue, office: PostOffice, clock: Clock, phase: str
) -> None:
    """MD-03, MD-05: one Message-ID, one Date, one hash, however many tries."""
    message = a_packet(session, values=VALUES)
    office.at(phase).defer(times=2)  # type: ignore[arg-type]
    for _ in range(3):
        send_due()
        clock.advance(timedelta(minutes=20))
    [letter] = office.letters
    session.refresh(message)
    assert (message.state, message.attempts) == (MessageState.SENT, 3)
    assert letter.sha256 == message.sha256
    assert letter.mail["Message-ID"] == message.mail_id
    assert letter.mail["Date"].datetime == message.mail_date
    assert [a.outcome for a in session.scalars(select(Attempt).order_by(Attempt.id))] == [
        "queued",
        "queued",
        "sent",
    ]


@pytest.mark.parametrize("phase", ["rcpt", "data", "dot"])
def test_a_refused_letter_fails_alone(
    session: Session, send_due: SendDue, office: PostOffice, phase: str
) -> None:
    """MD-07: one bad among fifty, the others arrive exactly once, in the same run."""
    messages = [a_packet(session, values=VALUES) for _ in range(50)]
    office.at(phase, to=messages[7].recipient).refuse("5.6.0", times=1)  # type: ignore[arg-type]
    send_due()
    assert len(office.letters) == 49
    assert set(office.copies().values()) == {1}
    session.refresh(messages[7])
    assert messages[7].state is MessageState.FAILED
    [task] = session.scalars(select(Task).where(Task.message_id.is_not(None)))
    assert (task.kind, task.message_id) == ("letter_failed", messages[7].id)
    alerts = set(session.scalars(select(Task.dedupe_key).where(Task.message_id.is_(None))))
    assert alerts == (set() if phase == "rcpt" else {f"content_refused:{phase}"})


def test_an_address_that_does_not_exist_gets_nothing_more(
    session: Session, send_due: SendDue, office: PostOffice
) -> None:
    """MD-06: 5.1.1 at RCPT suppresses, in the transaction that fails the letter."""
    lead = a_lead(session)
    a_request(session, lead)
    first = a_message(session, lead, kind=MessageKind.PACKET, values=VALUES)
    second = a_message(session, lead, values=VALUES, due_at=first.due_at + timedelta(days=3))
    office.at("rcpt").refuse("5.1.1")
    send_due()
    session.refresh(second)
    assert (second.state, second.reason) == (MessageState.SUPPRESSED, "no_such_address")


@pytest.mark.parametrize(("phase", "enhanced"), [("mail", "5.7.1"), ("connect", "5.7.1")])
def test_a_relay_that_refuses_us_holds_the_queue_and_fails_nothing(
    session: Session, send_due: SendDue, office: PostOffice, phase: str, enhanced: str
) -> None:
    """MD-06."""
    messages = [a_packet(session, values=VALUES) for _ in range(3)]
    office.at(phase).refuse(enhanced, times=1)  # type: ignore[arg-type]
    send_due()
    assert send_due() == 0, "nothing leaves until a person opens the queue"
    assert office.letters == []
    for message in messages:
        session.refresh(message)
        assert (message.state, message.attempts) == (MessageState.QUEUED, 0)
    [gate] = session.scalars(select(Gate))
    assert (gate.name, gate.closed_until) == ("queue", None)


def test_a_dead_relay_is_not_hammered_and_costs_no_attempt(
    session: Session, send_due: SendDue, office: PostOffice, clock: Clock
) -> None:
    """MD-09: after five failures one probe a minute; it drains after the recovery."""
    messages = [a_packet(session, values=VALUES) for _ in range(5)]
    office.stop()
    for _ in range(600):
        send_due()
        clock.advance(timedelta(seconds=1))
    # Four quick probes, then one a minute.
    assert 12 <= len(session.scalars(select(Attempt)).all()) <= 15
    for message in messages:
        session.refresh(message)
        assert message.attempts == 0
    office.restart()
    clock.advance(timedelta(minutes=2))
    send_due()
    assert len(office.letters) == 5
    assert session.get(Gate, "relay") is None, "its failures are forgotten with the first letter"


@pytest.mark.parametrize("taking", [True, False])
def test_silence_after_the_dot_is_doubt_and_a_packet_is_sent_again_once(
    session: Session, send_due: SendDue, office: PostOffice, clock: Clock, taking: bool
) -> None:
    """I5, MD-02: D ≤ 1 + U."""
    message = a_packet(session, values=VALUES)
    office.at("dot").hang_up(times=1, taking=taking)
    send_due()
    session.refresh(message)
    assert (message.state, message.doubts) == (MessageState.UNCERTAIN, 1)
    clock.advance(timedelta(minutes=29))
    ledger.resolve_doubts(session, clock.now, RESENT)
    assert send_due() == 0
    clock.advance(timedelta(minutes=2))
    ledger.resolve_doubts(session, clock.now, RESENT)
    assert send_due() == 1
    assert len(office.letters) == 1 + taking
    assert len({letter.sha256 for letter in office.letters}) == 1


@pytest.mark.parametrize("phase", ["rcpt", "data"])
def test_a_relay_that_misheard_has_said_nothing_of_the_letter(
    session: Session, send_due: SendDue, office: PostOffice, clock: Clock, phase: PhaseName
) -> None:
    """MD-06: half a command was heard; the next letter takes another line, this one comes again."""
    first, second = a_packet(session), a_packet(session)
    office.at(phase).say(b"503 5.5.1 what?\r\n", times=1)
    send_due()
    session.expire_all()
    assert (first.state, second.state) == (MessageState.QUEUED, MessageState.SENT)
    assert office.connections == 2
    clock.advance(timedelta(minutes=8))
    assert send_due() == 1
    session.refresh(first)
    assert (first.state, first.attempts) == (MessageState.SENT, 2)


@pytest.mark.parametrize("words", [b"garbled\r\n", b"503 5.5.1 what?\r\n", b"354 go on\r\n"])
@pytest.mark.parametrize("taken", [True, False])
def test_an_answer_to_the_dot_that_says_nothing_of_the_letter_is_a_doubt(
    session: Session,
    send_due: SendDue,
    office: PostOffice,
    clock: Clock,
    words: bytes,
    taken: bool,
) -> None:
    """MD-02, I5: no copy without a recorded doubt, and no second copy of a follow-up."""
    lead = a_lead(session)
    a_request(session, lead)
    lead.confirmed_at = clock.now
    packet = a_packet(session)
    reminder = a_message(session, lead, values=VALUES)
    office.at("dot").say(words, times=2, taking=taken)
    send_due()
    session.expire_all()
    for letter in (packet, reminder):
        assert (letter.state, letter.doubts) == (MessageState.UNCERTAIN, 1)
    clock.advance(timedelta(hours=1))
    ledger.resolve_doubts(session, clock.now, RESENT)
    send_due()
    assert (packet.state, reminder.state) == (MessageState.SENT, MessageState.SENT)
    assert len(office.letters_to(packet.recipient)) == 1 + taken
    assert len(office.letters_to(reminder.recipient)) == taken


def test_only_answers_that_mean_nothing_count_towards_the_third(
    session: Session, send_due: SendDue, office: PostOffice, clock: Clock
) -> None:
    """MD-06: deferrals before do not make the first nonsense the last."""
    packet = a_packet(session)
    office.at("rcpt").defer(times=2)
    office.at("rcpt").say(b"999 what\r\n", times=3)
    for _ in range(4):
        send_due()
        assert packet.state is MessageState.QUEUED
        clock.advance(timedelta(hours=5))
    send_due()
    assert (packet.state, packet.reason) == (MessageState.HELD, "nonsense")


@pytest.mark.parametrize("taken", [None, True, False])
def test_a_letter_that_was_at_the_dot_stays_itself_through_an_upgrade(
    engine: Engine,
    session: Session,
    settings: Settings,
    vault: Vault,
    send_due: SendDue,
    office: PostOffice,
    clock: Clock,
    taken: bool | None,
) -> None:
    """MD-03, OP-05: deferred at the dot or in doubt, it leaves as it was, packet and all."""
    message = a_packet(session)
    if taken is None:
        office.at("dot").reply(451, "4.3.0", times=1)
    else:
        office.at("dot").hang_up(times=1, taking=taken)
    send_due()
    session.refresh(message)
    first = message.sha256
    clock.advance(timedelta(hours=1))
    ledger.resolve_doubts(session, clock.now, RESENT)
    session.commit()
    later = replace(settings, reply_to="new@clinic.example", bounce_address="b@clinic.example")
    relay = RelaySession(settings.relay, "clinic.example", timeout=5)
    upgraded = Dispatcher(engine, later, vault, relay, clock)
    assert upgraded.send_due() == 1
    upgraded.close()
    session.expire_all()
    assert message.state is MessageState.SENT
    assert {letter.sha256 for letter in office.letters} == {first} == {message.sha256}
    # What was never at the dot is written by whoever sends it.
    other = a_packet(session)
    session.commit()
    upgraded = Dispatcher(engine, later, vault, relay, clock)
    assert upgraded.send_due() == 1
    upgraded.close()
    assert b"Reply-To: new@clinic.example" in office.letters_to(other.recipient)[-1].content


def test_a_letter_whose_worker_died_at_the_dot_is_held_rather_than_written_otherwise(
    engine: Engine, session: Session, settings: Settings, vault: Vault, clock: Clock
) -> None:
    """MD-03: nobody kept what the dead one had sent, and a second copy must not differ."""
    message = a_packet(session)
    claimed = claim(session, clock.now)
    assert claims.declare_intent(session.connection(), claimed, "0" * 64, clock.now)
    clock.advance(claims.SEND_LEASE + timedelta(seconds=1))
    ledger.reclaim_lost(session, clock.now)
    clock.advance(timedelta(hours=1))
    ledger.resolve_doubts(session, clock.now, RESENT)
    session.commit()
    relay = RelaySession(settings.relay, "clinic.example", timeout=5)
    Dispatcher(engine, settings, vault, relay, clock).send_due()
    session.refresh(message)
    assert (message.state, message.reason) == (MessageState.HELD, "differs_from_first_copy")


def test_a_follow_up_in_doubt_is_never_sent_again(
    session: Session, send_due: SendDue, office: PostOffice, clock: Clock
) -> None:
    """I5: D ≤ 1 where we never resend; doubt is settled as sent and listed."""
    message = a_follow_up(session, values=VALUES)
    office.at("dot").hang_up(times=1, taking=False)
    send_due()
    clock.advance(timedelta(minutes=31))
    ledger.resolve_doubts(session, clock.now, RESENT)
    assert send_due() == 0
    session.refresh(message)
    assert (message.state, message.reason) == (MessageState.SENT, "assumed_sent")


def test_the_second_doubt_goes_to_staff(
    session: Session, send_due: SendDue, office: PostOffice, clock: Clock
) -> None:
    message = a_packet(session, values=VALUES)
    office.at("dot").hang_up(times=2, taking=True)
    for _ in range(3):
        send_due()
        clock.advance(timedelta(minutes=31))
        ledger.resolve_doubts(session, clock.now, RESENT)
    session.commit()
    session.refresh(message)
    assert (message.state, message.doubts) == (MessageState.HELD, 2)
    assert len(office.letters) == 2
    assert [task.kind for task in session.scalars(select(Task))] == ["letter_uncertain"]


def test_a_letter_that_cannot_be_written_is_set_aside_after_one_try(
    session: Session, send_due: SendDue, office: PostOffice
) -> None:
    """MD-08."""
    poison = a_packet(session, payload=b"k001 not sealed for this row")
    good = a_packet(session, values=VALUES)
    send_due()
    session.refresh(poison)
    assert (poison.state, poison.attempts) == (MessageState.HELD, 1)
    assert [letter.message_id for letter in office.letters] == [good.mail_id]


@pytest.fixture
def upkeep(engine: Engine, settings: Settings, vault: Vault, clock: Clock) -> Upkeep:
    """Let so much time pass that the upkeep came by at least once at its end, and no later."""
    jobs = {
        name: (job, every) for name, job, every in Timetable(settings, engine, vault, clock).jobs()
    }

    def pass_time(at_most: timedelta) -> None:
        job, every = jobs["upkeep"]
        # Whenever it came by last, it comes by once between here and the end.
        clock.advance(at_most - every)
        job()

    return pass_time


def test_what_a_dead_worker_held_before_the_dot_is_free_again(
    session: Session, send_due: SendDue, office: PostOffice, clock: Clock, upkeep: Upkeep
) -> None:
    """SC-11: ≤ 120 s before the dot, by the timetable's own hours."""
    message = a_packet(session, values=VALUES)
    claim(session, clock.now)
    session.commit()
    upkeep(timedelta(seconds=120))
    assert send_due() == 1
    assert office.copies() == {message.mail_id: 1}


def test_what_a_dead_worker_held_after_the_intent_is_in_doubt(
    session: Session, clock: Clock, upkeep: Upkeep
) -> None:
    """SC-11: ≤ 11 min after the intent, by the timetable's own hours."""
    a_packet(session, values=VALUES)
    claimed = claim(session, clock.now)
    assert claims.declare_intent(session.connection(), claimed, "0" * 64, clock.now)
    session.commit()
    upkeep(timedelta(minutes=11))
    session.refresh(claimed)
    assert claimed.state is MessageState.UNCERTAIN


def test_a_worker_that_was_thought_dead_changes_nothing_when_it_wakes(
    session: Session, clock: Clock
) -> None:
    """The fence: an outcome of an older claim is refused."""
    a_packet(session, values=VALUES)
    stale = claim(session, clock.now)
    session.expunge(stale)
    clock.advance(timedelta(seconds=121))
    ledger.reclaim_lost(session, clock.now)
    fresh = claim(session, clock.now)
    assert fresh.fence == stale.fence + 1
    assert not claims.declare_intent(session.connection(), stale, "0" * 64, clock.now)
    assert not ledger.settle(session, stale, MessageState.SENT, clock.now)
    assert claims.declare_intent(session.connection(), fresh, "0" * 64, clock.now)


def test_a_worker_that_heard_the_250_settles_the_doubt_about_its_own_letter(
    session: Session, clock: Clock
) -> None:
    """SC-07, SC-11: suspended, or its lease cut short by a jump of the clock, it knows best."""
    a_packet(session, values=VALUES)
    claimed = claim(session, clock.now)
    session.expunge(claimed)
    connection = session.connection()
    assert claims.declare_intent(connection, claimed, "0" * 64, clock.now)
    clock.advance(timedelta(days=1))
    assert ledger.reclaim_lost(session, clock.now) == 1

    assert claims.note_sent(connection, claimed, clock.now)

    message = session.get_one(Message, claimed.id, populate_existing=True)
    assert (message.state, message.doubts) == (MessageState.SENT, 1)


def test_a_worker_that_heard_the_250_too_late_leaves_the_letter_to_the_next(
    session: Session, clock: Clock
) -> None:
    """The fence: once the letter is queued again, an outcome of the older claim is refused."""
    a_packet(session, values=VALUES)
    stale = claim(session, clock.now)
    session.expunge(stale)
    assert claims.declare_intent(session.connection(), stale, "0" * 64, clock.now)
    ledger.reclaim_lost(session, clock.advance(timedelta(days=1)))
    ledger.resolve_doubts(session, clock.advance(timedelta(hours=1)), (MessageKind.PACKET,))
    assert not claims.note_sent(session.connection(), stale, clock.now)
    fresh = claim(session, clock.now)
    assert not claims.note_sent(session.connection(), stale, clock.now)
    assert claims.declare_intent(session.connection(), fresh, "0" * 64, clock.now)


def test_a_letter_that_was_taken_is_written_down_though_nobody_can_say_whether_to_go_on(
    engine: Engine,
    session: Session,
    settings: Settings,
    vault: Vault,
    clock: Clock,
    office: PostOffice,
) -> None:
    """DD-06: the question goes to a database that restarts; the outcome waits for it."""
    message = a_packet(session, values=VALUES)
    session.commit()
    asked = []

    def stopping() -> bool:
        asked.append(True)
        if len(asked) > 1:
            raise OperationalError("SELECT", {}, Exception("the server closed the connection"))
        return False

    relay = RelaySession(settings.relay, "clinic.example")
    dispatcher = Dispatcher(engine, settings, vault, relay, clock)
    assert dispatcher.send_due(stopping=stopping) == 1
    dispatcher.close()
    session.refresh(message)
    assert message.state is MessageState.SENT
    assert office.copies() == {message.mail_id: 1}


def test_a_stop_that_commits_before_the_intent_wins(
    engine: Engine,
    session: Session,
    settings: Settings,
    vault: Vault,
    clock: Clock,
    office: PostOffice,
) -> None:
    """MD-16, I7: the body is on its way, the unsubscribe commits, the dot is never sent."""
    message = a_follow_up(session, values=VALUES)
    session.commit()

    class StopsInTime(RelaySession):
        def send(
            self,
            sender: str,
            recipient: str,
            letter: Letter | bytes,
            intent: Callable[[], bool],
            envid: str = "",
        ) -> bool:
            def late_intent() -> bool:
                with open_session(engine) as other:
                    stops.suppress(
                        other,
                        message.cap_hash,
                        SuppressionScope.FOLLOW_UPS,
                        "unsubscribed",
                        clock.now,
                    )
                    other.commit()
                return intent()

            return super().send(sender, recipient, letter, late_intent)

    relay = StopsInTime(settings.relay, "clinic.example", timeout=5)
    Dispatcher(engine, settings, vault, relay, clock).send_due()
    assert office.letters == []
    session.refresh(message)
    assert message.state is MessageState.SUPPRESSED


def test_eight_dispatchers_send_each_letter_once(
    engine: Engine,
    session: Session,
    settings: Settings,
    vault: Vault,
    clock: Clock,
    office: PostOffice,
) -> None:
    """SC-02, MD-02: with no fault there is no copy."""
    for _ in range(60):
        a_packet(session, values=VALUES)
    session.commit()
    start = threading.Barrier(8)

    def work(_: int) -> None:
        relay = RelaySession(settings.relay, "clinic.example", timeout=10)
        dispatcher = Dispatcher(engine, settings, vault, relay, clock)
        start.wait()
        dispatcher.send_due()
        dispatcher.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert len(office.letters) == 60
    assert set(office.copies().values()) == {1}


def test_a_follow_up_keeps_quiet_at_night_and_costs_no_attempt(
    session: Session, send_due: SendDue, office: PostOffice, clock: Clock
) -> None:
    clock.advance(timedelta(hours=12))  # 22:00 in Tampa
    message = a_follow_up(session, values=VALUES, due_at=clock.now)
    send_due()
    session.refresh(message)
    assert (message.state, message.attempts) == (MessageState.QUEUED, 0)
    assert message.due_at == clock.now + timedelta(hours=11)
    clock.advance(timedelta(hours=11))
    send_due()
    assert len(office.letters) == 1


def test_a_packet_goes_out_at_night(
    session: Session, send_due: SendDue, office: PostOffice, clock: Clock
) -> None:
    clock.advance(timedelta(hours=12))
    a_packet(session, values=VALUES)
    send_due()
    assert len(office.letters) == 1


@pytest.mark.parametrize("status", [s for s in LeadStatus if s is not LeadStatus.NEW])
def test_a_follow_up_to_somebody_who_has_been_answered_does_not_leave(
    session: Session, send_due: SendDue, office: PostOffice, status: LeadStatus
) -> None:
    """The check at the leaving, though the change itself forgot to cancel."""
    message = a_follow_up(session, values=VALUES)
    session.execute(update(Lead).values(status=status))
    send_due()
    session.refresh(message)
    assert (message.state, message.reason) == (MessageState.CANCELLED, f"status_{status}")
    assert office.letters == []


def test_a_reminder_that_is_too_late_expires(
    session: Session, send_due: SendDue, office: PostOffice, clock: Clock
) -> None:
    """MD-05, SC-04: late is not lost, it is expired with a reason."""
    message = a_follow_up(session, values=VALUES, not_after=clock.now + timedelta(hours=48))
    clock.advance(timedelta(hours=49))
    send_due()
    session.refresh(message)
    assert (message.state, message.reason) == (MessageState.EXPIRED, "too_late")
    assert office.letters == []


@pytest.mark.parametrize("downtime", [timedelta(seconds=1), timedelta(hours=1), timedelta(days=3)])
def test_after_downtime_every_reminder_is_sent_once_or_expired(
    session: Session, send_due: SendDue, office: PostOffice, clock: Clock, downtime: timedelta
) -> None:
    """SC-04."""
    for number in range(10):
        due = clock.now + downtime * number / 10
        a_follow_up(session, values=VALUES, due_at=due, not_after=due + timedelta(hours=48))
    session.commit()
    clock.advance(downtime)
    send_due()
    states = list(session.scalars(select(Message.state)))
    sent, expired = states.count(MessageState.SENT), states.count(MessageState.EXPIRED)
    assert (len(office.letters), sent + expired) == (sent, 10)
    assert set(office.copies().values()) <= {1}


def test_a_new_packet_overtakes_reminders(
    session: Session, send_due: SendDue, office: PostOffice, clock: Clock
) -> None:
    """SC-10."""
    for _ in range(5):
        a_follow_up(session, values=VALUES, due_at=clock.now - timedelta(hours=1))
    packet = a_packet(session, values=VALUES)
    send_due()
    assert office.letters[0].message_id == packet.mail_id


def test_one_address_gets_one_follow_up_a_day(
    session: Session, send_due: SendDue, office: PostOffice
) -> None:
    """SC-12: over all leads of the address."""
    first = a_follow_up(session, values=VALUES)
    lead = a_lead(session, cap_hash=first.cap_hash)
    a_request(session, lead)
    second = a_message(session, lead, values=VALUES)
    send_due()
    session.refresh(second)
    assert (second.state, second.reason) == (MessageState.SUPPRESSED, "capped_daily")
    assert len(office.letters) == 1


def test_an_unconfirmed_address_gets_three_mails_in_thirty_days(
    session: Session, send_due: SendDue, office: PostOffice, clock: Clock
) -> None:
    """AB-01: the fourth, the letter of day 24, stays here until somebody confirms."""
    lead = a_lead(session)
    a_request(session, lead)
    a_message(session, lead, kind=MessageKind.PACKET, values=VALUES)
    letters = [
        a_message(session, lead, values=VALUES, due_at=clock.now + timedelta(days=days))
        for days in (3, 10, 24)
    ]
    session.commit()
    for _ in range(25):
        send_due()
        clock.advance(timedelta(days=1))
    assert len(office.letters) == caps.UNCONFIRMED.monthly
    session.refresh(letters[-1])
    assert letters[-1].reason == "capped_unconfirmed"


def test_a_follow_up_gives_way_to_a_packet_that_is_still_to_leave(
    session: Session, send_due: SendDue, office: PostOffice, clock: Clock
) -> None:
    """AB-01: the packet was asked for and is not capped again; so both would leave in a day."""
    lead = a_lead(session)
    a_request(session, lead)
    packet = a_message(session, lead, kind=MessageKind.PACKET, values=VALUES)
    reminder = a_message(session, lead, values=VALUES, due_at=clock.now + timedelta(minutes=1))
    office.at("rcpt").defer(times=1)
    send_due()
    clock.advance(timedelta(minutes=2))
    send_due()
    session.expire_all()
    assert (packet.state, reminder.reason) == (MessageState.QUEUED, "capped_unconfirmed")
    clock.advance(timedelta(hours=1))
    send_due()
    assert len(office.letters) == 1


def test_a_packet_that_failed_after_a_doubt_counts_as_one_that_came(
    session: Session, send_due: SendDue, clock: Clock
) -> None:
    """AB-01: its first copy may have arrived."""
    lead = a_lead(session)
    a_request(session, lead)
    facts: dict[str, Any] = {"state": MessageState.FAILED, "doubts": 1, "state_at": clock.now}
    a_message(session, lead, kind=MessageKind.PACKET, **facts)
    reminder = a_message(session, lead, values=VALUES)
    send_due()
    session.refresh(reminder)
    assert reminder.reason == "capped_unconfirmed"


def test_a_packet_that_was_ended_after_a_doubt_counts_as_one_that_came(
    session: Session, send_due: SendDue, clock: Clock
) -> None:
    """AB-01: staff ended it, and a copy may have arrived all the same."""
    lead = a_lead(session)
    a_request(session, lead)
    facts: dict[str, Any] = {"state": MessageState.CANCELLED, "doubts": 2, "state_at": clock.now}
    a_message(session, lead, kind=MessageKind.PACKET, **facts)
    reminder = a_message(session, lead, values=VALUES)
    send_due()
    session.refresh(reminder)
    assert reminder.reason == "capped_unconfirmed"


def test_a_held_packet_stops_follow_ups_until_another_has_left(
    session: Session, send_due: SendDue, clock: Clock
) -> None:
    """However old the held one is; and the reason shown is the true one."""
    lead = a_lead(session)
    a_request(session, lead)
    facts: dict[str, Any] = {"kind": MessageKind.PACKET, "state": MessageState.HELD, "doubts": 2}
    a_message(session, lead, **facts, reason="doubt_twice", values=VALUES)
    clock.advance(timedelta(days=40))
    early = a_message(session, lead, values=VALUES, due_at=clock.now)
    send_due()
    session.refresh(early)
    assert (early.state, early.reason) == (MessageState.SUPPRESSED, "packet_held")
    a_message(session, lead, kind=MessageKind.PACKET, values=VALUES, due_at=clock.now)
    send_due()
    clock.advance(timedelta(days=60))
    later = a_message(session, lead, values=VALUES, due_at=clock.now)
    send_due()
    session.refresh(later)
    assert (later.state, later.reason) == (MessageState.SENT, "")


def test_a_broken_database_at_the_intent_leaves_no_dot(
    engine: Engine, settings: Settings, office: PostOffice
) -> None:
    """The next letter over the same relay must not become part of this one's body."""
    relay = RelaySession(settings.relay, "clinic.example", timeout=5)

    def broken() -> bool:
        raise OSError("disk")

    letter = b"Subject: x\r\n\r\nbody\r\n"
    with pytest.raises(Exception, match=r"."):
        relay.send("hello@clinic.example", "a@example.com", letter, broken)
    assert relay.send("hello@clinic.example", "b@example.com", letter, lambda: True)
    relay.close()
    assert [one.recipients for one in office.letters] == [("b@example.com",)]
