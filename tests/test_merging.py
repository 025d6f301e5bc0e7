"""Two leads that are one person: side by side, merged by choice, taken apart again."""

import dataclasses
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, Phase, example, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from playwright.sync_api import Browser
from playwright.sync_api import Page as BrowserPage
from sqlalchemy import Engine, insert, select
from sqlalchemy.orm import Session

from leadcapture.database import Base, open_session
from leadcapture.intake.inbound.answers import Answer, take_answer
from leadcapture.intake.inbound.mail import read_mail
from leadcapture.intake.inbound.sorting import _lead_of
from leadcapture.intake.receive import receive
from leadcapture.leads import contact, merge_rows, merging, pipeline, stopping
from leadcapture.leads.contact import CallOutcome
from leadcapture.leads.duplicates import duplicates
from leadcapture.leads.merge_choices import CHOICES
from leadcapture.models import (
    AuditEntry,
    Consent,
    InboundKind,
    InboundMail,
    Lead,
    LeadStatus,
    Mention,
    Merge,
    Message,
    MessageKind,
    MessageState,
    Request,
    Staff,
    Tag,
    Task,
    TimelineEntry,
    lead_tag,
)
from leadcapture.outbox import policy, stops, sweeper
from leadcapture.outbox.queue import new_ref, open_payload
from leadcapture.outbox.readdressing import READDRESSED
from leadcapture.settings import Settings
from leadcapture.vault import Vault
from tests.chromium import assert_accessible, open_page, sign_in_by_form
from tests.clock import TUESDAY_MORNING, Clock
from tests.conftest import SignIn
from tests.incoming import answer as answer_to_us
from tests.pages import Page
from tests.people import MESSAGE, NAME, NOTE, a_lead, a_message, a_request, a_staff_member
from tests.test_dashboard import rosa
from tests.test_intake_receive import a_submission
from tests.visitors import Visitor

__all__ = ["rosa"]

SendDue = Callable[[], int]

OTHER = "jan@another.example"
OWN_COLUMNS = ("id", "ref", "dedupe_key", "mail_id", "created_at")
# What tells of a merge stays; everything else is as it was.
TELLS = {"timeline_entry": ("merged", "merge_undone")}


@pytest.fixture
def ana(app: Flask, session: Session) -> Staff:
    with app.app_context():
        found = a_staff_member(session, name="Ana Vargas", email="ana@clinic.example")
    session.commit()
    return found


@dataclass(frozen=True)
class Desk:
    """Ana at her desk, who merges two leads and parts them again; the caller commits."""

    session: Session
    vault: Vault
    settings: Settings
    clock: Clock
    ana: Staff

    def merge(self, kept: Lead, other: Lead, *taken: str) -> Merge:
        """``other`` goes into ``kept``, which takes from it what is named."""
        facts = (kept, other, taken, self.ana.id, self.clock.now)
        return merging.merge(self.session, self.vault, self.settings, *facts)

    def undo(self, merge: Merge) -> merging.Undone:
        """All goes back where it was."""
        facts = (merge, self.ana.id, self.clock.now)
        return merging.undo(self.session, self.vault, self.settings, *facts)


@pytest.fixture
def desk(session: Session, vault: Vault, settings: Settings, clock: Clock, ana: Staff) -> Desk:
    return Desk(session, vault, settings, clock, ana)


@pytest.fixture
def janet(session: Session) -> Lead:
    lead = a_lead(session)
    a_request(session, lead)
    a_message(session, lead, step="day-10")
    session.commit()
    return lead


@pytest.fixture
def jan(session: Session, vault: Vault, ana: Staff) -> Lead:
    """The same person from another address, with one of everything that hangs on a lead."""
    lead = a_lead(
        session,
        email=OTHER,
        full_name="Jan Whitfield",
        phone_typed="813 555 0142",
        status=LeadStatus.NEW,
        owner_id=ana.id,
        country="",
        created_at=TUESDAY_MORNING - timedelta(days=9),
        waiting_since=TUESDAY_MORNING - timedelta(hours=1),
    )
    fill(session, vault, lead, ana)
    session.commit()
    return lead


