"""Staff correct a lead's details: who changed what, with the letters that follow an address."""

import json
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.intake import packets
from leadcapture.intake.receive import receive
from leadcapture.models import (
    AuditEntry,
    Lead,
    Message,
    MessageKind,
    MessageState,
    SuppressionScope,
    TimelineEntry,
)
from leadcapture.outbox import claims, policy, stops, sweeper
from leadcapture.outbox.queue import open_payload
from leadcapture.settings import Settings
from leadcapture.vault import Vault
from tests.clock import TUESDAY_MORNING, Clock
from tests.conftest import SignIn
from tests.pages import Page
from tests.people import EMAIL, a_lead, a_message, a_request, claim
from tests.test_dashboard import janet, rosa
from tests.test_intake_receive import a_submission
from tests.visitors import Visitor

__all__ = ["janet", "rosa"]

NEW = "janet.whitfield@gmail.example"


def details(visitor: Visitor, lead: Lead) -> Page:
    return visitor.page(f"/desk/leads/{lead.ref}/details")


def save(visitor: Visitor, lead: Lead, **typed: str) -> Page:
    """The page that comes after saving these fields of the form, whichever it is."""
    answer = visitor.send(details(visitor, lead), "/details", **typed)
    return visitor.page(answer.location) if answer.location else Page(answer.text)


def letters(session: Session, *columns: str) -> list[tuple[object, ...]]:
    rows = session.scalars(select(Message).order_by(Message.id)).all()
    return [tuple(getattr(row, column) for column in columns) for row in rows]


def test_staff_correct_every_detail_and_take_it_back_from_the_message(
    rosa: Visitor, session: Session, janet: Lead
) -> None:
    typed = {
        "full_name": "  Jeanette   Whitfield ",
        "phone_typed": "8888 0123",
        "country": "CR",
        "language": "es",
        "time_zone": "America/Costa_Rica",
        "contact_by": "whatsapp",
        "contact_time": "evening",
    }
    page = save(rosa, janet, **typed)
    assert janet.full_name == "Jeanette Whitfield"
    assert (janet.phone, janet.phone_typed) == ("+50688880123", "8888 0123")
    assert (janet.country, janet.language, janet.time_zone) == ("CR", "es", "America/Costa_Rica")
    assert (janet.contact_by, janet.contact_time) == ("whatsapp", "evening")
    # The hours in which her letters leave are those of where she is.
    assert set(letters(session, "time_zone", "recipient")) == {("America/Costa_Rica", EMAIL)}
    assert "Saved: Name, Telephone, Country, Language, Time zone" in page.text
    for found in ("jeanette", "88880123", "whitfield"):
        assert "Jeanette" in rosa.page(f"/desk/leads?q={found}").main_text
    told = session.scalars(select(TimelineEntry)).one()
    assert ["full_name", "Janet Whitfield", "Jeanette Whitfield"] in told.facts["changes"]
    assert "Name (“Janet Whitfield” → “Jeanette Whitfield”)" in page.text
    assert "details_changed" in session.scalars(select(AuditEntry.act)).all()
    answer = rosa.send(page, "/undoing")
    undone = rosa.page(answer.location)
    assert (janet.full_name, janet.phone, janet.contact_by) == (
        "Janet Whitfield",
        "+18135550142",
        "",
    )
    assert "Undone: 1 lead stands as before." in undone.text
    assert "Undid the last change" in undone.text
    assert "Jeanette" not in rosa.page("/desk/leads?q=jeanette").main_text.replace("“jeanette”", "")


