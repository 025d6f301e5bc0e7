"""A patient fills in the form: what is asked, what is kept, what is said."""

import dataclasses
import gzip
import json
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine, func, select, text
from sqlalchemy.orm import Session

from leadcapture.app import create_app
from leadcapture.intake.consent_texts import TEXTS, current_text, shown_text
from leadcapture.leads import references
from leadcapture.models import Consent, ConsentKind, Lead, Message, Request, Screening
from leadcapture.settings import Settings
from leadcapture.vault import Vault
from tests.clock import Clock
from tests.conftest import make_visitor
from tests.pages import Page
from tests.people import EMAIL, MESSAGE, NAME, PHONE, PHONE_TYPED, typed_form
from tests.visitors import Visitor

KEPT = {"full_name": NAME, "email": EMAIL, "phone": PHONE_TYPED, "message": MESSAGE}


def token_of(client: Visitor, path: str = "/") -> str:
    return client.page(path).form()["token"][0]


def assert_everything_kept(page: Page, **but: str) -> None:
    """AX-03: whatever went wrong, all that was typed is still in the form."""
    fields = page.form()
    for name, value in {**KEPT, **but}.items():
        assert fields[name] == [value], name
    assert fields["conditions"] == ["osteoarthritis"]
    assert fields["consent_health"] == [current_text(ConsentKind.HEALTH, "en").version]


def count(session: Session, model: Any) -> int:
    return session.scalar(select(func.count()).select_from(model)) or 0


def test_a_patient_asks_for_the_packet_and_is_thanked(
    client: Visitor, session: Session, vault: Vault
) -> None:
    """MD-01, PR-03."""
    response = client.post("/en", data=typed_form(token_of(client)))

    assert response.status_code == 303
    request = session.scalars(select(Request)).one()
    assert response.location == f"/thanks/{request.receipt}"
    assert (request.full_name, request.email_typed, request.phone) == (NAME, EMAIL, PHONE)
    assert (request.phone_typed, request.country) == (PHONE_TYPED, "US")
    answers = json.loads(vault.open("request", "answers", request.receipt, request.answers))
    assert answers == {"conditions": ["osteoarthritis"], "message": MESSAGE}
    assert request.screening is Screening.ACCEPTED


def test_the_thanks_repeat_nothing_that_was_typed(client: Visitor) -> None:
    """AB-02, PR-01."""
    response = client.post("/", data=typed_form(token_of(client)))
    page = client.page(response.location)

    assert "hello@clinic.example" in page.main_text
    assert "(858) 258-5090" in page.text
    for typed in (*KEPT.values(), "Janet", "osteoarthritis"):
        assert typed not in page.markup


def test_a_known_address_gets_the_same_answer_as_a_new_one(client: Visitor) -> None:
    first = client.post("/", data=typed_form(token_of(client)))
    second = client.post("/", data=typed_form(token_of(client)))

    def words(location: str) -> str:
        receipt = location.rpartition("/")[2]
        markup = client.page(location).markup
        return markup.replace(receipt, "").replace(references.spoken(receipt), "")

    assert first.location != second.location
    assert words(first.location) == words(second.location)


def test_thanks_for_an_unknown_receipt_are_a_page_that_helps(client: Visitor) -> None:
    page = client.page("/thanks/AAAAAAAAAAAAAAAAAAAAAA", status=404)
    assert "(858) 258-5090" in page.text


def test_the_same_token_is_the_same_request(client: Visitor, session: Session) -> None:
    """DD-03."""
    fields = typed_form(token_of(client))
    locations = {client.post("/", data=fields).location for _ in range(5)}

    assert len(locations) == 1
    assert count(session, Request) == 1


def test_each_consent_is_kept_with_its_words(client: Visitor, session: Session) -> None:
    """PR-03."""
    client.post("/es", data=typed_form(token_of(client, "/es")))

    given = {consent.kind: consent for consent in session.scalars(select(Consent))}
    assert set(given) == set(ConsentKind)
    for kind, consent in given.items():
        assert consent.text_sha256 == current_text(kind, "es").sha256
        assert (consent.language, consent.page) == ("es", "/es")


