"""A clock that stands still until it is moved."""

from datetime import UTC, datetime, timedelta

TUESDAY_MORNING = datetime(2026, 3, 3, 15, 0, tzinfo=UTC)


class Clock:
    """Called, it answers with the instant (aware UTC), as the service's own clock does."""

    def __init__(self, now: datetime = TUESDAY_MORNING) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, by: timedelta) -> datetime:
        self.now += by
        return self.now

    def move_to(self, now: datetime) -> None:
        self.now = now
