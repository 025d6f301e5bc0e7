"""The sweeper: every 15 minutes it looks for what broke an invariant, and tells staff.

Each time it looks at all open messages, at what changed since it last came by, and at a stretch of
the rest, round and round: what was altered behind our back in a row of long ago changed nothing
that the audit knows of.
"""

import logging
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, false, func, or_, select, true
from sqlalchemy.orm import InstrumentedAttribute, Session

from leadcapture.database import reading
from leadcapture.models import (
    OPEN_STATES,
    AuditEntry,
    Heartbeat,
    Lead,
    Message,
    Request,
    Screening,
    TimelineEntry,
)
from leadcapture.outbox import invariants, said
from leadcapture.outbox.alerts import clear_alerts, open_subjects, raise_alert
from leadcapture.vault import Vault

log = logging.getLogger(__name__)

INVARIANTS = tuple(f"I{number}" for number in range(1, 11))
EVERY = timedelta(minutes=15)
SWEPT = "swept"
SHOWN = 100
# So many rows of the rest in each sweep, a quarter of a percent of a core. With up to so many,
# every row is looked at each time; of a million, each within ten hours.
STRETCH = 25_000
# The watch comes by each minute: a tick that is a little early still sweeps.
_SLACK = timedelta(seconds=30)
# Rows that were being written at the last sweep carry an instant from before it.
_OVERLAP = timedelta(minutes=2)


@dataclass(frozen=True, order=True)
class Violation:
    """An invariant (``I1`` … ``I10``), the word for what broke it, and the row's reference.

    ``subject`` is a message's reference, a request's receipt, or the name of a trigger.
    """

    invariant: str
    what: str
    subject: str
    lead_id: int | None = None

    def __str__(self) -> str:
        return f"{self.invariant} {self.what} {self.subject}"


def violations(
    session: Session,
    now: datetime,
    since: datetime | None = None,
    *,
    also: Collection[str] = (),
    vault: Vault | None = None,
    stretch: int = STRETCH,
) -> list[Violation]:
    """What breaks an invariant, a hundred of each kind at most; reads only.

    Looks at every row; with ``since``, at open messages, at what changed since then, at the
    references in ``also``, and at the stretch of the rest whose turn it is. The hashes of the
    audit chain are another question: `audit.verify`. What letters say is opened with the
    ``vault``, and is not looked at without one.
    """
    found: set[Violation] = set()
    for scope in _scopes(session, now, since, also, stretch):
        found |= set(_found_here(session, scope))
        if vault is not None:
            for ref, lead_id in islice(said.wrong_letters(session, vault, scope), SHOWN):
                found.add(Violation("I9", "typed_words", ref, lead_id))
        for check in invariants.CHECKS:
            for ref, lead_id in session.execute(check.question(scope).limit(SHOWN)):
                found.add(Violation(check.invariant, check.what, ref, lead_id))
    return sorted(found, key=lambda one: (INVARIANTS.index(one.invariant), one.what, one.subject))


def sweep(session: Session, now: datetime, vault: Vault | None = None) -> None:
    """Every 15 minutes, by whichever process comes first: raise what broke, clear what is gone."""
    with reading():
        session.rollback()
        last = session.scalar(select(Heartbeat.at).where(Heartbeat.job == SWEPT))
        if last is not None and timedelta(0) <= now - last < EVERY - _SLACK:
            return
        standing = {kind: open_subjects(session, kind_of(kind)) for kind in INVARIANTS}
        found = violations(
            session,
            now,
            last - _OVERLAP if last and last <= now else None,
            also=set().union(*standing.values()),
            vault=vault,
        )
        session.rollback()
    for violation in found:
        kind = kind_of(violation.invariant)
        if raise_alert(session, kind, violation.subject, now, violation.lead_id):
            log.error("the ledger is broken: %s", violation)
    for invariant in INVARIANTS:
        broken = [one.subject for one in found if one.invariant == invariant]
        if len(broken) < SHOWN:
            clear_alerts(session, kind_of(invariant), now, broken)
    session.merge(Heartbeat(job=SWEPT, at=now, ok=not found, error=""))


def kind_of(invariant: str) -> str:
    """The kind of the tasks about an invariant: ``sweep_i4``."""
    return f"sweep_{invariant.lower()}"


