"""How much mail one address gets, whatever is posted in its name (AB-01, SC-12).

Asked in three places: when a request queues its packet, when a follow-up is about to leave, and
when letters follow a person to another address. What counts is said here alone.
"""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Function, and_, func, literal, or_, select
from sqlalchemy.orm import Session

from leadcapture.models import Message, MessageKind, MessageState

DAY, MONTH = timedelta(days=1), timedelta(days=30)
PACKETS = (MessageKind.PACKET, MessageKind.PACKET_LINK)


class Cap(NamedTuple):
    """The most letters that an address gets in 24 hours and in 30 days."""

    daily: int
    monthly: int

    def is_reached(self, in_day: int, in_month: int) -> bool:
        """True where one letter more would be too many."""
        return in_day >= self.daily or in_month >= self.monthly


UNCONFIRMED = Cap(daily=1, monthly=3)  # packets and follow-ups together
CONFIRMED = Cap(daily=5, monthly=30)  # packets
FOLLOW_UPS = Cap(daily=1, monthly=5)

# However long ago it was queued: it leaves when the relay is back, perhaps with the next one.
_IS_ON_ITS_WAY = Message.state.in_((MessageState.QUEUED, MessageState.CLAIMED))
# Whatever became of it later: after a doubt a copy may have arrived.
_MAY_HAVE_LEFT = or_(
    Message.state.in_((MessageState.SENT, MessageState.SENDING, MessageState.UNCERTAIN)),
    Message.doubts > 0,
)
_STOPPED = (MessageState.CANCELLED, MessageState.SUPPRESSED)
_IS_PACKET = Message.kind.in_(PACKETS)
IS_HELD_PACKET = and_(_IS_PACKET, Message.state == MessageState.HELD)
IS_PACKET_THAT_LEFT = and_(_IS_PACKET, _MAY_HAVE_LEFT, Message.state != MessageState.HELD)


def turn_of(cap_hash: ColumnElement[str]) -> Function[Any]:
    """PostgreSQL's lock of an address, until the commit: who counts its letters is alone then.

    SQLite has one writer anyway.
    """
    return func.pg_advisory_xact_lock(func.hashtextextended(cap_hash, 0))


def take_turn(session: Session, cap_hash: str) -> None:
    """Wait until nobody else is about to count this address's letters and add one."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(turn_of(literal(cap_hash))))


def is_packet_since(since: ColumnElement[datetime] | datetime) -> ColumnElement[bool]:
    """A packet that left, failed or was held after ``since``, or is on its way.

    It counts from its state's time: the relay may have been away for days after it was queued.
    """
    return and_(
        _IS_PACKET,
        or_(Message.state.not_in(_STOPPED), Message.doubts > 0),
        or_(Message.state_at > since, _IS_ON_ITS_WAY),
    )


def is_follow_up_since(since: ColumnElement[datetime] | datetime) -> ColumnElement[bool]:
    """A follow-up of which a copy may have left after ``since``; planned ones do not count."""
    return and_(
        Message.kind == MessageKind.FOLLOW_UP,
        _MAY_HAVE_LEFT,
        Message.state_at > since,
    )


def is_letter_since(since: ColumnElement[datetime] | datetime) -> ColumnElement[bool]:
    """Either of the two: what counts for an address that nobody has confirmed."""
    return or_(is_packet_since(since), is_follow_up_since(since))
