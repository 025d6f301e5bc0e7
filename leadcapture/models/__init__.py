"""The schema, a file per noun."""

from leadcapture.models.attempt import Attempt
from leadcapture.models.consent import Consent, ConsentKind
from leadcapture.models.gate import Gate
from leadcapture.models.heartbeat import Heartbeat
from leadcapture.models.lead import Lead, LeadStatus
from leadcapture.models.letter import LetterVersion
from leadcapture.models.message import Message, MessageKind, MessageState
from leadcapture.models.request import Request, Screening
from leadcapture.models.staff import Invitation, Role, Staff
from leadcapture.models.suppression import Suppression, SuppressionScope
from leadcapture.models.task import Task
from leadcapture.models.timeline import TimelineEntry

__all__ = [
    "Attempt",
    "Consent",
    "ConsentKind",
    "Gate",
    "Heartbeat",
    "Invitation",
    "Lead",
    "LeadStatus",
    "LetterVersion",
    "Message",
    "MessageKind",
    "MessageState",
    "Request",
    "Role",
    "Screening",
    "Staff",
    "Suppression",
    "SuppressionScope",
    "Task",
    "TimelineEntry",
]
