"""The first-response clock: until when somebody should hear from a person, in clinic hours."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

from sqlalchemy import update
from sqlalchemy.orm import Session

from leadcapture.leads.hours import (
    Hours,
    Span,
    Week,
    obligatory_holidays,
    read_span,
    read_week,
    write_span,
)
from leadcapture.models import ClinicHours, Lead
from leadcapture.models.hours import ONLY
from leadcapture.remembered import Remembered

CHANNELS = (
    *("web", "embed", "api", "mail", "phone"),
    *("walk_in", "event", "missed_call", "chat"),
)

_DAY = (time(8), time(17))
WEEK: Week = (_DAY, _DAY, _DAY, _DAY, _DAY, (time(8), time(12)), None)


@dataclass(frozen=True, eq=False)
class Rules:
    """What the clock goes by; lengths are of opening time.

    ``target`` is how soon a person answers, ``targets`` where a channel has its own. Staff are
    warned ``warn`` before it, at it, and ``then_next`` after it.
    """

    hours: Hours
    target: timedelta = timedelta(hours=2)
    targets: Mapping[str, timedelta] = field(default_factory=dict)
    warn: timedelta = timedelta(minutes=15)
    then_next: timedelta = timedelta(minutes=30)

    def target_of(self, channel: str) -> timedelta:
        return self.targets.get(channel, self.target)

    def warnings_after(self, opened_at: datetime, channel: str = "") -> tuple[datetime, ...]:
        """When staff are warned: before the target, at it, and after it (aware UTC)."""
        target = self.target_of(channel)
        lengths = (max(target - self.warn, timedelta(0)), target, target + self.then_next)
        return tuple(self.hours.after(opened_at, length) for length in lengths)


def due_at(opened_at: datetime, hours: Hours, target: timedelta) -> datetime:
    """When a request of this instant should have been answered by a person (aware UTC)."""
    return hours.after(opened_at, target)


def clock_columns(rules: Rules, opened_at: datetime, channel: str = "") -> dict[str, datetime]:
    """The columns of a lead whose clock starts at this instant."""
    warning, due, _ = rules.warnings_after(opened_at, channel)
    return {"first_response_due_at": due, "warning_due_at": warning}


def current_rules(session: Session, now: datetime, zone: str) -> Rules:
    """The rules as they stand, at most ten seconds old; they are read once for many requests."""
    return _RULES.of(session, now, zone)


def read_rules(session: Session, zone: str) -> Rules:
    """The rules as they stand now; those that we ship where staff have set none."""
    row = session.get(ClinicHours, ONLY)
    if row is None:
        return default_rules(zone)
    exceptions = {date.fromisoformat(day): read_span(span) for day, span in row.exceptions.items()}
    return Rules(
        hours=Hours(zone, read_week(row.weekly), exceptions, closed_on(row.holidays)),
        target=timedelta(minutes=row.target_minutes),
        targets={
            channel: timedelta(minutes=minutes) for channel, minutes in row.channel_minutes.items()
        },
        warn=timedelta(minutes=row.warn_minutes),
        then_next=timedelta(minutes=row.next_minutes),
    )


def default_rules(zone: str) -> Rules:
    """Monday to Friday 08:00-17:00, Saturday until noon, two hours to the first answer."""
    return Rules(Hours(zone, WEEK, closed_on=closed_on({})))


def keep_rules(session: Session, rules: Rules, switched: Mapping[str, bool], now: datetime) -> None:
    """Store the rules and read every running clock anew, in the caller's transaction.

    ``switched`` are the holidays that staff decided about, by their Spanish name.
    """
    exceptions: dict[date, Span | None] = dict(rules.hours.exceptions)
    session.merge(
        ClinicHours(
            id=ONLY,
            weekly=[write_span(span) for span in rules.hours.week],
            exceptions={day.isoformat(): write_span(exceptions[day]) for day in sorted(exceptions)},
            holidays=dict(switched),
            target_minutes=_minutes(rules.target),
            channel_minutes={name: _minutes(length) for name, length in rules.targets.items()},
            warn_minutes=_minutes(rules.warn),
            next_minutes=_minutes(rules.then_next),
            changed_at=now,
        )
    )
    # The watch reads them anew within seconds; until then pages reckon for themselves.
    session.execute(
        update(Lead)
        .where(Lead.waiting_since.is_not(None))
        .values(first_response_due_at=None, warning_due_at=None)
    )
    _RULES.forget(session)


def closed_on(switched: Mapping[str, bool]) -> frozenset[str]:
    """The holidays that labour law pays in full, save what staff switched."""
    closed = {name for name, is_closed in switched.items() if is_closed}
    return frozenset(closed | {name for name in _OBLIGATORY if switched.get(name, True)})


_OBLIGATORY = obligatory_holidays(2026)


def _minutes(length: timedelta) -> int:
    return int(length / timedelta(minutes=1))


_RULES = Remembered(read_rules)