def test_the_words_that_were_shown_are_the_ones_that_are_kept(
    client: Visitor, session: Session
) -> None:
    """PR-03: each box carries the version beside it; one that no form showed is not believed."""
    page = client.page("/en")
    boxes = {kind: page.find("input", id=f"consent_{kind}")[0].get("value") for kind in ConsentKind}
    assert boxes == {kind: current_text(kind, "en").version for kind in ConsentKind}
    for shown in TEXTS:
        is_aloud = "aloud" in shown.version
        kept = shown_text(shown.kind, shown.version, shown.language)
        assert kept == (current_text(shown.kind, shown.language) if is_aloud else shown)

    forged = {"consent_health": "health-aloud-1", "consent_follow_ups": "health-1"}
    client.post("/en", data=typed_form(token_of(client), **forged))
    given = {one.kind: one.text_version for one in session.scalars(select(Consent))}
    assert given == boxes


def test_refusing_the_follow_ups_still_gets_the_packet(client: Visitor, session: Session) -> None:
    """PR-03."""
    client.post("/", data=typed_form(token_of(client), consent_follow_ups=None))

    kinds = session.scalars(select(Message.kind)).all()
    assert "packet" in kinds
    assert "follow_up" not in kinds
    assert session.scalars(select(Consent.kind)).all() == [ConsentKind.HEALTH]


def test_the_consents_are_apart_and_unticked(client: Visitor) -> None:
    """PR-03."""
    fields = client.page("/").form()

    assert "consent_health" not in fields
    assert "consent_follow_ups" not in fields


@pytest.mark.parametrize(
    ("field", "wrong", "words"),
    [
        ("full_name", "  ", "name"),
        ("full_name", "\u200b\u3164\u200b", "name"),
        ("full_name", "x" * 201, "200"),
        ("email", "", "where to send"),
        ("email", "janet", "name@example.com"),
        ("conditions", None, "at least one"),
        ("consent_health", None, "agreement"),
        ("message", "x" * 5001, "1 character"),
        ("phone", "1" * 61, "60"),
    ],
)
def test_an_error_is_found_explained_and_everything_kept(
    client: Visitor, session: Session, field: str, wrong: str | None, words: str
) -> None:
    """AX-03."""
    typed = typed_form(token_of(client), **{field: wrong})
    response = client.post("/en", data=typed)

    assert response.status_code == 422
    page = Page(response.text)
    assert page.title.startswith("Error: ")
    (summary,) = page.find("", id="error-summary")
    assert "autofocus" in summary.attributes
    assert words in summary.text
    (link,) = [link for link in summary.find("a") if link.get("href").startswith("#")]
    (control,) = page.find("", id=link.get("href")[1:])
    if field != "conditions":
        assert control.get("aria-invalid") == "true"
        assert f"{field}-error" in control.get("aria-describedby")
    fields = page.form()
    for name, value in KEPT.items():
        if name != field:
            assert fields[name] == [value]
    if field == "message":
        assert fields["message"] == [wrong]
    assert count(session, Request) == 0


def test_nothing_is_called_wrong_before_it_was_touched(client: Visitor) -> None:
    """A screen reader calls an empty box invalid that is required, unless it is told otherwise."""
    (consent,) = Page(client.get("/en").text).find("", id="consent_health")
    assert "required" in consent.attributes
    assert consent.get("aria-invalid") == "false"


def test_a_corrected_form_keeps_its_token_and_is_not_hasty(
    app: Flask, settings: Settings, clock: Clock, client: Visitor, session: Session
) -> None:
    token = token_of(client)
    clock.advance(timedelta(seconds=5))
    first = client.post("/", data=typed_form(token, email="janet"))

    assert Page(first.text).form()["token"] == [token]
    assert client.post("/", data=typed_form(token)).status_code == 303


def test_a_slip_in_the_address_is_asked_about_once(client: Visitor, session: Session) -> None:
    typed = typed_form(token_of(client), email="janet@gmial.com")
    first = client.post("/en", data=typed)
    page = Page(first.text)
    assert first.status_code == 422
    assert "Did you mean janet@gmail.com?" in page.text

    again = client.post("/en", data=page.form())

    assert again.status_code == 303
    assert session.scalars(select(Lead.email)).one() == "janet@gmial.com"


