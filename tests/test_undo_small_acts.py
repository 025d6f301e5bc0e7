"""A view let go, a task put off and a letter paused are taken back from the message (LOOK)."""

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.leads import tasks
from leadcapture.models import (
    AuditEntry,
    BulkAct,
    Lead,
    Message,
    MessageState,
    SavedView,
    Staff,
)
from leadcapture.outbox.queue import new_ref
from leadcapture.vault import Vault
from tests.clock import TUESDAY_MORNING, Clock
from tests.conftest import SignIn
from tests.pages import Page
from tests.people import a_lead
from tests.test_dashboard import janet, page_of, rosa
from tests.visitors import Visitor

__all__ = ["janet", "rosa"]

COLUMNS = ["status", "owner"]
MORNINGS, OTHER = new_ref(), new_ref()


def a_view(session: Session, owner: Staff, **changes: object) -> SavedView:
    facts = {
        "ref": MORNINGS,
        "owner_id": owner.id,
        "name": "Mornings",
        "is_shared": True,
        "words": {"q": ["whitfield"], "sort": ["name"]},
        "columns": COLUMNS,
        "changed_at": TUESDAY_MORNING,
    }
    view = SavedView(**(facts | changes))
    session.add(view)
    session.commit()
    return view


def facts_of(session: Session) -> list[tuple[object, ...]]:
    session.expire_all()
    return [
        (view.ref, view.owner_id, view.name, view.is_shared, view.words, view.columns)
        for view in session.scalars(select(SavedView).order_by(SavedView.id))
    ]


def undo_forms(page: Page) -> list[str]:
    """Where the buttons lead that say Undo."""
    forms = page.find("form")
    return [form.get("action") for form in forms if form.find("button")[-1].text == "Undo"]


@pytest.mark.parametrize("who", ["owner", "administrator"])
def test_a_view_that_was_let_go_comes_back_as_it_was(
    sign_in: SignIn, session: Session, who: str
) -> None:
    """Name, filters, columns, owner and sharing, at its old address."""
    visitor = sign_in("coordinator" if who == "owner" else "admin")
    [owner] = session.scalars(select(Staff))
    if who != "owner":
        sign_in(name="Marta Solís")
        owner = session.scalars(select(Staff).where(Staff.name == "Marta Solís")).one()
    a_view(session, owner)
    before = facts_of(session)
    gone = visitor.send(visitor.page("/desk/views"), "/removal")
    assert gone.status_code == 303
    assert facts_of(session) == []
    page = visitor.page(gone.location)
    assert "“Mornings” is gone. No lead was touched." in page.text
    act = session.scalars(select(BulkAct)).one()
    assert "whitfield" not in str(act.facts) + str(act.changed), "what was searched for is sealed"
    assert len(undo_forms(page)) == 1
    back = visitor.send(page, "/undoing")
    assert facts_of(session) == before
    page = visitor.page(back.location)
    assert "“Mornings” is back." in page.text and "whitfield" in page.main_text
    assert f"view={MORNINGS}" in back.location and undo_forms(page) == []
    session.rollback()
    visitor.post(f"/desk/acts/{act.ref}/undoing", data={"csrf_token": token_of(page)})
    assert "It was undone already." in visitor.page("/desk/").text
    assert facts_of(session) == before


def token_of(page: Page) -> list[str]:
    return page.form("/sign-out")["csrf_token"]


def test_a_view_does_not_come_back_beside_another_of_its_name(
    sign_in: SignIn, session: Session
) -> None:
    visitor = sign_in()
    owner = session.scalars(select(Staff)).one()
    a_view(session, owner)
    gone = visitor.send(visitor.page("/desk/views"), "/removal")
    page = visitor.page(gone.location)
    a_view(session, owner, ref=OTHER, name="mornings")
    visitor.send(page, "/undoing")
    assert [facts[0] for facts in facts_of(session)] == [OTHER]
    told = "Not undone: there is another view called “Mornings” now. Rename that, then undo."
    page_with_undo = visitor.page("/desk/views")
    assert told in page_with_undo.text
    session.scalars(select(SavedView)).one().name = "Evenings"
    session.commit()
    visitor.send(page_with_undo, "/undoing")
    assert [facts[0] for facts in facts_of(session)] == [OTHER, MORNINGS]


