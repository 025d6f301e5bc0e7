"""The staff pages: who waits, the list, a lead's page, and what each act does."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from leadcapture.database import db
from leadcapture.models import (
    Gate,
    Lead,
    LeadStatus,
    Message,
    MessageKind,
    MessageState,
    Request,
    Screening,
    Staff,
    Task,
    TimelineEntry,
)
from leadcapture.outbox import gates
from leadcapture.outbox.queue import new_ref
from tests.clock import TUESDAY_MORNING, Clock
from tests.conftest import SignIn
from tests.pages import Page
from tests.people import (
    EMAIL,
    MESSAGE,
    NAME,
    NOTE,
    a_lead,
    a_message,
    a_request,
)
from tests.visitors import Visitor


@pytest.fixture
def rosa(sign_in: SignIn) -> Visitor:
    return sign_in("coordinator")


@pytest.fixture
def janet(session: Session) -> Lead:
    """Janet Whitfield, who asked and waits, with three follow-ups to come."""
    lead = a_lead(session)
    a_request(session, lead)
    for day in (3, 10, 24):
        due_at = TUESDAY_MORNING + timedelta(days=day)
        a_message(session, lead, step=f"day-{day}", due_at=due_at)
    session.commit()
    return lead


def page_of(visitor: Visitor, lead: Lead, status: int = 200) -> Page:
    return visitor.page(f"/desk/leads/{lead.ref}", status)


@contextmanager
def counted_queries(app: Flask) -> Iterator[list[str]]:
    """The statements that the application sends within."""
    sent: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)


def test_now_says_who_waits_before_anything_is_clicked(
    rosa: Visitor, janet: Lead, clock: Clock
) -> None:
    clock.advance(timedelta(minutes=50))
    page = rosa.page("/desk/")
    assert page.heading == "Waiting for a person 1"
    for words in (
        NAME,
        "waits 50 min",
        "1 hr 10 min left",
        "09:50 Costa Rica",
        "10:50 New York",
        "Osteoarthritis",
    ):
        assert words in page.main_text, words
    assert page.link(NAME) == f"/desk/leads/{janet.ref}"


def test_now_calls_late_what_has_waited_over_two_hours(
    rosa: Visitor, janet: Lead, clock: Clock
) -> None:
    assert "late" not in rosa.page("/desk/").main_text
    clock.advance(timedelta(hours=2, minutes=1))
    assert "late" in rosa.page("/desk/").main_text


def test_the_longest_wait_comes_first(rosa: Visitor, session: Session) -> None:
    for minutes, name in ((5, "Ana"), (90, "Bea"), (30, "Cleo")):
        a_lead(session, full_name=name, waiting_since=TUESDAY_MORNING - timedelta(minutes=minutes))
    text = rosa.page("/desk/").main_text
    assert text.index("Bea") < text.index("Cleo") < text.index("Ana")


def test_with_nobody_waiting_now_says_what_will_appear(rosa: Visitor) -> None:
    page = rosa.page("/desk/")
    assert "Nobody is waiting." in page.main_text
    assert "every letter has arrived" in page.main_text


def test_a_conversation_is_logged_in_one_click_and_cancels_the_follow_ups(
    rosa: Visitor, session: Session, janet: Lead
) -> None:
    done = rosa.send(page_of(rosa, janet), "/calls", outcome="reached", note=NOTE)
    assert done.status_code == 303
    assert (janet.status, janet.waiting_since) == (LeadStatus.CONTACTED, None)
    states = session.scalars(select(Message.state).where(Message.lead_id == janet.id)).all()
    assert set(states) == {MessageState.CANCELLED}
    text = page_of(rosa, janet).text
    assert "3 follow-ups are cancelled." in text
    assert NOTE in text
    assert "Somebody has spoken with the person." in text
    assert "Nobody is waiting." in rosa.page("/desk/").main_text


def test_from_now_a_call_leads_back_to_now(rosa: Visitor, janet: Lead) -> None:
    done = rosa.send(rosa.page("/desk/"), "/calls", outcome="no_answer")
    assert done.location == "/desk/"
    assert "still waits for a person" in rosa.page("/desk/").text


def test_the_lead_page_shows_all_that_happened_and_all_that_is_to_come(
    rosa: Visitor, session: Session, janet: Lead
) -> None:
    a_message(
        session, janet, kind=MessageKind.PACKET, state=MessageState.SENT, sent_at=TUESDAY_MORNING
    )
    page = page_of(rosa, janet)
    text = page.main_text
    assert MESSAGE in text
    days = [text.index(f"day {day}") for day in (24, 10, 3)]
    assert days == sorted(days)
    assert days[-1] < text.index("Packet Sent")
    assert page.link("(813) 555-0142") == "tel:+18135550142"
    assert page.link(EMAIL).startswith("mailto:janet.whitfield")
    assert "Follow-up letters" in text
    assert "10:00 New York" in text


def test_a_lead_moves_and_says_so(rosa: Visitor, janet: Lead) -> None:
    assert rosa.send(page_of(rosa, janet), "/status", status="booked").status_code == 303
    assert janet.status is LeadStatus.BOOKED
    assert "Moved to Booked" in page_of(rosa, janet).main_text


def test_closing_without_a_reason_keeps_the_lead_and_says_why(rosa: Visitor, janet: Lead) -> None:
    answer = rosa.send(page_of(rosa, janet), "/status", status="closed")
    assert answer.status_code == 422
    assert "Say why the lead is closed." in answer.text
    assert "<title>Error" in answer.text
    assert janet.status is LeadStatus.NEW
    page = Page(answer.text)
    (reason,) = page.find("select", name="reason")
    assert (reason.get("aria-invalid"), reason.get("aria-describedby")) == ("true", "problem")
    assert page.form("/status")["status"] == ["closed"]
    rosa.send(page_of(rosa, janet), "/status", status="closed", reason="cost")
    assert janet.closed_reason == "cost"


def test_a_move_that_a_colleague_made_impossible_is_explained(
    rosa: Visitor, session: Session, janet: Lead
) -> None:
    page = page_of(rosa, janet)
    janet.status = LeadStatus.PATIENT
    answer = rosa.send(page, "/status", status="booked")
    assert answer.status_code == 422
    assert "A colleague may have moved it." in answer.text


def test_a_note_is_kept_sealed_and_shown_inert(
    rosa: Visitor, session: Session, janet: Lead
) -> None:
    hostile = "<script>alert(1)</script> {{ 7*7 }}\r\nsecond line"
    rosa.send(page_of(rosa, janet), "/notes", note=hostile)
    entry = session.scalars(select(TimelineEntry).where(TimelineEntry.kind == "note_added")).one()
    assert b"script" not in (entry.note or b"")
    answer = rosa.get(f"/desk/leads/{janet.ref}")
    assert "&lt;script&gt;alert(1)&lt;/script&gt; {{ 7*7 }}\nsecond line" in answer.text


@pytest.mark.parametrize("note", ["", "  \n ", "x" * 5001])
def test_a_note_that_cannot_be_kept_comes_back_as_it_was_typed(
    rosa: Visitor, session: Session, janet: Lead, note: str
) -> None:
    answer = rosa.send(page_of(rosa, janet), "/notes", note=note)
    assert answer.status_code == 422
    assert answer.text.count("x" * 5001) == note.count("x") // 5001
    assert session.scalars(select(TimelineEntry)).all() == []


def test_a_lead_is_assigned_to_whoever_presses(
    rosa: Visitor, session: Session, janet: Lead
) -> None:
    rosa.send(page_of(rosa, janet), "/owner")
    assert janet.owner_id == session.scalars(select(Staff.id)).one()
    assert "Assign to me" not in page_of(rosa, janet).main_text


def test_follow_ups_can_be_cancelled_by_hand(rosa: Visitor, session: Session, janet: Lead) -> None:
    rosa.send(page_of(rosa, janet), "/follow-ups/cancellation")
    reasons = session.scalars(select(Message.reason).where(Message.lead_id == janet.id)).all()
    assert set(reasons) == {"staff_cancelled"}
    assert janet.waiting_since is not None
    assert "A colleague cancelled it." in page_of(rosa, janet).main_text


def test_held_requests_show_their_reason_and_are_released(rosa: Visitor, session: Session) -> None:
    lead = a_lead(session, status=LeadStatus.HELD, waiting_since=None)
    held = a_request(session, lead, screening=Screening.HELD, held_reason="honeypot")
    page = rosa.page("/desk/")
    assert "Looks like a robot" in page.main_text
    rosa.send(page, "/decision", decision="release")
    assert (held.screening, lead.status) == (Screening.RELEASED, LeadStatus.NEW)
    packets = select(Message).where(Message.kind == MessageKind.PACKET)
    assert len(session.scalars(packets).all()) == 1
    again = rosa.send(page, "/decision", decision="discard")
    assert again.status_code == 303
    assert held.screening is Screening.RELEASED
    assert "A colleague had decided already." in rosa.page("/desk/").text


def test_a_discarded_request_mails_nobody(rosa: Visitor, session: Session) -> None:
    lead = a_lead(session, status=LeadStatus.HELD, waiting_since=None)
    held = a_request(session, lead, screening=Screening.HELD, held_reason="links")
    rosa.send(rosa.page("/desk/"), "/decision", decision="discard")
    assert held.screening is Screening.DISCARDED
    assert session.scalars(select(Message)).all() == []


def test_a_held_lead_offers_no_act_but_the_decision(rosa: Visitor, session: Session) -> None:
    lead = a_lead(session, status=LeadStatus.HELD, waiting_since=None)
    a_request(session, lead, screening=Screening.HELD, held_reason="links")
    page = page_of(rosa, lead)
    assert "Discarded, it stays on record and nobody is written to." in page.text
    assert page.form("/decision") and "full of links" in page.text
    token = page.form("/notes")["csrf_token"]
    for act in ("calls", "packet"):
        data = {"csrf_token": token, "outcome": "reached"}
        assert rosa.post(f"/desk/leads/{lead.ref}/{act}", data=data).status_code == 409


@pytest.mark.parametrize(
    ("state", "reason", "sentence"),
    [
        (MessageState.FAILED, "rcpt_5.1.1", "This address does not exist"),
        (MessageState.FAILED, "rcpt_550", "refuses this recipient"),
        (MessageState.HELD, "doubt_twice", "ask before sending it again"),
        (MessageState.HELD, "unheard_of", "Reason: unheard_of."),
    ],
)
def test_every_letter_that_stands_still_is_shown_in_plain_words(
    rosa: Visitor, session: Session, state: MessageState, reason: str, sentence: str
) -> None:
    a_message(session, a_lead(session, waiting_since=None), state=state, reason=reason)
    page = rosa.page("/desk/")
    assert "Needs a decision 1" in page.main_text
    assert sentence in page.main_text
    rosa.send(page, "/settlement")
    assert "every letter has arrived" in rosa.page("/desk/").main_text
    settled = MessageState.CANCELLED if state is MessageState.HELD else state
    assert session.scalars(select(Message.state)).one() is settled


def test_a_letter_in_doubt_is_shown_until_it_settles_itself(
    rosa: Visitor, session: Session
) -> None:
    letter = a_message(
        session,
        a_lead(session, waiting_since=None),
        state=MessageState.UNCERTAIN,
        reason="no_answer_after_dot",
    )
    page = rosa.page("/desk/")
    assert "It may have arrived" in page.main_text
    token = page.form("/sign-out")["csrf_token"]
    rosa.post(f"/desk/letters/{letter.ref}/settlement", data={"csrf_token": token})
    letter.state, letter.reason = MessageState.HELD, "doubt_twice"
    assert "ask before sending it again" in rosa.page("/desk/").main_text


def test_a_task_is_ticked_off_once(rosa: Visitor, session: Session, janet: Lead) -> None:
    task = Task(
        ref=new_ref(),
        dedupe_key="call",
        kind="call_back",
        lead_id=janet.id,
        due_at=TUESDAY_MORNING,
        created_at=TUESDAY_MORNING,
    )
    session.add(task)
    page = rosa.page("/desk/")
    assert "Call back" in page.main_text
    rosa.send(page, "/completion")
    rosa.send(page, "/completion")
    assert "Nothing is due." in rosa.page("/desk/").main_text
    entries = select(TimelineEntry).where(TimelineEntry.kind == "task_done")
    assert len(session.scalars(entries).all()) == 1


def test_stopped_mail_is_said_on_top_and_flows_when_a_person_lets_it(
    rosa: Visitor, session: Session
) -> None:
    gates.hold_queue(session, "mail_553", TUESDAY_MORNING)
    page = rosa.page("/desk/")
    assert "All mail is stopped" in page.main_text
    assert "does not let us send from our address" in page.main_text
    rosa.send(page, "/mail/opening")
    assert session.scalars(select(Gate)).all() == []


def test_an_answer_that_does_not_open_is_said_and_breaks_nothing(
    rosa: Visitor, session: Session, janet: Lead
) -> None:
    request = session.scalars(select(Request)).one()
    request.answers = b"none" + b"0" * 40
    assert "cannot be opened with our keys" in page_of(rosa, janet).main_text
    assert "cannot be opened with our keys" in rosa.page("/desk/").main_text


def test_the_front_desk_reads_no_word_of_anyones_health(
    sign_in: SignIn, rosa: Visitor, janet: Lead
) -> None:
    rosa.send(page_of(rosa, janet), "/notes", note=NOTE)
    desk = sign_in("front_desk")
    for path in ("/desk/", "/desk/leads?q=janet", f"/desk/leads/{janet.ref}"):
        text = desk.get(path).text
        assert NAME in text
        for word in ("zebrafinch", "marzipanitis", "steoarthritis"):
            assert word not in text, f"{word} on {path}"
    desk.send(page_of(desk, janet), "/notes", note="prefers mornings, says the front desk")
    assert "says the front desk" in page_of(desk, janet).main_text


def test_a_mistyped_address_is_answered_in_the_colleagues_language(rosa: Visitor) -> None:
    """Not in the browser's, even where no page of the desk begins so."""
    for path in ("/desk/nowhere", "/desk/leads/nobody"):
        answer = rosa.get(path, headers={"Accept-Language": "es-CR"})
        assert (answer.status_code, "There is no page here" in answer.text) == (404, True), path