def fill(session: Session, vault: Vault, lead: Lead, colleague: Staff) -> None:
    """Requests and consents, letters, a note that mentions somebody, a task, a tag, a mail."""
    request = a_request(session, lead)
    sent = a_message(
        session,
        lead,
        kind=MessageKind.PACKET,
        state=MessageState.SENT,
        request_id=request.id,
        sent_at=TUESDAY_MORNING,
    )
    a_message(session, lead, step="day-3")
    ref = new_ref()
    note = TimelineEntry(
        ref=ref,
        lead_id=lead.id,
        request_id=request.id,
        message_id=sent.id,
        actor_id=colleague.id,
        kind="note_added",
        facts={},
        note=vault.seal("timeline_entry", "note", ref, NOTE),
        at=TUESDAY_MORNING,
    )
    task, tag = (
        new_ref(),
        Tag(
            ref=new_ref(),
            name=f"Ring {lead.id}",
            name_key=f"ring {lead.id}",
            color="plain",
            created_at=TUESDAY_MORNING,
        ),
    )
    session.add_all([note, tag])
    session.add(
        Task(
            ref=task,
            dedupe_key=f"response:{lead.ref}:20260303",
            kind="response_due",
            lead_id=lead.id,
            due_at=TUESDAY_MORNING,
            created_at=TUESDAY_MORNING,
            text=vault.seal("task", "text", task, NOTE),
        )
    )
    session.add(
        InboundMail(
            ref=new_ref(),
            mail_id_hash=new_ref(),
            sha256="0" * 64,
            kind=InboundKind.ANSWER,
            lead_id=lead.id,
            message_id=sent.id,
            received_at=TUESDAY_MORNING,
            fetched_at=TUESDAY_MORNING,
        )
    )
    session.flush()
    session.add(Mention(entry_id=note.id, staff_id=colleague.id, created_at=TUESDAY_MORNING))
    session.execute(insert(lead_tag).values(lead_id=lead.id, tag_id=tag.id))
    session.flush()


def side_by_side(visitor: Visitor, one: Lead, other: Lead) -> Page:
    return visitor.page(f"/desk/leads/{one.ref}/merging/{other.ref}")


def stand(session: Session, vault: Vault) -> dict[str, list[dict[str, Any]]]:
    """Every row of the tables that a merge may touch, without what tells of the merge itself."""
    session.expire_all()
    found = {}
    for name in ("lead", "lead_tag", "mention", *merge_rows.MOVED):
        rows = session.execute(select(Base.metadata.tables[name])).mappings().all()
        kept = [dict(row) for row in rows if row.get("kind") not in TELLS.get(name, ())]
        for row in kept:
            row.pop("version", None)
            if name == "message":
                opened = vault.open("message", "payload", row["ref"], row["payload"])
                row["payload"] = json.loads(opened)
                row["payload"]["values"] = {
                    key: value
                    for key, value in row["payload"]["values"].items()
                    if key not in ("stop_link", "preferences_link")
                }
                # When it was last looked at is no part of where it stands.
                row.pop("state_at")
                if row["state"] in (MessageState.CANCELLED, MessageState.SUPPRESSED):
                    row["state"], row["reason"] = "stopped", ""
        found[name] = sorted(kept, key=str)
    return found


def test_every_table_that_hangs_on_a_lead_goes_along() -> None:
    """A table that is added later fails here until somebody has thought of it."""
    hangs = {
        table.name
        for table in Base.metadata.tables.values()
        for key in table.foreign_keys
        if key.column.table.name == "lead"
    }
    apart = {"lead", "lead_tag", "presence", "merge", "told_apart"}
    assert hangs - apart == set(merge_rows.MOVED)


