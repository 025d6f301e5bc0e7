"""Listing: the leads of a filter in an order, page by key, however many there are.

Whatever is combined, a page looks at `Bounds.reach` leads at most. Where an index has the few
leads of one filter together, it starts from those and finds all. Otherwise it walks the order, and
where too few match along the way it says so (``Page.further``) instead of searching on for ever.
"""

import base64
import binascii
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    String,
    and_,
    func,
    literal,
    literal_column,
    select,
    true,
    tuple_,
)
from sqlalchemy.orm import Session, joinedload

from leadcapture.database import Instant
from leadcapture.leads import search
from leadcapture.leads.filters import Asker, Condition, Filters, conditions
from leadcapture.models import Lead, Staff

PAGE = 50
_NAME_LENGTH = 60
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)
_WAITS = Lead.waiting_since.is_not(None)


@dataclass(frozen=True)
class Bounds:
    """How many leads of a filter are ``few`` enough to look at each of them, and how many are
    looked at in the order of the list before a page ends (``reach``).
    """

    few: int = 2_000
    reach: int = 10_000


BOUNDS = Bounds()


@dataclass(frozen=True)
class Sort:
    """An order: by what, which way round at first, and whether only those who wait stand in it."""

    name: str
    newest_first: bool
    waiting_only: bool = False

    @property
    def by(self) -> ColumnElement[Any]:
        """What the database orders by, exactly as its index has it."""
        match self.name:
            case "name":
                return literal_column(f"substr(lead.search_text, 1, {_NAME_LENGTH})", String())
            case "due":
                # An undated wait stands where it began: first.
                return func.coalesce(Lead.first_response_due_at, Lead.waiting_since)
            case "waiting":
                return Lead.waiting_since  # type: ignore[return-value]
            case "created":
                return Lead.created_at  # type: ignore[return-value]
        return Lead.last_request_at  # type: ignore[return-value]

    def value_of(self, lead: Lead) -> datetime | str:
        """Where the lead stands in the order."""
        match self.name:
            case "name":
                return lead.search_text[:_NAME_LENGTH]
            case "due":
                return lead.first_response_due_at or lead.waiting_since or _EPOCH
            case "waiting":
                return lead.waiting_since or _EPOCH
            case "created":
                return lead.created_at
        return lead.last_request_at


SORTS: Mapping[str, Sort] = {
    sort.name: sort
    for sort in (
        Sort("asked", newest_first=True),
        Sort("waiting", newest_first=False, waiting_only=True),
        Sort("due", newest_first=False, waiting_only=True),
        Sort("name", newest_first=False),
        Sort("created", newest_first=True),
    )
}


@dataclass(frozen=True)
class Order:
    """A sort, or the same from its other end; in an address ``name`` or ``-name``."""

    sort: Sort = SORTS["asked"]
    reversed: bool = False

    def __str__(self) -> str:
        return f"{'-' * self.reversed}{self.sort.name}"

    @property
    def descends(self) -> bool:
        return self.sort.newest_first != self.reversed


def read_order(typed: str) -> Order:
    """The order that stands in an address; the latest request first for anything else."""
    sort = SORTS.get(typed.removeprefix("-"))
    return Order(sort, typed.startswith("-")) if sort else Order()


@dataclass(frozen=True)
class Key:
    """Where a page begins: after one lead of the order, or, ``backwards``, before it."""

    at: datetime | str
    lead_id: int
    backwards: bool = False

    def __str__(self) -> str:
        value = (self.at - _EPOCH) // _TICK if isinstance(self.at, datetime) else self.at
        packed = json.dumps([value, self.lead_id, int(self.backwards)]).encode()
        return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def read_key(typed: str) -> Key | None:
    """The key that stood in an address; None for anything else."""
    try:
        packed = base64.urlsafe_b64decode(typed + "=" * (-len(typed) % 4))
        value, lead_id, backwards = json.loads(packed)
        at = value if isinstance(value, str) else _EPOCH + timedelta(microseconds=int(value))
        lead_id = int(lead_id)
        if isinstance(at, str) and (len(at) > _NAME_LENGTH or "\0" in at):
            return None
        if isinstance(at, str):
            at.encode()
    except (binascii.Error, ValueError, TypeError, OverflowError, RecursionError):
        return None
    return Key(at, lead_id, bool(backwards)) if 0 <= lead_id < 2**63 else None


@dataclass(frozen=True)
class Page:
    """One page of leads; ``before`` and ``after`` are the keys of its neighbours, if any.

    ``further`` is where to look on, where the page ended because too few within reach matched.
    """

    leads: Sequence[Lead]
    before: Key | None
    after: Key | None
    further: Key | None = None


@dataclass(frozen=True)
class _Question:
    """What is asked of the order: where it may be walked (``along``) and what each must pass."""

    along: ColumnElement[bool]
    tests: ColumnElement[bool]
    is_bounded: bool


def page(
    session: Session,
    filters: Filters,
    asker: Asker,
    order: Order | None = None,
    key: Key | None = None,
    size: int = PAGE,
    bounds: Bounds = BOUNDS,
) -> Page:
    """The page of leads that the filters leave. Held leads are not listed."""
    order = order or Order()
    if key is not None and isinstance(key.at, str) != (order.sort.name == "name"):
        key = None
    question = _ask(session, filters, asker, order, bounds.few)
    edge = _edge(session, question, order, key, bounds.reach) if question.is_bounded else None
    wanted = (
        _in_order(select(Lead), order, key)
        .where(question.along, question.tests)
        .options(joinedload(Lead.owner).lazyload(Staff.roles))
        .limit(size + 1)
    )
    if edge is not None:
        wanted = wanted.where(_is_within(order, key, edge))
    found = list(session.scalars(wanted).unique())
    return _turn(found, order, key, edge, size)


