"""Sources: by which way a request found us, under the names that the clinic gave."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, or_, select
from sqlalchemy.orm import Session

from leadcapture.models import Request, SourceRule
from leadcapture.outbox.queue import new_ref

# What a rule may ask for; all but the channel are told by a visit.
FIELDS = ("channel", "utm_source", "utm_medium", "utm_campaign", "referrer")
RECENT = 1_000
_VISITS = ("first", "last")
_STEP = 10


@dataclass(frozen=True)
class Recent:
    """What the latest requests, a thousand at most, were named: how many by each rule's id.

    ``unnamed`` are the commonest ways that no rule fits, as conditions with their number.
    """

    looked_at: int
    named: Mapping[int, int]
    unnamed: Sequence[tuple[Mapping[str, str], int]]


def read_rules(session: Session) -> Sequence[SourceRule]:
    """The clinic's rules, in the order in which they are tried."""
    return session.scalars(select(SourceRule).order_by(SourceRule.position, SourceRule.id)).all()


def source_of(request: Request, rules: Sequence[SourceRule] = ()) -> str:
    """The name of the first rule that the request fits; its channel where it fits none.

    A rule fits where the first or the latest visit has all that it asks for.
    """
    rule = _rule_of(request.channel, request.touch, rules)
    return rule.name if rule else request.channel


def source_column(rules: Sequence[SourceRule]) -> ColumnElement[str]:
    """The same as `source_of`, for the database to group and to filter requests by."""
    named = [(_condition(rule.conditions), rule.name) for rule in rules]
    channel: ColumnElement[str] = Request.__table__.c.channel
    return case(*named, else_=channel) if named else channel


def add_rule(session: Session, name: str, conditions: Mapping[str, str]) -> SourceRule:
    """A new rule, tried after all the others."""
    last = session.scalar(select(func.max(SourceRule.position))) or 0
    rule = SourceRule(ref=new_ref(), name=name, conditions=dict(conditions), position=last + _STEP)
    session.add(rule)
    session.flush()
    return rule


def move_earlier(session: Session, rule: SourceRule) -> SourceRule | None:
    """Let a rule change places with the one that is tried before it: that one, if there is any."""
    before = session.scalar(
        select(SourceRule)
        .where(SourceRule.position < rule.position)
        .order_by(SourceRule.position.desc())
        .limit(1)
    )
    if before is not None:
        before.position, rule.position = rule.position, before.position
        session.flush()
    return before


def twin_of(
    rules: Sequence[SourceRule], conditions: Mapping[str, str], but: SourceRule | None = None
) -> SourceRule | None:
    """Another rule that asks for exactly the same, so that one of the two never names anything."""
    same = (rule for rule in rules if rule is not but and rule.conditions == conditions)
    return next(same, None)


def recent_ways(session: Session, rules: Sequence[SourceRule], shown: int = 8) -> Recent:
    """How the rules name the latest requests, and which ways have no name yet."""
    rows = session.execute(
        select(Request.channel, Request.touch).order_by(Request.id.desc()).limit(RECENT)
    ).all()
    named: Counter[int] = Counter()
    unnamed: Counter[tuple[tuple[str, str], ...]] = Counter()
    for channel, touch in rows:
        rule = _rule_of(channel, touch, rules)
        if rule is not None:
            named[rule.id] += 1
        elif way := next(_told(channel, touch)):
            unnamed[tuple(way.items())] += 1
    ways = [(dict(way), number) for way, number in unnamed.most_common(shown)]
    return Recent(len(rows), named, ways)


def _rule_of(channel: str, touch: Any, rules: Sequence[SourceRule]) -> SourceRule | None:
    visits = list(_told(channel, touch))
    for rule in rules:
        wanted = rule.conditions.items()
        if any(all(told.get(field) == word for field, word in wanted) for told in visits):
            return rule
    return None


def _told(channel: str, touch: Any) -> Iterator[dict[str, str]]:
    """What each visit tells, in lower case, beside the channel."""
    for visit in _VISITS:
        told = (touch or {}).get(visit) or {}
        words = {field: str(told[field]).lower() for field in FIELDS if told.get(field)}
        yield {"channel": channel} | words


def _condition(wanted: Mapping[str, str]) -> ColumnElement[bool]:
    return or_(*(_visit_fits(visit, wanted) for visit in _VISITS))


def _visit_fits(visit: str, wanted: Mapping[str, str]) -> ColumnElement[bool]:
    return and_(
        *(
            Request.channel == word
            if field == "channel"
            else func.lower(Request.touch[(visit, field)].as_string()) == word
            for field, word in wanted.items()
        )
    )
