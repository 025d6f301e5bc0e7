"""Pace: how many messages a minute a place gets from all workers and hosts together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Connection, CursorResult, bindparam, delete, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from leadcapture.database import Instant
from leadcapture.models import Pace
from leadcapture.outbox.queue import STAFF_LANE

RELAY = "relay"
SLOWED_FOR = timedelta(hours=1)
DOUBLES_EVERY = timedelta(seconds=15)
FIRST_SHARE = 1 / 8
# A letter leaves so soon after its token was taken, or it needs another one.
TOKEN_LASTS = timedelta(seconds=5)
_MINUTE = timedelta(minutes=1)
# Even the slowest bucket owes less; what owes more was filled before the clock was put back.
_OWES_AT_MOST = timedelta(minutes=20)
_KEPT = timedelta(hours=1)
_COLUMNS = (Pace.name, Pace.full_at, Pace.slowed_until, Pace.started_at)
_OWING = select(*_COLUMNS).where(Pace.full_at > bindparam("now", type_=Instant))


@dataclass(frozen=True)
class Bucket:
    """A token bucket for ``per_minute`` messages in any 60 seconds.

    What leaves within a minute took its tokens within that minute and `TOKEN_LASTS` before
    it. In any such window are taken at most what stands in the bucket at its beginning and
    what comes back within it: capacity + 65 s / ``returns_in`` ≤ ``per_minute``. So a quarter
    may leave at once, and the rest of the minute's allowance comes back evenly.
    """

    per_minute: float

    @property
    def capacity(self) -> int:
        return max(1, int(self.per_minute // 4))

    @property
    def returns_in(self) -> timedelta:
        """How long one token takes to come back."""
        # One message a minute: a little more than a minute apart.
        return (_MINUTE + TOKEN_LASTS) / max(
            self.per_minute - self.capacity, 0.95 * min(1.0, self.per_minute)
        )

    def may_owe(self, is_awaited: bool) -> timedelta:
        """How far from full the bucket may be for one more message.

        Reminders leave half of it to what a person waits for.
        """
        kept = 0 if is_awaited else self.capacity // 2
        return self.returns_in * (self.capacity - 1 - kept)


@dataclass(frozen=True)
class Spent:
    """Who has used up the allowance: recipient domains, and whether the relay's own is gone."""

    domains: frozenset[str]
    relay: bool


_NOBODY = Spent(frozenset(), False)


@dataclass(frozen=True)
class Allowance:
    """Messages a minute to one recipient domain and to the relay; 0 is no limit."""

    domain: int
    relay: int

    @property
    def is_limited(self) -> bool:
        return bool(self.domain or self.relay)

    def spent(self, session: Session | Connection, now: datetime) -> tuple[Spent, Spent]:
        """Where no more may go now: of what a person waits for, and of reminders."""
        if not self.is_limited:
            return _NOBODY, _NOBODY
        owing = session.execute(_OWING, {"now": now}).all()
        return self._of(owing, now, True), self._of(owing, now, False)

    def _of(self, owing: Sequence[Any], now: datetime, is_awaited: bool) -> Spent:
        names = {
            row.name
            for row in owing
            if (bucket := self._bucket(row.name, row, now))
            and _debt(row.full_at, now) > bucket.may_owe(is_awaited)
        }
        domains = frozenset(name.partition(":")[2] for name in names if name != RELAY)
        return Spent(domains, RELAY in names)

    def take(
        self, session: Session | Connection, domain: str, is_awaited: bool, now: datetime
    ) -> bool:
        """Take a token for one message; False where there is none or somebody else was faster.

        The caller's transaction must then undo its claim.
        """
        return all(_take_one(session, self, name, is_awaited, now) for name in self._names(domain))

    def _names(self, domain: str) -> Iterator[str]:
        # Always in this order: two workers never wait for each other.
        if self.domain and not domain.startswith(STAFF_LANE):
            yield domain_name(domain)
        if self.relay:
            yield RELAY

    def _bucket(self, name: str, row: Any, now: datetime) -> Bucket | None:
        per_minute: float = self.relay if name == RELAY else self.domain
        if not per_minute:
            return None
        if row is not None and row.slowed_until is not None and row.slowed_until > now:
            per_minute /= 2
        if row is not None and row.started_at is not None:
            doublings = max(timedelta(0), now - row.started_at) // DOUBLES_EVERY
            per_minute *= min(1.0, FIRST_SHARE * 2 ** min(doublings, 10))
        return Bucket(per_minute)


def domain_name(domain: str) -> str:
    """The name of a recipient domain's pace or gate."""
    return f"domain:{domain}"


def slow_down(session: Session, name: str, now: datetime) -> None:
    """Halve the pace for an hour."""
    _ensure(session, name, now)
    session.execute(update(Pace).where(Pace.name == name).values(slowed_until=now + SLOWED_FOR))


def start_slowly(session: Session, name: str, now: datetime) -> None:
    """Begin with an eighth of the pace, and double it every 15 s."""
    _ensure(session, name, now)
    session.execute(update(Pace).where(Pace.name == name).values(started_at=now))


def forget_idle_paces(session: Session, now: datetime) -> int:
    """Drop what has been full for an hour and is not slowed; how many there were."""
    long_ago = now - _KEPT
    idle = delete(Pace).where(
        Pace.full_at < long_ago, or_(Pace.slowed_until.is_(None), Pace.slowed_until < now)
    )
    return cast(CursorResult[Any], session.execute(idle)).rowcount


def _take_one(
    session: Session | Connection, allowance: Allowance, name: str, is_awaited: bool, now: datetime
) -> bool:
    row = session.execute(select(*_COLUMNS).where(Pace.name == name)).first()
    if row is None:
        _ensure(session, name, now)
    full_at = row.full_at if row else now
    bucket = allowance._bucket(name, row, now)
    debt = _debt(full_at, now)
    if bucket is None or debt > bucket.may_owe(is_awaited):
        return False
    taken = session.execute(
        update(Pace)
        .where(Pace.name == name, Pace.full_at == full_at)
        .values(full_at=now + debt + bucket.returns_in)
        .execution_options(synchronize_session=False)
    )
    return cast(CursorResult[Any], taken).rowcount == 1


def _debt(full_at: datetime, now: datetime) -> timedelta:
    owes = max(timedelta(0), full_at - now)
    return owes if owes <= _OWES_AT_MOST else timedelta(0)


def _ensure(session: Session | Connection, name: str, now: datetime) -> None:
    dialect = (session.get_bind() if isinstance(session, Session) else session).dialect.name
    insert: Any = sqlite.insert if dialect == "sqlite" else postgresql.insert
    session.execute(insert(Pace.__table__).values(name=name, full_at=now).on_conflict_do_nothing())