def test_one_press_takes_the_address_that_was_meant(client: Visitor, session: Session) -> None:
    typed = typed_form(token_of(client), email="janet@gmial.com")
    page = Page(client.post("/en", data=typed).text)
    (button,) = page.find("button", name="email_meant")

    again = client.post("/en", data={**page.form(), "email_meant": button.get("value")})

    assert again.status_code == 303
    assert session.scalars(select(Lead.email)).one() == "janet@gmail.com"


def test_a_form_open_for_eight_hours_still_submits(client: Visitor, clock: Clock) -> None:
    """AX-07."""
    token = token_of(client)
    clock.advance(timedelta(hours=8))

    assert client.post("/", data=typed_form(token)).status_code == 303


def test_a_form_open_for_days_comes_back_whole_and_needs_one_more_press(
    client: Visitor, clock: Clock, session: Session
) -> None:
    """AX-03, AX-07, WS-03."""
    token = token_of(client)
    clock.advance(timedelta(days=3))
    response = client.post("/en", data=typed_form(token))
    page = Page(response.text)

    assert response.status_code == 400
    assert "press the button once more" in page.text
    assert_everything_kept(page)
    assert client.post("/en", data=page.form()).status_code == 303
    assert session.scalars(select(Request.held_reason)).one() == ""


def test_a_request_that_was_received_days_ago_is_thanked_again(
    client: Visitor, clock: Clock
) -> None:
    """DD-03."""
    fields = typed_form(token_of(client))
    first = client.post("/", data=fields)
    clock.advance(timedelta(days=3))

    assert client.post("/", data=fields).location == first.location


@pytest.mark.parametrize("token", ["", None, "x", "A" * 64])
def test_without_a_token_of_ours_nothing_is_stored(
    client: Visitor, session: Session, token: str | None
) -> None:
    """WS-03."""
    response = client.post("/en", data=typed_form("") | {"token": token or ""})

    assert response.status_code == 400
    assert_everything_kept(Page(response.text))
    assert count(session, Request) == 0


def test_another_sites_page_cannot_send_the_form(client: Visitor, session: Session) -> None:
    """WS-03."""
    fields = typed_form(token_of(client))
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        assert client.post("/", data=fields, headers=headers).status_code == 403
    assert count(session, Request) == 0


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ({"topic_code": "anything"}, "honeypot"),
        ({"message": "http://a.example www.b.example https://c.example"}, "links"),
    ],
)
def test_what_looks_like_a_robot_is_held_and_thanked_like_everybody(
    client: Visitor, session: Session, typed: dict[str, str], reason: str
) -> None:
    """AB-05."""
    response = client.post("/", data=typed_form(token_of(client), **typed))

    assert response.status_code == 303
    client.page(response.location)
    request = session.scalars(select(Request)).one()
    assert (request.screening, request.held_reason) == (Screening.HELD, reason)
    assert "packet" not in session.scalars(select(Message.kind)).all()


@pytest.mark.parametrize("settings_changes", [{"form_min_seconds": 3.0}])
def test_a_form_sent_within_a_second_is_held(
    client: Visitor, session: Session, clock: Clock
) -> None:
    """AB-05."""
    token = token_of(client)
    clock.advance(timedelta(seconds=1))
    client.post("/", data=typed_form(token))
    patient = token_of(client)
    clock.advance(timedelta(seconds=4))
    client.post("/", data=typed_form(patient, email="other@example.com"))

    assert session.scalars(select(Request.held_reason).order_by(Request.id)).all() == [
        "too_fast",
        "",
    ]


@pytest.mark.parametrize("settings_changes", [{"form_limit": "3 per minute"}])
def test_too_many_forms_from_one_place_are_told_to_wait_and_lose_nothing(
    client: Visitor, session: Session
) -> None:
    """AB-05, AX-03."""
    for number in range(3):
        fields = typed_form(token_of(client), email=f"janet{number}@example.com")
        assert client.post("/", data=fields).status_code == 303
    response = client.post(
        "/en", data=typed_form(token_of(client)), headers={"X-Forwarded-For": "203.0.113.9"}
    )

    assert response.status_code == 429
    assert_everything_kept(Page(response.text))
    assert "(858) 258-5090" in response.text
    assert count(session, Request) == 3
    assert client.get("/").status_code == 200