def matching(
    session: Session, filters: Filters, asker: Asker, order: Order | None = None, batch: int = 500
) -> Iterator[Sequence[Lead]]:
    """All leads that the filters leave, in the order of the list, ``batch`` at most at a time.

    Each step asks one short question, so that a caller can tell how far it is, stop, or commit in
    between. A batch may be empty where none of the leads within reach matched: the end is the
    iterator's. What changes meanwhile is met where it then stands: no lead comes twice unless
    somebody moved it on in the order.
    """
    order = order or Order()
    key: Key | None = None
    while True:
        step = page(session, filters, asker, order, key, batch)
        yield step.leads
        key = step.after or step.further
        if key is None:
            return


def _ask(session: Session, filters: Filters, asker: Asker, order: Order, most: int) -> _Question:
    told = conditions(session, filters, asker)
    waits: ColumnElement[bool] = _WAITS if order.sort.waiting_only else true()
    if filters.typed:
        found = search.few(session, filters.typed)
        if found is not None:
            return _Question(and_(found, waits), _all(told), False)
        told = {**told, "q": Condition(search.test(session, filters.typed))}
    chosen = [name for name in told if name != "status" or filters.status]
    if order.sort.waiting_only and filters.waiting == "yes":
        chosen.remove("waiting")
    first = _prefix(told, chosen) if order.sort.name == "asked" else None
    if chosen in ([], [first]):
        # An index has just these in this order; that a few held ones stand between matters not.
        return _Question(_along(told, first, waits), _all(told, but=first), False)
    few = _fewest(session, told, most)
    if few is not None:
        return _Question(and_(Lead.id.in_(few.limit(most)), waits), _all(told), False)
    if order.sort.name == "asked" and "asked" in told:
        waits = told["asked"].test
    return _Question(_along(told, first, waits), _all(told, but=first), True)


def _all(told: Mapping[str, Condition], but: str | None = None) -> ColumnElement[bool]:
    return and_(true(), *(condition.test for name, condition in told.items() if name != but))


def _along(
    told: Mapping[str, Condition], first: str | None, waits: ColumnElement[bool]
) -> ColumnElement[bool]:
    same = told[first].same if first else None
    return waits if same is None else and_(same, waits)


def _prefix(told: Mapping[str, Condition], chosen: Sequence[str]) -> str | None:
    """The filter by whose index, which is in the order of the latest request, to walk."""
    names = ("owner", "country", "status")
    return next((name for name in names if name in chosen and told[name].same is not None), None)


def _fewest(session: Session, told: Mapping[str, Condition], most: int) -> Select[int] | None:
    """The leads of the filter that leaves fewest, where that is ``most`` at most."""
    ways = [condition.found for condition in told.values() if condition.found is not None]
    if not ways:
        return None
    bounded = [
        select(func.count()).select_from(found.limit(most + 1).subquery()).scalar_subquery()
        for found in ways
    ]
    numbers = session.execute(select(*bounded)).one()
    number, at = min((number, at) for at, number in enumerate(numbers))
    return ways[at] if number <= most else None


def _edge(
    session: Session, question: _Question, order: Order, key: Key | None, reach: int
) -> Key | None:
    """The last place of the order that a page looks at; None where the order ends before."""
    place = _in_order(select(order.sort.by, Lead.id), order, key).where(question.along)
    row = session.execute(place.offset(reach - 1).limit(1)).first()
    return Key(row[0], row[1]) if row else None


def _in_order(wanted: Select[Any], order: Order, key: Key | None) -> Select[Any]:
    """In the order, or against it for a page before the key, and only what stands beyond it."""
    by, down = order.sort.by, _walks_down(order, key)
    wanted = wanted.order_by(by.desc(), Lead.id.desc()) if down else wanted.order_by(by, Lead.id)
    if key is None:
        return wanted
    here, there = tuple_(by, Lead.id), _place(key)
    return wanted.where(here < there if down else here > there)


def _is_within(order: Order, key: Key | None, edge: Key) -> ColumnElement[bool]:
    here, there = tuple_(order.sort.by, Lead.id), _place(edge)
    within: ColumnElement[bool] = here >= there if _walks_down(order, key) else here <= there
    return within


def _walks_down(order: Order, key: Key | None) -> bool:
    return order.descends != (key is not None and key.backwards)


def _place(key: Key) -> Any:
    at = literal(key.at) if isinstance(key.at, str) else literal(key.at, Instant())
    return tuple_(at, literal(key.lead_id))


def _turn(found: list[Lead], order: Order, key: Key | None, edge: Key | None, size: int) -> Page:
    """The page in the order of the list, with the keys of what comes before and after it."""
    backwards = key is not None and key.backwards
    more, leads = len(found) > size, found[:size]
    if backwards:
        leads.reverse()

    def key_of(lead: Lead, back: bool) -> Key:
        return Key(order.sort.value_of(lead), lead.id, back)

    has_before = more if backwards else key is not None
    has_after = more or (backwards and key is not None)
    further = None
    if edge is not None and not more:
        further = Key(edge.at, edge.lead_id, backwards)
    if not leads:
        return Page(leads, None, None, further)
    return Page(
        leads=leads,
        before=key_of(leads[0], True) if has_before else None,
        after=key_of(leads[-1], False) if has_after else None,
        further=further,
    )