@pytest.mark.parametrize("ref", ["nonsense", "1", "a" * 22, "%00", "é", "../1"])
def test_an_unknown_reference_is_not_found(rosa: Visitor, janet: Lead, ref: str) -> None:
    assert rosa.get(f"/desk/leads/{ref}").status_code == 404
    token = page_of(rosa, janet).form("/notes")["csrf_token"]
    for act in ("status", "calls", "notes", "owner", "packet", "follow-ups/cancellation"):
        answer = rosa.post(f"/desk/leads/{ref}/{act}", data={"csrf_token": token})
        assert answer.status_code == 404, act
    for path in ("requests/{}/decision", "letters/{}/settlement", "tasks/{}/completion"):
        answer = rosa.post("/desk/" + path.format(ref), data={"csrf_token": token})
        assert answer.status_code == 404, path


def test_posting_every_column_changes_only_what_the_form_declares(
    rosa: Visitor, session: Session, janet: Lead
) -> None:
    columns = {column.key: "7" for column in Lead.__table__.columns}
    page = page_of(rosa, janet)
    before = {key: getattr(janet, key) for key in columns}
    for act in ("calls", "notes", "owner"):
        declared = {"outcome": "no_answer", "note": "n"}
        token = page.form("/notes")["csrf_token"]
        fields = {**columns, "csrf_token": token, **declared}
        rosa.post(f"/desk/leads/{janet.ref}/{act}", data=fields)
    changed = {key for key in columns if getattr(janet, key) != before[key]}
    assert changed == {"owner_id", "version"}
    assert janet.owner_id != 7