def test_staff_choose_field_by_field_and_all_that_was_hangs_together(
    rosa: Visitor, session: Session, vault: Vault, janet: Lead, jan: Lead, ana: Staff
) -> None:
    page = side_by_side(rosa, janet, jan)
    for words in (NAME, "Jan Whitfield", OTHER, MESSAGE, "Packet", "Follow-up letters"):
        assert words in page.main_text
    answer = rosa.send(page, "/merging/" + jan.ref, stays="this", name="that", owner="that")
    told = rosa.page(answer.location)
    assert "Merged: what belonged to Jan Whitfield stands here now." in told.text
    assert (janet.full_name, janet.email, janet.owner_id) == ("Jan Whitfield", janet.email, ana.id)
    # It was first asked when the first of them was, and waits as long as the one who waits longest.
    assert janet.created_at == TUESDAY_MORNING - timedelta(days=9)
    assert janet.waiting_since == TUESDAY_MORNING - timedelta(hours=1)
    assert (jan.status, jan.merged_into_id, jan.waiting_since) == (
        LeadStatus.MERGED,
        janet.id,
        None,
    )
    for table in (Request, Consent, Message, TimelineEntry, Task, InboundMail):
        assert set(session.scalars(select(table.lead_id))) == {janet.id}
    tagged = session.scalars(select(lead_tag.c.lead_id)).all()
    assert tagged == [janet.id]
    # Sealed words open where they are, and what she was told stands on her page.
    assert NOTE in told.text and told.text.count(MESSAGE) == 2
    # Old links lead on; each word finds her, and none finds the other.
    again = rosa.get(f"/desk/leads/{jan.ref}")
    assert (again.status_code, again.location) == (303, f"/desk/leads/{janet.ref}")
    # An open page of the other says that it is gone; a note that was typed there is kept here.
    assert rosa.get(f"/desk/leads/{jan.ref}", headers={"X-Live": "1"}).status_code == 404
    typed_there = {"csrf_token": told.form("/notes")["csrf_token"][0], "note": "She called."}
    rosa.post(f"/desk/leads/{jan.ref}/notes", data=typed_there)
    assert "She called." in rosa.page(f"/desk/leads/{janet.ref}").main_text
    for typed in (OTHER, janet.email, "8135550142", "jan"):
        found = rosa.page(f"/desk/leads?q={typed}")
        assert found.links.count(f"/desk/leads/{janet.ref}") == 1
        assert f"/desk/leads/{jan.ref}" not in found.links
    for path in ("/desk/", "/desk/pipeline", "/desk/leads"):
        assert f"/desk/leads/{jan.ref}" not in rosa.page(path).links
    acts = session.execute(
        select(AuditEntry.subject).where(AuditEntry.act == "leads_merged")
    ).scalars()
    assert set(acts) == {janet.ref, jan.ref}


def test_one_sequence_stays_and_the_other_is_cancelled_with_its_reason(
    rosa: Visitor, session: Session, janet: Lead, jan: Lead
) -> None:
    page = side_by_side(rosa, janet, jan)
    told = rosa.page(rosa.send(page, "/merging/" + jan.ref, stays="this").location)
    follow_ups = session.scalars(
        select(Message).where(Message.kind == MessageKind.FOLLOW_UP).order_by(Message.id)
    ).all()
    assert [(one.step, one.state, one.reason) for one in follow_ups] == [
        ("day-10", "queued", ""),
        ("day-3", "cancelled", "merged"),
    ]
    assert "Merged with the lead of Jan Whitfield (1 follow-up cancelled)" in told.text
    assert "Its lead was merged with another, which had follow-ups of its own." in told.text


def test_a_sequence_that_only_the_other_has_goes_on_at_the_address_that_stays(
    desk: Desk, session: Session, vault: Vault, clock: Clock, janet: Lead, jan: Lead
) -> None:
    """I8; and what stops letters there stops them at that address."""
    stops.cancel_follow_ups(session, janet.id, "staff_cancelled", clock.now)
    merge = desk.merge(janet, jan)
    letter = session.scalars(select(Message).where(Message.step == "day-3")).one()
    assert (letter.recipient, letter.cap_hash, letter.state) == (
        janet.email,
        janet.cap_hash,
        "queued",
    )
    assert f"/stop/{janet.cap_hash}." in open_payload(vault, letter)["values"]["stop_link"]
    session.commit()
    assert not [one for one in sweeper.violations(session, clock.now) if one.invariant == "I8"]
    desk.undo(merge)
    session.refresh(letter)
    assert (letter.recipient, letter.cap_hash, letter.lead_id) == (OTHER, jan.cap_hash, jan.id)


def test_who_is_spoken_with_gets_no_follow_up_of_either(
    desk: Desk, session: Session, janet: Lead, jan: Lead
) -> None:
    jan.status, jan.waiting_since = LeadStatus.BOOKED, None
    desk.merge(janet, jan, "status")
    assert janet.status is LeadStatus.BOOKED
    kinds = select(Message.state).where(Message.kind == MessageKind.FOLLOW_UP)
    assert set(session.scalars(kinds)) == {"cancelled"}
    # She who waits goes on waiting, whatever the status says.
    assert janet.waiting_since == TUESDAY_MORNING


