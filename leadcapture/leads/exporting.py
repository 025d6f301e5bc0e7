"""Exporting: the leads of a list's filter as a file, at once or piece by piece, on record.

A short export is written in the request that asks for it. A longer one needs a second person
(AU-11), is written by the scheduler in parts, can be cancelled, and is kept sealed in the
database for a day. The parts stand there rather than in a file because each is committed with
the place up to which it reaches: a crash writes no lead twice, and every host can serve them.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

from sqlalchemy import CursorResult, and_, delete, func, select, update
from sqlalchemy.orm import Session, joinedload

from leadcapture.database import plan_anew, reading
from leadcapture.leads import csv_safe, listing, search, sources
from leadcapture.leads.filters import Asker, Filters, conditions, read_filters
from leadcapture.leads.waiting import latest_requests
from leadcapture.models import Export, ExportPart, ExportState, Lead, Request, Staff
from leadcapture.outbox import audit
from leadcapture.outbox.alerts import raise_alert
from leadcapture.outbox.queue import new_ref
from leadcapture.vault import SealBroken, Vault

SMALL = 500
"""So many leads go out at once and by one person; more need a second one (AU-11)."""
KEPT_FOR = timedelta(hours=24)
HEALTH = ("conditions", "message")
COLUMNS = (
    *("reference", "name", "email", "telephone", "country", "language", "time_zone"),
    *("status", "closed_reason", "owner", "source", "first_asked", "last_asked", "waiting_since"),
    *HEALTH,
)
USUAL = ("name", "email", "telephone", "country", "language", "status", "owner", "last_asked")
ALERT = "leads_exported"
_BATCH = 500
_LOOKS = 5
# The scheduler has other duties in the same job.
_TURN_SECONDS = 2.0


class ExportRefused(Exception):
    """This person may not approve, cancel or take this export, or not any more."""


@dataclass(frozen=True)
class Leads:
    """The leads that go into a file: whose filter, as of when, by the clinic's clock."""

    filters: Filters
    asker: Asker


def columns_for(may_read_health: bool) -> tuple[str, ...]:
    """The columns that a reader may choose from (AU-12)."""
    return COLUMNS if may_read_health else tuple(name for name in COLUMNS if name not in HEALTH)


def first_leads(session: Session, leads: Leads) -> Sequence[Lead] | None:
    """All the leads, where they are few enough to go out at once; None where they are not."""
    plan_anew(session.connection())
    found: list[Lead] = []
    key: listing.Key | None = None
    for _ in range(_LOOKS):
        step = listing.page(session, leads.filters, leads.asker, key=key, size=SMALL + 1)
        found += step.leads
        key = step.after or step.further
        if len(found) > SMALL:
            return None
        if key is None:
            return found
    return None


def ask(
    session: Session,
    vault: Vault,
    leads: Leads,
    columns: Sequence[str],
    found: Sequence[Lead] | None,
) -> Export:
    """Put an export on record, with an alert; taken at once where ``found`` holds its leads."""
    ref, now = new_ref(), leads.asker.now
    words = json.dumps({name: list(given) for name, given in leads.filters.words.items()})
    export = Export(
        ref=ref,
        actor_id=leads.asker.staff_id,
        wanted=vault.seal("export", "wanted", ref, words),
        columns=list(columns),
        state=ExportState.ASKED if found is None else ExportState.TAKEN,
        total=None if found is None else len(found),
        written=0 if found is None else len(found),
        created_at=now,
        ready_at=None if found is None else now,
        gone_at=None if found is None else now,
    )
    session.add(export)
    session.flush()
    act = "export_asked" if found is None else ALERT
    audit.record(session, export.actor_id, act, ref, now)
    if found is not None:
        raise_alert(session, ALERT, ref, now)
    return export


def write(
    session: Session, vault: Vault, leads: Sequence[Lead], export: Export, zone: ZoneInfo
) -> str:
    """These leads as lines of CSV, without the line of headings."""
    requests = latest_requests(session, [lead.id for lead in leads])
    rules = sources.read_rules(session) if "source" in export.columns else ()
    rows = (_row(lead, requests.get(lead.id), export.columns, vault, zone, rules) for lead in leads)
    return csv_safe.write_rows(rows)


def heading(columns: Sequence[str]) -> str:
    """What a file begins with: the mark of UTF-8 and the names of the columns."""
    return csv_safe.BOM + csv_safe.write_rows([columns])


