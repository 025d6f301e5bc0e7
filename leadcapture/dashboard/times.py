"""Times: how staff read an instant, near to now and on the clocks it concerns."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from babel.dates import TIMEDELTA_UNITS, format_date, format_timedelta
from flask_babel import get_locale, gettext
from markupsafe import Markup

from leadcapture.languages import found_for_language
from leadcapture.moments import EXACT, town, written
from leadcapture.web import now, settings

_READER = "leadcapture.reader"

_JUST_NOW = timedelta(seconds=45)
_EXACT_HOURS = 10
# Seconds of each unit that is told, the longest first; nobody here counts seconds.
_UNIT = dict(TIMEDELTA_UNITS)
_LONG_UNITS = (_UNIT["year"], _UNIT["month"], _UNIT["week"])
# Lengths of time whose words are kept: those of the pages that people look at.
_KEPT = 4096
# Markup's own % escapes what goes in, and takes a sixth of the time of its format().
# The exact time is read aloud, and shown to whoever points at it, stops there by key, or taps.
_TIME = Markup(
    '<time datetime="%s" tabindex="0">%s<span class="visually-hidden">, </span>'
    '<span class="time__exact">%s</span></time>'
)
_CLOCK = Markup('<span class="clock">%s %s</span>')
_BOTH_CLOCKS = Markup('%s <span class="clock__here">(%s)</span>')


@dataclass(frozen=True)
class _Reader:
    """Who reads this page: when, on the clinic's clock of which zone, in which language."""

    now: datetime
    zone: str
    language: str


def _reader() -> _Reader:
    # Asked for by each of hundreds of times on a page.
    found = found_for_language()
    if _READER not in found:
        locale = get_locale()
        language = str(locale.language) if locale else "en"
        found[_READER] = _Reader(now(), settings().clinic.time_zone, language)
    reader: _Reader = found[_READER]
    return reader


def moment(at: datetime) -> Markup:
    """``3 hr ago`` as a ``<time>`` that tells the exact time of the clinic."""
    return _TIME % (at.isoformat(timespec="seconds"), relative(at), exact(at))


def relative(at: datetime) -> str:
    """How long ago, or how soon: ``3 hr ago``, ``in 2 weeks``."""
    apart = at - _reader().now
    if abs(apart) < _JUST_NOW:
        return str(gettext("just now"))
    number, unit = _counted(abs(apart))
    return _apart_in_words(number if apart > timedelta(0) else -number, unit, _reader().language)


def span(length: timedelta) -> str:
    """A length of time: ``12 min``, ``1 hr 48 min``, ``3 days``."""
    if length < _JUST_NOW:
        return str(gettext("under a minute"))
    # To the minute before it is parted, or the last half of one would read as 60 min.
    length = timedelta(minutes=round(length / timedelta(minutes=1)))
    hours, rest = divmod(length, timedelta(hours=1))
    if not 1 <= hours < _EXACT_HOURS or not rest:
        return _in_words(length)
    whole = _in_words(timedelta(hours=hours))
    minutes = _in_words(rest)
    return f"{whole} {minutes}"


def minutes(number: int) -> str:
    """Minutes as a length of time: ``45 min``, ``2 hr 5 min``, however many hours."""
    hours, rest = divmod(number, 60)
    told = []
    if hours:
        told.append(gettext("%(number)s hr", number=hours))
    if rest or not hours:
        told.append(gettext("%(number)s min", number=rest))
    return " ".join(told)


def wait(since: datetime) -> Markup:
    """How long somebody has waited, as a ``<time>`` that tells since when."""
    length = span(_reader().now - since)
    return _TIME % (since.isoformat(timespec="seconds"), length, exact(since))


def exact(at: datetime, zone: str = "") -> str:
    """Day and time on the clinic's clock, or on that of ``zone``."""
    zone = zone or _reader().zone
    return f"{_written(at, zone, EXACT)} {place(zone)}"


def clock(at: datetime, zone: str) -> str:
    """The time of day in a zone: ``14:05``."""
    return _written(at, zone, "HH:mm")