def test_hostile_words_in_every_field_stay_text(rosa: Visitor, session: Session) -> None:
    evil = '"><img src=x onerror=alert(1)>{{ 7*7 }}'
    lead = a_lead(
        session,
        full_name=evil,
        phone=None,
        phone_typed=evil[:60],
        country="<b",
        time_zone="<b>/../etc",
        language="<b>",
        contact_by="<b>",
        contact_time="<b>",
    )
    a_request(session, lead, message=evil, conditions=(evil,), channel="<b>", packet_note="<b>")
    a_message(session, lead, step="<b>", reason="<b>", language="en", state=MessageState.FAILED)
    for path in ("/desk/", "/desk/leads", f"/desk/leads/{lead.ref}"):
        page = Page(rosa.get(path).text)
        assert evil[:30] in page.text
        assert page.find("img", src="x") == []
        assert page.find("b") == []


@pytest.mark.parametrize("path", ["/desk/", "/desk/leads", "/desk/leads?q=janet&status=new"])
def test_the_number_of_queries_does_not_grow_with_the_leads(
    app: Flask, rosa: Visitor, session: Session, path: str
) -> None:
    def queries() -> int:
        with counted_queries(app) as sent:
            rosa.page(path)
        return len([statement for statement in sent if not statement.startswith("BEGIN")])

    def more(number: int) -> None:
        staff = session.scalars(select(Staff.id)).first()
        for _ in range(number):
            lead = a_lead(session, owner_id=staff)
            a_request(session, lead)
            a_request(session, lead, screening=Screening.HELD, held_reason="links")
            a_message(session, lead, state=MessageState.FAILED)

    more(1)
    # Once beforehand: what is read once for many requests is no part of it.
    queries()
    few = queries()
    more(20)
    assert queries() == few <= 17


