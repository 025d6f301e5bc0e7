"""Bulk: one act on many leads at once, in one transaction, each told on its timeline."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from leadcapture.database import plan_anew
from leadcapture.leads import letters_again, listing, pipeline, tags, timeline
from leadcapture.leads.filters import Asker, Filters
from leadcapture.models import UNLISTED, BulkAct, Lead, LeadStatus, Staff, Tag
from leadcapture.outbox.queue import new_ref

MOST = 500
_STEPS = 20


class Act(enum.StrEnum):
    """What can be done to many leads at once; ``edit``, ``contact`` and ``stop`` are for one.

    ``drop_view`` and ``put_off`` are of no lead: they let a saved view go and a task wait.
    """

    ASSIGN = "assign"
    MOVE = "move"
    TAG = "tag"
    UNTAG = "untag"
    EDIT = "edit"
    CONTACT = "contact"
    STOP = "stop"
    DROP_VIEW = "drop_view"
    PUT_OFF = "put_off"


@dataclass(frozen=True)
class Wish:
    """An act with its object: a colleague, a status (with the reason of a closing) or a tag."""

    act: Act
    person: Staff | None = None
    status: LeadStatus | None = None
    reason: str = ""
    tag: Tag | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """What is kept of it: ids and words, and the name as it was then."""
        if self.person is not None:
            return {"to": self.person.id, "name": self.person.name}
        if self.tag is not None:
            return {"tag": self.tag.id, "name": self.tag.name}
        return {"status": str(self.status), "reason": self.reason}


def leads_by_ref(session: Session, refs: Sequence[str]) -> Sequence[Lead]:
    """The leads of these references, `MOST` at most, in the order in which they are locked."""
    chosen = list(dict.fromkeys(refs))[:MOST]
    return session.scalars(
        select(Lead)
        .where(Lead.ref.in_(chosen), Lead.status.not_in(UNLISTED))
        .order_by(Lead.id)
        # As `hold_leads` does.
        .with_for_update(of=Lead, key_share=True)
        .execution_options(populate_existing=True)
    ).all()


@dataclass(frozen=True)
class Chosen:
    """Leads of a filter, locked; ``then`` is where to go on, where more of them may follow."""

    leads: Sequence[Lead]
    then: listing.Key | None


def leads_of_filter(
    session: Session,
    filters: Filters,
    asker: Asker,
    order: listing.Order,
    key: listing.Key | None = None,
    steps: int = _STEPS,
    bounds: listing.Bounds = listing.BOUNDS,
) -> Chosen:
    """The next `MOST` leads of a filter from ``key`` on: fewer where few match along the way.

    It ends after twenty ``steps``, which look through some 200,000 leads.
    """
    plan_anew(session.connection())
    refs: list[str] = []
    for _ in range(steps):
        step = listing.page(session, filters, asker, order, key, MOST - len(refs), bounds)
        refs += [lead.ref for lead in step.leads]
        key = step.after or step.further
        if key is None or len(refs) == MOST:
            break
    return Chosen(leads_by_ref(session, refs), key)


def carry_out(
    session: Session, leads: Sequence[Lead], wish: Wish, actor_id: int, now: datetime
) -> BulkAct:
    """Do to each lead what is wished, and keep how it stood, so that it can be undone.

    ``refused`` names those to whom it could not be done: ``same`` where nothing would change,
    ``no_move`` where the pipeline has no such move. The undo of the actor's act before ends here.
    """
    facts = wish.facts
    match wish.act:
        case Act.ASSIGN:
            changed, refused = _assign(session, leads, wish, actor_id, now)
        case Act.MOVE:
            facts["held"] = letters_again.why_held(session, [lead.id for lead in leads])
            changed, refused = _move(session, leads, wish, actor_id, now)
        case _:
            changed, refused = _tag(session, leads, wish, actor_id, now)
    return keep_act(session, actor_id, wish.act, facts, (changed, refused), now)


def keep_act(
    session: Session,
    actor_id: int,
    act: Act,
    facts: Mapping[str, Any],
    outcome: "_Outcome",
    now: datetime,
    ref: str = "",
) -> BulkAct:
    """Put an act on record as the actor's last one, which alone can be undone."""
    session.execute(delete(BulkAct).where(BulkAct.actor_id == actor_id))
    changed, refused = outcome
    kept = BulkAct(
        ref=ref or new_ref(),
        actor_id=actor_id,
        act=act,
        facts=dict(facts),
        changed=changed,
        refused=refused,
        at=now,
    )
    session.add(kept)
    session.flush()
    return kept