def _scopes(
    session: Session,
    now: datetime,
    since: datetime | None,
    also: Collection[str],
    stretch: int,
) -> Iterator[invariants.Scope]:
    if since is None:
        yield invariants.Scope(true(), true(), now, whole=True)
        return
    near = _near_messages(session, since, also), _new_requests(since, also)
    yield invariants.Scope(*near, now, whole=False)
    messages, requests = (
        or_(*_stretches(session, column, since, now, stretch))
        for column in (Message.id, Request.id)
    )
    yield invariants.Scope(messages, requests, now, whole=False)


def _near_messages(session: Session, since: datetime, also: Collection[str]) -> ColumnElement[bool]:
    """What is open, and what changed: the audit's ids grow with time, as its instants nearly do."""
    before = session.scalar(
        select(AuditEntry.id).where(AuditEntry.at < since).order_by(AuditEntry.id.desc()).limit(1)
    )
    changed = select(AuditEntry.message_id).where(
        AuditEntry.id > (before or 0), AuditEntry.message_id.is_not(None)
    )
    named = select(Message.id).where(Message.ref.in_(also))
    is_open = select(Message.id).where(Message.state.in_(OPEN_STATES))
    return Message.id.in_(changed.union(named, is_open))


def _stretches(
    session: Session,
    column: InstrumentedAttribute[int],
    since: datetime,
    now: datetime,
    stretch: int,
) -> Iterator[ColumnElement[bool]]:
    """The rows whose turn came since: the hour says which, so that no process need remember.

    Of turns that were missed, one is made up for; the others come again in the next round.
    """
    ends = select(
        select(func.min(column)).scalar_subquery(), select(func.max(column)).scalar_subquery()
    )
    lowest, highest = session.execute(ends).one()
    if highest is None:
        yield false()
        return
    first, turn = lowest // stretch, _turn(now)
    among = highest // stretch - first + 1
    missed = max(turn - 1, min(_turn(since) + 1, turn))
    for number in sorted({turn % among for turn in range(missed, turn + 1)}):
        begin = (first + number) * stretch
        yield column.between(begin, begin + stretch - 1)


def _turn(at: datetime) -> int:
    return int(at.timestamp() // EVERY.total_seconds())


def _new_requests(since: datetime, also: Collection[str]) -> ColumnElement[bool]:
    new = select(Request.id).where(
        Request.screening.in_(tuple(Screening)), Request.created_at >= since
    )
    return Request.id.in_(new.union(select(Request.id).where(Request.receipt.in_(also))))


def _found_here(session: Session, scope: invariants.Scope) -> Iterator[Violation]:
    """What the database alone cannot decide."""
    for name in invariants.missing_triggers(session):
        yield Violation("I10", "trigger_missing", name)
    for row in session.execute(invariants.suppressed_sendings(scope).limit(SHOWN)):
        if row.at - row.created_at > invariants.STOP_GRACE:
            yield Violation("I7", "left_after_stop", row.ref, row.lead_id)
    for row in session.execute(invariants.foreign_recipients(scope).limit(SHOWN)):
        if _is_foreign(row) and not _was_theirs(session, row):
            yield Violation("I8", "not_the_leads_address", row.ref, row.lead_id)
    if scope.whole:
        counted, highest = session.execute(
            select(func.count(AuditEntry.position), func.max(AuditEntry.position))
        ).one()
        if counted != (highest or 0):
            yield Violation("I10", "chain_torn", "audit")


def _is_foreign(row: Any) -> bool:
    """True where the recipient is neither the lead's address nor the one typed in the request."""
    ours = {_plain(row.email), _plain(row.email_typed or "")}
    return _plain(row.recipient) not in ours


def _was_theirs(session: Session, row: Any) -> bool:
    """True where staff changed the lead's address since, or merged it with the lead of this one."""
    merged = session.scalars(select(Lead.email).where(Lead.merged_into_id == row.lead_id))
    changed = session.scalars(
        select(TimelineEntry.facts).where(
            TimelineEntry.lead_id == row.lead_id, TimelineEntry.kind == "details_changed"
        )
    )
    told = (line for facts in changed for line in facts.get("changes", ()))
    former = [value for name, *values in told if name == "email" for value in values]
    return _plain(row.recipient) in {_plain(address) for address in (*merged, *former)}


def _plain(address: str) -> str:
    """One spelling of an address: without regard to case, Unicode forms and Punycode."""
    local, _, domain = unicodedata.normalize("NFKC", address.strip()).casefold().rpartition("@")
    try:
        domain = domain.encode("ascii").decode("idna")
    except UnicodeError:
        domain = unicodedata.normalize("NFKC", domain)
    return f"{local}@{domain}"
