"""Responses: how soon a person answered those who waited."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Responses:
    """How soon a person answered: whole minutes of opening time of each wait that has ended.

    ``minutes`` counts the waits of each length. ``in_time`` were answered within the target.
    ``late`` were not, or still wait and are past it. ``open`` still wait, in time.
    """

    minutes: Counter[int] = field(default_factory=Counter)
    in_time: int = 0
    late: int = 0
    open: int = 0

    @property
    def answered(self) -> int:
        return self.minutes.total()

    @property
    def waiting(self) -> int:
        return self.in_time + self.late + self.open - self.answered

    @property
    def median(self) -> int | None:
        return self._rank(50)

    @property
    def p90(self) -> int | None:
        return self._rank(90)

    @property
    def share(self) -> int | None:
        """Percent within the target, of those of whom it is decided."""
        decided = self.in_time + self.late
        return round(100 * self.in_time / decided) if decided else None

    def _rank(self, percent: int) -> int | None:
        """The nearest rank: the least value that so many percent do not exceed."""
        left = max(-(-self.answered * percent // 100), 1)
        for minutes in sorted(self.minutes):
            left -= self.minutes[minutes]
            if left <= 0:
                return minutes
        return None