def wanted_filters(vault: Vault, export: Export) -> Filters:
    """The filter that somebody asked for; an empty one where our keys do not open it."""
    try:
        words: Mapping[str, Sequence[str]] = json.loads(
            vault.open("export", "wanted", export.ref, export.wanted)
        )
    except (SealBroken, ValueError):
        return Filters()
    return read_filters(words)


def approve(session: Session, export: Export, approver_id: int, now: datetime) -> None:
    """Let a long export begin; `ExportRefused` for who asked for it, or where it was settled."""
    if approver_id == export.actor_id or not _move(
        session, export, ExportState.ASKED, ExportState.QUEUED, approver_id=approver_id
    ):
        raise ExportRefused
    audit.record(session, approver_id, "export_approved", export.ref, now)
    raise_alert(session, ALERT, export.ref, now)


def cancel(session: Session, export: Export, actor_id: int, now: datetime) -> bool:
    """End an export and delete what was written; False where there was nothing to end."""
    open_states = (ExportState.ASKED, ExportState.QUEUED, ExportState.READY)
    if not any(
        _move(session, export, state, ExportState.CANCELLED, gone_at=now) for state in open_states
    ):
        return False
    _drop_parts(session, [export.id])
    audit.record(session, actor_id, "export_cancelled", export.ref, now)
    return True


def take(session: Session, vault: Vault, export: Export, actor_id: int, now: datetime) -> str:
    """The whole file, for who asked for it, while it is kept; each taking is on record."""
    parts = session.scalars(
        select(ExportPart).where(ExportPart.export_id == export.id).order_by(ExportPart.number)
    ).all()
    is_kept = export.state is ExportState.READY and export.gone_at and now < export.gone_at
    if export.actor_id != actor_id or not is_kept:
        raise ExportRefused
    audit.record(session, actor_id, ALERT, export.ref, now)
    opened = (
        vault.open("export_part", "content", _seal_of(export, p.number), p.content) for p in parts
    )
    return heading(export.columns) + "".join(opened)


class ExportWriter:
    """A duty of the scheduler: long exports are written, old ones deleted.

    Safe in several processes: a part counts only where the place it began at still stands.
    """

    def __init__(self, vault: Vault, zone: str) -> None:
        self._vault = vault
        self._zone = ZoneInfo(zone)

    def write_exports(self, session: Session, now: datetime) -> None:
        """Write on for two seconds at most, the oldest export first; commits each part."""
        drop_old(session, now)
        session.commit()
        ends_at = time.monotonic() + _TURN_SECONDS
        while time.monotonic() < ends_at:
            with reading():
                # No lock is held while we read: whoever writes need not wait for us.
                export = session.scalar(
                    select(Export)
                    .where(Export.state == ExportState.QUEUED)
                    .order_by(Export.created_at)
                    .limit(1)
                )
                if export is None:
                    session.rollback()
                    return
                # What is kept next must fit what was read here, not what has changed since.
                session.expunge(export)
                step = self._read_on(session, export)
                session.rollback()
            self._keep(session, export, step, now)
            session.commit()

    def _read_on(self, session: Session, export: Export) -> "_Step":
        leads = self._leads_of(session, export)
        total = export.total if export.total is not None else count_leads(session, leads)
        key = listing.read_key(export.place) if export.place else None
        page = listing.page(session, leads.filters, leads.asker, key=key, size=_BATCH)
        text = write(session, self._vault, page.leads, export, self._zone)
        return _Step(text, len(page.leads), page.after or page.further, total)

    def _keep(self, session: Session, export: Export, step: "_Step", now: datetime) -> None:
        is_last = step.then is None
        written = export.written + step.count
        kept = session.execute(
            update(Export)
            .where(
                Export.id == export.id,
                Export.state == ExportState.QUEUED,
                Export.place == export.place,
                Export.written == export.written,
            )
            .values(
                written=written,
                total=written if is_last else max(step.total, written),
                place=str(step.then or ""),
                state=ExportState.READY if is_last else ExportState.QUEUED,
                ready_at=now if is_last else None,
                gone_at=now + KEPT_FOR if is_last else None,
            )
            .execution_options(synchronize_session=False)
        )
        if not cast(CursorResult[Any], kept).rowcount:
            # Cancelled, or another process was faster.
            return
        if step.text:
            last = select(func.coalesce(func.max(ExportPart.number), 0)).where(
                ExportPart.export_id == export.id
            )
            number = (session.scalar(last) or 0) + 1
            content = self._vault.seal(
                "export_part", "content", _seal_of(export, number), step.text
            )
            session.add(ExportPart(export_id=export.id, number=number, content=content))
        session.flush()

    def _leads_of(self, session: Session, export: Export) -> Leads:
        rules = sources.read_rules(session)
        asker = Asker(export.actor_id, export.created_at, self._zone, rules)
        return Leads(wanted_filters(self._vault, export), asker)


