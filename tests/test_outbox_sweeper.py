"""The sweeper: a planted violation of each invariant is found, told to staff, and cleared."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, delete, event, insert, select, text, update
from sqlalchemy.orm import Session

from leadcapture.dashboard import words
from leadcapture.models import (
    Attempt,
    AuditEntry,
    Heartbeat,
    Message,
    MessageKind,
    MessageState,
    Request,
    Suppression,
    SuppressionScope,
    Task,
)
from leadcapture.outbox import claims, invariants, ledger, stops, sweeper
from leadcapture.outbox.queue import open_payload
from leadcapture.scheduler import Timetable
from leadcapture.settings import Settings
from leadcapture.vault import Vault
from tests.clock import TUESDAY_MORNING, Clock
from tests.people import LETTER_VALUES, a_lead, a_message, a_request, claim, test_vault

HOUR = timedelta(hours=1)
Send = Callable[[], int]


@pytest.fixture
def sent(session: Session, send_due: Send) -> Message:
    """A packet that was asked for and has left, as the service itself does it."""
    lead = a_lead(session)
    request = a_request(session, lead)
    message = a_message(
        session,
        lead,
        kind=MessageKind.PACKET,
        dedupe_key=f"packet:{request.receipt}",
        request_id=request.id,
    )
    assert send_due() == 1
    return message


def change(session: Session, message: Message, **changes: object) -> None:
    session.execute(update(Message).where(Message.id == message.id).values(**changes))


def without_foreign_keys(session: Session) -> None:
    """As a person with a database shell could."""
    sqlite = session.get_bind().dialect.name == "sqlite"
    session.commit()
    if sqlite:
        session.connection().exec_driver_sql("ROLLBACK")
        session.connection().exec_driver_sql("PRAGMA foreign_keys = OFF")
        session.connection().exec_driver_sql("BEGIN IMMEDIATE")
    else:
        session.execute(text("SET LOCAL session_replication_role = replica"))


def lose_the_lead(session: Session, message: Message) -> None:
    without_foreign_keys(session)
    session.execute(update(Request).values(lead_id=987_654))


def lose_the_packet(session: Session, message: Message) -> None:
    change(session, message, dedupe_key="elsewhere")


def overrun_the_lease(session: Session, message: Message) -> None:
    a_message(session, state="claimed", lease_until=TUESDAY_MORNING - HOUR)


def leave_a_doubt_lying(session: Session, message: Message) -> None:
    a_message(
        session,
        state="uncertain",
        state_at=TUESDAY_MORNING - HOUR,
        doubts=1,
        sha256="0" * 64,
        mail_date=TUESDAY_MORNING,
    )


def fail_what_was_sent(session: Session, message: Message) -> None:
    change(session, message, state="failed")


def forget_the_answer(session: Session, message: Message) -> None:
    session.execute(delete(Attempt))


def be_accepted_twice(session: Session, message: Message) -> None:
    session.execute(
        insert(Attempt).values(
            message_id=message.id,
            fence=9,
            phase="dot",
            code=250,
            enhanced="",
            outcome="sent",
            at=TUESDAY_MORNING,
        )
    )


def doubt_without_a_record(session: Session, message: Message) -> None:
    change(session, message, doubts=1)


def differ_from_the_first_copy(session: Session, message: Message) -> None:
    change(session, message, sha256="f" * 64)


def take_another_message_id(session: Session, message: Message) -> None:
    change(session, message, mail_id="<another@clinic.example>")


def be_suppressed_before(session: Session, message: Message) -> None:
    session.add(
        Suppression(
            cap_hash=message.cap_hash,
            scope=SuppressionScope.ALL,
            reason="complaint",
            created_at=TUESDAY_MORNING - HOUR,
        )
    )


def send_what_was_cancelled(session: Session, message: Message) -> None:
    other = a_message(session, message.lead, state="cancelled")
    change(session, other, state="queued")


def write_to_somebody_else(session: Session, message: Message) -> None:
    change(session, message, recipient="someone.else@other.example")


def write_to_two(session: Session, message: Message) -> None:
    change(session, message, recipient=f"{message.recipient},someone@other.example")


def smuggle_a_header(session: Session, message: Message) -> None:
    change(session, message, mail_id=f"{message.mail_id}\r\nBcc: <a@b.example>")


def say_what_a_visitor_typed(session: Session, message: Message) -> None:
    say(session, message, {"greeting": "Hello BUY CHEAP PILLS http://evil.example now,"})


def say(session: Session, message: Message, values: dict[str, str]) -> None:
    payload = open_payload(test_vault, message)
    payload["values"] |= values
    sealed = test_vault.seal("message", "payload", message.ref, json.dumps(payload))
    change(session, message, payload=sealed)


def drop_the_trigger(session: Session, message: Message) -> None:
    on = "" if session.get_bind().dialect.name == "sqlite" else " ON message"
    session.execute(text(f"DROP TRIGGER audit_message_state{on}"))


def delete_an_entry(session: Session, message: Message) -> None:
    session.execute(delete(AuditEntry).where(AuditEntry.to_state == "claimed"))


def delete_the_last_entry(session: Session, message: Message) -> None:
    session.execute(delete(AuditEntry).where(AuditEntry.to_state == "sent"))


Plant = Callable[[Session, Message], None]
PLANTED: list[tuple[str, Plant]] = [
    ("I1", lose_the_lead),
    ("I2", lose_the_packet),
    ("I3", overrun_the_lease),
    ("I3", leave_a_doubt_lying),
    ("I3", fail_what_was_sent),
    ("I4", forget_the_answer),
    ("I5", be_accepted_twice),
    ("I5", doubt_without_a_record),
    ("I6", differ_from_the_first_copy),
    ("I6", take_another_message_id),
    ("I7", be_suppressed_before),
    ("I7", send_what_was_cancelled),
    ("I8", write_to_somebody_else),
    ("I8", write_to_two),
    ("I9", smuggle_a_header),
    ("I9", say_what_a_visitor_typed),
    ("I10", drop_the_trigger),
    ("I10", delete_an_entry),
    ("I10", delete_the_last_entry),
]


def test_a_letter_that_left_as_it_should_breaks_nothing(
    session: Session, sent: Message, clock: Clock
) -> None:
    assert sent.state is MessageState.SENT
    assert sweeper.violations(session, clock(), vault=test_vault) == []
    assert sweeper.violations(session, clock(), since=TUESDAY_MORNING - HOUR) == []


def test_a_follow_up_in_doubt_whose_worker_hears_the_250_after_all_is_one_copy(
    session: Session, clock: Clock
) -> None:
    a_message(session, kind=MessageKind.FOLLOW_UP, values=LETTER_VALUES)
    claimed = claim(session, clock())
    session.expunge(claimed)
    assert claims.declare_intent(session.connection(), claimed, "0" * 64, clock())
    assert ledger.reclaim_lost(session, clock.advance(timedelta(days=1))) == 1
    assert claims.note_sent(session.connection(), claimed, clock())
    session.expire_all()
    assert sweeper.violations(session, clock()) == []


def test_a_follow_up_that_left_in_doubt_and_once_more_is_told(
    session: Session, clock: Clock
) -> None:
    """I5: at most once for what nobody waits for."""
    message = a_message(session, kind=MessageKind.FOLLOW_UP, values=LETTER_VALUES)
    for outcome in ("lost", "sent"):
        message.fence += 1
        ledger.note_attempt(session, message, "dot", None, "", outcome, clock())
    session.flush()
    assert "I5" in {found.invariant for found in sweeper.violations(session, clock())}


def test_every_invariant_has_a_planted_violation() -> None:
    assert {invariant for invariant, _ in PLANTED} == set(sweeper.INVARIANTS)


@pytest.mark.parametrize(("invariant", "plant"), PLANTED, ids=[p.__name__ for _, p in PLANTED])
def test_a_planted_violation_is_found_by_both_looks(
    session: Session, sent: Message, clock: Clock, invariant: str, plant: Plant
) -> None:
    """MD-23: by the look at all rows, and by the one at what changed lately."""
    plant(session, sent)
    session.flush()
    found_at_all = sweeper.violations(session, clock(), vault=test_vault)
    whole = {found.invariant for found in found_at_all}
    lately = sweeper.violations(session, clock(), since=TUESDAY_MORNING - HOUR, vault=test_vault)
    assert invariant in whole
    assert invariant in {found.invariant for found in lately}


@pytest.mark.parametrize(("invariant", "plant"), PLANTED, ids=[p.__name__ for _, p in PLANTED])
def test_staff_are_told_within_sixteen_minutes_and_once(
    engine: Engine,
    session: Session,
    sent: Message,
    settings: Settings,
    vault: Vault,
    clock: Clock,
    invariant: str,
    plant: Plant,
) -> None:
    """MD-23: the alert stands within 16 min, in words, through the timetable's own job.

    Also for a row that has changed nothing that the audit would know of for two hours.
    """
    jobs = {name: job for name, job, _ in Timetable(settings, engine, vault, clock).jobs()}
    for _ in range(3):
        clock.advance(timedelta(minutes=40))
        jobs["watch"]()
    plant(session, sent)
    session.commit()
    for _ in range(4):
        clock.advance(timedelta(minutes=4))
        jobs["watch"]()
    told = session.scalars(
        select(Task).where(Task.kind == sweeper.kind_of(invariant), Task.done_at.is_(None))
    ).all()
    assert len(told) >= 1
    assert len({task.dedupe_key for task in told}) == len(told)
    assert told[0].kind in words.TASK


@pytest.mark.parametrize(
    "said",
    [
        {"greeting": "Hello Buy-now-at evil.example,"},
        {"greeting": "Hello Janet, your arthritis,"},
        {"first_name": "Call 555 0142"},
        {"message": "My knees hurt"},
        {"receipt": "see https://evil.example/"},
        {"packet_link": "javascript:alert(1)"},
    ],
    ids=lambda said: next(iter(said)),
)
def test_what_a_visitor_typed_is_found_in_whatever_a_letter_says(
    session: Session, sent: Message, clock: Clock, said: dict[str, str]
) -> None:
    """I9, AB-02: the payloads are opened, whoever wrote them."""
    say(session, sent, said)
    found = sweeper.violations(session, clock(), vault=test_vault)
    assert [(one.invariant, one.what, one.subject) for one in found] == [
        ("I9", "typed_words", sent.ref)
    ]


def test_a_letter_that_our_keys_do_not_open_is_another_matter(
    session: Session, sent: Message, clock: Clock
) -> None:
    change(session, sent, payload=b"none" + sent.payload[4:])
    assert sweeper.violations(session, clock(), vault=test_vault) == []


def test_each_question_reads_the_rows_whose_turn_it_is_and_no_table_whole(
    session: Session, sent: Message, clock: Clock
) -> None:
    """MD-23: of a million entries a stretch costs what a stretch costs."""
    if session.get_bind().dialect.name != "sqlite":
        return  # PostgreSQL goes by how many rows there are, and here are few.
    connection, plans = session.connection(), []

    @event.listens_for(connection, "before_cursor_execute")
    def explain(
        _connection: object, cursor: object, statement: str, given: object, *_: object
    ) -> None:
        if statement.startswith("SELECT"):
            rows = cursor.execute(f"EXPLAIN QUERY PLAN {statement}", given).fetchall()  # type: ignore[attr-defined]
            plans.append("\n".join(str(row[-1]) for row in rows))

    assert not sweeper.violations(session, clock(), clock() - sweeper.EVERY, also={sent.ref})
    event.remove(connection, "before_cursor_execute", explain)
    assert len(plans) > 2 * len(invariants.CHECKS)
    whole = re.compile(r"SCAN (message|request|audit|attempt)\b(?! USING)")
    # Where the last sweep left off is looked for from the end of the audit, and soon found.
    assert [plan for plan in plans if whole.search(plan)] == ["SCAN audit"]


def test_of_more_rows_than_a_stretch_each_has_its_turn(
    session: Session, sent: Message, clock: Clock
) -> None:
    """MD-23: a round of so many sweeps as there are stretches, whichever process makes them."""
    others = [a_message(session, sent.lead, state="cancelled") for _ in range(7)]
    clock.advance(timedelta(hours=2))
    change(session, sent, sha256="f" * 64)
    change(session, others[-1], mail_id="<another@clinic.example>")
    session.commit()
    turns = [
        {
            one.subject
            for one in sweeper.violations(
                session, clock.advance(sweeper.EVERY), clock.now - sweeper.EVERY, stretch=2
            )
        }
        for _ in range(10)
    ]
    assert turns[:5] == turns[5:]
    assert set().union(*turns) == {sent.ref, others[-1].ref}
    assert all(len(found) < 2 for found in turns)


def test_an_alert_is_cleared_when_the_fault_is_gone_and_stands_until_then(
    session: Session, sent: Message, clock: Clock
) -> None:
    sha256 = sent.sha256
    change(session, sent, sha256="f" * 64)
    session.commit()
    sweeper.sweep(session, clock())
    session.commit()
    task = session.scalars(select(Task).where(Task.kind == "sweep_i6")).one()
    assert task.done_at is None
    task.done_at = clock()
    session.commit()
    # Long after the message last changed, and although somebody ticked it off.
    clock.advance(timedelta(hours=2))
    sweeper.sweep(session, clock())
    session.commit()
    change(session, sent, sha256=sha256)
    session.commit()
    clock.advance(timedelta(minutes=15))
    sweeper.sweep(session, clock())
    session.commit()
    session.refresh(task)
    assert task.done_at == clock()


def test_it_sweeps_every_fifteen_minutes_however_many_processes_ask(
    session: Session, clock: Clock
) -> None:
    swept = []
    for _ in range(31):
        sweeper.sweep(session, clock())
        session.commit()
        swept.append(session.get_one(Heartbeat, sweeper.SWEPT).at)
        clock.advance(timedelta(minutes=1))
    assert len(set(swept)) == 3


def test_a_suppression_of_the_same_moment_is_no_violation(
    session: Session, sent: Message, clock: Clock
) -> None:
    """The intent may commit while the suppression is still being written: of the two one wins."""
    stops.suppress(session, sent.cap_hash, SuppressionScope.ALL, "complaint", clock())
    assert sweeper.violations(session, clock()) == []


def test_an_address_spelled_otherwise_is_no_other_address(
    session: Session, sent: Message, clock: Clock
) -> None:
    change(session, sent, recipient=sent.recipient.upper())
    assert sweeper.violations(session, clock()) == []


def test_a_letter_of_a_kind_from_a_later_release_is_held_with_a_task(
    session: Session, send_due: Send
) -> None:
    """SC-08: it neither leaves nor stops the letters behind it."""
    strange = a_message(session)
    change(session, strange, kind="survey", priority=0)
    ordinary = a_message(session, kind=MessageKind.PACKET)
    send_due()
    session.refresh(strange)
    session.refresh(ordinary)
    assert (strange.state, strange.reason) == (MessageState.HELD, "unknown_kind")
    assert ordinary.state is MessageState.SENT
    assert session.scalars(select(Task.kind).where(Task.message_id == strange.id)).all() == [
        "letter_held"
    ]
    assert words.why("unknown_kind") != words.why("nothing of ours")


def test_it_never_says_a_word_about_a_patient(
    session: Session, sent: Message, clock: Clock, tmp_path: Path
) -> None:
    for _, plant in PLANTED[3:8]:
        plant(session, sent)
    for violation in sweeper.violations(session, clock()):
        assert "whitfield" not in str(violation).lower()
