"""Sums of tallies: what many days come to together, and what a month of them is kept as."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, TypeVar

from leadcapture.leads.opening_time import OpeningTime
from leadcapture.leads.responses import Responses
from leadcapture.leads.tallies import STAGES, Content, Reckoning

Name = TypeVar("Name", bound=Hashable)


@dataclass
class Sum:
    """Days and months, added up. ``days`` are the requests of each day by their source."""

    days: dict[date, Mapping[str, int]] = field(default_factory=dict)
    letters: Counter[str] = field(default_factory=Counter)
    stages: list[int] = field(default_factory=lambda: [0] * len(STAGES))
    hours: dict[int, Responses] = field(default_factory=dict)
    languages: dict[str, Responses] = field(default_factory=dict)
    people: dict[int, Responses] = field(default_factory=dict)
    open: list[Sequence[Any]] = field(default_factory=list)

    def add_day(self, day: date, content: Content) -> None:
        """One day more, as `leads.tallies` tells it."""
        self.days[day] = content["sources"]
        self._add(content)

    def add_month(self, content: Content) -> None:
        """One month more, as ``content`` of its sum told it."""
        self.days |= {date.fromisoformat(day): names for day, names in content["days"].items()}
        self._add(content)

    @property
    def content(self) -> Content:
        """The sum as it is kept (JSON): a day's, with the sources of each day as ``days`` and
        with the number of waits of each length instead of every wait's minutes.
        """
        return {
            "days": {day.isoformat(): dict(names) for day, names in self.days.items()},
            "letters": dict(self.letters),
            "stages": self.stages,
            "hours": _kept(self.hours),
            "languages": _kept(self.languages),
            "people": _kept(self.people),
            "open": self.open,
        }

    def add_open(self, reckoning: Reckoning, now: datetime) -> None:
        """The waits that ran when their day was reckoned: by now some of them may be late."""
        running = [(datetime.fromisoformat(row[0]), *row[1:]) for row in self.open]
        if not running:
            return
        opening = OpeningTime(reckoning.rules.hours, min(row[0] for row in running), now)
        for asked_at, hour, language, channel in running:
            is_late = opening.between(asked_at, now) > reckoning.rules.target_of(channel)
            for responses in (
                self.hours.setdefault(hour, Responses()),
                self.languages.setdefault(language, Responses()),
            ):
                responses.late += is_late
                responses.open += not is_late

    def _add(self, content: Content) -> None:
        self.letters.update(content["letters"])
        self.stages = [one + more for one, more in zip(self.stages, content["stages"], strict=True)]
        for hour, waits in content["hours"].items():
            _add_waits(self.hours, int(hour), waits)
        for language, waits in content["languages"].items():
            _add_waits(self.languages, language, waits)
        for person, waits in content["people"].items():
            _add_waits(self.people, int(person), waits)
        self.open += content["open"]


def _add_waits(kept: dict[Name, Responses], name: Name, waits: Sequence[Any]) -> None:
    responses = kept.get(name)
    if responses is None:
        responses = kept[name] = Responses()
    minutes, in_time, late = waits
    if isinstance(minutes, dict):
        minutes = {int(length): number for length, number in minutes.items()}
    responses.minutes.update(minutes)
    responses.in_time += in_time
    responses.late += late


def _kept(named: Mapping[Any, Responses]) -> Mapping[str, Sequence[Any]]:
    return {
        str(name): [
            {str(length): number for length, number in told.minutes.items()},
            *(told.in_time, told.late),
        ]
        for name, told in named.items()
    }
