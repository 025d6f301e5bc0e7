"""The follow-up plan: which letters follow a request, and when."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from leadcapture.outbox import hours

# A reminder that comes two days late is a nuisance: it expires instead.
KEEPS = timedelta(hours=48)


@dataclass(frozen=True)
class Step:
    """One letter of the sequence, so many days after the request."""

    topic: str
    days: int


STEPS = (Step("day-3", 3), Step("day-10", 10), Step("day-24", 24))


def plan(asked_at: datetime, zone: str) -> list[tuple[Step, datetime, datetime]]:
    """Each step with when it is due and when it expires, inside 09:00–20:00 of the zone."""
    planned = []
    for step in STEPS:
        due = hours.days_later(asked_at, step.days, zone)
        planned.append((step, due, due + KEEPS))
    return planned
