"""Now hides nothing: the newest decision comes first, counts are true, the rest stands on pages."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from leadcapture.leads import clock as response_clock
from leadcapture.leads import waiting
from leadcapture.models import Lead, Message, MessageKind, MessageState, Task
from leadcapture.outbox import ledger
from leadcapture.outbox.alerts import raise_alert
from leadcapture.outbox.queue import new_ref
from tests.clock import TUESDAY_MORNING, Clock
from tests.people import a_lead, a_letter_version, a_message
from tests.test_dashboard import rosa
from tests.visitors import Visitor

__all__ = ["rosa"]


@pytest.fixture
def lead(session: Session) -> Lead:
    return a_lead(session, waiting_since=None)


def stuck(session: Session, lead: Lead, number: int, state: MessageState, at: datetime) -> Message:
    letter = a_letter_version(session) if number == 0 else None
    facts: dict[str, Any] = {"state": state, "reason": "nonsense", "state_at": at, "letter": letter}
    message = a_message(session, lead, kind=MessageKind.PACKET, **facts)
    ledger.ask_staff(session, message, f"letter_{state}", at)
    return message


def a_task(session: Session, lead: Lead, due_at: datetime) -> Task:
    ref = new_ref()
    facts = {"ref": ref, "dedupe_key": f"call_back:{ref}", "kind": "call_back"}
    task = Task(**facts, lead_id=lead.id, due_at=due_at, created_at=TUESDAY_MORNING)
    session.add(task)
    return task


def test_a_letter_of_a_minute_ago_stands_above_sixty_old_ones(
    rosa: Visitor, session: Session, lead: Lead, clock: Clock
) -> None:
    """OP-06: on the staff page within a minute, however much has gathered there."""
    for number in range(60):
        at = clock.now - timedelta(days=1, minutes=number)
        stuck(session, lead, number, MessageState.FAILED, at)
    stuck(session, lead, 60, MessageState.HELD, clock.now - timedelta(minutes=1))
    page = rosa.page("/desk/")
    assert "Needs a decision 61" in page.main_text
    assert page.main_text.count("nothing sensible") == 50
    first = page.main_text.index("nothing sensible")
    assert "1 min ago" in page.main_text[first - 100 : first]
    more = rosa.page(page.link("More"))
    assert more.main_text.count("nothing sensible") == 11
    assert "Page 2 of 2" in more.main_text
    for odd in ("0", "-3", "x", "99999999999999999999"):
        assert rosa.get(f"/desk/?decide={odd}&todo={odd}").status_code == 200


def test_what_the_service_says_of_itself_stands_above_peoples_tasks(
    rosa: Visitor, session: Session, lead: Lead, clock: Clock
) -> None:
    for number in range(60):
        a_task(session, lead, clock.now - timedelta(days=1, minutes=number))
    a_task(session, lead, clock.now + timedelta(minutes=5))
    raise_alert(session, "sweep_i7", "zz", clock.now)
    page = rosa.page("/desk/")
    text = page.main_text
    assert "To do 62" in text
    assert text.index("after it had been stopped") < text.index("Call back")
    assert text.count("Call back ·") == 50
    assert rosa.page(page.link("More")).main_text.count("Call back ·") == 11


def test_whose_clock_runs_is_not_hidden_by_those_whom_nobody_reaches(
    session: Session, clock: Clock
) -> None:
    for number in range(6):
        a_lead(session, waiting_since=TUESDAY_MORNING - timedelta(days=9, minutes=number))
    new = a_lead(session, waiting_since=TUESDAY_MORNING)
    rules = response_clock.read_rules(session, "America/Costa_Rica")
    queue = waiting.call_queue(session, rules, clock.now, most=4)
    assert len(queue.waiting) == 4
    assert new.id in [waits.lead.id for waits in queue.waiting]
