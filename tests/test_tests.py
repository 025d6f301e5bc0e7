"""The tests' own parts do what tests rely on."""

import logging
import smtplib
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import Page as BrowserPage
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from werkzeug.routing import Map, Rule

from leadcapture.database import open_engine, open_session
from leadcapture.models import Lead
from tests import guards, people
from tests.certificates import make_certificate
from tests.compiled import CompiledRoute
from tests.databases import PostgresDatabases
from tests.pages import Page
from tests.people import a_lead, a_message, a_request
from tests.post_office import PostOffice, open_post_office

LETTER = b"Message-ID: <one@clinic.example>\r\nSubject: hello\r\n\r\n.dots\r\n..stay\r\n"


def send(office: PostOffice, letter: bytes = LETTER, to: str = people.EMAIL) -> None:
    with smtplib.SMTP("127.0.0.1", office.port, "here.test", timeout=5) as client:
        client.sendmail("hello@clinic.example", to, letter)


def test_the_post_office_keeps_a_letter_byte_for_byte(office: PostOffice) -> None:
    send(office)
    (letter,) = office.letters
    assert letter.content == LETTER
    assert letter.wire != LETTER
    assert letter.recipients == (people.EMAIL,)
    assert office.copies() == {"<one@clinic.example>": 1}


@pytest.mark.parametrize("phase", ["ehlo", "mail", "rcpt", "data", "dot"])
def test_the_post_office_refuses_at_any_phase_as_often_as_told(
    office: PostOffice, phase: str
) -> None:
    office.at(phase).reply(554, "5.7.1", "no", times=2 if phase == "ehlo" else 1)  # type: ignore[arg-type]
    with pytest.raises(smtplib.SMTPException):
        send(office)
    assert office.letters == []
    send(office)
    assert len(office.letters) == 1


@pytest.mark.parametrize("phase", ["connect", "ehlo", "mail", "rcpt", "data", "body", "dot"])
@pytest.mark.parametrize("reset", [False, True])
def test_the_post_office_hangs_up_at_any_phase(office: PostOffice, phase: str, reset: bool) -> None:
    office.at(phase).hang_up(times=1, reset=reset)  # type: ignore[arg-type]
    with pytest.raises((smtplib.SMTPServerDisconnected, OSError)):
        send(office)
    assert office.letters == []


def test_the_post_office_takes_a_letter_without_saying_so(office: PostOffice) -> None:
    office.at("dot").hang_up(taking=True)
    with pytest.raises(smtplib.SMTPServerDisconnected):
        send(office)
    assert len(office.letters) == 1


def test_the_post_office_takes_nothing_that_has_no_dot(office: PostOffice) -> None:
    with socket.create_connection(("127.0.0.1", office.port)) as connection:
        connection.sendall(
            b"EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nhalf a letter\r\n"
        )
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass
    assert office.letters == []


def test_the_post_office_singles_out_a_recipient(office: PostOffice) -> None:
    office.at("rcpt", to="full@").refuse("5.2.2")
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        send(office, to="full@example.org")
    send(office)
    assert len(office.letters) == 1


