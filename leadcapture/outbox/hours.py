"""Hours: when a follow-up may arrive, in the patient's own zone."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

OPENS = time(9, 0)
# Retries and a slow relay must still end inside the promise of 20:00, so the door shuts earlier.
CLOSES = time(19, 45)


def is_open(moment: datetime, zone: str) -> bool:
    """True inside 09:00–19:45 of the zone."""
    return OPENS <= moment.astimezone(ZoneInfo(zone)).time() < CLOSES


def next_open(moment: datetime, zone: str) -> datetime:
    """``moment`` itself inside the hours, else the next 09:00 of the zone (aware UTC)."""
    if is_open(moment, zone):
        return moment.astimezone(UTC)
    local = moment.astimezone(ZoneInfo(zone))
    day = local.date() if local.time() < OPENS else local.date() + timedelta(days=1)
    return datetime.combine(day, OPENS, ZoneInfo(zone)).astimezone(UTC)


def days_later(moment: datetime, days: int, zone: str) -> datetime:
    """The same time of the zone's clock ``days`` later, moved inside the hours (aware UTC)."""
    local = moment.astimezone(ZoneInfo(zone))
    # Wall-clock arithmetic on purpose: a summer-time change in between does not shift the hour.
    return next_open((local + timedelta(days=days)).astimezone(UTC), zone)
