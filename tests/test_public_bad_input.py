"""Whatever is sent to the form: a clear error or inert text, nothing lost, nothing executed."""

import io
import json
import time
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from leadcapture.models import Lead, Message, Request
from leadcapture.vault import Vault
from tests.pages import Page
from tests.people import EMAIL, NAME, typed_form
from tests.visitors import Visitor

SCRIPT = "<script>alert(1)</script>"
FIELDS = (
    *("token", "full_name", "email", "email_as_typed", "email_meant", "conditions"),
    *("consent_health", "phone", "country", "contact_by", "contact_time", "time_zone"),
    *("message", "topic_code", "lang"),
)
FORM = "application/x-www-form-urlencoded"


def fill_in(client: Visitor, message: str) -> dict[str, Any]:
    """The blank form as a browser would send it, filled in: its fields in their order."""
    fields: dict[str, Any] = client.page("/en").form()
    assert list(fields)[-1] == "message"
    said = {"full_name": NAME, "email": EMAIL, "conditions": "osteoarthritis", "country": "US"}
    ticked = {"consent_health": "health-1", "consent_follow_ups": "follow-ups-1"}
    del fields["message"]
    return {**fields, **said, **ticked, "message": message}


def token_of(client: Visitor) -> str:
    return client.page("/").form()["token"][0]


@pytest.mark.parametrize("kind", [FORM, "multipart/form-data"])
def test_a_body_over_64_kb_comes_back_with_what_was_read_of_it(
    client: Visitor, session: Session, kind: str
) -> None:
    """WS-11, AX-03: the message comes last, so that it alone is cut."""
    typed = fill_in(client, message="wörds " * 20_000)
    started = time.perf_counter()
    response = client.post("/en", data=typed, content_type=kind)
    took = time.perf_counter() - started

    assert response.status_code == 413
    assert took < 0.5
    page = Page(response.text)
    fields = page.form()
    assert {name: fields[name] for name in typed if name != "message"} == {
        name: value if isinstance(value, list) else [value]
        for name, value in typed.items()
        if name != "message"
    }
    (message,) = fields["message"]
    assert len(message) > 30_000
    assert typed["message"].startswith(message)
    assert str(len(message)) in page.main_text
    assert page.title.startswith("Error: ")
    assert session.scalar(select(func.count()).select_from(Request)) == 0
    assert client.post("/en", data=fields | {"message": "wörds"}).status_code == 303


def test_a_body_that_tells_no_length_is_kept_as_far_as_it_is_read(client: Visitor) -> None:
    """WS-11: as it comes in chunks."""
    typed = fill_in(client, message="words " * 20_000)
    in_chunks = {
        "input_stream": io.BytesIO(urlencode(typed, doseq=True).encode()),
        "environ_overrides": {"wsgi.input_terminated": True},
        "content_type": FORM,
    }
    response = client.post("/en", **in_chunks)

    assert response.status_code == 413
    fields = Page(response.text).form()
    assert fields["full_name"] == [NAME]
    assert fields["consent_health"]
    assert len(fields["message"][0]) > 30_000


def test_a_form_that_breaks_off_is_not_kept(client: Visitor, session: Session) -> None:
    """Its beginning could pass for the whole."""
    body = urlencode(fill_in(client, message="First. Second."), doseq=True)
    told = {"CONTENT_LENGTH": str(len(body))}
    response = client.post("/en", data=body[:-8], content_type=FORM, environ_overrides=told)

    assert response.status_code == 400
    assert session.scalar(select(func.count()).select_from(Request)) == 0


def test_a_name_of_a_megabyte_is_refused_quickly(client: Visitor) -> None:
    """WS-11."""
    response = client.post("/en", data=typed_form(token_of(client), full_name="x" * 1_000_000))

    assert response.status_code == 413
    assert "(858) 258-5090" in response.text


def test_1001_fields_are_too_many_and_1000_are_not(client: Visitor) -> None:
    """WS-11."""

    def send(number: int) -> int:
        pairs = [("token", token_of(client))] + [(f"f{i}", "") for i in range(number - 1)]
        return client.post("/en", data=urlencode(pairs), content_type=FORM).status_code

    assert send(1001) == 413
    assert send(1000) == 422


def test_a_multipart_form_is_read_too_and_bounded_too(client: Visitor, session: Session) -> None:
    """WS-11."""
    kind = "multipart/form-data"
    fields = typed_form(token_of(client))

    assert client.post("/en", data=fields, content_type=kind).status_code == 303
    too_large = typed_form(token_of(client), message="x" * 80_000)
    assert client.post("/en", data=too_large, content_type=kind).status_code == 413
    too_many = {f"f{number}": "" for number in range(1001)}
    assert client.post("/en", data=too_many, content_type=kind).status_code == 413


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", FORM),
        (b"%", FORM),
        (b"token=%ff%fe&full_name=%ed%a0%80", FORM),
        (b"\xff\xfe\xed\xa0\x80=\x00", FORM),
        (b"&" * 1000, FORM),
        (b'{"token": 1}', "application/json"),
        (b"--x\r\n\r\n", "multipart/form-data; boundary=x"),
        (b"nothing", "multipart/form-data"),
        (b"x", "text/plain"),
    ],
)
def test_a_body_that_is_no_form_is_answered_with_the_form(
    client: Visitor, body: bytes, kind: str
) -> None:
    """WS-12."""
    response = client.post("/en", data=body, content_type=kind)

    assert response.status_code in (400, 413)
    assert Page(response.text).form()["token"]


