"""Accounts: the first administrator, signing in and out, and what guessing meets."""

import re
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from leadcapture.accounts import passwords
from leadcapture.accounts.invitations import invite
from leadcapture.models import Staff
from leadcapture.settings import Clinic, Settings
from tests.clock import Clock
from tests.conftest import make_visitor
from tests.people import PASSWORD, a_staff_member
from tests.visitors import Visitor


@pytest.fixture
def rosa(app: Flask, session: Session) -> Staff:
    with app.app_context():
        staff = a_staff_member(session)
    session.commit()
    return staff


def sign_in(client: Visitor, email: str, password: str = PASSWORD, **more: Any) -> Any:
    page = client.page("/sign-in")
    return client.send(page, "/sign-in", email=email, password=password, **more)


def new_account(client: Visitor, token: str, **changes: Any) -> Any:
    typed = {
        "name": "Rosa Alvarado",
        "email": "Rosa@Clinic.example",
        "password": PASSWORD,
        "repeated": PASSWORD,
    } | changes
    return client.send(client.page(f"/welcome/{token}"), f"/welcome/{token}", **typed)


def staff_count(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(Staff)) or 0


def test_a_fresh_install_has_no_account(session: Session) -> None:
    assert staff_count(session) == 0


def test_an_invitation_makes_an_administrator_once(
    client: Visitor, session: Session, clock: Clock
) -> None:
    token = invite(session, "admin", clock())
    arrived = new_account(client, token)
    assert (arrived.status_code, arrived.location) == (303, "/desk/")
    assert client.page("/desk/").heading.startswith("Waiting for a person")
    staff = session.scalars(select(Staff)).one()
    assert (staff.email, [role.name for role in staff.roles]) == ("rosa@clinic.example", ["admin"])
    assert client.get(f"/welcome/{token}").status_code == 410
    assert staff_count(session) == 1


def test_looking_at_an_invitation_does_not_use_it_up(
    client: Visitor, session: Session, clock: Clock
) -> None:
    token = invite(session, "admin", clock())
    for _ in range(3):
        client.page(f"/welcome/{token}")
        assert client.head(f"/welcome/{token}").status_code == 200
    assert new_account(client, token).status_code == 303


def test_an_invitation_expires_after_a_day(client: Visitor, session: Session, clock: Clock) -> None:
    token = invite(session, "admin", clock())
    page = client.page(f"/welcome/{token}")
    clock.advance(timedelta(hours=24))
    assert client.get(f"/welcome/{token}").status_code == 410
    late = client.send(
        page,
        f"/welcome/{token}",
        name="R",
        email="r@clinic.example",
        password=PASSWORD,
        repeated=PASSWORD,
    )
    assert late.status_code == 410
    assert staff_count(session) == 0


def test_an_account_speaks_the_language_in_which_it_was_made(
    client: Visitor, session: Session, clock: Clock
) -> None:
    token = invite(session, "coordinator", clock())
    page = client.page(f"/welcome/{token}?lang=es")
    client.send(
        page,
        f"/welcome/{token}",
        name="Rosa",
        email="rosa@clinic.example",
        password=PASSWORD,
        repeated=PASSWORD,
    )
    assert session.scalars(select(Staff)).one().language == "es"
    assert client.page("/desk/").language == "es"


def test_an_unknown_invitation_opens_nothing(client: Visitor) -> None:
    assert "This link does not work" in client.page("/welcome/nonsense", status=404).main_text


def test_an_invitation_is_to_a_role_that_exists(session: Session, clock: Clock) -> None:
    with pytest.raises(ValueError, match="owner"):
        invite(session, "owner", clock())


def test_only_the_hash_of_an_invitation_is_kept(session: Session, clock: Clock, app: Flask) -> None:
    token = invite(session, "admin", clock())
    session.commit()
    row = session.connection().exec_driver_sql("SELECT * FROM invitation").one()
    assert token not in str(tuple(row))


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("name", "", "Enter your name"),
        ("email", "rosa", "Enter an address"),
        ("password", "short pass 12", "15 to 128"),
        ("password", "x" * 129, "15 to 128"),
        ("password", "my Cellebration herons", "Leave out the clinic"),
        ("password", "herons of RÓSA swim away", "Leave out the clinic"),
        ("repeated", "another thing entirely", "differ"),
    ],
)
def test_what_is_wrong_with_an_account_is_said_at_its_field(
    client: Visitor, session: Session, clock: Clock, field: str, value: str, sentence: str
) -> None:
    token = invite(session, "admin", clock())
    answer = new_account(client, token, **{field: value})
    assert answer.status_code == 422
    assert answer.text.count(sentence) == 2
    assert re.search(rf'id="{field}"[^>]*aria-invalid="true"', answer.text, re.DOTALL)
    assert "<title>Error" in answer.text
    assert value == "" or field in ("name", "email") or value not in answer.text
    assert staff_count(session) == 0
    assert new_account(client, token).status_code == 303


@pytest.mark.parametrize("length", [15, 128])
def test_passwords_of_15_to_128_characters_do(length: int) -> None:
    assert passwords.why_not("z" * length, Clinic(), {}) == ""


def test_a_password_is_kept_as_argon2id_with_the_promised_costs(rosa: Staff) -> None:
    """AU-01."""
    kept = re.match(r"\$argon2id\$v=19\$m=(\d+),t=(\d+),p=\d+\$", rosa.password or "")
    assert kept is not None
    assert int(kept[1]) >= 19_456
    assert int(kept[2]) >= 2


