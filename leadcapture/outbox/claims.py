"""Claims: the way that nearly every letter takes, from queued over claimed and sending to sent.

Each step is one statement that names the state and the fence it starts from, and can lose: see
`ledger`. The statements are built once in a process: to build one costs more than to run it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Exists,
    Insert,
    Integer,
    Interval,
    Select,
    String,
    Update,
    bindparam,
    func,
    insert,
    literal,
    literal_column,
    or_,
    select,
    update,
)

from leadcapture.database import Instant, table_of
from leadcapture.models import (
    Attempt,
    Gate,
    Message,
    MessageKind,
    MessageState,
    Suppression,
    SuppressionScope,
)
from leadcapture.outbox import gates
from leadcapture.prepared import Prepared

# With the upkeep's 10 s, free again within two minutes, and within eleven after the dot (SC-11).
# The second outlasts the 600 s that a relay may take to answer, and the commit of its answer.
CLAIM_LEASE = timedelta(seconds=105)
SEND_LEASE = timedelta(seconds=645)
# So many candidates, so that eight workers find one that nobody has locked.
CANDIDATES = 8

_MESSAGE = table_of(Message)
_SUPPRESSION = table_of(Suppression)
# What the way of a letter asks of its row; to read the rest would cost as much again.
_NAMES = (
    *("id", "ref", "kind", "lead_id", "recipient", "domain", "cap_hash", "time_zone", "priority"),
    *("payload", "state", "not_after", "fence", "attempts", "mail_id", "mail_date", "sha256"),
    *("created_at", "state_at"),
)
_GATE = table_of(Gate)
_ATTEMPT = table_of(Attempt)
_NOW: ColumnElement[datetime] = bindparam("now", type_=Instant)
# The server's, one instant for the whole statement: a moving one is compared row by row.
_STATEMENT: ColumnElement[datetime] = func.statement_timestamp(type_=Instant)
_PRIORITY: ColumnElement[int] = bindparam("of_priority", type_=_MESSAGE.c.priority.type)
_LEASE: ColumnElement[datetime] = bindparam("lease", type_=Instant)
_DATE: ColumnElement[datetime] = bindparam("date", type_=Instant)
# In RETURNING, SQLAlchemy names no table to SQLite, and an inner column would be meant.
_NAMED_BY_HAND = (
    literal_column("message.cap_hash", String),
    literal_column("message.kind", String),
)
# No index knows this expression: rows are found by their ids, even where the server's statistics
# of a queue that was empty a minute ago say that looking at all that is queued costs nothing.
_IS_QUEUED = func.coalesce(_MESSAGE.c.state, "") == MessageState.QUEUED.value
# How an attempt ended that was taken: phase, code, enhanced status, outcome.
_TAKEN = (literal("dot"), literal(250), literal(""), literal("sent"))


@dataclass(frozen=True)
class KeptBack:
    """What a claim passes over: domains, for each priority; a priority without any is off."""

    awaited: frozenset[str] | None = frozenset()
    reminders: frozenset[str] | None = frozenset()


NOTHING = KeptBack()
EVERYTHING = KeptBack(None, None)


@dataclass(frozen=True)
class Claimed:
    """A message that is ours, as its row stands now, in no session; without all its columns.

    Its ``state_at`` is the moment of the claim; ``is_suppressed`` tells what the suppressions of
    its address said then.
    """

    message: Message
    is_suppressed: bool


def claim_next(
    connection: Connection, now: datetime, kept_back: KeptBack = NOTHING
) -> Claimed | None:
    """Claim one due message; None where none is due, or others hold all that are.

    What a person waits for goes before reminders, and its first try before a deferred one, so
    that neither 10,000 reminders nor 2,000 retries delay a packet just asked for.
    """
    for is_first_try, priority, domains in _lanes(kept_back):
        claim = _claim(is_first_try, passes_over=bool(domains))
        given = _asked(priority, now, domains) | _claim_times(now)
        claimed = _claimed(connection.execute(claim, given).first())
        if claimed is not None:
            return claimed
    return None


def _claim_times(now: datetime) -> dict[str, datetime]:
    # Whole seconds, as the Date header has them.
    return {"lease": now + CLAIM_LEASE, "date": now.replace(microsecond=0)}


def _claimed(row: Sequence[Any] | None) -> Claimed | None:
    if row is None:
        return None
    message = Message(**dict(zip(_NAMES, row[:-1], strict=True)))
    return Claimed(message, is_suppressed=bool(row[-1]))


def is_anything_due(connection: Connection, now: datetime | None) -> bool:
    """True where a due message stands in the queue, whatever may keep it back.

    The one question of an idle scheduler. Without ``now`` the server's clock.
    """
    given = {} if now is None else {"now": now}
    return connection.execute(_anything_due(now is None), given).scalar() is not None


def may_anything_leave(connection: Connection, now: datetime, kept_back: KeptBack) -> bool:
    """True where a due message is not kept back, locked by another worker or not."""
    return any(
        connection.execute(
            _first_due(passes_over=bool(domains)), _asked(priority, now, domains)
        ).first()
        is not None
        for is_first_try, priority, domains in _lanes(kept_back)
        if not is_first_try
    )


def declare_intent(
    connection: Connection,
    message: Message,
    sha256: str,
    now: datetime | None,
    claimed_within: timedelta = CLAIM_LEASE,
) -> bool:
    """Say that the dot is about to be sent. False: it must not be, or our lease has ended.

    One statement that asks for all that may stop a letter; without ``now`` the server's clock.
    A claim that is older than ``claimed_within`` does not count.
    """
    mine: dict[str, Any] = {"of_id": message.id, "of_fence": message.fence, "hash": sha256}
    if now is None:
        mine |= {"claimed_within": claimed_within}
    else:
        mine |= {"now": now, "lease": now + SEND_LEASE, "claimed_since": now - claimed_within}
    return _INTENT[now is None].run(connection, mine).rowcount == 1


def note_sent(connection: Connection, message: Message, now: datetime | None) -> bool:
    """Write that the relay took it, and the attempt's row; False where it is ours no more.

    Also where our lease has ended and the letter is in doubt: nobody has better evidence than
    the worker that heard the 250, and while the fence is ours, it was not sent again. Without
    ``now`` the server's clock.
    """
    mine: dict[str, Any] = {"of_id": message.id, "of_fence": message.fence}
    if now is not None:
        mine["now"] = now
    if connection.dialect.name == "postgresql":
        return _SENT_AND_NOTED[now is None].run(connection, mine).rowcount == 1
    if _SENT[now is None].run(connection, mine).rowcount != 1:
        return False
    _NOTED_OF_ROW.run(connection, {"of_id": message.id})
    return True


def note_sent_and_claim(
    connection: Connection, message: Message, now: datetime | None
) -> Claimed | None:
    """`note_sent`, and claim the first try that comes next of what a person waits for.

    None where there is none, and where any gate stands: then a claim has to look at them. On
    PostgreSQL both are one statement, so that either one may fail the other; the caller writes
    the outcome again then. Without ``now`` the server's clock.
    """
    given: dict[str, Any] = {"of_priority": 0}
    if now is not None:
        given |= {"now": now, **_claim_times(now)}
    if connection.dialect.name == "postgresql":
        given |= {"of_id": message.id, "of_fence": message.fence}
        return _claimed(_SENT_AND_CLAIMED[now is None].first(connection, given))
    note_sent(connection, message, now)
    return _claimed(_CLAIM_WITHOUT_GATES[now is None].first(connection, given))


def _lanes(kept_back: KeptBack) -> Iterator[tuple[bool, int, frozenset[str]]]:
    if kept_back.awaited is not None:
        yield True, 0, kept_back.awaited
        yield False, 0, kept_back.awaited
    if kept_back.reminders is not None:
        yield False, 1, kept_back.reminders


def _asked(priority: int, now: datetime, domains: frozenset[str]) -> dict[str, Any]:
    passed_over = {"passed_over": sorted(domains)} if domains else {}
    return {"of_priority": priority, "now": now} | passed_over


@cache
def _claim(is_first_try: bool, passes_over: bool, by_server: bool = False) -> Update:
    """Take the first of the candidates that nobody has locked, and answer with its row.

    The candidates come from the index alone, without a look at the rows that are passed over.
    Locks only spare workers each other's company; what counts is the comparison at the end.
    """
    now, lease, date = _NOW, _LEASE, _DATE
    if by_server:
        now = _STATEMENT
        lease = now + literal(CLAIM_LEASE, Interval)
        date = func.date_trunc("second", now, type_=Instant)
    candidates = _due(is_first_try, passes_over, CANDIDATES, now).scalar_subquery()
    # A CTE is computed once: a subquery with a limit might take one for each try of a join.
    found = (
        select(_MESSAGE.c.id, _MESSAGE.c.fence)
        .where(_MESSAGE.c.id.in_(candidates), _IS_QUEUED)
        .order_by(_MESSAGE.c.due_at, _MESSAGE.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .cte("found")
    )
    return (
        update(_MESSAGE)
        .where(
            _MESSAGE.c.id == found.c.id,
            _IS_QUEUED,
            _MESSAGE.c.fence == found.c.fence,
        )
        .values(
            state=MessageState.CLAIMED,
            fence=_MESSAGE.c.fence + 1,
            attempts=_MESSAGE.c.attempts + 1,
            lease_until=lease,
            mail_date=func.coalesce(_MESSAGE.c.mail_date, date),
            state_at=now,
        )
        .returning(*(_MESSAGE.c[name] for name in _NAMES), _suppression_of(*_NAMED_BY_HAND))
    )


def _claim_without_gates(by_server: bool) -> Update:
    """The claim of a first try that a person waits for; takes nothing where a gate stands."""
    claim = _claim(is_first_try=True, passes_over=False, by_server=by_server)
    return claim.where(~select(_GATE.c.name).exists())


def _sent_and_claimed(by_server: bool) -> Update:
    """Outcome and next claim in one way to the server and one commit: of different rows."""
    return _claim_without_gates(by_server).add_cte(_sent_and_noted(by_server).cte("noted"))


def _due(
    is_first_try: bool,
    passes_over: bool,
    limit: int,
    now: ColumnElement[datetime] = _NOW,
    priority: ColumnElement[int] = _PRIORITY,
) -> Select[Any]:
    due = select(_MESSAGE.c.id).where(
        _MESSAGE.c.state == MessageState.QUEUED,
        _MESSAGE.c.priority == priority,
        _MESSAGE.c.due_at <= now,
    )
    if is_first_try:
        due = due.where(_MESSAGE.c.attempts == 0)
    if passes_over:
        # Rows of the release before have no domain; their claim finds it.
        domain = _MESSAGE.c.domain
        passed_over = bindparam("passed_over", expanding=True, type_=domain.type)
        due = due.where(or_(domain.is_(None), domain.not_in(passed_over)))
    return due.order_by(_MESSAGE.c.due_at, _MESSAGE.c.id).limit(limit)


@cache
def _anything_due(by_server: bool) -> Select[Any]:
    now = _STATEMENT if by_server else _NOW
    lanes = [
        _due(False, False, 1, now, literal(priority, _PRIORITY.type)).scalar_subquery()
        for priority in sorted({kind.priority for kind in MessageKind})
    ]
    return select(func.coalesce(*lanes))


@cache
def _first_due(passes_over: bool) -> Select[Any]:
    return _due(False, passes_over, limit=1)


def _intent(by_server: bool) -> Update:
    """claimed → sending, where nothing has come between: a lease, a pause, a stop, a deadline."""
    now, lease = _moment(by_server), _LEASE
    claimed_since: ColumnElement[datetime] = bindparam("claimed_since", type_=Instant)
    if by_server:
        lease = now + literal(SEND_LEASE, Interval)
        claimed_since = now - bindparam("claimed_within", type_=Interval)
    held = select(_GATE.c.name).where(
        _GATE.c.name.in_((gates.QUEUE, gates.INSTANCE)), _GATE.c.closed_until.is_(None)
    )
    stopped = _suppression_of(_MESSAGE.c.cap_hash, _MESSAGE.c.kind)
    return (
        _moved_from(MessageState.CLAIMED)
        .where(
            _MESSAGE.c.lease_until > now,
            _MESSAGE.c.state_at >= claimed_since,
            or_(_MESSAGE.c.not_after.is_(None), _MESSAGE.c.not_after >= now),
            ~held.exists(),
            or_(_MESSAGE.c.kind == MessageKind.STAFF_ALERT, ~stopped),
        )
        .values(
            state=MessageState.SENDING,
            sha256=bindparam("hash", type_=String),
            lease_until=lease,
            state_at=now,
        )
    )


def _sent(by_server: bool) -> Update:
    now = _moment(by_server)
    return _moved_from(MessageState.SENDING, MessageState.UNCERTAIN).values(
        state=MessageState.SENT, reason="", sent_at=now, lease_until=None, state_at=now
    )


def _sent_and_noted(by_server: bool) -> Insert:
    """Both in one statement: one way to a server that knows how, and a commit of its own."""
    sent = _sent(by_server).returning(_MESSAGE.c.id, _MESSAGE.c.fence, _MESSAGE.c.state_at)
    row = sent.cte("sent")
    return _noted(select(row.c.id, row.c.fence, *_TAKEN, row.c.state_at))


def _noted_of_row() -> Insert:
    row = _MESSAGE.c
    mine = row.id == bindparam("of_id", type_=Integer)
    return _noted(select(row.id, row.fence, *_TAKEN, row.state_at).where(mine))


def _noted(rows: Select[Any]) -> Insert:
    columns = ("message_id", "fence", "phase", "code", "enhanced", "outcome", "at")
    return insert(_ATTEMPT).from_select(columns, rows)


def _moment(by_server: bool) -> ColumnElement[datetime]:
    return func.clock_timestamp(type_=Instant) if by_server else _NOW


def _moved_from(*starts: MessageState) -> Update:
    return update(_MESSAGE).where(
        _MESSAGE.c.id == bindparam("of_id", type_=Integer),
        _MESSAGE.c.state.in_(starts),
        _MESSAGE.c.fence == bindparam("of_fence", type_=Integer),
    )


def _suppression_of(address: ColumnElement[str], kind: ColumnElement[str]) -> Exists:
    """Whether a suppression stops this kind of letter to this address."""
    stops = or_(_SUPPRESSION.c.scope == SuppressionScope.ALL, kind == MessageKind.FOLLOW_UP)
    return select(_SUPPRESSION.c.id).where(_SUPPRESSION.c.cap_hash == address, stops).exists()


def _by_moment(build: Callable[[bool], Any]) -> dict[bool, Prepared]:
    """The statement by our own moment, and the one by the server's clock."""
    return {by_server: Prepared(lambda *_, by=by_server: build(by)) for by_server in (False, True)}


# Run for every letter: see `Prepared` for what that spares.
_INTENT = _by_moment(_intent)
_SENT = _by_moment(_sent)
_SENT_AND_NOTED = _by_moment(_sent_and_noted)
_SENT_AND_CLAIMED = _by_moment(_sent_and_claimed)
_CLAIM_WITHOUT_GATES = _by_moment(_claim_without_gates)
_NOTED_OF_ROW = Prepared(lambda *_: _noted_of_row())
