"""Undo: the last act of a staff member is taken back wherever nobody has changed it since."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, insert, select, update
from sqlalchemy.orm import Session

from leadcapture.leads import letters_again, tags, timeline
from leadcapture.leads.bulk import Act
from leadcapture.leads.decisions import finish_tasks
from leadcapture.models import (
    BulkAct,
    Lead,
    LeadStatus,
    Message,
    MessageKind,
    MessageState,
    Recount,
    Request,
    Task,
)
from leadcapture.outbox.holding import hold_leads
from leadcapture.settings import Settings
from leadcapture.vault import Vault

LETTERS_AGAIN = 300
_ENDS_WAIT = (Act.MOVE, Act.CONTACT)
_ENDS_LETTERS = (*_ENDS_WAIT, Act.STOP)


@dataclass(frozen=True)
class Undone:
    """What an undo did: how many leads stand as before, and which do not because they changed.

    ``letters`` are follow-ups that the act had cancelled and that stay so; for ``again`` others
    new ones go out.
    """

    restored: int
    kept: list[list[str]]
    letters: int
    again: int = 0


def undo(
    session: Session, vault: Vault, settings: Settings, act: BulkAct, now: datetime
) -> Undone | None:
    """Put back what the act changed; None where it is undone already.

    A lead that somebody has changed in the same respect since is left as it is, and one that was
    dealt with since.
    """
    if not begin(session, act, now):
        return None
    before = {line["id"]: line for line in act.changed}
    leads = hold_leads(session, *before)
    carry = tags.carriers(session, act.facts.get("tag", 0), leads)
    dealt_with = _dealt_with_since(session, act, list(before))
    restored: list[int] = []
    kept: list[list[str]] = []
    for lead in leads:
        has_changed = lead.id in dealt_with or _has_changed(act, lead, lead.id in carry)
        if lead.status is LeadStatus.MERGED or has_changed:
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
        facts["undid"] = act.at.isoformat()
        timeline.record(session, lead_id, "act_undone", now, actor_id=act.actor_id, facts=facts)
    if act.act in _ENDS_WAIT:
        # Reports count what was undone as never said.
        asked = select(Request.created_at).where(Request.lead_id.in_(restored))
        session.execute(insert(Recount).from_select(["at"], asked))
    if restored and act.facts.get("task"):
        finish_tasks(session, Task.ref == act.facts["task"], now)
    ended = _ended_by(session, act, restored)
    again = _queue_again(session, vault, settings, act, ended, now)
    done = Undone(len(restored), kept, len(ended) - again, again)
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
    act.facts = act.facts | {
        "restored": done.restored,
        "letters": done.letters,
        "again": done.again,
    }
    act.refused = done.kept
    session.flush()


def _has_changed(act: BulkAct, lead: Lead, carries: bool) -> bool:
    match act.act:
        case Act.ASSIGN:
            return bool(lead.owner_id != act.facts["to"])
        case Act.MOVE | Act.CONTACT:
            waits = _instant(act.facts.get("waits"))
            stood = (act.facts["status"], act.facts["reason"], waits)
            return (lead.status.value, lead.closed_reason, lead.waiting_since) != stood
        case Act.STOP:
            return False
        case Act.TAG:
            return not carries
    return carries


def _put_back(act: BulkAct, lead: Lead, before: Mapping[str, Any]) -> None:
    if act.act == Act.ASSIGN:
        lead.owner_id = before["owner"]
    elif act.act in _ENDS_WAIT and not act.facts.get("waits"):
        lead.status = LeadStatus(before["status"])
        lead.closed_reason = before["reason"]
        # First: a wait that begins takes the clock of the one before with it.
        lead.waiting_since = _instant(before["waiting_since"])
        lead.first_response_due_at = _instant(before["first_response_due_at"])
        lead.warning_due_at = _instant(before["warning_due_at"])
        lead.warnings = before["warnings"]


def _dealt_with_since(session: Session, act: BulkAct, lead_ids: list[int]) -> set[int]:
    if act.act not in _ENDS_LETTERS:
        return set()
    return letters_again.dealt_with_since(session, lead_ids, act.at)


def _ended_by(session: Session, act: BulkAct, lead_ids: list[int]) -> Sequence[Message]:
    """The follow-ups that the act itself had cancelled, the oldest first."""
    if act.act not in _ENDS_LETTERS or not lead_ids:
        return []
    reasons = ["contacted", "wrote", f"status_{act.facts.get('status')}"]
    if act.act == Act.STOP:
        reasons = ["staff_cancelled"]
    return session.scalars(
        select(Message)
        .where(
            Message.lead_id.in_(lead_ids),
            Message.kind == MessageKind.FOLLOW_UP,
            Message.state == MessageState.CANCELLED,
            Message.reason.in_(reasons),
            Message.state_at == act.at,
        )
        .order_by(Message.id)
        .execution_options(populate_existing=True)
    ).all()


def _queue_again(
    session: Session,
    vault: Vault,
    settings: Settings,
    act: BulkAct,
    ended: Sequence[Message],
    now: datetime,
) -> int:
    held: Mapping[str, str] | None = act.facts.get("held")
    # The release before did not note what was held: such a letter might go out now. And each is
    # asked whether it may: hundreds would keep everybody else waiting.
    if held is None or len(ended) > LETTERS_AGAIN:
        return 0
    again = letters_again.queue_again(session, vault, settings, ended, act.ref, held, now)
    return again.total()


def _instant(written: str | None) -> datetime | None:
    return datetime.fromisoformat(written) if written else None