@pytest.mark.parametrize("settings_changes", [{"form_limit": "1 per minute", "trusted_proxies": 1}])
def test_behind_a_trusted_proxy_each_visitor_is_counted_alone(client: Visitor) -> None:
    """AB-03."""

    def send_from(address: str, name: str) -> int:
        fields = typed_form(token_of(client), email=f"{name}@example.com")
        forwarded = {"X-Forwarded-For": f"198.51.100.77, {address}"}
        return client.post("/", data=fields, headers=forwarded).status_code

    assert send_from("203.0.113.1", "ana") == 303
    assert send_from("203.0.113.2", "eva") == 303
    assert send_from("203.0.113.1", "ida") == 429


def test_when_the_database_fails_the_visitor_keeps_every_word(
    client: Visitor, session: Session
) -> None:
    """DD-05, AX-03."""
    fields = typed_form(token_of(client))
    session.execute(text("ALTER TABLE message RENAME TO message_gone"))
    session.commit()
    response = client.post("/en", data=fields)

    assert response.status_code == 503
    page = Page(response.text)
    assert_everything_kept(page)
    assert "could not save" in page.text
    assert "(858) 258-5090" in page.text

    session.execute(text("ALTER TABLE message_gone RENAME TO message"))
    session.commit()
    assert count(session, Lead) == 0
    assert client.post("/en", data=page.form()).status_code == 303


def test_the_time_zone_is_guessed_where_the_visitor_does_not_know(
    client: Visitor, session: Session
) -> None:
    for number, (typed, zone) in enumerate(
        [
            ({"phone": "8888 1234", "country": "CR"}, "America/Costa_Rica"),
            ({"phone": "(858) 258-5090"}, "America/Los_Angeles"),
            ({"phone": "", "country": "ES"}, "Europe/Madrid"),
            ({"phone": "", "country": "", "time_zone": "America/Denver"}, "America/Denver"),
            ({"phone": "", "country": "US", "time_zone": "Mars/Base"}, "America/New_York"),
        ]
    ):
        email = f"janet{number}@example.com"
        fields = {"time_zone": "", "email": email, **typed}
        client.post("/", data=typed_form(token_of(client), **fields))
        assert session.scalars(select(Lead.time_zone).where(Lead.email == email)).one() == zone


def test_a_number_that_nobody_can_read_is_kept_as_typed(client: Visitor, session: Session) -> None:
    client.post("/", data=typed_form(token_of(client), phone="ask for Tom, room 4"))

    request = session.scalars(select(Request)).one()
    assert (request.phone, request.phone_typed) == (None, "ask for Tom, room 4")


def test_whoever_wants_a_call_is_asked_for_the_number(client: Visitor) -> None:
    fields = typed_form(token_of(client), phone="", contact_by="phone")
    page = Page(client.post("/en", data=fields).text)

    assert "tell us the number" in page.text
    assert [details for details in page.find("details") if "open" in details.attributes]


def test_only_what_the_form_declares_is_taken(client: Visitor, session: Session) -> None:
    """WS-14."""
    extra = {"status": "patient", "owner_id": "1", "confirmed_at": "2026-01-01", "id": "77"}
    client.post("/", data={**typed_form(token_of(client)), **extra})

    lead = session.scalars(select(Lead)).one()
    assert (lead.status, lead.owner_id, lead.confirmed_at) == ("new", None, None)
    assert lead.id != 77


def test_no_cookie_is_set_for_a_visitor_who_comes_by_themselves(client: Visitor) -> None:
    response = client.get("/")
    sent = client.post("/", data=typed_form(token_of(client)))
    thanked = client.get(sent.location)

    for answer in (response, sent, thanked):
        assert "Set-Cookie" not in answer.headers


