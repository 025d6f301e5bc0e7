"""Undo: the last act of a staff member is taken back wherever nobody has changed it since."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, func, select, update
from sqlalchemy.orm import Session

from leadcapture.leads import tags, timeline
from leadcapture.leads.bulk import Act
from leadcapture.models import BulkAct, Lead, LeadStatus, Message, MessageState
from leadcapture.outbox.holding import hold_leads


@dataclass(frozen=True)
class Undone:
    """What an undo did: how many leads stand as before, and which do not because they changed.

    ``letters`` are follow-ups that the act had cancelled; they stay cancelled, because a letter
    that was stopped is never sent after all.
    """

    restored: int
    kept: list[list[str]]
    letters: int


def undo(session: Session, act: BulkAct, now: datetime) -> Undone | None:
    """Put back what the act changed; None where it is undone already.

    A lead that somebody has changed in the same respect since is left as it is.
    """
    if not begin(session, act, now):
        return None
    before = {line["id"]: line for line in act.changed}
    leads = hold_leads(session, *before)
    carry = tags.carriers(session, act.facts.get("tag", 0), leads)
    restored: list[int] = []
    kept: list[list[str]] = []
    for lead in leads:
        if lead.status is LeadStatus.MERGED or _has_changed(act, lead, lead.id in carry):
            kept.append([lead.ref, "changed"])
            continue
        _put_back(act, lead, before[lead.id])
        restored.append(lead.id)
    session.flush()
    if act.act == Act.TAG:
        tags.take_off(session, act.facts["tag"], restored)
    elif act.act == Act.UNTAG:
        tags.put_on(session, act.facts["tag"], restored)
    for lead_id in restored:
        facts = {"act": act.act, "back_to": before[lead_id].get("status", "")}
        timeline.record(session, lead_id, "act_undone", now, actor_id=act.actor_id, facts=facts)
    done = Undone(len(restored), kept, _cancelled(session, act, restored))
    finish(session, act, done)
    return done


def begin(session: Session, act: BulkAct, now: datetime) -> bool:
    """Mark the act as undone; False where it is already: of two who press at once, one goes on."""
    claimed = session.execute(
        update(BulkAct)
        .where(BulkAct.id == act.id, BulkAct.undone_at.is_(None))
        .values(undone_at=now)
        .execution_options(synchronize_session=False)
    )
    session.refresh(act)
    return bool(cast(CursorResult[Any], claimed).rowcount)


def finish(session: Session, act: BulkAct, done: Undone) -> None:
    """Keep with the act what its undo came to."""
    act.facts = act.facts | {"restored": done.restored, "letters": done.letters}
    act.refused = done.kept
    session.flush()


def _has_changed(act: BulkAct, lead: Lead, carries: bool) -> bool:
    match act.act:
        case Act.ASSIGN:
            return bool(lead.owner_id != act.facts["to"])
        case Act.MOVE:
            stood = (act.facts["status"], act.facts["reason"], None)
            return (lead.status.value, lead.closed_reason, lead.waiting_since) != stood
        case Act.TAG:
            return not carries
    return carries


def _put_back(act: BulkAct, lead: Lead, before: Mapping[str, Any]) -> None:
    if act.act == Act.ASSIGN:
        lead.owner_id = before["owner"]
    elif act.act == Act.MOVE:
        lead.status = LeadStatus(before["status"])
        lead.closed_reason = before["reason"]
        # First: a wait that begins takes the clock of the one before with it.
        lead.waiting_since = _instant(before["waiting_since"])
        lead.first_response_due_at = _instant(before["first_response_due_at"])
        lead.warning_due_at = _instant(before["warning_due_at"])
        lead.warnings = before["warnings"]


def _cancelled(session: Session, act: BulkAct, lead_ids: list[int]) -> int:
    if act.act != Act.MOVE or not lead_ids:
        return 0
    wanted = (
        select(func.count())
        .select_from(Message)
        .where(
            Message.lead_id.in_(lead_ids),
            Message.state == MessageState.CANCELLED,
            Message.reason == f"status_{act.facts['status']}",
            Message.state_at == act.at,
        )
    )
    return session.scalar(wanted) or 0


def _instant(written: str | None) -> datetime | None:
    return datetime.fromisoformat(written) if written else None
