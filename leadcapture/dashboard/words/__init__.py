"""Words: what staff read for each word that the rooms below keep in the database."""

from leadcapture.dashboard.words.events import happened
from leadcapture.dashboard.words.reasons import HELD_REQUEST, REASON, TASK, why
from leadcapture.dashboard.words.terms import (
    CALL,
    CHANNEL,
    CLOSED_REASON,
    CONDITION,
    CONSENT,
    CONTACT_BY,
    CONTACT_TIME,
    LETTER,
    MESSAGE_STATE,
    PACKET_NOTE,
    STATUS,
    of,
    purpose,
    step_of,
    wish,
)

__all__ = [
    "CALL",
    "CHANNEL",
    "CLOSED_REASON",
    "CONDITION",
    "CONSENT",
    "CONTACT_BY",
    "CONTACT_TIME",
    "HELD_REQUEST",
    "LETTER",
    "MESSAGE_STATE",
    "PACKET_NOTE",
    "REASON",
    "STATUS",
    "TASK",
    "happened",
    "of",
    "purpose",
    "step_of",
    "why",
    "wish",
]
