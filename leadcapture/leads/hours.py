"""Hours: when the clinic is open, and what time it is after so much of opening time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import holidays

COUNTRY = "CR"
# Nobody plans further; a clinic that never opens in this time has no opening time to count.
_FURTHEST = 400

Span = tuple[time, time]
Week = tuple[Span | None, ...]


@dataclass(frozen=True, eq=False)
class Hours:
    """The opening times of a week on the clock of ``zone``; days of their own come before it.

    ``week`` begins on Monday. ``exceptions`` win over ``closed_on``, the Spanish names of the
    holidays that count, and those over the week.
    """

    zone: str
    week: Week
    exceptions: Mapping[date, Span | None] = field(default_factory=dict)
    closed_on: frozenset[str] = frozenset()

    def of_day(self, day: date) -> Span | None:
        """From when to when the clinic is open that day, on its own clock; None if it is not."""
        if day in self.exceptions:
            return self.exceptions[day]
        if self.closed_on.intersection(holidays_of(day.year).get(day, ())):
            return None
        return self.week[day.weekday()]

    def is_open(self, moment: datetime) -> bool:
        local = moment.astimezone(ZoneInfo(self.zone))
        span = self.of_day(local.date())
        return span is not None and span[0] <= local.time() < span[1]

    def after(self, moment: datetime, length: timedelta) -> datetime:
        """The instant (aware UTC) at which ``length`` of opening time has passed.

        Hours that fall into a summer-time change are counted as the zone's clock shows them at
        both ends. A clinic that does not open within 400 days gets calendar time.
        """
        left = length
        for opens_at, closes_at in self._spans(moment):
            begins = max(opens_at, moment)
            if begins < closes_at:
                if left <= closes_at - begins:
                    return (begins + left).astimezone(UTC)
                left -= closes_at - begins
        return (moment + length).astimezone(UTC)

    def opens_after(self, moment: datetime) -> bool:
        """False of a clinic that does not open within 400 days."""
        return next(self._spans(moment), None) is not None

    def _spans(self, moment: datetime) -> Iterator[tuple[datetime, datetime]]:
        zone = ZoneInfo(self.zone)
        first = moment.astimezone(zone).date()
        for number in range(_FURTHEST):
            day = first + timedelta(days=number)
            span = self.of_day(day)
            if span is not None:
                opens, closes = (datetime.combine(day, at, zone).astimezone(UTC) for at in span)
                yield opens, closes


@lru_cache(maxsize=64)
def holidays_of(year: int, language: str = "es") -> Mapping[date, tuple[str, ...]]:
    """Costa Rica's holidays of a year, both those with full pay and the others, by their names."""
    found = holidays.country_holidays(
        COUNTRY, years=year, categories=(holidays.PUBLIC, holidays.OPTIONAL), language=language
    )
    return {day: tuple(found.get_list(day)) for day in found}


@lru_cache(maxsize=8)
def obligatory_holidays(year: int) -> frozenset[str]:
    """The names of the holidays that the labour code pays in full: clinics close on them."""
    found = holidays.country_holidays(
        COUNTRY, years=year, categories=(holidays.PUBLIC,), language="es"
    )
    return frozenset(name for day in found for name in found.get_list(day))


def read_span(words: Sequence[str] | None) -> Span | None:
    """``["08:00", "17:00"]`` as times; `ValueError` where it does not open before it closes."""
    if words is None:
        return None
    opens, closes = (time.fromisoformat(word) for word in words)
    if opens >= closes:
        raise ValueError("a day opens before it closes")
    return opens, closes


def write_span(span: Span | None) -> list[str] | None:
    """The other way round, as it is stored."""
    return None if span is None else [f"{at:%H:%M}" for at in span]


def read_week(days: Sequence[Sequence[str] | None]) -> Week:
    """Seven days from Monday."""
    return tuple(read_span(day) for day in days)
