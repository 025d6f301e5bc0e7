"""Gates of domains and of all mail, and what staff hear of them, on both databases."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from leadcapture.dashboard import words
from leadcapture.database import open_session
from leadcapture.intake.letters_due import Addressee, Occasion, packet_draft
from leadcapture.letters import Letter
from leadcapture.models import Attempt, Gate, Message, MessageKind, MessageState, Pace, Task
from leadcapture.outbox import caps, claims, gates, ledger
from leadcapture.outbox.dispatch import Dispatcher
from leadcapture.outbox.queue import enqueue
from leadcapture.outbox.relay import RelaySession
from leadcapture.settings import Settings
from leadcapture.vault import Vault
from tests.clock import Clock
from tests.people import LETTER_VALUES, a_lead, a_message, a_request, claim
from tests.post_office import PhaseName, PostOffice

SendDue = Callable[[], int]


def a_packet(session: Session, to: str, **changes: Any) -> Message:
    return a_message(session, kind=MessageKind.PACKET, recipient=to, **changes)


@pytest.mark.parametrize("phase", ["rcpt", "data", "dot"])
@pytest.mark.parametrize(("code", "enhanced"), [(421, "4.3.2"), (451, "4.7.1")])
def test_a_domain_that_asks_for_calm_is_left_alone_and_halved(
    session: Session,
    send_due: SendDue,
    office: PostOffice,
    clock: Clock,
    phase: PhaseName,
    code: int,
    enhanced: str,
) -> None:
    """MD-10: 421 and 4.7.x close the domain's gate and halve its pace for 1 h."""
    a_packet(session, "one@busy.example")
    second = a_packet(session, "two@busy.example")
    other = a_packet(session, "three@calm.example")
    office.at(phase, to="one@busy.example").reply(code, enhanced, times=1)
    send_due()
    assert [letter.recipients[0] for letter in office.letters] == [other.recipient]
    assert session.get_one(Gate, "domain:busy.example").closed_until == (
        clock.now + gates.DEFERRED_FOR
    )
    slowed = session.get_one(Pace, "domain:busy.example").slowed_until
    assert slowed == clock.now + timedelta(hours=1)
    session.refresh(second)
    assert (second.state, second.attempts) == (MessageState.QUEUED, 0)
    clock.advance(gates.DEFERRED_FOR + timedelta(minutes=5))
    send_due()
    assert len(office.letters) == 3


@pytest.mark.parametrize("phase", ["connect", "ehlo", "mail"])
def test_a_relay_that_is_closing_shuts_no_domain(
    session: Session, send_due: SendDue, office: PostOffice, phase: PhaseName
) -> None:
    """421 before any recipient is known is the relay's own: it is left alone for a moment.

    the outbox's table: at MAIL FROM the letter backs off; before, no attempt is counted.
    """
    packet = a_packet(session, "one@busy.example")
    waiting = a_packet(session, "two@busy.example")
    office.at(phase).reply(421, "4.3.2", times=1)
    send_due()
    assert send_due() == 0
    assert session.get_one(Gate, gates.RELAY).closed_until is not None
    session.refresh(packet)
    session.refresh(waiting)
    assert (packet.attempts, waiting.attempts) == (int(phase == "mail"), 0)
    assert office.letters == []
    assert not session.scalars(select(Gate).where(Gate.name.startswith("domain:"))).all()
    assert session.get(Pace, "domain:busy.example") is None


@pytest.mark.parametrize("words", ["5.7.1 no", "blocked by policy"])
def test_three_policy_refusals_in_an_hour_shut_a_domain_for_four(
    session: Session, send_due: SendDue, office: PostOffice, clock: Clock, words: str
) -> None:
    """MD-06: they fail and suppress nobody; what waits for the domain waits four hours."""
    for number in range(3):
        a_packet(session, f"n{number}@strict.example")
    office.at("rcpt", to="@strict.example").reply(550, "", words, times=3)
    send_due()
    assert session.scalars(select(Message.state)).all() == [MessageState.FAILED] * 3
    late = a_packet(session, "late@strict.example")
    other = a_packet(session, "n@calm.example")
    clock.advance(timedelta(hours=3, minutes=59))
    send_due()
    assert [letter.recipients[0] for letter in office.letters] == [other.recipient]
    clock.advance(timedelta(minutes=2))
    send_due()
    assert office.letters_to(late.recipient)