def test_a_merged_address_that_writes_again_joins_the_lead_that_stays(
    desk: Desk,
    session: Session,
    vault: Vault,
    settings: Settings,
    clock: Clock,
    janet: Lead,
    jan: Lead,
) -> None:
    """AB-08: and changes nothing that staff chose, save the clocks."""
    janet.status, janet.waiting_since = LeadStatus.CLOSED, None
    jan.status, jan.waiting_since = LeadStatus.CLOSED, None
    session.flush()
    desk.merge(janet, jan)
    session.commit()
    before = stand(session, vault)["lead"]
    clock.advance(timedelta(days=3))
    wanted = a_submission(email=OTHER, email_typed=OTHER, full_name="Somebody Else")
    receive(session, vault, settings, wanted, clock.now)
    session.commit()
    session.expire_all()
    request = session.scalars(select(Request).order_by(Request.id.desc())).first()
    assert request is not None and request.lead_id == janet.id
    assert [janet.status, janet.waiting_since] == [LeadStatus.NEW, clock.now]
    assert (janet.full_name, janet.last_request_at) == (NAME, clock.now)
    merged = [row for row in stand(session, vault)["lead"] if row["id"] == jan.id]
    assert merged == [row for row in before if row["id"] == jan.id]
    packet = session.scalars(
        select(Message).where(Message.dedupe_key == f"packet:{request.receipt}")
    ).one()
    assert (packet.recipient, packet.lead_id, packet.cap_hash) == (OTHER, janet.id, jan.cap_hash)
    assert not [one for one in sweeper.violations(session, clock.now) if one.invariant == "I8"]
    assert _lead_of(session, OTHER) == janet


def test_a_stop_at_either_address_holds_there_and_ends_the_persons_consent(
    desk: Desk, session: Session, clock: Clock, janet: Lead, jan: Lead
) -> None:
    """MD-14, I7."""
    jan.confirmed_at = clock.now
    stopping.stop_follow_ups(session, janet.cap_hash, clock.now)
    desk.merge(jan, janet)
    assert stops.is_suppressed(session, janet.cap_hash, MessageKind.FOLLOW_UP)
    assert not stops.is_suppressed(session, jan.cap_hash, MessageKind.FOLLOW_UP)
    letter = session.scalars(select(Message).where(Message.step == "day-3")).one()
    assert policy.refusal(session, letter, clock.now) is None
    stopping.stop_follow_ups(session, janet.cap_hash, clock.now)
    refused = policy.refusal(session, letter, clock.now)
    assert refused is not None and refused.reason == "consent_withdrawn"


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_merge_that_is_undone_leaves_no_trace_in_any_row(
    engine: Engine, vault: Vault, desk: Desk
) -> None:
    """Whatever hangs on the two, however staff chose: merge, then undo, and all is as it was."""

    def waits(hours: int | None) -> dict[str, Any]:
        reach = {"phone": None, "language": "en", "contact_by": ""}
        rest = {"status": LeadStatus.NEW, "filled": True, "asked": False}
        return {**reach, **rest, "waits": hours}

    bare = waits(1) | {"filled": False}
    statuses = st.sampled_from([status for status in LeadStatus if status.is_listed])
    leads = st.fixed_dictionaries(
        {
            "status": statuses,
            "phone": st.sampled_from([None, "+18135550142", "+50688880123"]),
            "language": st.sampled_from(["en", "es"]),
            "contact_by": st.sampled_from(["", "phone"]),
            "waits": st.sampled_from([None, 1, 5]),
            "filled": st.booleans(),
            "asked": st.booleans(),
        }
    )

    @examples(
        max_examples=20,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.generate),
    )
    # Both wait and both were warned once: the clock goes back as one.
    @example((waits(1), waits(5), waits(None)), {"status"}, True)
    # The letter had been given another address by a merge before: it says so again.
    @example((bare, bare, waits(5)), set(), True)
    @given(st.tuples(leads, leads, leads), st.sets(st.sampled_from(list(CHOICES))), st.booleans())
    def check(facts: tuple[Mapping[str, Any], ...], taken: set[str], in_a_chain: bool) -> None:
        with open_session(engine) as session:
            ana = dataclasses.replace(desk, session=session)
            kept, other, third = (_made(session, vault, desk.ana, one) for one in facts)
            if in_a_chain:
                ana.merge(other, third)
            before = stand(session, vault)
            merge = ana.merge(kept, other, *taken)
            assert stand(session, vault) != before
            undone = ana.undo(merge)
            after = stand(session, vault)
            again = _put_in_their_place(merge, before["message"], after["message"])
            assert (again, len(merge.moved["stopped"]) - again) == (undone.letters, undone.ended)
            assert after == before
            session.rollback()

    check()