def count_leads(session: Session, leads: Leads) -> int:
    """How many leads the filter leaves; reads them all, so not for a page."""
    told = conditions(session, leads.filters, leads.asker)
    wanted = select(func.count(Lead.id)).where(and_(*(one.test for one in told.values())))
    if leads.filters.typed:
        wanted = wanted.where(search.test(session, leads.filters.typed))
    return session.scalar(wanted) or 0


def drop_old(session: Session, now: datetime) -> None:
    """Delete what has been kept for a day; the row stays and says who took what."""
    old = session.scalars(
        select(Export.id).where(Export.state == ExportState.READY, Export.gone_at <= now)
    ).all()
    if old:
        _drop_parts(session, old)
        session.execute(update(Export).where(Export.id.in_(old)).values(state=ExportState.GONE))


@dataclass(frozen=True)
class _Step:
    text: str
    count: int
    then: listing.Key | None
    total: int


def _move(
    session: Session, export: Export, before: ExportState, after: ExportState, **columns: Any
) -> bool:
    """Change the state where it is still ``before``: of two who press at once, one does it."""
    moved = session.execute(
        update(Export)
        .where(Export.id == export.id, Export.state == before)
        .values(state=after, **columns)
    )
    return bool(cast(CursorResult[Any], moved).rowcount)


def _drop_parts(session: Session, exports: Sequence[int]) -> None:
    session.execute(delete(ExportPart).where(ExportPart.export_id.in_(exports)))


def _seal_of(export: Export, number: int) -> str:
    return f"{export.ref}:{number}"


def _row(
    lead: Lead,
    request: Request | None,
    columns: Sequence[str],
    vault: Vault,
    zone: ZoneInfo,
    rules: Sequence[Any],
) -> list[str]:
    answers = _answers(request, vault) if request and set(HEALTH) & set(columns) else {}
    cells: dict[str, str] = {
        "reference": lead.ref,
        "name": lead.full_name,
        "email": lead.email,
        "telephone": csv_safe.telephone(lead.phone) if lead.phone else lead.phone_typed,
        "country": lead.country,
        "language": lead.language,
        "time_zone": lead.time_zone,
        "status": lead.status,
        "closed_reason": lead.closed_reason,
        "owner": lead.owner.name if lead.owner else "",
        "source": sources.source_of(request, rules) if request else "",
        "first_asked": _at(lead.created_at, zone),
        "last_asked": _at(lead.last_request_at, zone),
        "waiting_since": _at(lead.waiting_since, zone),
        "conditions": "; ".join(answers.get("conditions", ())),
        "message": answers.get("message", ""),
    }
    return [cells[name] for name in columns]


def _answers(request: Request, vault: Vault) -> Mapping[str, Any]:
    try:
        opened = vault.open("request", "answers", request.receipt, request.answers)
        return cast(Mapping[str, Any], json.loads(opened))
    except (SealBroken, ValueError):
        return {}


def _at(moment: datetime | None, zone: ZoneInfo) -> str:
    """The clinic's day and time, as spreadsheets read it: ``2026-03-03 09:00``."""
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M}" if moment else ""


def recent(session: Session, now: datetime, actor_id: int, sees_all: bool) -> Sequence[Export]:
    """The exports of the past 30 days, the newest first: one's own, or everybody's."""
    wanted = select(Export).where(Export.created_at > now - timedelta(days=30))
    if not sees_all:
        wanted = wanted.where(Export.actor_id == actor_id)
    people = [
        joinedload(Export.actor).lazyload(Staff.roles),
        joinedload(Export.approver).lazyload(Staff.roles),
    ]
    newest = wanted.options(*people).order_by(Export.created_at.desc(), Export.id.desc())
    return session.scalars(newest.limit(50)).all()
