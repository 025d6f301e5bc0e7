"""Holding: the one order in which a lead and what hangs on it are locked.

It is for PostgreSQL, where two who lock in opposite order wait for each other until one of them
is thrown out; on SQLite whoever writes is alone.

1. The lead, by whoever changes it or several of its letters. Of several leads the one with the
   lower id comes first; but one that was merged comes before the one that stands for it, as a
   request from its address meets them.
2. Its letters.
3. Rows that point to either: a task, a line of the timeline.

A held lead lets others add such rows (FOR NO KEY UPDATE). So whoever changes a single letter and
adds rows about it, as workers do, holds nothing. Only a lead's address is a key of its row: once a
new one is written, rows that point to the lead have to wait. Its letters are held before that.
Those who pass over what others hold (SKIP LOCKED) wait for nobody, and may come in any order.
"""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.models import OPEN_STATES, Lead, Message


def hold_leads(session: Session, *lead_ids: int) -> Sequence[Lead]:
    """The leads as they stand now, by their ids; until the commit nobody else changes them."""
    session.flush()
    return session.scalars(
        select(Lead)
        .where(Lead.id.in_(lead_ids))
        .order_by(Lead.id)
        .with_for_update(of=Lead, key_share=True)
        .execution_options(populate_existing=True)
    ).all()


def hold_letters(session: Session, lead_id: int) -> None:
    """Hold the letters of a lead that have not ended; their lead is held already."""
    session.execute(
        select(Message.id)
        .where(Message.lead_id == lead_id, Message.state.in_(OPEN_STATES))
        .order_by(Message.id)
        .with_for_update(key_share=True)
    ).all()