def test_a_blank_form_drawn_once_equals_the_one_that_the_application_draws(
    client: Visitor,
) -> None:
    plain = client.get("/es")
    by_query = client.get("/es?x=1")

    def without_token(markup: str) -> str:
        token = Page(markup).form()["token"][0]
        return markup.replace(token, "")

    assert without_token(plain.text) == without_token(by_query.text)
    assert sorted(plain.headers) == sorted(by_query.headers)
    assert plain.headers["Cache-Control"] == "no-store"
    assert int(plain.headers["Content-Length"]) == len(plain.data)
    assert client.head("/es").headers["Content-Length"] == plain.headers["Content-Length"]


def test_a_hostile_host_gets_no_form(client: Visitor) -> None:
    """WS-04."""
    for host in ("evil.example", "127.0.0.1", "", "127.0.0.1:8000.evil.example"):
        assert client.get("/", headers={"Host": host}).status_code == 400


def test_two_visitors_never_share_a_token(app: Flask, settings: Settings, session: Session) -> None:
    visitors = [make_visitor(app, settings, session) for _ in range(10)]

    assert len({token_of(visitor) for visitor in visitors}) == 10


def test_the_key_may_change_while_forms_are_open(
    client: Visitor, settings: Settings, clock: Clock, session: Session
) -> None:
    """OP-04."""
    fields = typed_form(token_of(client))
    changed = dataclasses.replace(
        settings, secret_key="n" * 48, secret_key_fallbacks=(settings.secret_key,)
    )
    app = create_app(changed, clock)
    app.test_client_class = Visitor

    assert make_visitor(app, changed, session).post("/", data=fields).status_code == 303


def test_the_form_with_its_style_and_script_is_small(client: Visitor) -> None:
    """The form weighs at most 14 KB on the wire: one round trip on a poor line."""
    for path in ("/en", "/es"):
        page = client.page(path)
        files = [link.get("href") for link in page.find("link", rel="stylesheet")]
        files += [script.get("src") for script in page.find("script")]
        bodies = [page.markup.encode(), *(client.get(file).data for file in files)]

        assert [name.partition("?")[0] for name in files] == [
            "/static/tokens.css",
            "/static/public.css",
            "/static/request.js",
        ]
        assert sum(len(gzip.compress(body)) for body in bodies) <= 14 * 1024


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_static_files_are_sent_compressed_to_whom_that_suits(client: Visitor) -> None:
    """And pages are not: their length would tell of the token beside what was typed (BREACH)."""
    packs = {"Accept-Encoding": "br, gzip"}
    for name in ("public.css", "request.js"):
        plain = client.get(f"/static/{name}?v=1")
        packed = client.get(f"/static/{name}?v=1", headers=packs)

        assert packed.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(packed.data) == plain.data
        assert packed.content_length == len(packed.data) < len(plain.data) / 2
        assert "immutable" in packed.headers["Cache-Control"]
        for answer in (plain, packed):
            assert "Accept-Encoding" in answer.headers["Vary"]
        known = {**packs, "If-None-Match": packed.headers["ETag"]}
        assert client.get(f"/static/{name}?v=1", headers=known).status_code == 304
        refused = client.get(f"/static/{name}?v=1", headers={"Accept-Encoding": "gzip;q=0"})
        assert "Content-Encoding" not in refused.headers
        assert client.head(f"/static/{name}?v=1", headers=packs).status_code == 200
        part = client.get(f"/static/{name}", headers={**packs, "Range": "bytes=0-9"})
        assert (part.status_code, part.data) == (206, plain.data[:10])
    typed = typed_form(token_of(client), email="janet")
    for page in (client.get("/en", headers=packs), client.post("/en", data=typed, headers=packs)):
        assert "Content-Encoding" not in page.headers
    assert client.get("/static/nothing.css", headers=packs).status_code == 404
    assert client.get("/static/../web.css", headers=packs).status_code == 404


def test_a_database_that_restarted_costs_nobody_a_second_try(
    client: Visitor, session: Session, engine: Engine
) -> None:
    """DD-06: the first to meet a dead connection asks again by itself."""
    first = client.post("/", data=typed_form(token_of(client)))
    session.commit()
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
    session.invalidate()
    second = client.post("/", data=typed_form(token_of(client), email="rosa@example.com"))
    assert (first.status_code, second.status_code) == (303, 303)
    assert count(session, Lead) == 2