def _put_in_their_place(
    merge: Merge, before: list[dict[str, Any]], after: list[dict[str, Any]]
) -> int:
    """Let each letter that goes on after all stand for the one that had ended; how many."""
    prefix = f"again:{merge.ref}:"
    fresh = [row for row in after if row["dedupe_key"].startswith(prefix)]
    old = {row["ref"]: row for row in after}
    for row in fresh:
        ended = old[row["dedupe_key"].removeprefix(prefix)]
        assert ended["state"] == "stopped"
        after.remove(row)
        ended.update({name: row[name] for name in row if name not in OWN_COLUMNS})
    for row in before:
        if row["id"] in merge.moved["stopped"] and old[row["ref"]]["state"] == "stopped":
            row["state"], row["reason"] = "stopped", ""
        elif row["id"] in merge.moved["stopped"] and row["reason"] == READDRESSED:
            # A new letter has had no other address.
            row["reason"] = ""
    return len(fresh)


def _made(session: Session, vault: Vault, ana: Staff, facts: Mapping[str, Any]) -> Lead:
    waits = facts["waits"]
    lead = a_lead(
        session,
        email=f"{new_ref()}@example.com",
        status=facts["status"],
        closed_reason="cost" if facts["status"] is LeadStatus.CLOSED else "",
        phone=facts["phone"],
        phone_typed=facts["phone"] or "",
        language=facts["language"],
        contact_by=facts["contact_by"],
        waiting_since=TUESDAY_MORNING - timedelta(hours=waits) if waits else None,
    )
    if waits:
        lead.first_response_due_at = TUESDAY_MORNING + timedelta(hours=waits)
        lead.warnings = waits % 2
    if facts["filled"]:
        fill(session, vault, lead, ana)
    elif facts["asked"]:
        a_request(session, lead)
        a_message(session, lead)
    return lead


def test_follow_ups_that_a_merge_cancelled_go_out_after_its_undo(
    rosa: Visitor, session: Session, clock: Clock, send_due: SendDue, janet: Lead, jan: Lead
) -> None:
    """What ended stays so: each is a new letter, on the old one's day, held where that was."""
    janet.confirmed_at = jan.confirmed_at = clock.now
    too_late = letters_again(session, jan, again="test")["day-3"]
    too_late.not_after = clock.now + timedelta(days=2)
    old = [a_reminder(session, jan, step, days) for step, days in (("day-10", 7), ("day-24", 21))]
    old[1].state, old[1].reason = MessageState.HELD, "paused"
    for days in (0, 1):
        page = side_by_side(rosa, janet, jan)
        shown = rosa.page(rosa.send(page, "/merging/" + jan.ref, stays="this").location)
        clock.advance(timedelta(days=5 * days))
        told = rosa.page(rosa.send(shown, "/undoing").location)
    assert "2 follow-ups that the merge had cancelled go out after all." in told.text
    assert "1 follow-up stays cancelled: it would come too late" in told.text
    session.expire_all()
    own = rosa.page(f"/desk/leads/{jan.ref}")
    assert "Undid the merge with Janet Whitfield (2 follow-ups go out after all)" in own.text
    assert {one.state for one in (*old, too_late)} == {"cancelled"}
    merge = session.scalars(select(Merge).order_by(Merge.id.desc())).first()
    assert merge is not None
    fresh = letters_again(session, jan, merge.ref)
    # The second merge had cancelled what came after the first.
    assert {(one.step, one.due_at, one.not_after) for one in fresh.values()} == {
        (one.step, one.due_at, one.not_after) for one in old
    }
    assert {(one.step, one.state, one.reason) for one in fresh.values()} == {
        ("day-10", "queued", ""),
        ("day-24", "held", "paused"),
    }
    clock.advance(timedelta(days=2))
    send_due()
    assert (fresh["day-10"].recipient, fresh["day-10"].state) == (OTHER, "sent")
    broken = {one.invariant for one in sweeper.violations(session, clock.now)}
    assert not broken & {"I3", "I5", "I7", "I8", "I10"}


