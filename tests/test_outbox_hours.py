"""When a follow-up may arrive (SC-06)."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from leadcapture.leads.follow_ups import STEPS, plan
from leadcapture.outbox import hours

ZONES = (
    "America/New_York",
    "America/Detroit",
    "America/Chicago",
    "America/Denver",
    "America/Phoenix",
    "America/Los_Angeles",
    "America/Anchorage",
    "Pacific/Honolulu",
    "America/Adak",
    "America/Costa_Rica",
)


@pytest.mark.parametrize("zone", ZONES)
def test_every_follow_up_of_five_years_falls_in_the_patients_day(zone: str) -> None:
    """SC-06: asked at any hour of any day from 2026 to 2030, each step once, in 09:00–20:00."""
    asked = datetime(2026, 1, 1, 0, 30, tzinfo=UTC)
    while asked.year < 2031:
        planned = plan(asked, zone)
        assert [step for step, _, _ in planned] == list(STEPS)
        for step, due, not_after in planned:
            local = due.astimezone(ZoneInfo(zone))
            assert time(9) <= local.time() < time(20)
            days = (local.date() - asked.astimezone(ZoneInfo(zone)).date()).days
            assert days in (step.days, step.days + 1)
            assert not_after - due == timedelta(hours=48)
        asked += timedelta(hours=25)


def test_the_hour_of_the_clock_stays_when_summer_time_begins() -> None:
    asked = datetime(2026, 3, 6, 18, 0, tzinfo=UTC)  # 13:00 in New York, winter
    due = hours.days_later(asked, 3, "America/New_York")
    assert due.astimezone(ZoneInfo("America/New_York")).hour == 13
    assert due - asked == timedelta(days=3) - timedelta(hours=1)


def test_at_night_the_next_morning_is_next() -> None:
    night = datetime(2026, 7, 1, 3, 0, tzinfo=UTC)  # 21:00 in Costa Rica, the day before
    opens = hours.next_open(night, "America/Costa_Rica").astimezone(ZoneInfo("America/Costa_Rica"))
    assert (opens.date(), opens.time()) == (date(2026, 7, 1), time(9))


def test_inside_the_hours_nothing_is_put_off() -> None:
    noon = datetime(2026, 7, 1, 18, 0, tzinfo=UTC)
    assert hours.next_open(noon, "America/Costa_Rica") == noon
