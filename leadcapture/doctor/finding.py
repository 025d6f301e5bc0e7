"""What one check found, how bad it is, and what to mend."""

import enum
from collections.abc import Callable
from dataclasses import dataclass


class Verdict(enum.StrEnum):
    OK = "ok"
    ATTENTION = "attention"
    FAULT = "fault"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's: ``mend`` is empty where all is well."""

    check: str
    verdict: Verdict
    found: str
    mend: str = ""


def ok(check: str, found: str) -> Finding:
    return Finding(check, Verdict.OK, found)


def attention(check: str, found: str, mend: str) -> Finding:
    return Finding(check, Verdict.ATTENTION, found, mend)


def fault(check: str, found: str, mend: str) -> Finding:
    return Finding(check, Verdict.FAULT, found, mend)


def bounded(name: str, group: Callable[[], list[Finding]]) -> list[Finding]:
    """The group's findings; one fault where it breaks, so that the others are still heard."""
    try:
        return group()
    except Exception as error:
        # Its words may hold a password or an address.
        broke = f"the look at it broke off ({type(error).__name__})"
        return [fault(name, broke, "Mend what is said above first, then ask again.")]
