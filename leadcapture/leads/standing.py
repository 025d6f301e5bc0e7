"""How each status stands: how many leads it has, and since when the oldest of them waits."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from leadcapture.leads.filters import LISTED
from leadcapture.models import Lead, LeadStatus

COUNTED = 1_000
"""To so many the leads of a status are counted."""


@dataclass(frozen=True)
class Standing:
    """How many leads a status has, `COUNTED` at most, and when the oldest of them last asked."""

    count: int
    oldest_at: datetime | None


def _columns(status: LeadStatus) -> Iterator[ColumnElement[Any]]:
    some = select(Lead.id).where(Lead.status == status).limit(COUNTED).subquery()
    yield select(func.count()).select_from(some).scalar_subquery()
    # The first entry of an index; a count of all would walk through it.
    yield select(func.min(Lead.last_request_at)).where(Lead.status == status).scalar_subquery()


_OF_ALL = select(*(column for status in LISTED for column in _columns(status)))


def standing(session: Session) -> Mapping[LeadStatus, Standing]:
    """How each listed status stands; one question for all."""
    row = session.execute(_OF_ALL).one()
    pairs = zip(row[::2], row[1::2], strict=True)
    return {status: Standing(*pair) for status, pair in zip(LISTED, pairs, strict=True)}
