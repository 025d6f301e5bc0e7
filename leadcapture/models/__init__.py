"""The schema, a file per noun."""

from leadcapture.models.attempt import Attempt
from leadcapture.models.audit import AuditEntry, SealKey
from leadcapture.models.bulk import BulkAct
from leadcapture.models.change import Change
from leadcapture.models.consent import Consent, ConsentKind
from leadcapture.models.export import Export, ExportPart, ExportState
from leadcapture.models.feed import CalendarFeed
from leadcapture.models.form_text import FormText, FormTextInUse
from leadcapture.models.gate import Gate
from leadcapture.models.heartbeat import Heartbeat
from leadcapture.models.hours import ClinicHours
from leadcapture.models.inbound import InboundKind, InboundMail
from leadcapture.models.instance import Instance
from leadcapture.models.kept_form import KeptForm
from leadcapture.models.lead import UNLISTED, Lead, LeadStatus
from leadcapture.models.letter import LetterVersion
from leadcapture.models.linked_packet import LinkedPacket
from leadcapture.models.mention import Mention
from leadcapture.models.merge import Merge, ToldApart
from leadcapture.models.message import OPEN_STATES, Message, MessageKind, MessageState
from leadcapture.models.notice_sender import NoticeKind, NoticeSender
from leadcapture.models.pace import Pace
from leadcapture.models.presence import Presence
from leadcapture.models.request import Request, Screening
from leadcapture.models.roster import Roster
from leadcapture.models.setting_change import SettingChange
from leadcapture.models.source import SourceRule
from leadcapture.models.staff import Invitation, Role, Staff
from leadcapture.models.suppression import Suppression, SuppressionScope
from leadcapture.models.tag import Tag, lead_tag
from leadcapture.models.tally import DayTally, HourTally, MonthTally, Recount
from leadcapture.models.task import Task
from leadcapture.models.timeline import TimelineEntry
from leadcapture.models.view import ListChoice, SavedView

__all__ = [
    "OPEN_STATES",
    "UNLISTED",
    "Attempt",
    "AuditEntry",
    "BulkAct",
    "CalendarFeed",
    "Change",
    "ClinicHours",
    "Consent",
    "ConsentKind",
    "DayTally",
    "Export",
    "ExportPart",
    "ExportState",
    "FormText",
    "FormTextInUse",
    "Gate",
    "Heartbeat",
    "HourTally",
    "InboundKind",
    "InboundMail",
    "Instance",
    "Invitation",
    "KeptForm",
    "Lead",
    "LeadStatus",
    "LetterVersion",
    "LinkedPacket",
    "ListChoice",
    "Mention",
    "Merge",
    "Message",
    "MessageKind",
    "MessageState",
    "MonthTally",
    "NoticeKind",
    "NoticeSender",
    "Pace",
    "Presence",
    "Recount",
    "Request",
    "Role",
    "Roster",
    "SavedView",
    "Screening",
    "SealKey",
    "SettingChange",
    "SourceRule",
    "Staff",
    "Suppression",
    "SuppressionScope",
    "Tag",
    "Task",
    "TimelineEntry",
    "ToldApart",
    "lead_tag",
]
