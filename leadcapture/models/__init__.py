"""The schema, a file per noun."""

from leadcapture.models.attempt import Attempt
from leadcapture.models.audit import AuditEntry, SealKey
from leadcapture.models.consent import Consent, ConsentKind
from leadcapture.models.gate import Gate
from leadcapture.models.heartbeat import Heartbeat
from leadcapture.models.hours import ClinicHours
from leadcapture.models.inbound import InboundKind, InboundMail
from leadcapture.models.instance import Instance
from leadcapture.models.lead import Lead, LeadStatus
from leadcapture.models.letter import LetterVersion
from leadcapture.models.message import Message, MessageKind, MessageState
from leadcapture.models.pace import Pace
from leadcapture.models.request import Request, Screening
from leadcapture.models.roster import Roster
from leadcapture.models.staff import Invitation, Role, Staff
from leadcapture.models.suppression import Suppression, SuppressionScope
from leadcapture.models.task import Task
from leadcapture.models.timeline import TimelineEntry

__all__ = [
    "Attempt",
    "AuditEntry",
    "ClinicHours",
    "Consent",
    "ConsentKind",
    "Gate",
    "Heartbeat",
    "InboundKind",
    "InboundMail",
    "Instance",
    "Invitation",
    "Lead",
    "LeadStatus",
    "LetterVersion",
    "Message",
    "MessageKind",
    "MessageState",
    "Pace",
    "Request",
    "Role",
    "Roster",
    "Screening",
    "SealKey",
    "Staff",
    "Suppression",
    "SuppressionScope",
    "Task",
    "TimelineEntry",
]