def test_an_older_hash_is_upgraded_at_the_next_sign_in(
    client: Visitor, session: Session, rosa: Staff
) -> None:
    """AU-01."""
    from argon2 import PasswordHasher

    rosa.password = PasswordHasher(time_cost=1, memory_cost=8_192, parallelism=1).hash(PASSWORD)
    assert sign_in(client, rosa.email).status_code in (302, 303)
    session.refresh(rosa)
    assert "m=8192" not in (rosa.password or "")


def test_signing_in_leads_to_the_page_that_was_asked_for(client: Visitor, rosa: Staff) -> None:
    asked = client.get("/desk/leads")
    assert (asked.status_code, asked.location) == (303, "/sign-in")
    answer = sign_in(client, rosa.email.upper())
    assert answer.location == "/desk/arrival"
    assert client.get("/desk/arrival").location == "/desk/leads"
    assert client.get("/desk/arrival").location == "/desk/"


@pytest.mark.parametrize(
    "elsewhere", ["//evil.example", "https://evil.example", "/\\evil.example", "/desk/leads"]
)
def test_no_address_says_where_signing_in_leads(
    client: Visitor, rosa: Staff, elsewhere: str
) -> None:
    page = client.page("/sign-in")
    given = {"email": rosa.email, "password": PASSWORD, "next": elsewhere}
    fields = {**page.form("/sign-in"), **given}
    assert client.post("/sign-in", data=fields).status_code == 400
    assert client.get("/sign-in", query_string={"next": elsewhere}).status_code == 400


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("rosa.alvarado@clinic.example", "wrong herons over water"),
        ("nobody@clinic.example", PASSWORD),
        ("not an address", PASSWORD),
    ],
)
def test_a_failed_sign_in_does_not_tell_who_works_here(
    client: Visitor, rosa: Staff, email: str, password: str
) -> None:
    def shown(answer: Any) -> str:
        plain = answer.text.replace(email, "")
        return re.sub(r'name="csrf_token" value="[^"]+"', "", plain)

    answer = sign_in(client, email, password)
    other = sign_in(client, "somebody.else@clinic.example", "a wholly other thing")
    assert answer.status_code == other.status_code
    assert shown(answer) == shown(other).replace("somebody.else@clinic.example", "")
    assert client.get("/desk/").status_code == 303


def test_a_disabled_account_does_not_open_and_its_session_ends(
    client: Visitor, session: Session, rosa: Staff
) -> None:
    sign_in(client, rosa.email)
    assert client.get("/desk/").status_code == 200
    rosa.active = False
    assert client.get("/desk/").status_code == 303
    sign_in(client, rosa.email)
    assert client.get("/desk/").status_code == 303


def test_signing_out_is_a_post_and_ends_the_session(client: Visitor, rosa: Staff) -> None:
    sign_in(client, rosa.email)
    assert client.get("/sign-out").status_code == 405
    assert client.post("/sign-out").status_code == 400
    assert client.get("/desk/").status_code == 200
    page = client.page("/desk/")
    assert client.send(page, "/sign-out").status_code in (302, 303)
    assert client.get("/desk/").status_code == 303


def test_signing_in_needs_its_token_and_its_own_site(client: Visitor, rosa: Staff) -> None:
    typed = {"email": rosa.email, "password": PASSWORD}
    assert client.post("/sign-in", data=typed).status_code == 400
    fields = {**client.page("/sign-in").form("/sign-in"), **typed}
    foreign = client.post("/sign-in", data=fields, headers={"Sec-Fetch-Site": "cross-site"})
    assert foreign.status_code == 403
    assert client.get("/desk/").status_code == 303


@pytest.mark.parametrize("settings_changes", [{"sign_in_limit": "3 per 15 minutes"}])
def test_guessing_is_slowed_down(client: Visitor, rosa: Staff) -> None:
    for _ in range(3):
        assert sign_in(client, rosa.email, "a wrong guess at it").status_code == 200
    assert sign_in(client, rosa.email).status_code == 429


def test_a_session_opens_nothing_from_another_browser(
    client: Visitor, app: Flask, settings: Settings, session: Session, rosa: Staff
) -> None:
    sign_in(client, rosa.email)
    cookie = client.get_cookie("staff", domain="127.0.0.1")
    assert cookie is not None
    assert cookie.http_only
    thief = make_visitor(app, settings, session)
    thief.set_cookie("staff", cookie.value, domain="127.0.0.1")
    assert thief.get("/desk/", headers={"User-Agent": "other"}).status_code == 303


def test_whoever_works_here_chooses_their_own_language(
    client: Visitor, session: Session, rosa: Staff
) -> None:
    """The link of the invitation may have been opened in a browser that speaks another."""
    sign_in(client, rosa.email)
    page = client.page("/desk/calendar")
    assert (page.language, page.form("/desk/language")["language"]) == ("en", ["en"])
    client.send(page, "/desk/language", language="es")
    page = client.page("/desk/calendar")
    assert page.language == "es" and "Ahora sus páginas están en español" in page.text
    assert session.scalars(select(Staff.language)).all() == ["es"]
    client.send(page, "/desk/language", language="tlh")
    assert client.page("/desk/").language == "es"