def keep_contact(
    session: Session,
    lead: Lead,
    before: Mapping[str, Any],
    held: Mapping[str, str],
    actor_id: int,
    now: datetime,
    task: str = "",
) -> BulkAct:
    """Put on record that somebody was in contact or tried, so that it can be taken back.

    ``before`` is how the lead stood, ``held`` why which of its follow-ups were kept back, and
    ``task`` the reference of a call-back that was promised.
    """
    stands = {"status": lead.status.value, "reason": lead.closed_reason}
    # After a mere try the person waits as before.
    facts = {**stands, "waits": _iso(lead.waiting_since), "held": dict(held), "task": task}
    changed = [{"id": lead.id, **before}]
    return keep_act(session, actor_id, Act.CONTACT, facts, (changed, []), now)


def keep_assignment(
    session: Session, lead: Lead, before: int | None, to: Staff, actor_id: int, now: datetime
) -> BulkAct:
    """Put on record that one lead went to a colleague; ``before`` is whose it was, by their id."""
    facts, changed = {"to": to.id, "name": to.name}, [{"id": lead.id, "owner": before}]
    return keep_act(session, actor_id, Act.ASSIGN, facts, (changed, []), now)


def keep_stop(
    session: Session, lead: Lead, held: Mapping[str, str], actor_id: int, now: datetime
) -> BulkAct:
    """Put on record that the lead's follow-ups were cancelled; ``held`` as for a contact."""
    changed = [{"id": lead.id}]
    return keep_act(session, actor_id, Act.STOP, {"held": dict(held)}, (changed, []), now)


def last_act(session: Session, ref: str, actor_id: int) -> BulkAct | None:
    """The actor's own last act, where this is its reference."""
    return session.scalar(select(BulkAct).where(BulkAct.ref == ref, BulkAct.actor_id == actor_id))


_Outcome = tuple[list[dict[str, Any]], list[list[str]]]


def _assign(
    session: Session, leads: Sequence[Lead], wish: Wish, actor_id: int, now: datetime
) -> _Outcome:
    assert wish.person is not None
    changed, refused = [], []
    for lead in leads:
        if lead.owner_id == wish.person.id:
            refused.append([lead.ref, "same"])
            continue
        changed.append({"id": lead.id, "owner": lead.owner_id})
        lead.owner_id = wish.person.id
    session.flush()
    facts = {"to": wish.person.name, "why": "asked"}
    _tell(session, changed, "assigned_to", facts, actor_id, now)
    return changed, refused


def _move(
    session: Session, leads: Sequence[Lead], wish: Wish, actor_id: int, now: datetime
) -> _Outcome:
    assert wish.status is not None
    changed, refused = [], []
    for lead in leads:
        before = how_it_stands(lead)
        if lead.status is wish.status:
            refused.append([lead.ref, "same"])
        elif wish.status not in pipeline.moves_from(lead.status):
            refused.append([lead.ref, "no_move", lead.status.value])
        else:
            pipeline.change_status(
                session, lead, wish.status, actor_id, now, wish.reason, len(leads)
            )
            changed.append({"id": lead.id, **before})
    return changed, refused


def _tag(
    session: Session, leads: Sequence[Lead], wish: Wish, actor_id: int, now: datetime
) -> _Outcome:
    assert wish.tag is not None
    adds = wish.act is Act.TAG
    carry = tags.carriers(session, wish.tag.id, leads)
    changed = [{"id": lead.id} for lead in leads if (lead.id in carry) is not adds]
    refused = [[lead.ref, "same"] for lead in leads if (lead.id in carry) is adds]
    ids = [line["id"] for line in changed]
    if adds:
        tags.put_on(session, wish.tag.id, ids)
    else:
        tags.take_off(session, wish.tag.id, ids)
    kind = "tag_added" if adds else "tag_removed"
    # By its reference: the name may change, and stands in one place alone.
    _tell(session, changed, kind, {"tag_ref": wish.tag.ref}, actor_id, now)
    return changed, refused


def how_it_stands(lead: Lead) -> dict[str, Any]:
    """What a move changes of a lead, as `undo` puts it back."""
    return {
        "status": lead.status.value,
        "reason": lead.closed_reason,
        "waiting_since": _iso(lead.waiting_since),
        "first_response_due_at": _iso(lead.first_response_due_at),
        "warning_due_at": _iso(lead.warning_due_at),
        "warnings": lead.warnings,
    }


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _tell(
    session: Session,
    changed: Sequence[Mapping[str, Any]],
    kind: str,
    facts: Mapping[str, Any],
    actor_id: int,
    now: datetime,
) -> None:
    for line in changed:
        timeline.record(session, line["id"], kind, now, actor_id=actor_id, facts=facts)
