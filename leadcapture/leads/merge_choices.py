"""What staff choose from when two leads become one, and what the one that stays says then."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from leadcapture.models import Lead, LeadStatus

CHOICES: Mapping[str, tuple[str, ...]] = {
    "name": ("full_name",),
    "telephone": ("phone", "phone_typed"),
    "wish": ("contact_by", "contact_time"),
    "language": ("language",),
    "country": ("country",),
    "time_zone": ("time_zone",),
    "status": ("status", "closed_reason"),
    "owner": ("owner_id",),
}
"""What is chosen, with the columns that go together. The address is chosen by which lead stays."""

CLOCK = ("waiting_since", "first_response_due_at", "warning_due_at", "warnings")
_EMPTIED = ("status", "closed_reason", *CLOCK, "search_text", "merged_into_id")
_FURTHER = (
    LeadStatus.CLOSED,
    LeadStatus.NEW,
    LeadStatus.CONTACTED,
    LeadStatus.BOOKED,
    LeadStatus.PATIENT,
)


def likely_choices(kept: Lead, other: Lead) -> frozenset[str]:
    """What the one that stays would take from the other unless staff say otherwise.

    What it lacks itself, and the status of whoever came further.
    """
    lacks = {
        name
        for name, columns in CHOICES.items()
        if not getattr(kept, columns[0]) and getattr(other, columns[0])
    }
    if kept.phone is None and other.phone is not None:
        lacks.add("telephone")
    if _FURTHER.index(other.status) > _FURTHER.index(kept.status):
        lacks.add("status")
    return frozenset(lacks)


def differing(kept: Lead, other: Lead) -> tuple[str, ...]:
    """What there is to choose: where the two say something else."""
    return tuple(name for name in CHOICES if _said(kept, name) != _said(other, name))


def _said(lead: Lead, name: str) -> tuple[Any, ...]:
    if name == "telephone":
        # However each of them typed it.
        return (lead.phone or lead.phone_typed,)
    return tuple(getattr(lead, column) for column in CHOICES[name])


def combined(kept: Lead, other: Lead, taken: Collection[str]) -> dict[str, Any]:
    """The columns of the lead that stays; ``taken`` names what it takes from the other.

    It was first asked when the first of the two was, and it waits where one of them does.
    """
    values = {
        column: getattr(other if name in taken else kept, column)
        for name, columns in CHOICES.items()
        for column in columns
    }
    waiting = [lead for lead in (kept, other) if lead.waiting_since is not None]
    longest = min(waiting, key=lambda lead: lead.waiting_since or lead.created_at, default=kept)
    clock = {column: getattr(longest, column) for column in CLOCK}
    if values["status"] is LeadStatus.CLOSED:
        clock = stopped_clock()
    return values | {
        **clock,
        "created_at": min(kept.created_at, other.created_at),
        "last_request_at": max(kept.last_request_at, other.last_request_at),
    }


def emptied(into: Lead) -> dict[str, Any]:
    """The columns of the lead that went into another: it waits for nobody, and no word finds it."""
    return {
        "status": LeadStatus.MERGED,
        "closed_reason": "",
        **stopped_clock(),
        "search_text": "",
        "merged_into_id": into.id,
    }


def stopped_clock() -> dict[str, Any]:
    """The clock of somebody who waits for nobody."""
    return dict(zip(CLOCK, (None, None, None, 0), strict=True))


def write(lead: Lead, values: Mapping[str, Any]) -> None:
    """Set these columns, the wait before its clock: a wait that begins takes the old one along."""
    for column in sorted(values, key=lambda column: column != CLOCK[0]):
        setattr(lead, column, values[column])


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Columns as JSON keeps them; `read` takes them back."""
    return {
        column: value.isoformat() if isinstance(value, datetime) else value
        for column, value in values.items()
    }


def read(written: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that `plain` wrote."""
    values = dict(written)
    for column, value in values.items():
        if column == "status":
            values[column] = LeadStatus(value)
        elif value is not None and column.endswith(("_at", "_since")):
            values[column] = datetime.fromisoformat(value)
    return values


def as_it_stands(lead: Lead, columns: Collection[str] = _EMPTIED) -> dict[str, Any]:
    """These columns of the lead, unless told otherwise those that a merge empties."""
    return {column: getattr(lead, column) for column in columns}
