"""Instants and towns in words, on the clock of a zone and in a language."""

from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_datetime

# Day and time to the minute: ``Tue 3 Mar 2026, 09:00``.
EXACT = "EEE d MMM yyyy, HH:mm"
# Minutes whose words are kept: those of the pages that people look at.
_KEPT = 4096


def written(at: datetime, zone: ZoneInfo, pattern: str, language: str) -> str:
    """The minute of ``at`` in ``zone``, by a pattern of Unicode's LDML (UTS 35, part 4)."""
    minute = at.astimezone(UTC).replace(second=0, microsecond=0)
    return _minute_in_words(minute, zone, pattern, language)


@lru_cache(_KEPT)
def town(zone: str, language: str) -> str:
    """The town that names a zone, as it is called there: ``New York``, ``Nueva York``."""
    named = Locale.parse(language).time_zones.get(zone, {}).get("city")
    return str(named or zone.rpartition("/")[2].replace("_", " "))


@lru_cache(_KEPT)
def _minute_in_words(minute: datetime, zone: ZoneInfo, pattern: str, language: str) -> str:
    return str(format_datetime(minute, pattern, tzinfo=zone, locale=language))