def test_two_policy_refusals_or_three_in_two_hours_shut_nothing(
    session: Session, send_due: SendDue, office: PostOffice, clock: Clock
) -> None:
    """MD-06: three an hour, not fewer."""
    office.at("rcpt").refuse("5.7.1")
    for number in range(3):
        a_packet(session, f"n{number}@strict.example")
        send_due()
        clock.advance(timedelta(minutes=45))
    assert session.get(Gate, "domain:strict.example") is None


def test_a_queue_that_is_held_tells_staff_until_it_is_opened(
    session: Session, send_due: SendDue, office: PostOffice, clock: Clock
) -> None:
    """MD-06: hold the queue, alert."""
    packet = a_packet(session, "one@calm.example")
    office.at("mail").refuse("5.7.1", times=1)
    send_due()
    task = session.scalars(select(Task)).one()
    assert (task.kind, task.done_at) == (gates.ALERT, None)
    gates.open_gate(session, gates.QUEUE, clock.now)
    send_due()
    session.refresh(task)
    assert task.done_at == clock.now
    assert office.letters_to(packet.recipient)


def test_a_pause_between_claim_and_intent_keeps_the_letter(
    engine: Engine,
    session: Session,
    settings: Settings,
    vault: Vault,
    clock: Clock,
    office: PostOffice,
) -> None:
    """The intent's guard: the body is on its way, a pause commits, the dot is never sent.

    The letter waits, and no attempt is counted.
    """
    packet = a_packet(session, "one@calm.example")
    session.commit()

    class PausedInTime(RelaySession):
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
                    gates.hold_queue(other, "told", clock.now)
                    other.commit()
                return intent()

            return super().send(sender, recipient, letter, late_intent, envid)

    relay = PausedInTime(settings.relay, "clinic.example", timeout=5)
    dispatcher = Dispatcher(engine, settings, vault, relay, clock)
    dispatcher.send_due()
    assert dispatcher.send_due() == 0
    assert office.letters == []
    session.refresh(packet)
    assert (packet.state, packet.attempts) == (MessageState.QUEUED, 0)


def test_an_intent_after_the_claims_own_deadline_is_refused(session: Session, clock: Clock) -> None:
    """`leadcapture.outbox`: claimed → sending only where the own deadline has not passed."""
    a_packet(session, "one@calm.example")
    claimed = claim(session, clock.now)
    clock.advance(claims.CLAIM_LEASE)
    assert not claims.declare_intent(session.connection(), claimed, "0" * 64, clock.now)


@pytest.mark.parametrize("stands", [True, False])
def test_an_outcome_is_written_and_the_next_is_claimed_where_no_gate_stands(
    engine: Engine, session: Session, clock: Clock, stands: bool
) -> None:
    """`leadcapture.outbox`: both in one commit, and a gate that closed meanwhile is still seen."""
    first, second = (a_packet(session, f"{name}@busy.example") for name in ("one", "two"))
    claimed = claim(session, clock.now)
    assert claims.declare_intent(session.connection(), claimed, "0" * 64, clock.now)
    if stands:
        gates.note_domain_deferral(session, "busy.example", "rcpt_421", clock.now)
    session.commit()
    with engine.begin() as connection:
        following = claims.note_sent_and_claim(connection, claimed, clock.now)
    session.expire_all()
    assert session.scalars(select(Attempt.outcome)).all() == ["sent"]
    assert first.state is MessageState.SENT
    if stands:
        assert following is None
        assert (second.state, second.attempts) == (MessageState.QUEUED, 0)
    else:
        assert following is not None
        assert (following.message.id, following.message.fence) == (second.id, second.fence)
        assert (second.state, second.attempts) == (MessageState.CLAIMED, 1)