def test_a_length_that_lies_is_no_failure_of_ours(client: Visitor) -> None:
    """WS-12."""
    for length in ("-1", "abc", "999999999999"):
        response = client.post(
            "/en", data=b"a=b", content_type=FORM, headers={"Content-Length": length}
        )
        assert response.status_code in (400, 413, 422)


def test_controls_and_lone_surrogates_do_no_harm(
    client: Visitor, session: Session, vault: Vault
) -> None:
    """MD-19, WS-12."""
    body = urlencode(typed_form(token_of(client), full_name="", message=""), doseq=True)
    body = body.replace("full_name=", "full_name=Jan%00et%0D%0ABcc%3A+x%1B%5B31m+%E2%80%AEd")
    body = body.replace("message=", "message=one%0D%0Atwo%00%ED%A0%80%C2%85three")

    response = client.post("/en", data=body, content_type=FORM)

    assert response.status_code == 303
    request = session.scalars(select(Request)).one()
    assert request.full_name == "Janet Bcc: x[31m d"
    answers = json.loads(vault.open("request", "answers", request.receipt, request.answers))
    message = answers["message"]
    assert message.startswith("one\ntwo")
    assert message.endswith("\nthree")
    assert not {"\x00", "\ud800", "\r", "\x85"} & set(message)


@pytest.mark.parametrize(
    "email",
    [
        "=?utf-8?q?Bob=0ABcc:_evil@x.test?=",
        "janet@example.com\r\nBcc: evil@example.org",
        "janet@example.com, evil@example.org",
        "<@relay.example:janet@example.com>",
        '"janet evil@example.org "@example.com',
    ],
)
def test_an_address_that_is_a_header_trick_is_refused(
    client: Visitor, session: Session, email: str
) -> None:
    """MD-19."""
    response = client.post("/en", data=typed_form(token_of(client), email=email))

    assert response.status_code == 422
    assert session.scalar(select(func.count()).select_from(Message)) == 0


def test_scripts_in_every_field_come_back_as_text(client: Visitor) -> None:
    """WS-01."""
    names = [name for name in client.page("/en").form() if name != "token"]
    for name in [*names, "email_as_typed", "conditions", "topic_code"]:
        for text in (SCRIPT, '"><img src=x onerror=alert(1)>', "'-alert(1)-'", "{{7*7}}"):
            fields = typed_form(token_of(client), **{"consent_health": None, name: text})
            response = client.post("/en", data=fields)
            assert response.status_code == 422
            page = Page(response.text)
            assert not [s for s in page.find("script") if not s.get("src")]
            assert not page.find("img", src="x")
            assert "49" not in page.form().get(name, [""])[0]


def test_five_thousand_characters_are_counted_as_people_count_them(
    client: Visitor, session: Session
) -> None:
    """WS-11: a newline is one character, however the browser sends it."""
    message = "á\r\n" * 2499 + "ñé"
    response = client.post("/en", data=typed_form(token_of(client), message=message))

    assert response.status_code == 303


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "token",
                "full_name",
                "email",
                "conditions",
                "consent_health",
                "phone",
                "country",
                "contact_by",
                "contact_time",
                "time_zone",
                "message",
                "topic_code",
                "email_as_typed",
                "email_meant",
                "lang",
            ]
        ),
        st.text(max_size=60),
    )
)
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_form_of_any_words_is_a_failure_of_ours(client: Visitor, fields: dict[str, str]) -> None:
    """WS-12."""
    data = urlencode({name: text.encode("utf-8", "replace") for name, text in fields.items()})
    response = client.post("/en", data=data, content_type=FORM)

    assert response.status_code in (400, 422)
    assert "Traceback" not in response.text


def test_hostile_names_are_kept_as_they_are_and_mail_nobody_else(
    client: Visitor, session: Session
) -> None:
    """MD-19."""
    for number, name in enumerate(
        ["Bob\r\nBcc: evil@example.org", "=?utf-8?q?Bob=0ABcc:_evil@x.test?=", SCRIPT, "‮evil"]
    ):
        fields = typed_form(token_of(client), full_name=name, email=f"bob{number}@example.com")
        assert client.post("/", data=fields).status_code == 303
    names = session.scalars(select(Lead.full_name)).all()
    assert not [name for name in names if set(name) & set("\r\n\u202e")]
    recipients = session.scalars(select(Message.recipient)).all()
    assert all(
        recipient.endswith(("@example.com", "desk@clinic.example")) for recipient in recipients
    )
