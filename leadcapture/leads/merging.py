"""Merging: two leads that are one person become one, in one transaction that can be undone.

The lead that stays gets every row of the other (`merge_rows`). The other stays as an empty row that
leads there: by its reference, and by its address, from which the person may write again. Sealed
texts are bound to rows of their own and not to the lead, so that nothing is sealed anew.
Suppressions belong to an address and stay with it.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, select, text, update
from sqlalchemy.orm import Session, joinedload

from leadcapture.leads import merge_choices as choices
from leadcapture.leads import merge_letters, timeline
from leadcapture.leads import merge_rows as rows
from leadcapture.leads.merged import write_search_text
from leadcapture.leads.watch import KINDS as WARNINGS
from leadcapture.models import (
    Lead,
    LeadStatus,
    Merge,
    Staff,
    Task,
)
from leadcapture.outbox import audit
from leadcapture.outbox.holding import hold_leads
from leadcapture.outbox.queue import new_ref
from leadcapture.settings import Settings
from leadcapture.vault import Vault

UNDONE_WITHIN = timedelta(days=30)
_TURN = 7_355_610


class MergeRefused(Exception):
    """``args[0]`` says why.

    ``merged``: one of the two went into another lead already; ``held``: a request of one of them
    waits for a decision; ``late``: a merge of more than 30 days ago; ``undone``: it was undone;
    ``went_on``: the lead that stayed has itself gone into another since.
    """


@dataclass(frozen=True)
class Undone:
    """What an undo came to.

    ``left`` names columns of the lead that stayed which somebody has changed since: they stay.
    Of the follow-ups that the merge had stopped, ``letters`` go on and ``ended`` do not.
    """

    left: tuple[str, ...]
    letters: int
    ended: int


def take_turn(session: Session) -> None:
    """Wait until nobody else merges or undoes, on SQLite by the lock of whatever writes."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:turn)"), {"turn": _TURN})


def check(kept: Lead, other: Lead) -> None:
    """`MergeRefused` where these two cannot become one as they stand."""
    if LeadStatus.MERGED in (kept.status, other.status) or kept.id == other.id:
        raise MergeRefused("merged")
    if LeadStatus.HELD in (kept.status, other.status):
        raise MergeRefused("held")


def merge(
    session: Session,
    vault: Vault,
    settings: Settings,
    kept: Lead,
    other: Lead,
    taken: Collection[str],
    actor_id: int,
    now: datetime,
) -> Merge:
    """Let ``other`` go into ``kept``, which takes from it what ``taken`` names (`CHOICES`)."""
    take_turn(session)
    session.flush()
    for lead in (kept, other):
        session.refresh(lead, ["status", "merged_into_id"])
    # Before they are held: two of which one is merged already would be held in another order.
    check(kept, other)
    hold_leads(session, kept.id, other.id)
    ref = new_ref()
    values = choices.combined(kept, other, taken)
    stood = {
        "kept": choices.plain(choices.as_it_stands(kept, values)),
        "after": choices.plain(values),
        "other": choices.plain(choices.as_it_stands(other)),
    }
    letters = merge_letters.keep_one_sequence(
        session, vault, settings, kept, other, values["status"], now
    )
    moved: dict[str, Any] = {
        **rows.move_all(session, other.id, kept.id),
        **rows.move_tags(session, other.id, kept.id),
        **letters,
        "warnings": _close_warnings(session, kept.id, other, now),
        "leads": _lead_on(session, other.id, kept.id),
    }
    choices.write(other, choices.emptied(kept))
    choices.write(kept, values)
    session.flush()
    write_search_text(session, kept)
    merge = Merge(
        ref=ref,
        kept_id=kept.id,
        merged_id=other.id,
        actor_id=actor_id,
        moved=moved,
        stood=vault.seal("merge", "stood", ref, json.dumps(stood)),
        at=now,
    )
    session.add(merge)
    facts = {"name": other.full_name, "follow_ups_cancelled": len(moved["stopped"])}
    timeline.record(session, kept.id, "merged", now, actor_id=actor_id, facts=facts)
    for lead in (kept, other):
        audit.record(session, actor_id, "leads_merged", lead.ref, now)
    session.flush()
    return merge


