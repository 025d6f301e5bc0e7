"""Times on the desk's pages: in words that people use, each kept for its language."""

import re
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from babel.dates import format_datetime
from flask import Flask
from flask_babel import gettext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leadcapture import web
from leadcapture.dashboard import times
from leadcapture.languages import speak

_LENGTHS = st.integers(45, 7_000) | st.integers(45, 400_000) | st.integers(45, 100_000_000)
# Seconds of a unit, by its words in either language.
_SIZES = {
    **dict.fromkeys(("min",), 60),
    **dict.fromkeys(("hr", "h"), 3_600),
    **dict.fromkeys(("day", "days", "día", "días"), 86_400),
    **dict.fromkeys(("week", "weeks", "semana", "semanas"), 604_800),
    **dict.fromkeys(("month", "months", "mes", "meses"), 2_592_000),
    **dict.fromkeys(("year", "years", "año", "años"), 31_536_000),
}
_ON_ONE_APP = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture
def database_kind() -> str:
    """Words ask no database: one is enough."""
    return "sqlite"


@_ON_ONE_APP
@given(seconds=_LENGTHS, way=st.sampled_from([1, -1]), language=st.sampled_from(["en", "es"]))
def test_how_long_ago_is_told_in_whole_words(
    app: Flask, seconds: int, way: int, language: str
) -> None:
    """No seconds, no dots, no 60 minutes; the number is within half of its unit and right."""
    apart = timedelta(seconds=seconds)
    with app.test_request_context(f"/?lang={language}"):
        told = times.relative(web.now() + way * apart)
        length = times.span(apart)
    before, after = {"en": ("in ", " ago"), "es": ("dentro de ", "hace ")}[language]
    is_to_come = told.startswith(before)
    assert is_to_come == (way == 1)
    assert is_to_come or told.endswith(after) or told.startswith(after)
    assert "." not in told + length
    number, unit = re.search(r"(\d+) (\w+)", told).groups()  # type: ignore[union-attr]
    size = _SIZES[unit]
    assert abs(seconds / size - int(number)) <= 0.52
    assert int(number) < {60: 60, 3_600: 24}.get(size, 36)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (-44, "just now"),
        (-70, "1 min ago"),
        (-3_580, "1 hr ago"),
        (5 * 3_600, "in 5 hr"),
        (-23.6 * 3_600, "1 day ago"),
        (-8 * 86_400, "8 days ago"),
        (14 * 86_400, "in 2 weeks"),
        (-400 * 86_400, "13 months ago"),
    ],
)
def test_how_long_ago_in_english(app: Flask, seconds: float, told: str) -> None:
    with app.test_request_context("/?lang=en"):
        assert times.relative(web.now() + timedelta(seconds=seconds)) == told


@pytest.mark.parametrize(
    ("length", "told"),
    [
        (timedelta(seconds=44), "under a minute"),
        (timedelta(seconds=45), "1 min"),
        (timedelta(minutes=59, seconds=29), "59 min"),
        (timedelta(minutes=59, seconds=45), "1 hr"),
        (timedelta(hours=1, minutes=48), "1 hr 48 min"),
        (timedelta(hours=1, minutes=59, seconds=40), "2 hr"),
        (timedelta(hours=2, seconds=29), "2 hr"),
        (timedelta(hours=9, minutes=59, seconds=50), "10 hr"),
        (timedelta(hours=23, minutes=59, seconds=50), "1 day"),
    ],
)
def test_a_length_of_time_never_has_sixty_minutes(app: Flask, length: timedelta, told: str) -> None:
    with app.test_request_context("/?lang=en"):
        assert times.span(length) == told


def test_an_instant_is_told_in_its_minute_zone_and_language(app: Flask) -> None:
    with app.test_request_context("/?lang=en"):
        at = web.now()
        for zone in ("America/Costa_Rica", "Asia/Kolkata"):
            for language in ("en", "es"):
                speak(language)
                for later in (timedelta(0), timedelta(seconds=59), timedelta(minutes=1)):
                    wanted = format_datetime(
                        at + later,
                        "EEE d MMM yyyy, HH:mm",
                        tzinfo=ZoneInfo(zone),
                        locale=language,
                    )
                    assert times.exact(at + later, zone) == f"{wanted} {times.place(zone)}"


def test_a_town_is_called_as_its_reader_calls_it(app: Flask) -> None:
    zones = ("America/New_York", "America/Costa_Rica", "Europe/Stockholm", "Mars/Olympus_Mons")
    told = {}
    with app.test_request_context("/?lang=en"):
        for language in ("en", "es"):
            speak(language)
            told[language] = [times.place(zone) for zone in zones]
    assert told["en"] == ["New York", "Costa Rica", "Stockholm", "Olympus Mons"]
    assert told["es"] == ["Nueva York", "Costa Rica", "Estocolmo", "Olympus Mons"]


def test_each_language_keeps_its_own_catalogue(app: Flask) -> None:
    with app.test_request_context("/?lang=en"):
        told = []
        for language in ("en", "es", "en"):
            speak(language)
            told.append(str(gettext("just now")))
    assert told[0] == told[2] == "just now" != told[1]
