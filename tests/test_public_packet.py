"""A patient opens the private page of the packet."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from leadcapture.letters.linked import keep_linked
from leadcapture.models import Lead, Message, TimelineEntry
from leadcapture.outbox import links
from leadcapture.settings import Settings
from tests.clock import Clock
from tests.people import EMAIL, typed_form
from tests.post_office import PostOffice
from tests.visitors import Visitor


@pytest.fixture
def packet_path(
    client: Visitor, session: Session, settings: Settings, send_due: Callable[[], int]
) -> str:
    """The link in the letter that a patient with two conditions got."""
    path = ask(client, session, settings, "/en")
    send_due()
    return path


def ask(client: Visitor, session: Session, settings: Settings, path: str, **typed: Any) -> str:
    fields = {"conditions": ["osteoarthritis", "autoimmune"], **typed}
    token = client.page(path).form()["token"][0]
    client.post(path, data=typed_form(token, **fields))
    ref = session.scalars(
        select(Message.ref).where(Message.kind == "packet").order_by(Message.id.desc())
    ).first()
    assert ref is not None
    return f"/packet/{links.sign(settings.hash_key, 'packet', ref)}"


def test_the_packet_is_read_on_the_page(client: Visitor, packet_path: str) -> None:
    page = client.page(packet_path)

    assert len(page.find("article")) == 2
    assert "FDA" in page.main_text
    assert "{{" not in page.markup


def test_the_page_is_private(client: Visitor, packet_path: str) -> None:
    """PR-12, WS-02."""
    for response in (client.get(packet_path), client.post(packet_path)):
        assert response.headers["X-Robots-Tag"] == "noindex"
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Referrer-Policy"] == "no-referrer"
    title = client.page(packet_path).title
    assert "arthritis" not in title.lower()
    assert "immune" not in title.lower()


@pytest.mark.parametrize(("document", "name"), [("0", "-1"), ("1", "-2")])
def test_the_pdf_has_a_neutral_name(
    client: Visitor, packet_path: str, document: str, name: str
) -> None:
    """PR-12."""
    response = client.post(packet_path, data={"document": document})

    assert response.data.startswith(b"%PDF-")
    expected = f"attachment; filename=information-packet{name}.pdf"
    assert response.headers["Content-Disposition"] == expected


def test_only_a_press_proves_that_a_person_reads(
    client: Visitor, session: Session, packet_path: str
) -> None:
    """MD-15, PR-12."""
    entries = session.scalar(select(func.count()).select_from(TimelineEntry))
    for _ in range(20):
        client.get(packet_path)
        client.head(packet_path)
    assert session.scalars(select(Lead.confirmed_at)).one() is None
    assert session.scalar(select(func.count()).select_from(TimelineEntry)) == entries

    client.post(packet_path)
    client.post(packet_path)

    assert session.scalars(select(Lead.confirmed_at)).one() is not None
    assert "address_confirmed" in session.scalars(select(TimelineEntry.kind)).all()


def test_an_expired_link_offers_a_new_one_by_mail(
    client: Visitor, session: Session, clock: Clock, settings: Settings, packet_path: str
) -> None:
    """PR-12."""
    clock.advance(timedelta(days=31))
    page = client.page(packet_path, status=410)
    assert "FDA" not in page.text
    assert client.post(packet_path).status_code == 410

    answer = client.send(page, "/link?lang=en")

    assert answer.status_code == 200
    assert EMAIL not in answer.text
    letter = session.scalars(select(Message).where(Message.kind == "packet_link")).one()
    assert letter.recipient == EMAIL
    new = f"/packet/{links.sign(settings.hash_key, 'packet', letter.ref)}"
    assert len(client.page(new).find("article")) == 2


def test_many_presses_send_one_letter(
    client: Visitor, session: Session, clock: Clock, packet_path: str
) -> None:
    """AB-01."""
    clock.advance(timedelta(days=31))
    for _ in range(10):
        assert client.post(f"{packet_path}/link").status_code == 200

    count = select(func.count()).where(Message.kind == "packet_link")
    assert session.scalar(count) == 1


@pytest.mark.parametrize("document", ["2", "99", "-1", "x", "٣", "1" * 50])
def test_a_document_that_is_not_there_is_no_failure(
    client: Visitor, packet_path: str, document: str
) -> None:
    """WS-12, WS-14."""
    response = client.post(packet_path, data={"document": document})
    assert response.status_code in (200, 404)


def test_links_of_another_purpose_open_nothing(
    client: Visitor, session: Session, settings: Settings, packet_path: str
) -> None:
    """AB-07."""
    ref = packet_path.split("/")[2].split(".")[0]
    for purpose in ("stop", "preferences"):
        assert (
            client.get(f"/packet/{links.sign(settings.hash_key, purpose, ref)}").status_code == 404
        )
    assert client.get(f"/packet/{ref}.{'A' * 32}").status_code == 404


def test_a_spanish_packet_is_spanish(client: Visitor, session: Session, settings: Settings) -> None:
    """AX-09."""
    path = ask(client, session, settings, "/es", conditions=["not_sure"])
    page = client.page(path)

    assert page.language == "es"
    response = client.post(path)
    assert response.headers["Content-Disposition"].endswith("filename=paquete-informativo.pdf")


@pytest.mark.parametrize(
    ("linked", "names", "says"),
    [
        ((), ["information-packet-1.pdf", "information-packet-2.pdf"], "attached to this letter"),
        (("general",), ["information-packet-1.pdf", "information-packet-2.pdf"], "attached"),
        (("autoimmune",), [], "ready on a private page"),
    ],
    ids=["attached", "another is linked", "one is linked"],
)
def test_a_packet_is_attached_unless_the_clinic_has_it_linked_alone(
    client: Visitor,
    session: Session,
    settings: Settings,
    clock: Clock,
    office: PostOffice,
    send_due: Callable[[], int],
    linked: tuple[str, ...],
    names: list[str],
    says: str,
) -> None:
    """PR-12: as each packet is set; of several, the strictest counts."""
    keep_linked(session, linked, clock())
    session.commit()
    path = ask(client, session, settings, "/en")
    send_due()
    [mail] = [letter.mail for letter in office.letters if EMAIL in letter.recipients]
    assert [part.get_filename() for part in mail.iter_attachments()] == names
    plain = mail.get_body(("plain",))
    assert plain is not None and says in plain.get_content()
    assert len(client.page(path).find("article")) == 2
    assert client.post(path, data={"document": "1"}).data.startswith(b"%PDF-")


def test_a_new_link_attaches_nothing(
    client: Visitor,
    clock: Clock,
    office: PostOffice,
    send_due: Callable[[], int],
    packet_path: str,
) -> None:
    clock.advance(timedelta(days=31))
    client.send(client.page(packet_path, status=410), "/link?lang=en")
    send_due()
    [mail] = [one.mail for one in office.letters if one.mail["Subject"] == "Your private link"]
    assert not list(mail.iter_attachments())
