"""Words: what staff read for each word that the rooms below keep in the database."""

from leadcapture.dashboard.words.events import happened
from leadcapture.dashboard.words.exports import EXPORT_COLUMN, EXPORT_STATE
from leadcapture.dashboard.words.reasons import HELD_REQUEST, REASON, TASK, why
from leadcapture.dashboard.words.settings import (
    FORM_PART,
    ROLE,
    ROLE_MEANS,
    TAG_COLOR,
    WAY,
    setting_name,
    setting_value,
)
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
    "EXPORT_COLUMN",
    "EXPORT_STATE",
    "FORM_PART",
    "HELD_REQUEST",
    "LETTER",
    "MESSAGE_STATE",
    "PACKET_NOTE",
    "REASON",
    "ROLE",
    "ROLE_MEANS",
    "STATUS",
    "TAG_COLOR",
    "TASK",
    "WAY",
    "happened",
    "of",
    "purpose",
    "setting_name",
    "setting_value",
    "step_of",
    "why",
    "wish",
]
