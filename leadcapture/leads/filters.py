"""Filters: which leads a list shows, as words of an address and as conditions of a question."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Select, and_, func, select
from sqlalchemy.orm import Session

from leadcapture.leads.sources import source_column
from leadcapture.models import UNLISTED, Lead, LeadStatus, Request, SourceRule, Staff, Tag, lead_tag

LISTED = tuple(status for status in LeadStatus if status.is_listed)
WAITING = ("yes", "no", "late")
NOBODY = "nobody"
ME = "me"
LONGEST_SEARCH = 100
_LONGEST_WORD = 80


@dataclass(frozen=True)
class Filters:
    """What a list is narrowed to; what is empty narrows nothing.

    ``owner`` is ``me``, ``nobody`` or a colleague's address for signing in; ``tag`` a tag's
    reference; ``source`` the name that the clinic's rules give; ``asked_from`` and ``asked_to``
    are days of the clinic, both included, of the latest request.
    """

    typed: str = ""
    status: tuple[LeadStatus, ...] = ()
    owner: str = ""
    waiting: str = ""
    tag: str = ""
    source: str = ""
    language: str = ""
    country: str = ""
    asked_from: date | None = None
    asked_to: date | None = None

    @property
    def words(self) -> Mapping[str, Sequence[str]]:
        """The filters as an address has them; `read_filters` reads them again."""
        words = {
            "q": [self.typed],
            "status": [status.value for status in self.status],
            **{name: [getattr(self, name)] for name in _WORDS},
            "from": [self.asked_from.isoformat() if self.asked_from else ""],
            "to": [self.asked_to.isoformat() if self.asked_to else ""],
        }
        return {name: given for name, given in words.items() if any(given)}

    def without(self, name: str, word: str = "") -> "Filters":
        """The same with one word of the address removed."""
        if name == "status":
            left = tuple(status for status in self.status if status != word)
            return replace(self, status=left)
        empty: Any = None if name in ("from", "to") else ""
        return replace(self, **{_FIELDS.get(name, name): empty})


_WORDS = ("owner", "waiting", "tag", "source", "language", "country")
_FIELDS = {"q": "typed", "from": "asked_from", "to": "asked_to"}


def read_filters(words: Mapping[str, Sequence[str]]) -> Filters:
    """The filters of an address; a word that means nothing is passed over."""

    def word(name: str, longest: int = _LONGEST_WORD) -> str:
        given = words.get(name) or [""]
        return str(given[0]).replace("\0", "").strip()[:longest]

    chosen = set(words.get("status") or ())
    waiting = word("waiting")
    return Filters(
        typed=word("q", LONGEST_SEARCH),
        status=tuple(status for status in LISTED if status in chosen),
        owner=word("owner", 254),
        waiting=waiting if waiting in WAITING else "",
        tag=word("tag"),
        source=word("source"),
        language=word("language")[:5],
        country=word("country")[:2].upper(),
        asked_from=_day(word("from")),
        asked_to=_day(word("to")),
    )


@dataclass(frozen=True)
class Asker:
    """Who asks, when, by which clock and under which names of sources."""

    staff_id: int
    now: datetime
    zone: ZoneInfo
    rules: Sequence[SourceRule] = ()


@dataclass(frozen=True)
class Condition:
    """One filter in the three forms that a question may need.

    ``test`` looks at a lead and keeps the database from starting at this filter's index; ``same``
    is the plain condition where an index by it is in the order of the latest request; ``found``
    are the ids of all leads it leaves, where an index has them together.
    """

    test: ColumnElement[bool]
    same: ColumnElement[bool] | None = None
    found: Select[int] | None = None


def conditions(session: Session, filters: Filters, asker: Asker) -> Mapping[str, Condition]:
    """Each filter but the search, by its name in the address."""
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    told = {
        "status": _status(filters.status, is_sqlite),
        "owner": _owner(session, filters.owner, asker, is_sqlite) if filters.owner else None,
        "country": _country(filters.country, is_sqlite) if filters.country else None,
        "language": Condition(Lead.language == filters.language) if filters.language else None,
        "waiting": _waiting(filters.waiting, asker.now) if filters.waiting else None,
        "tag": _tag(session, filters.tag) if filters.tag else None,
        "source": _source(filters.source, asker.rules) if filters.source else None,
        "asked": _asked(filters.asked_from, filters.asked_to, asker.zone),
    }
    return {name: condition for name, condition in told.items() if condition is not None}


def _status(chosen: tuple[LeadStatus, ...], is_sqlite: bool) -> Condition:
    # Behind a function SQLite sees no index to start from. PostgreSQL goes by its statistics,
    # which a function would hide.
    word: ColumnElement[str] = func.lower(Lead.status) if is_sqlite else Lead.status  # type: ignore[assignment]
    if not chosen:
        return Condition(word.not_in(UNLISTED))
    test = word.in_(chosen)
    if len(chosen) > 1:
        return Condition(test)
    same: ColumnElement[bool] = Lead.status == chosen[0]
    return Condition(test, same, select(Lead.id).where(same))


def _owner(session: Session, owner: str, asker: Asker, is_sqlite: bool) -> Condition:
    number = func.coalesce(Lead.owner_id, 0)
    if owner == NOBODY:
        same: ColumnElement[bool] = Lead.owner_id.is_(None)
        return Condition(number == 0 if is_sqlite else same, same, select(Lead.id).where(same))
    wanted = asker.staff_id
    if owner != ME:
        wanted = session.scalar(select(Staff.id).where(Staff.email == owner)) or -1
    same = Lead.owner_id == wanted
    return Condition(number == wanted if is_sqlite else same, same, select(Lead.id).where(same))


def _country(country: str, is_sqlite: bool) -> Condition:
    same: ColumnElement[bool] = Lead.country == country
    test = func.upper(Lead.country) == country if is_sqlite else same
    return Condition(test, same, select(Lead.id).where(same))


def _waiting(waiting: str, now: datetime) -> Condition:
    waits: ColumnElement[bool] = Lead.waiting_since.is_not(None)
    if waiting == "no":
        return Condition(~waits)
    if waiting == "late":
        waits = and_(waits, Lead.first_response_due_at < now)
    return Condition(waits, found=select(Lead.id).where(waits))


def _tag(session: Session, ref: str) -> Condition:
    tag_id = session.scalar(select(Tag.id).where(Tag.ref == ref)) or -1
    found = select(lead_tag.c.lead_id).where(lead_tag.c.tag_id == tag_id)
    return Condition(_exists(found.where(lead_tag.c.lead_id == Lead.id)), found=found)


def _source(source: str, rules: Sequence[SourceRule]) -> Condition:
    came = select(Request.lead_id).where(source_column(rules) == source)
    by_rule = any(rule.name == source for rule in rules)
    # Only a way in that no rule renames stands together in an index.
    found = None if by_rule else came.where(Request.channel == source)
    return Condition(_exists(came.where(Request.lead_id == Lead.id)), found=found)


def _asked(first: date | None, last: date | None, zone: ZoneInfo) -> Condition | None:
    parts: list[ColumnElement[bool]] = []
    if first:
        parts.append(Lead.last_request_at >= _start_of(first, zone))
    if last:
        parts.append(Lead.last_request_at < _start_of(last + timedelta(days=1), zone))
    if not parts:
        return None
    return Condition(and_(*parts), found=select(Lead.id).where(*parts))


def _exists(found: Select[int]) -> ColumnElement[bool]:
    # As a value, not EXISTS: PostgreSQL may turn that into a join that reads the whole table.
    return found.correlate(Lead).limit(1).scalar_subquery().is_not(None)


def _start_of(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone)


def _day(typed: str) -> date | None:
    try:
        day = date.fromisoformat(typed)
    except ValueError:
        return None
    # What no calendar of ours reaches would overflow as an instant.
    return day if 1970 <= day.year < 9000 else None