def test_staff_hear_of_a_packet_that_waits_for_four_hours(
    session: Session, send_due: SendDue, office: PostOffice, clock: Clock
) -> None:
    """MD-05: told at 4 h, once, whether it was tried in vain or never."""
    tried = a_packet(session, "one@calm.example")
    office.at("rcpt").defer()
    send_due()
    untried = a_packet(session, "two@calm.example")
    session.commit()
    clock.advance(timedelta(hours=3, minutes=59))
    assert ledger.tell_of_delay(session, clock.now) == 0
    clock.advance(timedelta(minutes=2))
    assert ledger.tell_of_delay(session, clock.now) == 2
    session.commit()
    assert ledger.tell_of_delay(session, clock.now) == 0
    told = session.scalars(select(Task.message_id).where(Task.kind == "letter_late"))
    assert set(told) == {tried.id, untried.id}


def test_a_packet_that_came_too_late_is_a_task_for_staff(
    session: Session, send_due: SendDue, clock: Clock
) -> None:
    """`leadcapture.outbox`: expired, staff task if a packet."""
    late = a_packet(session, "one@calm.example", not_after=clock.now - timedelta(seconds=1))
    send_due()
    session.refresh(late)
    assert late.state is MessageState.EXPIRED
    assert session.scalars(select(Task.kind)).all() == ["letter_expired"]


@pytest.mark.parametrize("kind", caps.PACKETS)
def test_what_a_patient_waited_for_behind_a_held_queue_is_a_task_and_not_sent_unasked(
    session: Session,
    send_due: SendDue,
    settings: Settings,
    vault: Vault,
    clock: Clock,
    kind: MessageKind,
) -> None:
    """MD-05: as the service itself queues it, expired after five days and a bit."""
    lead = a_lead(session)
    request = a_request(session, lead)
    occasion = Occasion(
        Addressee.of(lead), request.id, request.receipt, "Janet", lead.email, (), "en", False
    )
    draft = packet_draft(session, settings, occasion, kind, "packet:late", clock.now)
    enqueue(session, vault, "clinic.example", [draft], clock.now)
    gates.hold_queue(session, "auth_535", clock.now)
    clock.advance(timedelta(days=45))
    gates.open_gate(session, gates.QUEUE, clock.now)
    send_due()
    letter = session.scalars(select(Message)).one()
    assert (letter.state, letter.reason) == (MessageState.EXPIRED, "too_late")
    assert "letter_expired" in session.scalars(select(Task.kind)).all()
    assert "send the packet again" in str(words.TASK["letter_expired"])


def test_what_waited_for_the_relay_for_days_is_tried_as_long_as_any_other(
    session: Session, send_due: SendDue, office: PostOffice, clock: Clock
) -> None:
    """MD-05: it gives up five days after its own first try, not after its first minute in line."""
    letter = a_packet(session, "one@calm.example")
    office.stop()
    send_due()
    clock.advance(timedelta(days=6))
    office.restart()
    office.at("rcpt").defer()
    begun = clock.now
    while clock.now < begun + timedelta(days=4, hours=19):
        send_due()
        session.refresh(letter)
        assert letter.state is MessageState.QUEUED
        clock.advance(timedelta(hours=5))
    clock.advance(timedelta(hours=5))
    send_due()
    session.refresh(letter)
    assert letter.state is MessageState.FAILED


def test_what_a_person_releases_after_days_is_tried_as_long_as_a_new_one(
    session: Session, send_due: SendDue, office: PostOffice, clock: Clock
) -> None:
    """MD-05: a release gives a span of its own, whatever was tried before."""
    letter = a_packet(session, "one@calm.example", not_after=clock.now + ledger.PACKET_KEPT)
    office.at("rcpt").defer(times=1)
    send_due()
    session.refresh(letter)
    assert ledger.settle(
        session, letter, MessageState.HELD, clock.now, since=(MessageState.QUEUED,)
    )
    clock.advance(timedelta(days=6))
    session.refresh(letter)
    assert ledger.release(session, letter, clock.now)
    for _ in range(3):
        office.at("rcpt").defer(times=1)
        send_due()
        session.refresh(letter)
        assert (letter.state, letter.reason) == (MessageState.QUEUED, "rcpt_4.3.0")
        clock.advance(timedelta(hours=1))
    send_due()
    session.refresh(letter)
    assert letter.state is MessageState.SENT