def undo(
    session: Session,
    vault: Vault,
    settings: Settings,
    merge: Merge,
    actor_id: int,
    now: datetime,
) -> Undone:
    """Put each thing back where it was; what happened since stays with the lead that stayed."""
    take_turn(session)
    kept, other = merge.kept, merge.merged
    hold_leads(session, other.id)
    hold_leads(session, kept.id)
    _begin_undo(session, merge, kept, now)
    stood = json.loads(vault.open("merge", "stood", merge.ref, merge.stood or b""))
    moved = merge.moved
    back = merge_letters.send_back(session, vault, settings, moved, other, now)
    gone = set(moved["readdressed"]) - back
    rows.move_back(session, moved, kept.id, other.id, gone)
    rows.move_tags_back(session, moved, kept.id, other.id)
    _reopen_warnings(session, moved["warnings"], merge.at)
    for lead_id in moved["leads"]:
        session.execute(update(Lead).where(Lead.id == lead_id).values(merged_into_id=other.id))
    choices.write(other, choices.read(stood["other"]))
    left = _put_back(kept, choices.read(stood["kept"]), choices.read(stood["after"]))
    session.flush()
    write_search_text(session, kept)
    again = merge_letters.queue_again(session, vault, settings, merge, now)
    for lead, name in ((kept, other.full_name), (other, kept.full_name)):
        facts = {"name": name, "follow_ups_again": again[lead.id]}
        timeline.record(session, lead.id, "merge_undone", now, actor_id=actor_id, facts=facts)
        audit.record(session, actor_id, "merge_undone", lead.ref, now)
    session.flush()
    stopped = len(merge_letters.stopped_by(session, merge))
    return Undone(left, again.total(), stopped - again.total())


def find_merge(session: Session, ref: str) -> Merge | None:
    """The merge of this public reference."""
    return session.scalar(select(Merge).where(Merge.ref == ref))


def merges_of(session: Session, lead: Lead, now: datetime) -> Sequence[Merge]:
    """The merges into this lead that can still be undone, the newest first."""
    return session.scalars(
        select(Merge)
        .where(
            Merge.kept_id == lead.id,
            Merge.undone_at.is_(None),
            Merge.at > now - UNDONE_WITHIN,
            Merge.stood.is_not(None),
        )
        .options(
            joinedload(Merge.merged),
            joinedload(Merge.actor).lazyload(Staff.roles),
        )
        .order_by(Merge.at.desc(), Merge.id.desc())
        .limit(10)
    ).all()


def forget_old_merges(session: Session, now: datetime) -> None:
    """Drop how leads stood before a merge that can no longer be undone."""
    session.execute(
        update(Merge)
        .where(Merge.at <= now - UNDONE_WITHIN, Merge.stood.is_not(None))
        .values(stood=None, moved={})
    )


def _close_warnings(session: Session, kept_id: int, other: Lead, now: datetime) -> list[int]:
    """The clock of the one that stays gives the warnings from here on."""
    closed = session.scalars(
        update(Task)
        .where(
            Task.lead_id == kept_id,
            Task.dedupe_key.like(f"response:{other.ref}:%"),
            Task.kind.in_(WARNINGS),
            Task.done_at.is_(None),
        )
        .values(done_at=now)
        .returning(Task.id)
        .execution_options(synchronize_session=False)
    )
    return sorted(closed)


def _reopen_warnings(session: Session, task_ids: Sequence[int], closed_at: datetime) -> None:
    session.execute(
        update(Task)
        .where(Task.id.in_(task_ids), Task.done_at == closed_at)
        .values(done_at=None)
        .execution_options(synchronize_session=False)
    )


def _lead_on(session: Session, from_id: int, to_id: int) -> list[int]:
    """Those who went into the other before lead to the one that stays, in one step."""
    led = session.scalars(
        update(Lead)
        .where(Lead.merged_into_id == from_id)
        .values(merged_into_id=to_id)
        .returning(Lead.id)
        .execution_options(synchronize_session=False)
    )
    return sorted(led)


def _begin_undo(session: Session, merge: Merge, kept: Lead, now: datetime) -> None:
    if now >= merge.at + UNDONE_WITHIN or merge.stood is None:
        raise MergeRefused("late")
    if kept.merged_into_id is not None:
        raise MergeRefused("went_on")
    begun = session.execute(
        update(Merge)
        .where(Merge.id == merge.id, Merge.undone_at.is_(None))
        .values(undone_at=now)
        .execution_options(synchronize_session=False)
    )
    session.refresh(merge)
    if not cast(CursorResult[Any], begun).rowcount:
        raise MergeRefused("undone")


def _put_back(kept: Lead, before: dict[str, Any], after: dict[str, Any]) -> tuple[str, ...]:
    """Take back what the merge changed and nobody has since; the columns that stay as they are."""
    clock = set(choices.CLOCK)
    changed = {column for column in before if before[column] != after[column]}
    if changed & clock:
        # As one: a wait that begins takes the clock of the one before with it.
        changed |= clock
    stays = {column for column in changed if getattr(kept, column) != after[column]}
    if kept.waiting_since == after["waiting_since"]:
        # The clock goes with its wait, whatever it has been read to since.
        stays -= clock
    else:
        stays |= changed & clock
    choices.write(kept, {column: before[column] for column in changed - stays})
    return tuple(sorted(stays))
