"""What goes wrong on the way to the relay and inside it, drawn from a seed.

Each connection draws from a stream of its own (seed and number), so that how processes happen
to interleave changes who meets a fault but not which faults a connection holds.
"""

import random
from dataclasses import dataclass
from typing import Literal

Phase = Literal["connect", "ehlo", "mail", "rcpt", "data", "body", "dot", "taken"]
PHASES: tuple[Phase, ...] = ("connect", "ehlo", "mail", "rcpt", "data", "body", "dot", "taken")
"""``dot``: the dot came and nothing is taken yet; ``taken``: before the 250 that says so."""


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong: silence of ``stall`` seconds, then a reply, an end, or nothing.

    ``leaves`` is how the line ends: by a FIN, by a RST, or not at all.
    """

    name: str
    reply: bytes = b""
    stall: float = 0.0
    leaves: Literal["", "fin", "rst"] = ""

    @property
    def is_permanent(self) -> bool:
        """True where the relay says never, so that a letter may end without a copy."""
        return self.reply.startswith(b"5")


HANGS_UP = Fault("hang up", leaves="fin")
RESETS = Fault("reset", leaves="rst")
STALLS = Fault("stall", stall=0.3)
STALLS_AND_ENDS = Fault("stall, hang up", stall=0.6, leaves="fin")
_LOST = (HANGS_UP, RESETS, STALLS, STALLS_AND_ENDS)


def _says(reply: str) -> Fault:
    return Fault(reply, reply=f"{reply} as planned\r\n".encode())


# What may happen at each phase; a fault that stands twice comes twice as often.
FAULTS: dict[Phase, tuple[Fault, ...]] = {
    "connect": (*_LOST, _says("421 4.3.2"), _says("554 5.3.2")),
    "ehlo": (*_LOST, _says("421 4.3.2")),
    "mail": (*_LOST, _says("451 4.3.0"), _says("421 4.3.2"), _says("550 5.1.8")),
    "rcpt": (
        *_LOST,
        _says("450 4.2.0"),
        _says("452 4.2.2"),
        _says("421 4.7.0"),
        _says("550 5.1.1"),
    ),
    "data": (*_LOST, _says("451 4.3.0"), _says("554 5.5.1")),
    "body": _LOST,
    "dot": (*_LOST, _says("451 4.3.0"), _says("450 4.7.1"), _says("554 5.6.0")),
    # What it says there may mean nothing, or belong to another command.
    "taken": (
        *(HANGS_UP, RESETS, STALLS, STALLS, STALLS_AND_ENDS),
        *(_says("garbled"), _says("503 5.5.1")),
    ),
}


# A connection comes by here once and carries many letters: at the rate of the other phases, a
# short run may meet nothing here.
_ONCE: dict[Phase, int] = {"connect": 3, "ehlo": 3}


class Plan:
    """What one connection meets. ``rate`` is the chance of a fault at each phase of a letter."""

    def __init__(self, seed: int, connection: int, rate: float) -> None:
        self.chance = random.Random(f"{seed}/{connection}")
        self._rate = rate

    def fault_at(self, phase: Phase) -> Fault | None:
        """What goes wrong at this phase; None where nothing does."""
        if self.chance.random() >= self._rate * _ONCE.get(phase, 1):
            return None
        return self.chance.choice(FAULTS[phase])
