"""Duplicates: who might be the same person; a suggestion, never a join (AB-08)."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, delete, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, joinedload

from leadcapture.leads import search, timeline
from leadcapture.models import Lead, LeadStatus, Staff, ToldApart
from leadcapture.outbox import audit

_SHOWN = 5
# So many of the same name and mailbox are looked at; more would be a name that nobody has.
_LOOKED_AT = 20


class Why(enum.StrEnum):
    """What two leads have in common."""

    TELEPHONE = "telephone"
    NAME = "name"


@dataclass(frozen=True)
class Suggestion:
    """Somebody who might be the same person, and why."""

    lead: Lead
    why: Why


def duplicates(session: Session, lead: Lead) -> Sequence[Suggestion]:
    """Up to five other leads with the same telephone, or the same name and mailbox elsewhere.

    The newest first. Whoever was told apart from this one is not among them.
    """
    if lead.status is LeadStatus.MERGED:
        return ()
    same_phone = _of_telephone(session, lead)
    known = {one.id for one in same_phone}
    same_name = [one for one in _of_name(session, lead) if one.id not in known]
    found = [Suggestion(one, Why.TELEPHONE) for one in same_phone]
    return [*found, *(Suggestion(one, Why.NAME) for one in same_name)][:_SHOWN]


def told_apart(session: Session, lead: Lead, other: Lead) -> ToldApart | None:
    """Who said that these two are not the same person, and when; None where nobody has."""
    low, high = sorted((lead.id, other.id))
    return session.scalar(
        select(ToldApart)
        .where(ToldApart.lead_id == low, ToldApart.other_id == high)
        .options(joinedload(ToldApart.actor).lazyload(Staff.roles))
    )


def tell_apart(session: Session, lead: Lead, other: Lead, actor_id: int, now: datetime) -> None:
    """Remember that these two are not the same person: they are suggested no more."""
    low, high = sorted((lead.id, other.id))
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    told = session.execute(
        insert(ToldApart)
        .values(lead_id=low, other_id=high, actor_id=actor_id, at=now)
        .on_conflict_do_nothing()
        .returning(ToldApart.lead_id)
    )
    if told.first() is not None:
        _tell(session, "told_apart", lead, other, actor_id, now)


def take_back(session: Session, lead: Lead, other: Lead, actor_id: int, now: datetime) -> None:
    """Forget that somebody told these two apart."""
    low, high = sorted((lead.id, other.id))
    gone = session.execute(
        delete(ToldApart)
        .where(ToldApart.lead_id == low, ToldApart.other_id == high)
        .returning(ToldApart.lead_id)
    )
    if gone.first() is not None:
        _tell(session, "perhaps_same", lead, other, actor_id, now)


def _tell(
    session: Session, kind: str, lead: Lead, other: Lead, actor_id: int, now: datetime
) -> None:
    for one, another in ((lead, other), (other, lead)):
        facts = {"name": another.full_name}
        timeline.record(session, one.id, kind, now, actor_id=actor_id, facts=facts)
        audit.record(session, actor_id, kind, one.ref, now)


def _of_telephone(session: Session, lead: Lead) -> Sequence[Lead]:
    if not lead.phone:
        return ()
    return session.scalars(
        select(Lead)
        .where(Lead.phone == lead.phone, *_is_another(lead))
        .order_by(Lead.last_request_at.desc(), Lead.id.desc())
        .limit(_SHOWN)
    ).all()


def _of_name(session: Session, lead: Lead) -> Sequence[Lead]:
    """Those with the same name, folded, and the same mailbox at another domain."""
    mailbox = lead.email.rpartition("@")[0]
    if not mailbox:
        return ()
    likely = session.scalars(
        select(Lead)
        .where(
            search.with_words(session, f"{lead.full_name} {mailbox}", _LOOKED_AT),
            *_is_another(lead),
        )
        .order_by(Lead.last_request_at.desc(), Lead.id.desc())
    )
    name = search.folded(lead.full_name)
    return [
        one
        for one in likely
        if search.folded(one.full_name) == name
        and one.email.rpartition("@")[0].casefold() == mailbox.casefold()
    ]


def _is_another(lead: Lead) -> Sequence[ColumnElement[bool]]:
    apart = (
        select(ToldApart.lead_id)
        .where(
            or_(
                and_(ToldApart.lead_id == lead.id, ToldApart.other_id == Lead.id),
                and_(ToldApart.other_id == lead.id, ToldApart.lead_id == Lead.id),
            )
        )
        .correlate(Lead)
        .exists()
    )
    return (Lead.id != lead.id, Lead.status != LeadStatus.MERGED, ~apart)
