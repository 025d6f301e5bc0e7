"""A person stops our letters: one link, one press, for ever."""

from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256

import pytest
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from leadcapture.database import Base
from leadcapture.models import (
    Consent,
    Lead,
    MessageState,
    Request,
    Suppression,
    SuppressionScope,
    TimelineEntry,
)
from leadcapture.outbox import links
from leadcapture.settings import Settings
from tests.clock import Clock
from tests.people import EMAIL, a_lead, a_message, a_request, typed_form
from tests.post_office import PostOffice
from tests.visitors import Visitor


def stop_path(settings: Settings, lead: Lead) -> str:
    return f"/stop/{links.sign(settings.hash_key, 'stop', lead.cap_hash)}"


def everything(session: Session) -> dict[str, str]:
    """What stands in each table, as a sum."""
    return {
        table.name: sha256(repr(session.execute(select(table)).all()).encode()).hexdigest()
        for table in Base.metadata.sorted_tables
    }


def test_following_any_link_of_a_letter_changes_no_row(
    client: Visitor, session: Session, settings: Settings
) -> None:
    """MD-15, WS-15: a thousand looks of mail scanners at each link that a letter has."""
    lead = a_lead(session)
    request = a_request(session, lead)
    a_message(session, lead)
    packet = a_message(session, lead, kind="packet", state=MessageState.SENT)
    key = settings.hash_key
    stop = stop_path(settings, lead)
    paths = (
        stop,
        f"{stop}?lang=es",
        f"/packet/{links.sign(key, 'packet', packet.ref)}",
        f"/thanks/{request.receipt}",
    )
    session.commit()
    before = everything(session)
    for number in range(1_000):
        method = ("GET", "HEAD", "OPTIONS")[number % 3]
        answer = client.open(paths[number // 3 % len(paths)], method=method)
        assert answer.status_code == 200
    assert everything(session) == before


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data"])
def test_one_press_stops_the_letters(
    client: Visitor, session: Session, settings: Settings, kind: str
) -> None:
    """MD-14, PR-03: RFC 8058, from a mail service: no cookie, another origin, no redirect."""
    lead = a_lead(session)
    a_request(session, lead)
    letter = a_message(session, lead)
    response = client.post(
        stop_path(settings, lead),
        data={"List-Unsubscribe": "One-Click"},
        content_type=kind,
        headers={"Origin": "https://mail.example", "Sec-Fetch-Site": "cross-site"},
    )

    assert response.status_code == 200
    assert "Location" not in response.headers
    assert letter.state == MessageState.SUPPRESSED
    suppression = session.scalars(select(Suppression)).one()
    assert suppression.cap_hash == lead.cap_hash
    assert suppression.scope == SuppressionScope.FOLLOW_UPS
    assert "unsubscribed" in session.scalars(select(TimelineEntry.kind)).all()
    withdrawn = session.scalars(select(Consent).where(Consent.withdrawn_at.is_not(None))).all()
    assert [consent.kind for consent in withdrawn] == ["follow_ups"]


def test_fifty_presses_are_one(client: Visitor, session: Session, settings: Settings) -> None:
    """MD-14."""
    lead = a_lead(session)
    path = stop_path(settings, lead)
    answers = {client.post(path).text for _ in range(50)}

    assert len(answers) == 1
    assert session.scalar(select(func.count()).select_from(Suppression)) == 1
    kinds = session.scalars(select(TimelineEntry.kind)).all()
    assert kinds == ["unsubscribed"]


@pytest.mark.parametrize("is_erased", [False, True])
def test_the_link_works_after_400_days_and_when_the_lead_is_erased(
    client: Visitor, session: Session, settings: Settings, clock: Clock, is_erased: bool
) -> None:
    """MD-14."""
    lead = a_lead(session)
    path = stop_path(settings, lead)
    if is_erased:
        session.execute(delete(Lead))
    clock.advance(timedelta(days=400))

    assert client.get(path).status_code == 200
    assert client.post(path).status_code == 200
    assert session.scalars(select(Suppression.created_at)).all() == [clock.now]


def test_a_forged_link_stops_nothing_and_offers_the_telephone(
    client: Visitor, session: Session, settings: Settings
) -> None:
    """AB-07."""
    lead = a_lead(session)
    other_purpose = links.sign(settings.hash_key, "packet", lead.cap_hash)
    for token in (other_purpose, lead.cap_hash, f"{lead.cap_hash}.", "x", "é.ü", "%00"):
        for response in (client.get(f"/stop/{token}"), client.post(f"/stop/{token}")):
            assert response.status_code == 404
            assert "(858) 258-5090" in response.text
    assert session.scalar(select(func.count()).select_from(Suppression)) == 0


def test_the_page_speaks_the_language_of_the_letters(
    client: Visitor, session: Session, settings: Settings
) -> None:
    """AX-09."""
    lead = a_lead(session, language="es")

    page = client.page(stop_path(settings, lead))
    assert page.language == "es"
    assert client.page(page.link("English")).language == "en"


def ask(client: Visitor, path: str, clock: Clock) -> None:
    token = client.page(path).form()["token"][0]
    clock.advance(timedelta(seconds=20))
    assert client.post(path, data=typed_form(token)).status_code == 303


@pytest.mark.parametrize("language", ["en", "es"])
def test_who_never_asked_gets_no_letter_at_all_whoever_asks_for_one(
    client: Visitor,
    session: Session,
    settings: Settings,
    send_due: Callable[[], int],
    office: PostOffice,
    clock: Clock,
    language: str,
) -> None:
    """AB-02, PR-03: the letter names the button, and both consents end in two clicks."""
    ask(client, f"/{language}", clock)
    send_due()
    (letter,) = office.letters_to(EMAIL)
    page = client.page(stop_path(settings, session.scalars(select(Lead)).one()))
    stop, everything = (form.find("button")[0].text for form in page.find("form", method="post"))
    assert everything in letter.text and stop not in letter.text

    assert client.send(page, "", stop="everything").status_code == 200

    stopped = session.scalars(select(Suppression)).one()
    assert (stopped.scope, stopped.reason) == (SuppressionScope.ALL, "refused_all")
    assert not session.scalars(select(Consent).where(Consent.withdrawn_at.is_(None))).all()
    clock.advance(timedelta(days=40))
    ask(client, "/", clock)
    while send_due():
        pass
    assert len(office.letters_to(EMAIL)) == 1
    assert "suppressed" in session.scalars(select(Request.packet_note)).all()


def test_a_person_needs_two_clicks_from_the_letter(
    client: Visitor, session: Session, settings: Settings
) -> None:
    """MD-15, PR-03."""
    page = client.page(stop_path(settings, a_lead(session)))

    assert client.send(page, "").status_code == 200
    assert session.scalar(select(func.count()).select_from(Suppression)) == 1
    assert session.scalar(select(func.count()).select_from(Request)) == 0