def test_they_go_to_the_address_of_now_where_the_status_had_ended_them(
    desk: Desk, session: Session, vault: Vault, clock: Clock, janet: Lead, jan: Lead
) -> None:
    jan.status = LeadStatus.BOOKED
    reminder = a_reminder(session, janet, "day-24", 21)
    merge = desk.merge(janet, jan, "status")
    janet.email, janet.cap_hash = "janet.new@mail.example", "n" * 64
    undone = desk.undo(merge)
    session.refresh(reminder)
    assert (reminder.state, reminder.reason) == ("cancelled", "status_booked")
    fresh = letters_again(session, janet, merge.ref)["day-24"]
    assert (fresh.recipient, fresh.cap_hash) == (janet.email, janet.cap_hash)
    assert f"/stop/{janet.cap_hash}." in open_payload(vault, fresh)["values"]["stop_link"]
    # Of her who is booked nothing goes on.
    assert (undone.letters, letters_again(session, jan, merge.ref)) == (2, {})


@pytest.mark.parametrize(
    "since", ["answered", "reached", "unsubscribed", "moved", "asked again", "older release"]
)
def test_none_goes_out_after_all_where_something_has_stopped_letters_since(
    desk: Desk, session: Session, settings: Settings, janet: Lead, jan: Lead, since: str
) -> None:
    vault, now = desk.vault, desk.clock.now
    jan.confirmed_at = now
    a_reminder(session, jan, "day-10", 7)
    merge = desk.merge(janet, jan)
    match since:
        case "answered":
            mail = read_mail(answer_to_us(OTHER, "Yes, please call me."))
            # Written before the merge, read after it.
            answer = Answer(mail, janet, None, now - timedelta(minutes=5))
            take_answer(session, vault, settings, answer, now)
        case "reached":
            contact.log_call(session, vault, janet, desk.ana.id, now, CallOutcome.REACHED)
        case "unsubscribed":
            stopping.stop_follow_ups(session, jan.cap_hash, now)
        case "moved":
            pipeline.change_status(session, janet, LeadStatus.BOOKED, desk.ana.id, now)
        case "asked again":
            a_message(session, janet, step="day-10", recipient=OTHER, cap_hash=jan.cap_hash)
        case _:
            merge.moved = {name: ids for name, ids in merge.moved.items() if name != "held"}
    session.flush()
    undone = desk.undo(merge)
    goes_on = {"day-3"} if since == "asked again" else set()
    assert letters_again(session, jan, merge.ref).keys() == goes_on
    assert (undone.letters, undone.ended) == (len(goes_on), 2 - len(goes_on))


def a_reminder(session: Session, lead: Lead, step: str, days: int) -> Message:
    """A follow-up to come, so many days from the clock's first day."""
    due_at = TUESDAY_MORNING + timedelta(days=days)
    not_after = due_at + timedelta(hours=48)
    return a_message(session, lead, step=step, due_at=due_at, not_after=not_after)


def letters_again(session: Session, lead: Lead, again: str) -> dict[str, Message]:
    """The lead's follow-ups whose key has this in it, by their steps."""
    wanted = select(Message).where(
        Message.lead_id == lead.id,
        Message.kind == MessageKind.FOLLOW_UP,
        Message.dedupe_key.contains(again),
    )
    return {letter.step: letter for letter in session.scalars(wanted)}