def test_the_post_office_offers_tls_and_asks_for_a_password(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    with open_post_office(certificate.context, {"clinic": "pass"}) as office:
        client = smtplib.SMTP("localhost", office.port, "here.test", timeout=5)
        client.starttls(context=ssl.create_default_context(cafile=str(certificate.path)))
        client.login("clinic", "pass")
        client.sendmail("hello@clinic.example", people.EMAIL, LETTER)
        client.quit()
        assert office.letters[0].over_tls


def test_the_post_office_opens_again_where_it_was(office: PostOffice) -> None:
    office.stop()
    with pytest.raises(OSError):
        send(office)
    office.restart()
    send(office)
    assert len(office.letters) == 1


def test_no_test_reaches_another_machine() -> None:
    with (
        pytest.raises(AssertionError, match="another machine"),
        guards.nothing_left_the_machine(),
        pytest.raises(guards.OnlyLoopback),
    ):
        socket.create_connection(("192.0.2.1", 25), timeout=0.1)
    guards._refused.clear()


def test_no_test_sleeps() -> None:
    with pytest.raises(AssertionError, match="slept"):
        time.sleep(1)


def test_a_patient_word_in_a_traceback_is_seen() -> None:
    def fail() -> None:
        raise ValueError(people.EMAIL)

    log = logging.getLogger("tests.apart")
    log.propagate = False
    with (
        pytest.raises(AssertionError, match="tells of a patient"),
        guards.no_patient_word_in_logs(log),
    ):
        try:
            fail()
        except ValueError:
            log.exception("it went wrong")


def test_each_test_has_a_database_of_its_own(session: Session) -> None:
    """DD-09: on both databases."""
    assert session.scalars(select(Lead)).all() == []
    a_message(session, a_request(session).lead)
    a_lead(session)
    session.commit()
    assert len(session.scalars(select(Lead)).all()) == 2


def test_a_database_serves_again_where_a_test_changed_rows_alone(
    postgres_databases: PostgresDatabases, tmp_path: Path
) -> None:
    """Numbers begin anew, and the name is another: whoever was left behind does not come in."""

    def served(*changes: str) -> tuple[int, str]:
        """The number of the database behind a new address, and the address; it is changed."""
        url = postgres_databases.new(tmp_path)
        engine = open_engine(url)
        with open_session(engine) as session:
            # Not a page is left, whose gaps would be filled first: rows come in their order.
            assert session.scalars(text("SELECT pg_relation_size('lead')")).one() == 0
            lead = a_lead(session)
            assert (lead.id, a_message(session, lead).id) == (1, 1)
            session.commit()
            for change in changes:
                session.execute(text(change))
                session.commit()
            which = session.scalars(
                text("SELECT oid FROM pg_database WHERE datname = current_database()")
            ).one()
        engine.dispose()
        postgres_databases.take_back()
        return which, url

    first, address = served()
    again, other = served("UPDATE lead SET full_name = full_name", "DELETE FROM message")
    assert again == first and other != address
    with pytest.raises(OperationalError):
        open_engine(address).connect()
    for change in (
        "ANALYZE lead",
        "DROP INDEX ix_message_cap_created",
        "ALTER TABLE lead ALTER email DROP NOT NULL",
        "ALTER TABLE message DISABLE TRIGGER audit_message_state",
        "UPDATE letter_version SET sha256 = sha256",
        "CREATE TABLE more AS SELECT generate_series(1, 10)",
        "INSERT INTO change (lead_id) SELECT n FROM generate_series(1, 20000) AS n",
    ):
        before, _ = served(change)
        assert served()[0] != before, change


def test_what_is_due_reaches_the_post_office(
    session: Session, office: PostOffice, send_due: Callable[[], int]
) -> None:
    request = a_request(session)
    a_message(session, request.lead)
    assert send_due() == 1
    (letter,) = office.letters
    assert letter.recipients == (people.EMAIL,)


def test_a_page_is_read_with_its_forms_and_its_faults() -> None:
    page = Page(
        "<html><head><title>T</title></head><body><h1>One</h1><h1>Two</h1>"
        "<form method=post action=/a><input name=q value=1><select name=s><option>x</select>"
        "<p onclick=a()><b>open</p></form><script>1</script></body></html>"
    )
    assert page.form("/a") == {"q": ["1"], "s": ["x"]}
    problems = "; ".join(page.problems())
    for word in ("language", "2 <h1>", "no label", "onclick", "<b> is not closed", "<script>"):
        assert word in problems


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_the_form_opens_in_a_browser(page: BrowserPage) -> None:
    answer = page.goto("/")
    assert answer is not None
    assert answer.status == 200
    assert page.locator("h1").count() == 1


# Where an address leads hangs on no database.
@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_a_route_that_was_compiled_once_leads_where_werkzeugs_own_does(app: Flask) -> None:
    kinds = app.url_map.converters
    for rule in app.url_map.iter_rules():
        assert isinstance(rule, CompiledRoute)
        own = Rule(rule.rule, endpoint=rule.endpoint, defaults=rule.defaults)
        Map([own], converters=kinds)
        # One of those that it may be, or a seven, which is a text and a number too.
        may_be = rule._converters.items()
        values = {name: min(getattr(one, "items", {7})) for name, one in may_be}
        for given in (values, {**values, "more": "ä b"}):
            assert rule.build(given) == own.build(given)
            assert rule.build(given, append_unknown=False) == own.build(given, append_unknown=False)


def test_routes_that_are_written_alike_and_read_otherwise_are_not_mistaken() -> None:
    texts, numbers = (CompiledRoute(f"/<{kind}x>", endpoint="x") for kind in ("", "int:"))
    Map([texts, numbers])
    assert texts.build({"x": "a b"}) == ("", "/a%20b")
    assert numbers.build({"x": 7}) == ("", "/7")