def test_gates_of_domains_that_stand_open_are_forgotten(session: Session, clock: Clock) -> None:
    gates.note_domain_deferral(session, "busy.example", "rcpt_421", clock.now)
    gates.hold_queue(session, "told", clock.now)
    session.commit()
    gates.forget_old_gates(session, clock.now + timedelta(minutes=30))
    assert session.get(Gate, "domain:busy.example") is not None
    gates.forget_old_gates(session, clock.now + timedelta(hours=2))
    session.expire_all()
    assert session.scalars(select(Gate.name)).all() == [gates.QUEUE]


def test_several_schedulers_try_a_dead_relay_as_often_as_one(
    engine: Engine,
    session: Session,
    settings: Settings,
    vault: Vault,
    office: PostOffice,
    clock: Clock,
) -> None:
    """MD-09: at most one try a minute, whoever it is; and all go on once one got through."""
    for number in range(12):
        a_packet(session, f"n{number}@calm.example")
    session.commit()
    office.at("connect").stall(0.2, then_hang_up=True)
    schedulers = [
        Dispatcher(engine, settings, vault, RelaySession(settings.relay, "x.example"), clock)
        for _ in range(6)
    ]

    def all_at_once() -> None:
        with ThreadPoolExecutor(len(schedulers)) as crew:
            list(crew.map(Dispatcher.send_due, schedulers))

    all_at_once()
    clock.advance(timedelta(minutes=1, seconds=1))
    before = office.connections
    for minute in range(1, 4):
        all_at_once()
        all_at_once()
        assert office.connections - before == minute
        clock.advance(timedelta(minutes=1, seconds=1))
    office.behave()
    all_at_once()
    clock.advance(timedelta(minutes=1))
    all_at_once()
    assert len(office.letters) == 12
    assert session.get(Gate, gates.RELAY) is None
    for scheduler in schedulers:
        scheduler.close()


def test_a_try_that_tells_nothing_of_the_relay_is_followed_by_the_next(
    session: Session, send_due: SendDue, office: PostOffice, clock: Clock
) -> None:
    """MD-09: a recipient that is refused, or a letter that may not leave, costs no minute."""
    for _ in range(gates.FAILURES_BEFORE_PAUSE):
        gates.note_relay_down(session, "connect_lost", clock.now)
    refused = a_packet(session, "nobody@calm.example")
    a_packet(session, "late@calm.example", not_after=clock.now)
    welcome = a_packet(session, "one@calm.example")
    office.at("rcpt", to="nobody").refuse("5.1.1")
    clock.advance(timedelta(minutes=1))
    send_due()
    session.expire_all()
    assert (refused.state, welcome.state) == (MessageState.FAILED, MessageState.SENT)


def test_two_follow_ups_at_once_to_one_address_are_counted_one_after_the_other(
    engine: Engine, session: Session, settings: Settings, vault: Vault, clock: Clock
) -> None:
    """SC-12: each would count before the other is said to leave."""
    letters = []
    for email in ("one@calm.example", "two@calm.example"):
        lead = a_lead(session, email=email)
        lead.confirmed_at = clock.now
        a_request(session, lead)
        letters.append(a_message(session, lead, cap_hash="c" * 64, values=LETTER_VALUES))
    session.commit()
    crew = [
        Dispatcher(engine, settings, vault, RelaySession(settings.relay, "x.example"), clock)
        for _ in letters
    ]
    claimed = [one._claim() for one in crew]
    with ThreadPoolExecutor(len(crew)) as pool:
        started = threading.Barrier(len(crew))

        def declare(one: Dispatcher, letter: Message | None) -> bool:
            assert letter is not None
            started.wait()
            return one._declare_intent(letter, "0" * 64)

        declared = list(pool.map(declare, crew, claimed))
    assert sorted(declared) == [False, True]
    for one in crew:
        one.close()
    session.expire_all()
    assert {letter.reason for letter in letters} == {"", "capped_daily"}


def test_a_relay_gate_of_before_the_clock_was_put_back_stands_open(
    session: Session, clock: Clock
) -> None:
    """SC-07: all mail would wait for an hour and a minute."""
    for _ in range(gates.FAILURES_BEFORE_PAUSE):
        gates.note_relay_down(session, "connect_lost", clock.now)
    session.commit()
    assert gates.closed_gate(session, clock.now) is not None

    clock.advance(timedelta(hours=-1))

    assert gates.closed_gate(session, clock.now) is None
    assert not gates.look(session.connection(), clock.now)[1].all_mail
