"""Opening time: how long the clinic was open between two instants, looked up often."""

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from zoneinfo import ZoneInfo

from leadcapture.leads.hours import Hours


class OpeningTime:
    """The clinic's opening time between two instants, reckoned once for all that lie between."""

    def __init__(self, hours: Hours, begins: datetime, ends: datetime) -> None:
        zone = ZoneInfo(hours.zone)
        first, last = (moment.astimezone(zone).date() for moment in (begins, ends))
        days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        spans = [
            tuple(datetime.combine(day, at, zone).astimezone(UTC) for at in span)
            for day in days
            if (span := hours.of_day(day)) is not None
        ]
        self._opens = [opens for opens, _ in spans]
        self._lengths = [closes - opens for opens, closes in spans]
        # Between two instants of a Sunday it is not open either.
        self._never_opens = not self._opens and not hours.opens_after(begins)
        self._before = list(accumulate(self._lengths, initial=timedelta(0)))

    def between(self, begins: datetime, ends: datetime) -> timedelta:
        """How long the clinic was open from the one to the other; calendar time if it never is."""
        if self._never_opens:
            return ends - begins
        return self._until(ends) - self._until(begins)

    def _until(self, moment: datetime) -> timedelta:
        number = bisect_right(self._opens, moment)
        if number == 0:
            return timedelta(0)
        inside = min(moment - self._opens[number - 1], self._lengths[number - 1])
        return self._before[number - 1] + inside
