"""Forms: what a field that was sent is called, and what was chosen in it."""

from collections.abc import Mapping

from flask_babel import LazyString, gettext, lazy_gettext

from leadcapture.dashboard.words.details import FIELD, field_value
from leadcapture.dashboard.words.terms import (
    CALL,
    CHANNEL,
    CLOSED_REASON,
    CONDITION,
    STATUS,
    of,
)

_FIELD: Mapping[str, LazyString] = {
    "agreed": lazy_gettext("They said yes"),
    "call_back_at": lazy_gettext("Call back at"),
    "channel": lazy_gettext("Way in"),
    "conditions": lazy_gettext("They asked about"),
    "due_at": lazy_gettext("Due"),
    "note": lazy_gettext("Note"),
    "outcome": lazy_gettext("Log a call"),
    "owner": lazy_gettext("Owner"),
    "packet": lazy_gettext("Send them the packet"),
    "phone": lazy_gettext("Telephone"),
    "reason": lazy_gettext("Reason"),
    "status": lazy_gettext("Move to"),
    "to": lazy_gettext("Owner"),
    **FIELD,
}
_CHOSEN: Mapping[str, Mapping[str, LazyString]] = {
    "channel": CHANNEL,
    "conditions": CONDITION,
    "outcome": {**CALL, "call_back": lazy_gettext("Asked to be called back")},
    "reason": CLOSED_REASON,
    "status": STATUS,
}


def sent_field(name: str) -> str:
    """The label of a field; one without stands for itself."""
    return of(_FIELD, name)


def sent_value(name: str, value: str) -> str:
    """What was typed or chosen, as people read it."""
    if name in _CHOSEN:
        return of(_CHOSEN[name], value)
    if value == "y":
        return str(gettext("yes"))
    return field_value(name, value) if name in FIELD else value
