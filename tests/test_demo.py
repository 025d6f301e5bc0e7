"""The demo: a believable clinic, written so that nothing of the ledger is out of order."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from leadcapture import demo
from leadcapture.demo.people import PEOPLE
from leadcapture.leads.duplicates import duplicates
from leadcapture.models import Lead, LeadStatus, Message, MessageState, Task
from leadcapture.outbox.sweeper import violations
from leadcapture.settings import Settings
from leadcapture.vault import Vault
from tests.clock import Clock


def test_the_demo_shows_every_state_and_breaks_no_invariant(
    session: Session, vault: Vault, settings: Settings, clock: Clock
) -> None:
    """MD-23: a newcomer's first page holds what a clinic's would, not alarms of our own making."""
    assert demo.fill(session, vault, settings, clock()) == len(PEOPLE)
    session.commit()

    assert violations(session, clock(), vault=vault) == []
    # Two people who are one are for a newcomer to find and merge.
    assert set(session.scalars(select(Lead.status))) == set(LeadStatus) - {LeadStatus.MERGED}
    marcus = session.scalars(select(Lead).where(Lead.full_name == "Marcus Ortiz")).one()
    assert [one.lead.full_name for one in duplicates(session, marcus)] == ["Marc Ortiz"]
    passing = {MessageState.CLAIMED, MessageState.SENDING, MessageState.UNCERTAIN}
    assert set(session.scalars(select(Message.state))) == set(MessageState) - passing
    asked = set(session.scalars(select(Task.kind)))
    assert asked == {"letter_failed", "letter_bounced", "letter_held", "letter_uncertain"}


def test_the_demo_is_filled_in_once(
    session: Session, vault: Vault, settings: Settings, clock: Clock
) -> None:
    demo.fill(session, vault, settings, clock())
    session.commit()
    leads = session.scalar(select(func.count()).select_from(Lead))

    assert demo.fill(session, vault, settings, clock()) == 0
    assert session.scalar(select(func.count()).select_from(Lead)) == leads