def test_what_happened_since_stays_with_the_lead_that_stays(
    rosa: Visitor,
    session: Session,
    vault: Vault,
    settings: Settings,
    clock: Clock,
    janet: Lead,
    jan: Lead,
) -> None:
    page = side_by_side(rosa, janet, jan)
    rosa.send(page, "/merging/" + jan.ref, stays="this", name="that")
    page = rosa.page(f"/desk/leads/{janet.ref}")
    rosa.send(page, "/notes", note="Spoke with her since.")
    edit = rosa.page(f"/desk/leads/{janet.ref}/details")
    rosa.send(edit, "/details", full_name="Janet Whitfield Ruiz")
    clock.advance(timedelta(days=29))
    page = rosa.page(f"/desk/leads/{janet.ref}")
    told = rosa.page(rosa.send(page, "/undoing").location)
    assert (
        "Undone: Jan Whitfield stands alone again. What a colleague has changed since" in told.text
    )
    assert (janet.full_name, jan.full_name) == ("Janet Whitfield Ruiz", "Jan Whitfield")
    assert (jan.status, jan.merged_into_id) == (LeadStatus.NEW, None)
    assert "Spoke with her since." in told.text
    own = rosa.page(f"/desk/leads/{jan.ref}")
    assert NOTE in own.text and "Spoke with her since." not in own.text
    assert "Undid the merge with Janet Whitfield Ruiz" in own.text


def test_after_thirty_days_a_merge_stays_and_how_the_two_stood_is_forgotten(
    rosa: Visitor, session: Session, clock: Clock, janet: Lead, jan: Lead
) -> None:
    page = side_by_side(rosa, janet, jan)
    shown = rosa.page(rosa.send(page, "/merging/" + jan.ref, stays="this").location)
    clock.advance(timedelta(days=30))
    merging.forget_old_merges(session, clock.now)
    session.commit()
    merge = session.scalars(select(Merge)).one()
    assert (merge.stood, merge.moved) == (None, {})
    told = rosa.page(rosa.send(shown, "/undoing").location)
    assert "A merge can be undone for 30 days; this one is older." in told.text
    assert jan.merged_into_id == janet.id


def test_of_two_who_merge_the_same_pair_one_wins_and_the_other_is_told(
    rosa: Visitor, sign_in: SignIn, session: Session, janet: Lead, jan: Lead
) -> None:
    marta = sign_in("coordinator", name="Marta Solís")
    mine, hers = side_by_side(rosa, janet, jan), side_by_side(marta, jan, janet)
    assert rosa.send(mine, "/merging/" + jan.ref, stays="this").status_code == 303
    told = marta.page(marta.send(hers, "/merging/" + janet.ref, stays="this").location)
    assert "Rosa Alvarado has merged Jan Whitfield already" in told.text
    assert len(session.scalars(select(Merge)).all()) == 1


