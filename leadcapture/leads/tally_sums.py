"""Sums of tallies: what many days come to together, and what a month of them is kept as."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import zip_longest
from typing import Any

from leadcapture.leads import lengths
from leadcapture.leads.opening_time import OpeningTime
from leadcapture.leads.responses import Responses
from leadcapture.leads.tallies import STAGES, Content, Reckoning

# How each kind of waits is told apart, and what its names are.
_KINDS: Mapping[str, Callable[[str], Any]] = {"hours": int, "languages": str, "people": int}
# Of waits below ten hours of opening time a month keeps the number by the minute, one after the
# other: so they are added up three times as fast as by name.
_SHORT = 600


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

    def add_parts(self, parts: Collection[tuple[date, Content]]) -> None:
        """Days more, or parts of them, each as `leads.tallies` tells it."""
        for day, content in parts:
            known = self.days.get(day)
            names = content["sources"]
            self.days[day] = Counter(known) + Counter(names) if known else names
            self._add(content)
        for kind, read in _KINDS.items():
            kept, packed = self._of(kind), defaultdict[str, list[str]](list)
            for _, content in parts:
                for name, (lasted, in_time, late) in content[kind].items():
                    packed[name].append(lasted)
                    responses = _named(kept, read(name))
                    responses.in_time += in_time
                    responses.late += late
            # Each name's at once: a busy month has a thousand of these texts.
            for name, texts in packed.items():
                _named(kept, read(name)).minutes.update(lengths.unpack(texts))

    def add_months(self, contents: Collection[Content]) -> None:
        """Months more, as ``content`` of the sum of each told them."""
        for content in contents:
            days = content["days"].items()
            self.days |= {date.fromisoformat(day): names for day, names in days}
            self._add(content)
        for kind, read in _KINDS.items():
            kept, short = self._of(kind), defaultdict[str, list[Sequence[int]]](list)
            for content in contents:
                for name, (numbers, longer, in_time, late) in content[kind].items():
                    short[name].append(numbers)
                    responses = _named(kept, read(name))
                    responses.minutes.update({int(length): many for length, many in longer.items()})
                    responses.in_time += in_time
                    responses.late += late
            for name, rows in short.items():
                numbers = map(sum, zip_longest(*rows, fillvalue=0))
                minutes = _named(kept, read(name)).minutes
                minutes.update({length: many for length, many in enumerate(numbers) if many})

    @property
    def content(self) -> Content:
        """The sum as it is kept (JSON): a day's, with the sources of each day as ``days``, and of
        each wait's length how many have it: the short ones in a list by the minute, and the others.
        """
        return {
            "days": {day.isoformat(): dict(names) for day, names in self.days.items()},
            "letters": dict(self.letters),
            "stages": self.stages,
            **{kind: _kept(self._of(kind)) for kind in _KINDS},
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
        self.open += content["open"]

    def _of(self, kind: str) -> dict[Any, Responses]:
        named: dict[Any, Responses] = getattr(self, kind)
        return named


def _named(kept: dict[Any, Responses], name: Any) -> Responses:
    responses = kept.get(name)
    if responses is None:
        responses = kept[name] = Responses()
    return responses


def _kept(named: Mapping[Any, Responses]) -> Mapping[str, Sequence[Any]]:
    return {
        str(name): [*_by_length(told.minutes), told.in_time, told.late]
        for name, told in named.items()
    }


def _by_length(minutes: Counter[int]) -> tuple[Sequence[int], Mapping[str, int]]:
    longest = max((length for length in minutes if length < _SHORT), default=-1)
    short = [minutes[length] for length in range(longest + 1)]
    return short, {str(length): many for length, many in minutes.items() if length >= _SHORT}
