"""Exports: files that no spreadsheet reckons, on record, of what the list shows and no more."""

import csv
import io
import threading
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, func, insert, select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from leadcapture.database import open_session
from leadcapture.leads import csv_safe, exporting, viewing
from leadcapture.leads.watch import ResponseWatch
from leadcapture.models import (
    AuditEntry,
    Export,
    ExportPart,
    ExportState,
    LeadStatus,
    Message,
    MessageKind,
    Task,
)
from leadcapture.outbox.queue import open_payload
from leadcapture.settings import Settings
from leadcapture.vault import Vault
from tests.benchmarks.stored import store_leads
from tests.clock import TUESDAY_MORNING, Clock
from tests.conftest import SignIn
from tests.people import MESSAGE, PASSWORD, a_lead, a_request
from tests.visitors import Visitor

HOSTILE = ("=1+1", "+1+1", "-2", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1+1", "+cmd|' /C calc'!A0")


def take(visitor: Visitor, filters: str = "", **typed: object) -> TestResponse:
    """Ask for an export of what a filter shows."""
    page = visitor.page(f"/desk/exports/new?{filters}")
    return visitor.send(page, "/desk/exports", **{"password": PASSWORD, **typed})


def rows_of(answer: TestResponse) -> list[list[str]]:
    assert answer.status_code == 200, answer.text[:500]
    assert answer.headers["Content-Disposition"].startswith("attachment; filename=")
    assert answer.data.startswith(b"\xef\xbb\xbf")
    return list(csv_safe.read_rows(answer.data.decode()))


@given(st.text())
def test_whatever_is_written_comes_back(text: str) -> None:
    """WS-06: `unescape` is the inverse for every text."""
    assert csv_safe.unescape(csv_safe.escape(text)) == text
    assert next(csv_safe.read_rows(csv_safe.write_rows([[text, "x"]]))) == [text, "x"]


@given(st.sampled_from("=+-@\t\r\n\0＝＋－＠"), st.text())
def test_no_cell_begins_as_a_formula_does(begins: str, rest: str) -> None:
    """WS-06: save telephones, which are digits in groups and nothing else. Through LibreOffice:
    ``python -m tests.proofs --only exported``.
    """
    cell = csv_safe.escape(begins + rest)
    is_telephone = cell[1:].replace(" ", "").isdecimal() and " " in cell
    assert cell.startswith("'") or (begins == "+" and is_telephone)


@pytest.mark.parametrize(
    ("number", "cell"),
    [
        ("+50688881234", "+506 8888 1234"),
        ("+18135550142", "+1 813 555 0142"),
        ("+4915123456789", "+49 1512 3456789"),
        # Groups of three would be an amount where a space parts the thousands.
        ("+48512345678", "+48 512 345678"),
        ("ask at reception", "ask at reception"),
    ],
)
def test_telephones_come_back_unchanged(number: str, cell: str) -> None:
    """WS-06: no apostrophe in front, and nothing that a spreadsheet takes for an amount."""
    assert csv_safe.telephone(number) == cell
    assert csv_safe.escape(cell) == cell
    assert number in (cell, cell.replace(" ", ""))


def test_a_short_export_has_what_the_filter_shows_and_is_on_record(
    sign_in: SignIn, session: Session
) -> None:
    """PR-09, AB-09: one audit record that says nothing of anyone, one alert, at once."""
    rosa = sign_in(name="Rosa Alvarado")
    for number, name in enumerate(HOSTILE):
        status = LeadStatus.BOOKED if number else LeadStatus.NEW
        a_request(session, a_lead(session, full_name=name, status=status))
    answer = take(rosa, "status=booked", column=["name", "telephone", "status", "message"])
    head, *rows = rows_of(answer)
    assert head == ["name", "telephone", "status", "message"]
    assert {row[0] for row in rows} == set(HOSTILE[1:])
    assert {tuple(row[1:]) for row in rows} == {("+1 813 555 0142", "booked", MESSAGE)}
    raw = list(csv.reader(io.StringIO(answer.data.decode()[1:], newline="")))
    assert all(row[0].startswith("'") for row in raw[1:])
    entry = session.scalars(select(AuditEntry).where(AuditEntry.act == "leads_exported")).one()
    export = session.scalars(select(Export)).one()
    assert (entry.subject, entry.actor_id) == (export.ref, export.actor_id)
    assert (export.total, export.state) == (len(rows), ExportState.TAKEN)
    assert session.scalars(select(Task.kind)).all() == ["leads_exported"]
    assert f"Rosa Alvarado exported leads: {len(rows)}." in rosa.page("/desk/").main_text
    assert "Booked" in rosa.page("/desk/exports").main_text


def test_an_export_asks_for_the_password_and_keeps_what_was_chosen(
    sign_in: SignIn, session: Session
) -> None:
    """AU-11."""
    rosa = sign_in()
    a_lead(session)
    wrong = take(rosa, "q=Jan", password="not mine", column=["email"])
    assert (wrong.status_code, "That is not your password" in wrong.text) == (422, True)
    assert 'name="q" value="Jan"' in wrong.text
    assert 'value="email" checked' in wrong.text and 'value="name" checked' not in wrong.text
    nothing = take(rosa, column=None)
    assert (nothing.status_code, "at least one column" in nothing.text) == (422, True)
    assert session.scalar(select(func.count()).select_from(Export)) == 0


def test_the_front_desk_exports_no_word_about_health(sign_in: SignIn, session: Session) -> None:
    """AU-12: not even where the form is made to ask for it."""
    pia = sign_in("front_desk")
    a_request(session, a_lead(session))
    page = pia.page("/desk/exports/new")
    assert "health" not in page.main_text
    answer = take(pia, column=["name", "message", "conditions"])
    assert rows_of(answer)[0] == ["name"]
    assert "zebrafinch" not in answer.text and "osteoarthritis" not in answer.text


def test_a_long_export_needs_a_second_person_and_is_written_once(
    sign_in: SignIn, session: Session, engine: Engine, vault: Vault, clock: Clock
) -> None:
    """AU-11: two schedulers at once write no lead twice; a day later, or cancelled, nothing is
    left of it.
    """
    rosa, marta = sign_in(name="Rosa Alvarado"), sign_in(name="Marta Solís")
    store_leads(engine, 600)
    assert take(rosa).status_code == 303
    export = session.scalars(select(Export)).one()
    assert export.state is ExportState.ASKED
    assert "other than you has to approve it" in rosa.page("/desk/exports").main_text
    address = f"/desk/exports/{export.ref}"
    token = rosa.page("/desk/exports").form("/cancellation")["csrf_token"]
    own = rosa.post(f"{address}/approval", data={"csrf_token": token, "password": PASSWORD})
    assert (own.status_code, export.state) == (422, ExportState.ASKED)
    page = marta.page("/desk/exports")
    assert marta.send(page, "/approval", password="wrong").status_code == 422
    assert marta.send(page, "/approval", password=PASSWORD).status_code == 303

    def write() -> None:
        with open_session(engine) as own_session:
            writer = exporting.ExportWriter(vault, "America/Costa_Rica")
            # A turn ends after two seconds, however far it came.
            for _ in range(20):
                writer.write_exports(own_session, clock.now)

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    session.expire_all()
    assert (export.state, export.written, export.total) == (ExportState.READY, 600, 600)
    assert b"tampamail" not in b"".join(session.scalars(select(ExportPart.content)).all())
    token = marta.page("/desk/exports").form("/cancellation")["csrf_token"]
    typed = {"csrf_token": token, "password": PASSWORD}
    assert marta.post(f"{address}/file", data=typed).status_code == 422, "it is not hers"
    answer = rosa.send(rosa.page("/desk/exports"), "/file", password=PASSWORD)
    emails = [row[1] for row in rows_of(answer)[1:]]
    assert len(emails) == len(set(emails)) == 600
    clock.advance(exporting.KEPT_FOR)
    write()
    session.expire_all()
    assert session.scalars(select(Export.state)).all() == [ExportState.GONE]
    assert session.scalar(select(func.count()).select_from(ExportPart)) == 0
    assert "deleted after a day" in rosa.page("/desk/exports").main_text
    take(rosa)
    marta.send(marta.page("/desk/exports"), "/approval", password=PASSWORD)
    assert "is being written" in rosa.page("/desk/exports").main_text
    assert rosa.send(rosa.page("/desk/exports"), "/cancellation").status_code == 303
    session.commit()
    write()
    states = session.scalars(select(Export.state).order_by(Export.id)).all()
    assert states == [ExportState.GONE, ExportState.CANCELLED]
    assert session.scalars(select(ExportPart.number)).all() == []


def test_many_views_in_an_hour_raise_an_alert(session: Session) -> None:
    """AB-09: more than two hundred, by one person."""

    def view(actor_id: int, count: int, at: timedelta) -> None:
        row = {"actor_id": actor_id, "act": viewing.VIEWED, "subject": "a", "reason": ""}
        rows = [row | {"at": TUESDAY_MORNING - at}] * count
        session.execute(insert(AuditEntry), rows)

    view(1, viewing.MANY, timedelta(minutes=5))
    view(1, 50, timedelta(minutes=61))
    view(2, 50, timedelta(minutes=5))
    viewing.watch_views(session, TUESDAY_MORNING)
    assert session.scalars(select(Task.kind)).all() == []
    view(1, 1, timedelta(minutes=1))
    for _ in range(2):
        viewing.watch_views(session, TUESDAY_MORNING)
    tasks = session.scalars(select(Task)).all()
    assert [(task.kind, task.dedupe_key) for task in tasks] == [("many_views", "many_views:1")]


def test_a_page_of_the_list_counts_as_several_views(sign_in: SignIn, session: Session) -> None:
    """AB-09: it shows names, addresses, telephones; fifty of them in an hour are many."""
    rosa = sign_in()
    rosa.page("/desk/leads")
    row = session.execute(select(AuditEntry).where(viewing.IS_VIEW)).scalar_one()
    assert row.subject == viewing.LIST
    more = {"actor_id": row.actor_id, "act": viewing.VIEWED, "subject": viewing.LIST, "reason": ""}
    number = viewing.MANY // viewing.PAGE_COUNTS
    session.execute(insert(AuditEntry), [more | {"at": row.at}] * (number - 1))
    viewing.watch_views(session, TUESDAY_MORNING)
    assert session.scalars(select(Task.kind)).all() == []
    session.execute(insert(AuditEntry), [more | {"at": row.at}])
    viewing.watch_views(session, TUESDAY_MORNING)
    assert session.scalars(select(Task.kind)).all() == [viewing.ALERT]
    text = rosa.page("/desk/").main_text
    assert (
        f"Rosa Alvarado opened very many leads: 0, and {number + 1} pages of the list and" in text
    )


def test_a_page_of_the_pipeline_counts_as_a_page_of_the_list_does(
    sign_in: SignIn, session: Session
) -> None:
    """AB-09: as many names; but not anew for each card that is moved, nor for what follows."""
    rosa = sign_in()
    lead = a_lead(session)

    def views() -> list[str]:
        session.expire_all()
        return list(session.scalars(select(AuditEntry.subject).where(viewing.IS_VIEW)))

    page = rosa.page("/desk/pipeline")
    assert views() == [viewing.BOARD]
    for to in ("contacted", "booked"):
        page = rosa.page(rosa.send(page, "/move", to=to).location)
    rosa.send(page, "/move", to="nowhere")
    rosa.get("/desk/pipeline", headers={"X-Live": "1"})
    assert lead.status == "booked" and len(views()) == 1
    # That somebody says so does not open further pages.
    rosa.page("/desk/pipeline?done=x&new=x")
    assert len(views()) == 2
    row = session.execute(select(AuditEntry).where(viewing.IS_VIEW).limit(1)).scalar_one()
    more = {"actor_id": row.actor_id, "act": viewing.VIEWED, "subject": viewing.BOARD, "reason": ""}
    number = viewing.MANY // viewing.PAGE_COUNTS - 2
    session.execute(insert(AuditEntry), [more | {"at": row.at}] * number)
    viewing.watch_views(session, TUESDAY_MORNING)
    assert session.scalars(select(Task.kind)).all() == []
    session.execute(insert(AuditEntry), [more | {"at": row.at}])
    viewing.watch_views(session, TUESDAY_MORNING)
    assert session.scalars(select(Task.kind)).all() == [viewing.ALERT]
    assert f"0, and {number + 3} pages of the list and the pipeline." in rosa.page("/desk/").text


def test_an_open_page_that_turns_its_pages_by_itself_is_counted(
    sign_in: SignIn, session: Session
) -> None:
    """AB-09: that a script asks exempts the page that was opened, and no other."""
    rosa = sign_in()
    lead = a_lead(session)

    def views() -> int:
        session.expire_all()
        return len(session.scalars(select(AuditEntry.subject).where(viewing.IS_VIEW)).all())

    by_itself = {"X-Live": "1"}
    seen = 0
    for place in ("leads", "pipeline"):
        for query in ("", "?owner=me", "?at=x&new=x", "?owner=me&at=y&new=y"):
            for _ in range(2):
                rosa.get(f"/desk/{place}{query}", headers=by_itself)
            seen += 1
            assert views() == seen, f"{place}{query}"
    rosa.get("/desk/leads?q=whitfield&at=x", headers=by_itself)
    reasons = session.scalars(select(AuditEntry.reason).where(viewing.IS_VIEW)).all()
    assert len(set(reasons)) == len(reasons) > seen
    assert not any("whitfield" in reason for reason in reasons)
    for _ in range(2):
        rosa.get(f"/desk/leads/{lead.ref}", headers=by_itself)
    assert views() == seen + 2


def test_who_exported_and_how_many_stands_there_and_another_administrator_closes_it(
    sign_in: SignIn, session: Session
) -> None:
    """AB-09"""
    a_lead(session)
    ana, rosa = sign_in("admin", name="Ana Vargas"), sign_in()
    take(ana)
    for who in (ana, rosa):
        assert "Ana Vargas exported leads: 1." in who.page("/desk/").main_text
    # Ana is the only administrator so far.
    marta = sign_in("admin", name="Marta Solís")
    for who in (rosa, ana):
        page = who.page("/desk/")
        assert "Only an administrator whom it is not about can close" in page.main_text
        task = session.scalars(select(Task)).one()
        token = page.form("/sign-out")["csrf_token"]
        who.post(f"/desk/tasks/{task.ref}/completion", data={"csrf_token": token})
        assert session.scalars(select(Task.done_at)).all() == [None]
    marta.send(marta.page("/desk/"), "/completion")
    assert session.scalars(select(Task.done_at)).all() != [None]
    assert "alert_closed" in session.scalars(select(AuditEntry.act)).all()


def test_the_only_administrator_closes_the_alert_about_themselves_on_record(
    sign_in: SignIn, session: Session
) -> None:
    a_lead(session)
    ana = sign_in("admin")
    take(ana)
    ana.send(ana.page("/desk/"), "/completion")
    assert "says that you closed it yourself" in ana.page("/desk/").text
    assert "own_alert_closed" in session.scalars(select(AuditEntry.act)).all()


def test_the_alert_address_hears_of_an_export_once(
    sign_in: SignIn, session: Session, settings: Settings, vault: Vault, clock: Clock
) -> None:
    """AB-09: within a minute, and with nothing in the letter of whom."""
    a_lead(session, waiting_since=None)
    rosa = sign_in()
    take(rosa)
    session.commit()
    for _ in range(2):
        ResponseWatch(settings, vault).watch_responses(session, clock.now)
        session.commit()
    letter = session.scalars(select(Message)).one()
    assert (letter.kind, letter.recipient) == (MessageKind.STAFF_ALERT, settings.staff_alerts_to)
    assert "Rosa" not in str(open_payload(vault, letter))
