"""Gates: a relay out of reach is not hammered, a relay that refuses us stops the queue."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, literal, or_, select, true, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from leadcapture.database import Instant, table_of
from leadcapture.models import Gate, Message, MessageState
from leadcapture.outbox import pace
from leadcapture.outbox.alerts import clear_alerts, raise_alert

RELAY = "relay"
QUEUE = "queue"
INSTANCE = "instance"
ALERT = "queue_held"
FAILURES_BEFORE_PAUSE = 5
DEFERRED_FOR = timedelta(minutes=5)
REFUSED_FOR = timedelta(hours=4)
REFUSALS_IN_AN_HOUR = 3
_TABLE = table_of(Gate)
_CLOSED = select(_TABLE.c.name, _TABLE.c.closed_until)
_CLOSED_BY_SERVER = _CLOSED.add_columns(
    func.clock_timestamp(type_=Instant).label("now")
).select_from(select(literal(1)).subquery().outerjoin(_TABLE, true()))
_SHORT = timedelta(seconds=5)
_LONG = timedelta(seconds=60)


@dataclass(frozen=True)
class Closed:
    """What is closed at a moment: all mail, or what goes to these domains.

    ``relay_was_down`` is true from the relay's first failure to the first letter it takes.
    """

    all_mail: bool
    domains: frozenset[str]
    relay_was_down: bool


@dataclass(frozen=True)
class Probe:
    """The right to try a relay that was down, for one worker at a time."""

    since: datetime
    until: datetime


def closed_gate(session: Session, now: datetime) -> Gate | None:
    """The gate that keeps all mail back now, if one does."""
    for gate in session.scalars(select(Gate).where(Gate.name.in_((RELAY, QUEUE, INSTANCE)))):
        if _is_closed(gate.name, gate.closed_until, now):
            return gate
    return None


def look(connection: Connection, now: datetime | None) -> tuple[datetime, Closed]:
    """The moment, and all that is closed then, in one question.

    Without ``now`` it is the server's clock that tells the moment.
    """
    rows = connection.execute(_CLOSED if now else _CLOSED_BY_SERVER).all()
    # The server answers with one row at least, of an hour and no gate.
    moment: datetime = now or rows[0].now
    all_mail, domains, relay_was_down = False, set(), False
    for name, closed_until, *_ in rows:
        if name is None:
            continue
        is_closed = _is_closed(name, closed_until, moment)
        kind, _, domain = name.partition(":")
        relay_was_down |= name == RELAY
        if is_closed and domain:
            domains.add(domain)
        elif is_closed and kind in (RELAY, QUEUE, INSTANCE):
            all_mail = True
    return moment, Closed(all_mail, frozenset(domains), relay_was_down)


def pause_reason(session: Session) -> str | None:
    """Why all mail waits for a person, not for time; None where it does not."""
    held = select(Gate.reason).where(Gate.name.in_((QUEUE, INSTANCE)), Gate.closed_until.is_(None))
    return session.scalar(held.limit(1))


def note_relay_down(session: Session, reason: str, now: datetime) -> None:
    """Close the relay's gate: 5 s after each of the first failures, then a minute each."""
    gate = _gate(session, RELAY, reason, now)
    gate.failures += 1
    gate.reason = reason
    pause = _SHORT if gate.failures < FAILURES_BEFORE_PAUSE else _LONG
    gate.closed_until = now + pause


def take_probe(connection: Connection, now: datetime) -> Probe | None:
    """Be the one who tries a relay that was down; None where another one is (MD-09).

    For all others its gate stays closed meanwhile, for as long as after a failure.
    """
    for pause, failed in (
        (_SHORT, _TABLE.c.failures < FAILURES_BEFORE_PAUSE),
        (_LONG, _TABLE.c.failures >= FAILURES_BEFORE_PAUSE),
    ):
        probe = Probe(now, now + pause)
        is_open = or_(_TABLE.c.closed_until <= now, _TABLE.c.closed_until > now + _LONG)
        mine = update(_TABLE).where(_TABLE.c.name == RELAY, failed, is_open)
        if connection.execute(mine.values(closed_until=probe.until)).rowcount == 1:
            return probe
    return None


def give_probe_back(connection: Connection, probe: Probe) -> None:
    """The try told nothing of the relay: whoever comes next may be the one."""
    mine = update(_TABLE).where(_TABLE.c.name == RELAY, _TABLE.c.closed_until == probe.until)
    connection.execute(mine.values(closed_until=probe.since))


def note_relay_up(session: Session, now: datetime) -> None:
    """Forget the relay's failures; after a long silence its pace begins low."""
    # Its row before that of the pace, as a claim takes them.
    gate = session.get(Gate, RELAY, with_for_update=True)
    if gate is None:
        return
    if gate.failures >= FAILURES_BEFORE_PAUSE:
        pace.start_slowly(session, pace.RELAY, now)
    session.delete(gate)


def note_domain_deferral(session: Session, domain: str, reason: str, now: datetime) -> None:
    """A domain asks for calm (421, 4.7.x): none for five minutes, half the pace for an hour."""
    _close_domain(session, domain, reason, now + DEFERRED_FOR, now)
    pace.slow_down(session, pace.domain_name(domain), now)


def note_policy_refusal(session: Session, domain: str, reason: str, now: datetime) -> None:
    """A domain refused a letter like ours: the third in an hour closes its gate for four hours.

    The refused letter is settled before, in the same transaction.
    """
    refused = select(func.count()).where(
        Message.state == MessageState.FAILED,
        Message.domain == domain,
        Message.reason.like("rcpt_5.7%"),
        Message.state_at > now - timedelta(hours=1),
    )
    if (session.scalar(refused) or 0) >= REFUSALS_IN_AN_HOUR:
        _close_domain(session, domain, reason, now + REFUSED_FOR, now)


def hold_queue(session: Session, reason: str, now: datetime) -> None:
    """Close the whole queue until a person opens it, and tell staff."""
    gate = _gate(session, QUEUE, reason, now)
    gate.reason = reason
    gate.closed_until = None
    raise_alert(session, ALERT, QUEUE, now)


def open_gate(session: Session, name: str, now: datetime | None = None) -> None:
    """Let mail through again."""
    gate = session.get(Gate, name)
    session.execute(delete(Gate).where(Gate.name == name))
    if name == QUEUE and gate is not None:
        clear_alerts(session, ALERT, now or gate.since)


def forget_old_gates(session: Session, now: datetime) -> None:
    """Drop the gates of domains that have stood open for an hour."""
    session.execute(
        delete(Gate).where(
            Gate.name.startswith("domain:"), Gate.closed_until < now - timedelta(hours=1)
        )
    )


def _is_closed(name: str, until: datetime | None, now: datetime) -> bool:
    if until is None:
        return True
    # A relay's gate that is closed for longer than it ever is, was closed before the clock was
    # put back: all mail would wait until it shows the old time again.
    return now < until and (name != RELAY or until <= now + _LONG)


def _close_domain(
    session: Session, domain: str, reason: str, until: datetime, now: datetime
) -> None:
    gate = _gate(session, pace.domain_name(domain), reason, now)
    if gate.closed_until is None or gate.closed_until < until:
        gate.reason, gate.closed_until = reason, until


def _gate(session: Session, name: str, reason: str, now: datetime) -> Gate:
    gate = session.get(Gate, name)
    if gate is not None:
        return gate
    try:
        with session.begin_nested():
            gate = Gate(name=name, reason=reason, since=now, failures=0, closed_until=None)
            session.add(gate)
    except IntegrityError:
        gate = session.get_one(Gate, name)  # Another worker closed it in this moment.
    return gate