def test_letters_follow_a_corrected_address_and_a_letter_on_its_way_does_not(
    rosa: Visitor,
    session: Session,
    vault: Vault,
    settings: Settings,
    clock: Clock,
    janet: Lead,
) -> None:
    """I8, I6, AB-01: the recipient, what stops letters there, and nothing twice."""
    janet.confirmed_at = clock.now
    packet = a_message(session, janet, kind=MessageKind.PACKET, due_at=clock.now)
    sending = claim(session, clock.now)
    assert sending.id == packet.id
    assert claims.declare_intent(session.connection(), sending, "a" * 64, clock.now)
    tried = a_message(session, janet, sha256="b" * 64, attempts=1, due_at=clock.now)
    claimed = a_message(session, janet, step="day-1", due_at=clock.now - timedelta(minutes=5))
    stale = claim(session, clock.now)
    session.commit()
    assert stale.id == claimed.id
    in_hand = (stale.id, stale.fence)
    page = save(rosa, janet, email=f" {NEW} ")
    assert [janet.email, janet.address_key, janet.confirmed_at] == [NEW, NEW, None]
    assert "4 letters to come go to the new address." in page.text
    assert "1 letter that was on its way to the old one is not sent any more" in page.text
    session.refresh(packet)
    assert (packet.state, packet.recipient) == (MessageState.SENDING, EMAIL)
    session.refresh(tried)
    assert (tried.state, tried.reason) == (MessageState.CANCELLED, "address_changed")
    moved = session.scalars(select(Message).where(Message.recipient == NEW)).all()
    assert {letter.state for letter in moved} == {MessageState.QUEUED}
    assert {letter.domain for letter in moved} == {"gmail.example"}
    assert {letter.cap_hash for letter in moved} == {janet.cap_hash}
    for letter in moved:
        values = open_payload(vault, letter)["values"]
        assert f"/stop/{janet.cap_hash}." in values["stop_link"]
        assert values["preferences_link"] == values["stop_link"]
    # The worker that had it in hand with the old recipient loses its intent.
    loser = session.get_one(Message, in_hand[0])
    session.expunge(loser)
    loser.fence = in_hand[1]
    assert not claims.declare_intent(session.connection(), loser, "c" * 64, clock.now)
    session.commit()
    # What went to the old address is no stranger's letter to the sweeper.
    claims.note_sent(session.connection(), sending, clock.now)
    session.commit()
    assert not [one for one in sweeper.violations(session, clock.now) if one.invariant == "I8"]


def test_an_address_that_stopped_letters_or_got_enough_gets_none_of_them(
    rosa: Visitor, session: Session, vault: Vault, clock: Clock, janet: Lead
) -> None:
    """AB-01, I7."""
    other = a_lead(session, email="someone@else.example")
    a_message(session, other, kind=MessageKind.PACKET, state=MessageState.SENT, sent_at=clock.now)
    packet = a_message(session, janet, kind=MessageKind.PACKET)
    stops.suppress(session, other.cap_hash, SuppressionScope.FOLLOW_UPS, "unsubscribed", clock.now)
    session.commit()
    page = save(rosa, janet, email="someone+1@else.example")
    assert "4 letters that were on their way to the old one are not sent any more" in page.text
    session.refresh(packet)
    assert (packet.state, packet.reason) == (MessageState.SUPPRESSED, "capped_unconfirmed")
    follow_ups = session.scalars(select(Message).where(Message.kind == MessageKind.FOLLOW_UP))
    assert {(letter.state, letter.reason) for letter in follow_ups} == {
        (MessageState.SUPPRESSED, "unsubscribed")
    }


def test_a_packet_counts_there_from_the_day_on_which_it_left(
    rosa: Visitor, session: Session, clock: Clock, janet: Lead
) -> None:
    """AB-01: a relay that was away for days let it go an hour ago."""
    other = a_lead(session, email="someone@else.example")
    sent = a_message(session, other, kind=MessageKind.PACKET, state=MessageState.SENT)
    sent.created_at = clock.now - timedelta(days=3)
    sent.state_at = sent.sent_at = clock.now - timedelta(hours=1)
    packet = a_message(session, janet, kind=MessageKind.PACKET)
    session.commit()
    save(rosa, janet, email="someone+1@else.example")
    session.refresh(packet)
    assert (packet.state, packet.reason) == (MessageState.SUPPRESSED, "capped_unconfirmed")


def test_a_press_in_a_letter_to_the_old_address_confirms_no_new_one(
    rosa: Visitor, session: Session, clock: Clock, janet: Lead
) -> None:
    sent = a_message(session, janet, kind=MessageKind.PACKET, state=MessageState.SENT)
    session.commit()
    save(rosa, janet, email=NEW)
    packets.confirm_address(session, sent.ref, clock.now)
    assert janet.confirmed_at is None


def test_the_address_of_another_lead_is_pointed_out_and_offered_for_merging(
    rosa: Visitor, sign_in: SignIn, session: Session, janet: Lead
) -> None:
    other = a_lead(session, full_name="Jan Whitfield", email=NEW)
    session.commit()
    again = rosa.send(details(rosa, janet), "/details", email=NEW.upper(), full_name="J. Whitfield")
    assert again.status_code == 422
    page = Page(again.text)
    assert "Jan Whitfield has this address already." in page.text
    assert page.link("Compare and merge") == f"/desk/leads/{janet.ref}/merging/{other.ref}"
    assert page.form("/details")["full_name"] == ["J. Whitfield"]
    assert (janet.email, janet.full_name) == (EMAIL, "Janet Whitfield")
    front = sign_in("front_desk")
    told = front.send(details(front, janet), "/details", email=NEW)
    assert "ask a coordinator to merge the two" in told.text
    assert f"/merging/{other.ref}" not in told.text