def test_a_task_that_was_put_off_is_due_as_before(
    rosa: Visitor, session: Session, vault: Vault, clock: Clock
) -> None:
    lead, owner = a_lead(session), session.scalars(select(Staff)).one()
    due_at = TUESDAY_MORNING + timedelta(hours=3)
    task = tasks.add_task(session, vault, lead, owner, "Call her", due_at, owner.id, clock.now)
    task.reminded_at = TUESDAY_MORNING
    session.commit()
    for where in (f"/desk/leads/{lead.ref}", "/desk/"):
        rosa.send(rosa.page(f"/desk/leads/{lead.ref}"), "/snooze", until="tomorrow")
        session.expire_all()
        assert task.due_at > due_at and task.reminded_at is None
        page = rosa.page(where)
        assert "Put off to" in page.text and len(undo_forms(page)) == 1
        back = rosa.send(page, "/undoing")
        session.expire_all()
        assert (task.due_at, task.reminded_at) == (due_at, TUESDAY_MORNING)
        assert back.location.partition("?")[0].endswith(where)
        assert "Undone: it is due" in rosa.page(back.location).text


@pytest.mark.parametrize("since", ["put off further", "done"])
def test_a_task_that_somebody_dealt_with_since_stays_as_it_is(
    rosa: Visitor, session: Session, vault: Vault, clock: Clock, since: str
) -> None:
    lead, owner = a_lead(session), session.scalars(select(Staff)).one()
    due_at = TUESDAY_MORNING + timedelta(hours=3)
    task = tasks.add_task(session, vault, lead, owner, "Call her", due_at, owner.id, clock.now)
    session.commit()
    rosa.send(rosa.page(f"/desk/leads/{lead.ref}"), "/snooze", until="tomorrow")
    page = rosa.page(f"/desk/leads/{lead.ref}")
    session.expire_all()
    if since == "done":
        task.done_at = clock.now
    else:
        task.due_at += timedelta(days=3)
    stood = (task.due_at, task.done_at)
    session.commit()
    rosa.send(page, "/undoing")
    session.expire_all()
    assert (task.due_at, task.done_at) == stood
    told = "Not undone: somebody has dealt with it since."
    assert told in rosa.page(f"/desk/leads/{lead.ref}").text


def letter_of(session: Session) -> Message:
    session.expire_all()
    return session.scalars(select(Message).order_by(Message.id)).all()[0]


def pause(visitor: Visitor, session: Session, lead: Lead) -> Page:
    """The page after its first letter was paused."""
    letter = letter_of(session)
    visitor.send(page_of(visitor, lead), f"/letters/{letter.ref}/plan", act="pause")
    assert letter_of(session).state is MessageState.HELD
    return page_of(visitor, lead)


def test_a_letter_that_was_paused_by_a_slip_goes_on_its_day(
    rosa: Visitor, session: Session, janet: Lead, clock: Clock
) -> None:
    """Without the password: it leaves no sooner than it would have, had nobody pressed."""
    due_at = letter_of(session).due_at
    page = pause(rosa, session, janet)
    assert "It waits until somebody resumes it." in page.text and len(undo_forms(page)) == 1
    clock.advance(timedelta(minutes=9))
    rosa.send(page, undo_forms(page)[0])
    letter = letter_of(session)
    assert (letter.state, letter.reason, letter.due_at) == (MessageState.QUEUED, "", due_at)
    text = page_of(rosa, janet).text
    assert "Undone: Follow-up · day 3 leaves" in text
    assert "Took back that a letter was paused" in text
    assert "letter_unpaused" in session.scalars(select(AuditEntry.act)).all()


@pytest.mark.parametrize("why", ["late", "another", "paused again", "resumed"])
def test_a_pause_that_is_older_or_another_persons_ends_by_password_alone(
    rosa: Visitor,
    sign_in: SignIn,
    app: Flask,
    session: Session,
    janet: Lead,
    clock: Clock,
    why: str,
) -> None:
    page = pause(rosa, session, janet)
    marta = sign_in(name="Marta Solís")
    who, letter = rosa, letter_of(session)
    if why == "late":
        clock.advance(timedelta(minutes=11))
    elif why == "another":
        who, page = marta, page_of(marta, janet)
    else:
        clock.advance(timedelta(minutes=1))
        letter.state, letter.reason, letter.state_at = MessageState.QUEUED, "", clock.now
        session.commit()
        if why == "paused again":
            pause(marta, session, janet)
    stood = letter_of(session).state
    session.commit()
    data = {"csrf_token": token_of(page), "act": "unpause"}
    who.post(f"/desk/letters/{letter.ref}/plan", data=data)
    assert letter_of(session).state is stood
    assert "Not undone: " in page_of(who, janet).text
