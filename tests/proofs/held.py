"""What staff do with held letters, by the very acts of the desk."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.leads import letters_stuck
from leadcapture.models import Message, MessageState


def try_held_again(session: Session, actor_id: int, now: datetime) -> None:
    """Have each held letter tried again; end those that another try would not help."""
    held = select(Message).where(Message.state == MessageState.HELD)
    for message in session.scalars(held).all():
        if letters_stuck.try_again(session, message, actor_id, now).refused:
            letters_stuck.end(session, message, actor_id, now)