def test_two_merges_at_the_same_moment_make_one(
    desk: Desk, engine: Engine, session: Session, janet: Lead, jan: Lead
) -> None:
    at_once = threading.Barrier(2)
    outcomes: list[str] = []

    def press(stays: int, goes: int) -> None:
        with open_session(engine) as own:
            at_once.wait()
            merging.take_turn(own)
            kept, other = own.get_one(Lead, stays), own.get_one(Lead, goes)
            try:
                dataclasses.replace(desk, session=own).merge(kept, other)
                own.commit()
                outcomes.append("merged")
            except merging.MergeRefused as refused:
                own.rollback()
                outcomes.append(f"refused: {refused}")

    session.commit()
    pairs = ((janet.id, jan.id), (jan.id, janet.id))
    threads = [threading.Thread(target=press, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["merged", "refused: merged"]


def test_a_lead_that_changed_meanwhile_is_shown_again_before_it_is_merged(
    rosa: Visitor, session: Session, janet: Lead, jan: Lead
) -> None:
    page = side_by_side(rosa, janet, jan)
    jan.full_name = "Janine Whitfield"
    session.commit()
    again = rosa.send(page, "/merging/" + jan.ref, stays="that", name="that")
    assert again.status_code == 409
    shown = Page(again.text)
    assert "Janine Whitfield has changed since you opened the page" in shown.text
    assert shown.form("/merging/" + jan.ref)["stays"] == ["that"]
    rosa.send(shown, "/merging/" + jan.ref)
    assert janet.merged_into_id == jan.id and jan.full_name == "Janine Whitfield"


def test_they_are_told_apart_and_that_is_taken_back(
    rosa: Visitor, session: Session, janet: Lead, jan: Lead
) -> None:
    page = rosa.page(f"/desk/leads/{janet.ref}")
    assert "the same telephone" in page.main_text
    told = rosa.page(rosa.send(side_by_side(rosa, janet, jan), "/difference/" + jan.ref).location)
    assert "Remembered: Jan Whitfield is somebody else." in told.text
    for lead in (janet, jan):
        assert "Perhaps the same person" not in rosa.page(f"/desk/leads/{lead.ref}").main_text
    assert "Rosa Alvarado said that they are not the same" in side_by_side(rosa, janet, jan).text
    rosa.send(told, "/difference/" + jan.ref, off="1")
    assert "the same telephone" in rosa.page(f"/desk/leads/{janet.ref}").main_text


def test_the_same_name_and_mailbox_elsewhere_suggest_a_duplicate(session: Session) -> None:
    one = a_lead(session, full_name="José Peña", email="j.pena@gmial.com", phone=None)
    same = a_lead(session, full_name="Jose  PENA", email="J.Pena@gmail.com", phone=None)
    a_lead(session, full_name="José Peña", email="jp77@gmail.com", phone=None)
    a_lead(session, full_name="Juana Peña", email="j.pena@hotmail.com", phone=None)
    assert [(found.lead, found.why) for found in duplicates(session, one)] == [(same, "name")]


def test_front_desk_neither_merges_nor_learns_of_health(
    sign_in: SignIn, session: Session, janet: Lead, jan: Lead
) -> None:
    """AU-12: the page itself is for coordinators; what a merge left on the lead's page is not."""
    front = sign_in("front_desk")
    assert front.get(f"/desk/leads/{janet.ref}/merging/{jan.ref}").status_code == 403
    page = front.page(f"/desk/leads/{janet.ref}")
    assert "A coordinator can compare and merge them." in page.text
    assert f"/merging/{jan.ref}" not in "".join(page.links)
    coordinator = sign_in("coordinator")
    shown = side_by_side(coordinator, janet, jan)
    coordinator.send(shown, "/merging/" + jan.ref, stays="this")
    after = front.page(f"/desk/leads/{janet.ref}")
    assert MESSAGE not in after.text and NOTE not in after.text
    assert not [form for form in after.find("form") if "/merges/" in form.get("action")]


def test_a_held_request_is_decided_about_before_its_lead_is_merged(
    rosa: Visitor, session: Session, janet: Lead, jan: Lead
) -> None:
    jan.status = LeadStatus.HELD
    session.commit()
    told = rosa.page(f"/desk/leads/{janet.ref}/merging/{jan.ref}")
    assert "Release or discard it first, then merge them." in told.text


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_by_key_and_on_a_phone_a_lead_is_edited_compared_merged_and_parted(
    browser: Browser, site: str, app: Flask, session: Session, janet: Lead, jan: Lead
) -> None:
    """AX-01, AX-05: dark, 320 px wide, in every state of both pages."""
    look: dict[str, Any] = {"viewport": {"width": 320, "height": 800}, "color_scheme": "dark"}

    def look_at(shown: BrowserPage) -> None:
        assert shown.evaluate("document.documentElement.scrollWidth") <= 320
        assert_accessible(shown)

    with open_page(browser, site, **look) as page:
        sign_in_by_form(page, "ana@clinic.example")
        page.goto(f"/desk/leads/{janet.ref}")
        page.keyboard.press("e")
        page.wait_for_url("**/details")
        look_at(page)
        page.get_by_label("Name", exact=True).fill("Jeanette Whitfield")
        page.get_by_label("Email").fill(OTHER)
        page.keyboard.press("Enter")
        page.get_by_text("Jan Whitfield has this address already.").first.wait_for()
        look_at(page)
        page.get_by_role("link", name="Compare and merge").click()
        page.get_by_role("heading", name="The same person?").wait_for()
        look_at(page)
        page.get_by_role("group", name="Name").get_by_label("Jan Whitfield").check()
        page.get_by_role("button", name="Merge the two").click()
        page.get_by_text("Merged: what belonged to Jan Whitfield stands here now.").wait_for()
        look_at(page)
        page.get_by_role("button", name="Undo the merge with Jan Whitfield").click()
        page.get_by_text("Undone: Jan Whitfield stands alone again.").wait_for()
    session.expire_all()
    assert (janet.full_name, jan.merged_into_id) == (NAME, None)