def day_and_time(at: datetime) -> str:
    """The day and time on the clinic's clock: ``Mon 09:30``; far off ``Mon 9 Mar 09:30``."""
    # A week from today has the same name as today.
    is_near = abs(day(at) - day(_reader().now)) < timedelta(weeks=1)
    return weekday_and_time(at) if is_near else _written(at, _reader().zone, "EEE d MMM HH:mm")


def weekday_and_time(at: datetime) -> str:
    """A day of any week and the time, on the clinic's clock: ``Mon 09:30``."""
    return _written(at, _reader().zone, "EEE HH:mm")


def day_if_other(at: datetime) -> str:
    """The time on the clinic's clock, with the day where it is not today: ``09:30``."""
    is_today = day(at) == day(_reader().now)
    return clock(at, _reader().zone) if is_today else day_and_time(at)


def day(at: datetime) -> date:
    """The date on the clinic's clock."""
    return at.astimezone(_zone(_reader().zone)).date()


def short_day(day: date) -> str:
    """A day as an axis has room for it: ``3 Mar``."""
    return _day_in_words(day, "d MMM", _reader().language)


def full_day(day: date) -> str:
    """A day with its year: ``Mar 3, 2026``."""
    return _day_in_words(day, "medium", _reader().language)


def place(zone: str) -> str:
    """A zone by the town that names it, as its reader calls that: ``New York``, ``Nueva York``."""
    return town(zone, _reader().language)


def both_clocks(zone: str) -> Markup:
    """What the clocks say now: the patient's, then the clinic's, or that both say the same."""
    here, now = _reader().zone, _reader().now
    clinics = _CLOCK % (clock(now, here), place(here))
    if _zone(zone) == _zone(here):
        return clinics
    is_same = clock(now, zone) == clock(now, here)
    theirs = _CLOCK % (clock(now, zone), place(zone))
    return _BOTH_CLOCKS % (theirs, gettext("the same here") if is_same else clinics)


def _written(at: datetime, zone: str, pattern: str) -> str:
    return written(at, _zone(zone), pattern, _reader().language)


@lru_cache(_KEPT)
def _day_in_words(day: date, pattern: str, language: str) -> str:
    return str(format_date(day, pattern, locale=language))


def _in_words(length: timedelta) -> str:
    """In the unit that tells it best: ``3 hr``, ``8 days``."""
    return _units_in_words(*_counted(length), _reader().language)


def _counted(length: timedelta) -> tuple[int, int]:
    """How many, of a unit of how many seconds; what rounds to 60 minutes is an hour."""
    minutes = max(1, round(length / timedelta(minutes=1)))
    if minutes < 60:
        return minutes, _UNIT["minute"]
    hours = round(minutes / 60)
    if hours < 24:
        return hours, _UNIT["hour"]
    seconds = minutes * 60
    # Thirteen days say more than two weeks.
    unit = next((size for size in _LONG_UNITS if seconds >= 2 * size), _UNIT["day"])
    return max(1, round(seconds / unit)), unit


@lru_cache(_KEPT)
def _apart_in_words(number: int, unit: int, language: str) -> str:
    if unit >= _UNIT["day"]:
        apart = timedelta(seconds=number * unit)
        return format_timedelta(apart, threshold=abs(number), add_direction=True, locale=language)
    # Babel's short words for what is past or to come end in dots.
    length = _units_in_words(abs(number), unit, language)
    if number < 0:
        return str(gettext("%(length)s ago", length=length))
    return str(gettext("in %(length)s", length=length))


@lru_cache(_KEPT)
def _units_in_words(number: int, unit: int, language: str) -> str:
    # A threshold of the number itself: no larger unit has as many.
    return format_timedelta(
        timedelta(seconds=number * unit),
        format="long" if unit >= _UNIT["day"] else "short",
        threshold=number,
        locale=language,
    )


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        # A zone that the tz database has dropped must not hide its lead.
        return ZoneInfo(_reader().zone)


FILTERS: dict[str, Callable[..., Any]] = {
    "moment": moment,
    "relative": relative,
    "span": span,
    "minutes": minutes,
    "short_day": short_day,
    "full_day": full_day,
    "wait": wait,
    "exact": exact,
    "clock": clock,
    "day": day,
    "day_and_time": day_and_time,
    "weekday_and_time": weekday_and_time,
    "day_if_other": day_if_other,
    "place": place,
    "both_clocks": both_clocks,
}