def test_the_lead_page_asks_a_constant_number_of_times(
    app: Flask, rosa: Visitor, session: Session, janet: Lead
) -> None:
    def queries() -> int:
        with counted_queries(app) as sent:
            page_of(rosa, janet)
        return len([statement for statement in sent if not statement.startswith("BEGIN")])

    # Once beforehand: what is read once for many requests is no part of it.
    queries()
    few = queries()
    for _ in range(10):
        a_request(session, janet)
        a_message(session, janet)
        rosa.send(page_of(rosa, janet), "/notes", note=NOTE)
    assert queries() == few <= 18


def test_the_list_is_searched_filtered_and_paged_in_its_address(
    rosa: Visitor, session: Session
) -> None:
    for number in range(51):
        a_lead(
            session,
            full_name=f"Person {number:02}",
            last_request_at=TUESDAY_MORNING - timedelta(minutes=number),
        )
    first = rosa.page("/desk/leads")
    assert "Person 49" in first.main_text
    assert "Person 50" not in first.main_text
    second = rosa.page(first.link("Older"))
    assert "Person 50" in second.main_text
    assert "Person 00" in rosa.page(second.link("Newer")).main_text
    assert "Person 07" in rosa.page("/desk/leads?q=person+07").main_text
    nobody = rosa.page("/desk/leads?q=nobody&status=closed")
    assert "Nobody matches “nobody”." in nobody.main_text
    assert rosa.page(nobody.link("See all leads")).heading == "Leads"


@pytest.mark.parametrize(
    "query", ["at=x", "at=%00", "status=held", "status=x", "q=%00", "q=" + "a" * 5000, "at=W10"]
)
def test_a_list_address_that_nobody_gave_out_shows_the_list(
    rosa: Visitor, janet: Lead, query: str
) -> None:
    assert rosa.get(f"/desk/leads?{query}").status_code == 200
