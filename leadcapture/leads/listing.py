"""Listing: leads newest first, page by key, however many there are."""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, Select, func, literal, select, tuple_
from sqlalchemy.orm import Session, joinedload

from leadcapture.database import Instant
from leadcapture.leads import search
from leadcapture.models import Lead, LeadStatus, Staff

PAGE = 50
COUNTED = 1_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LISTED = tuple(status for status in LeadStatus if status is not LeadStatus.HELD)


@dataclass(frozen=True)
class Key:
    """Where a page begins: after (older than) or before (newer than) one lead of the order."""

    at: datetime
    lead_id: int
    newer: bool = False

    def __str__(self) -> str:
        micros = (self.at - _EPOCH) // timedelta(microseconds=1)
        packed = json.dumps([micros, self.lead_id, int(self.newer)]).encode()
        return base64.urlsafe_b64encode(packed).decode().rstrip("=")


@dataclass(frozen=True)
class Page:
    """One page of leads; ``older`` and ``newer`` are the keys of its neighbours, if any."""

    leads: Sequence[Lead]
    newer: Key | None
    older: Key | None


def read_key(typed: str) -> Key | None:
    """The key that stood in an address; None for anything else."""
    try:
        packed = base64.urlsafe_b64decode(typed + "=" * (-len(typed) % 4))
        micros, lead_id, newer = json.loads(packed)
        at = _EPOCH + timedelta(microseconds=int(micros))
        lead_id = int(lead_id)
    except (binascii.Error, ValueError, TypeError, OverflowError, RecursionError):
        return None
    return Key(at, lead_id, bool(newer)) if 0 <= lead_id < 2**63 else None


def page(
    session: Session, status: LeadStatus | None = None, typed: str = "", key: Key | None = None
) -> Page:
    """The page of leads that match, the latest request first. Held leads are not listed."""
    wanted = select(Lead).options(joinedload(Lead.owner).lazyload(Staff.roles)).limit(PAGE + 1)
    standing: ColumnElement[str] = Lead.status  # type: ignore[assignment]
    if typed.strip():
        wanted = wanted.where(search.matching(session, typed))
        # Behind a function, so that SQLite starts from the few that match, not from the status.
        standing = func.lower(Lead.status)
    wanted = wanted.where(standing != LeadStatus.HELD if status is None else standing == status)
    backwards = key is not None and key.newer
    found = list(session.scalars(_from_key(wanted, key)).unique())
    more, leads = len(found) > PAGE, found[:PAGE]
    if backwards:
        leads.reverse()
    older = leads and (more or backwards)
    newer = leads and (more if backwards else key is not None)
    return Page(
        leads=leads,
        newer=Key(leads[0].last_request_at, leads[0].id, newer=True) if newer else None,
        older=Key(leads[-1].last_request_at, leads[-1].id) if older else None,
    )


def counts(session: Session) -> Mapping[LeadStatus, int]:
    """How many leads each status has, counted to a thousand at most."""
    bounded = [
        select(func.count())
        .select_from(select(Lead.id).where(Lead.status == status).limit(COUNTED).subquery())
        .scalar_subquery()
        .label(status.value)
        for status in LISTED
    ]
    row = session.execute(select(*bounded)).one()
    return dict(zip(LISTED, row, strict=True))


def _from_key(wanted: Select[Lead], key: Key | None) -> Select[Lead]:
    order = tuple_(Lead.last_request_at, Lead.id)
    if key is None:
        return wanted.order_by(Lead.last_request_at.desc(), Lead.id.desc())
    edge = tuple_(literal(key.at, Instant()), literal(key.lead_id))
    if key.newer:
        return wanted.where(order > edge).order_by(Lead.last_request_at, Lead.id)
    return wanted.where(order < edge).order_by(Lead.last_request_at.desc(), Lead.id.desc())
