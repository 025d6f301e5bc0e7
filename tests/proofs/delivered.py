"""The relay's journal held against the database: what the outbox promises of every message."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.models import Message, MessageKind, MessageState, Task
from leadcapture.outbox import sweeper
from leadcapture.outbox.envelope import SENDER, token_of_sender, verify
from leadcapture.settings import Settings
from leadcapture.vault import Vault
from tests.proofs.oracle import Copy, Journal

MOST_DOUBTS = 2
ASSUMED = "assumed_sent"


@dataclass
class Delivered:
    """How all came out: messages by state, copies, extra copies, doubts; ``faults`` says where
    journal and database contradict each other or a promise.
    """

    states: Counter[str] = field(default_factory=Counter)
    copies: int = 0
    extra: int = 0
    doubts: int = 0
    assumed: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def sentence(self) -> str:
        states = ", ".join(f"{count} {state}" for state, count in sorted(self.states.items()))
        return (
            f"{self.states.total()} messages ({states}), {self.copies} copies, "
            f"{self.extra} extra of {self.doubts} uncertain, {self.assumed} assumed sent"
        )


def compare(session: Session, journal: Journal, settings: Settings, now: datetime) -> Delivered:
    """Hold each message against its copies, and the ledger against its own invariants."""
    copies: dict[str, list[Copy]] = defaultdict(list)
    for copy in journal.copies:
        copies[copy.mail_id].append(copy)
    told = set(session.scalars(select(Task.message_id)))
    delivered = Delivered(copies=len(journal.copies))
    for row in session.execute(_ROWS):
        mine = copies.pop(row.mail_id, [])
        delivered.states[row.state] += 1
        delivered.extra += max(0, len(mine) - 1)
        delivered.doubts += row.doubts
        delivered.assumed += row.reason == ASSUMED
        faults = [*_count_faults(row, len(mine)), *_end_faults(row, mine, journal)]
        faults += [fault for copy in mine for fault in _copy_faults(row, copy, settings)]
        if row.state == MessageState.FAILED and row.id not in told:
            faults.append("failed, and nobody was asked to look")
        delivered.faults += [f"{row.kind} {row.ref}: {fault}" for fault in faults]
    delivered.faults += [f"{mail_id}: a copy of a message that nobody queued" for mail_id in copies]
    if delivered.extra > delivered.doubts:
        delivered.faults.append(f"{delivered.extra} extra copies of {delivered.doubts} uncertain")
    vault = Vault(settings.seal_keys, settings.seal_key_id, settings.hash_key)
    broken = sweeper.violations(session, now, vault=vault)
    delivered.faults += [str(violation) for violation in broken]
    return delivered


_ROWS = select(
    Message.id,
    Message.ref,
    Message.kind,
    Message.state,
    Message.reason,
    Message.doubts,
    Message.recipient,
    Message.mail_id,
    Message.mail_date,
    Message.sha256,
)


def _count_faults(row: Any, copies: int) -> list[str]:
    """MD-02: an extra copy has its uncertain event, a follow-up has none at all."""
    is_resent = MessageKind(row.kind).is_resent_after_doubt
    faults = []
    if copies > (1 + row.doubts if is_resent else 1):
        faults.append(f"{copies} copies after {row.doubts} uncertain events")
    if row.doubts > (MOST_DOUBTS if is_resent else 1):
        faults.append(f"{row.doubts} uncertain events")
    return faults


def _end_faults(row: Any, copies: list[Copy], journal: Journal) -> list[str]:
    """No message is lost: each ends, and without a copy only where there is a reason."""
    state, is_follow_up = MessageState(row.state), row.kind == MessageKind.FOLLOW_UP
    if not state.is_final:
        return [f"lost: still {state} ({row.reason})"]
    if state is MessageState.SENT:
        settled = is_follow_up and row.reason == ASSUMED
        return [] if copies or settled else ["lost: sent, and the relay never took it"]
    refused = row.recipient in journal.refused
    if state in (MessageState.FAILED, MessageState.SUPPRESSED) and refused:
        return []
    return [f"lost: {state} ({row.reason}), and the relay never refused it"]


def _copy_faults(row: Any, copy: Copy, settings: Settings) -> list[str]:
    """MD-03, I8: one Message-ID, Date and hash, to one address, from an envelope that proves it."""
    faults = []
    if copy.sha256 != row.sha256:
        faults.append("a copy whose bytes are others")
    if row.mail_date is None or parsedate_to_datetime(copy.date) != row.mail_date:
        faults.append("a copy of another Date")
    if not copy.recipient == copy.header_to == row.recipient:
        faults.append("a copy to another address")
    token = token_of_sender(settings.bounce_address, copy.sender)
    if verify(settings.hash_key, SENDER, token) != row.ref:
        faults.append("a copy whose envelope names another message")
    return faults