def test_a_stale_save_says_so_and_keeps_what_either_wrote(
    rosa: Visitor, sign_in: SignIn, session: Session, janet: Lead
) -> None:
    older = details(rosa, janet)
    ana = sign_in("coordinator")
    save(ana, janet, phone_typed="(212) 555-0199", email=NEW)
    asked = rosa.send(older, "/details", full_name="Jeanette Whitfield")
    assert asked.status_code == 409
    page = Page(asked.text)
    assert "has changed since you opened the page" in page.text
    assert "Jeanette Whitfield" in page.main_text
    assert janet.full_name == "Janet Whitfield"
    assert rosa.send(page, "/details").status_code == 303
    assert (janet.full_name, janet.email) == ("Jeanette Whitfield", NEW)
    assert janet.phone == "+12125550199"


def test_a_later_request_never_overwrites_what_staff_wrote(
    rosa: Visitor,
    session: Session,
    vault: Vault,
    settings: Settings,
    clock: Clock,
    janet: Lead,
) -> None:
    """AB-08."""
    save(rosa, janet, full_name="Jeanette Whitfield", phone_typed="212 555 0199", country="US")
    corrected = (janet.full_name, janet.phone, janet.phone_typed, janet.search_text)
    receive(session, vault, settings, a_submission(), clock.now)
    session.commit()
    session.refresh(janet)
    assert (janet.full_name, janet.phone, janet.phone_typed, janet.search_text) == corrected
    assert session.scalar(select(Lead.id).where(Lead.id != janet.id)) is None


def test_a_detail_with_a_word_about_health_is_told_without_it(
    rosa: Visitor, session: Session, janet: Lead
) -> None:
    janet.full_name = "Janet with the bad knee"
    session.commit()
    page = save(rosa, janet, full_name="Janet Whitfield")
    entry = session.scalars(select(TimelineEntry)).one()
    assert entry.facts == {"changes": [["full_name"]]}
    assert "Corrected: Name" in page.text and "knee" not in json.dumps(entry.facts)
    rosa.send(page, "/undoing")
    assert janet.full_name == "Janet with the bad knee"


def test_what_cannot_be_is_said_at_its_field_and_all_typed_text_stays(
    rosa: Visitor, session: Session, janet: Lead
) -> None:
    """AX-03, WS-14."""
    typed = {
        "full_name": " ",
        "email": "janet at gmail",
        "time_zone": "Mars/Base",
        "language": "xx",
    }
    again = rosa.send(
        details(rosa, janet), "/details", **typed, phone_typed="ring the bell", ref="x"
    )
    assert again.status_code == 422
    page = Page(again.text)
    assert page.title.startswith("Error")
    for field in ("full_name", "email", "time_zone", "language"):
        assert page.find("p", id=f"{field}-error")
    assert page.form("/details")["email"] == ["janet at gmail"]
    assert page.form("/details")["phone_typed"] == ["ring the bell"]
    assert (janet.email, janet.version) == (EMAIL, 1)


@pytest.mark.parametrize("taken", [False, True])
def test_an_undo_that_has_come_too_late_leaves_all_as_it_is(
    rosa: Visitor, sign_in: SignIn, session: Session, janet: Lead, taken: bool
) -> None:
    page = save(rosa, janet, email=NEW)
    if taken:
        a_lead(session, email=EMAIL)
        session.commit()
        why = "because another lead has the old one"
    else:
        save(sign_in("coordinator"), janet, email="jw@third.example")
        why = "somebody has changed it since"
    told = rosa.page(rosa.send(page, "/undoing").location)
    assert why in told.text
    assert janet.email == (NEW if taken else "jw@third.example")


def test_a_follow_up_to_the_new_address_leaves_by_the_rules_of_the_new_address(
    rosa: Visitor, session: Session, clock: Clock, janet: Lead
) -> None:
    a_request(session, janet)
    save(rosa, janet, email=NEW)
    first, second, _third = session.scalars(select(Message).order_by(Message.due_at)).all()
    clock.advance(timedelta(days=3))
    assert policy.refusal(session, first, clock.now) is None
    first.state, first.state_at = MessageState.SENT, clock.now
    session.flush()
    refused = policy.refusal(session, second, clock.now)
    assert refused is not None and refused.reason == "capped_daily"
    assert first.due_at == TUESDAY_MORNING + timedelta(days=3)


def test_nobody_reads_the_form_without_a_row_in_the_audit(
    app: Flask, rosa: Visitor, session: Session, janet: Lead
) -> None:
    details(rosa, janet)
    viewed = select(AuditEntry.subject).where(AuditEntry.act == "lead_viewed")
    assert session.scalars(viewed).all() == [janet.ref]
