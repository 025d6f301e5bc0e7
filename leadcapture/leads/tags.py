"""Tags: the clinic's own words for leads, which of them there are, and who carries which."""

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, delete, func, insert, select
from sqlalchemy.orm import Session

from leadcapture.leads import timeline
from leadcapture.leads.among import among
from leadcapture.models import Lead, Tag, lead_tag
from leadcapture.outbox.holding import hold_leads
from leadcapture.outbox.queue import new_ref

# Tokens of the stylesheet: `.tag--<color>`. The word beside the dot says the same without it.
COLORS = ("plain", "accent", "waiting", "late", "done", "held")
LONGEST_NAME = 40
# So many are offered where one is chosen; more would be no choice.
MOST = 100


class TagRefused(Exception):
    """``args[0]`` says why: ``empty``, ``long``, ``color``, ``taken`` or ``many``."""


def list_tags(session: Session, archived: bool = False) -> Sequence[Tag]:
    """The tags that are in use, by name; with ``archived`` those put away, too, after them."""
    wanted = select(Tag).order_by(Tag.archived_at.is_not(None), Tag.name_key)
    return session.scalars(wanted if archived else wanted.where(Tag.archived_at.is_(None))).all()


def find_tag(session: Session, ref: str) -> Tag | None:
    """The tag of this public reference, archived or not."""
    return session.scalar(select(Tag).where(Tag.ref == ref))


def names(session: Session) -> Mapping[str, str]:
    """The name of each tag, archived or not, by its public reference."""
    return {row.ref: row.name for row in session.execute(select(Tag.ref, Tag.name))}


def count_uses(session: Session, tags: Collection[Tag], most: int = 1_000) -> Mapping[int, int]:
    """How many leads carry each tag, by its id, counted to ``most`` at most."""
    if not tags:
        return {}
    bounded = [
        select(func.count())
        .select_from(
            select(lead_tag.c.lead_id).where(lead_tag.c.tag_id == tag.id).limit(most).subquery()
        )
        .scalar_subquery()
        .label(f"tag_{tag.id}")
        for tag in tags
    ]
    return dict(zip((tag.id for tag in tags), session.execute(select(*bounded)).one(), strict=True))


def add_tag(session: Session, name: str, color: str, now: datetime) -> Tag:
    """A new tag, or the archived one of this name taken out again; `TagRefused` says why not."""
    name = _checked(name, color)
    known = _named(session, name)
    if known is not None and known.archived_at is None:
        raise TagRefused("taken")
    if len(list_tags(session)) >= MOST:
        raise TagRefused("many")
    if known is not None:
        known.name, known.color, known.archived_at = name, color, None
        session.flush()
        return known
    tag = Tag(ref=new_ref(), name=name, name_key=key_of(name), color=color, created_at=now)
    session.add(tag)
    session.flush()
    return tag


def rename_tag(session: Session, tag: Tag, name: str, color: str) -> None:
    """Change the word or the colour, on all leads that carry it; `TagRefused` says why not."""
    name = _checked(name, color)
    known = _named(session, name)
    if known is not None and known.id != tag.id:
        raise TagRefused("taken")
    tag.name, tag.name_key, tag.color = name, key_of(name), color
    session.flush()


def archive_tag(session: Session, tag: Tag, now: datetime) -> None:
    """Offer it no more; the leads that carry it keep it."""
    tag.archived_at = tag.archived_at or now
    session.flush()


def restore_tag(session: Session, tag: Tag) -> None:
    """Offer an archived tag again; `TagRefused` where there are as many as can be."""
    if tag.archived_at is not None and len(list_tags(session)) >= MOST:
        raise TagRefused("many")
    tag.archived_at = None
    session.flush()


def tags_of(session: Session, lead_ids: Collection[int]) -> Mapping[int, Sequence[Tag]]:
    """The tags of each lead that has any, by name, in one question."""
    found: dict[int, list[Tag]] = {}
    if lead_ids:
        rows = session.execute(
            select(lead_tag.c.lead_id, Tag)
            .join(Tag, Tag.id == lead_tag.c.tag_id)
            .where(among(session, lead_tag.c.lead_id, lead_ids))
            .order_by(Tag.name_key)
        )
        for lead_id, tag in rows:
            found.setdefault(lead_id, []).append(tag)
    return found


def carriers(session: Session, tag_id: int, leads: Collection[Lead]) -> set[int]:
    """Which of these leads carry the tag."""
    return set(
        session.scalars(
            select(lead_tag.c.lead_id).where(
                lead_tag.c.tag_id == tag_id, lead_tag.c.lead_id.in_([lead.id for lead in leads])
            )
        )
    )


def put_on(session: Session, tag_id: int, lead_ids: Sequence[int]) -> None:
    """Tag leads that do not carry it yet."""
    if lead_ids:
        session.execute(
            insert(lead_tag), [{"lead_id": lead_id, "tag_id": tag_id} for lead_id in lead_ids]
        )


def take_off(session: Session, tag_id: int, lead_ids: Sequence[int]) -> int:
    """Take the tag from leads; from how many it was taken."""
    taken = session.execute(
        delete(lead_tag).where(lead_tag.c.tag_id == tag_id, lead_tag.c.lead_id.in_(lead_ids))
    )
    return cast(CursorResult[Any], taken).rowcount


def named(session: Session, name: str) -> Tag | None:
    """The tag in use that a person means by this word; None where there is none."""
    tag = _named(session, " ".join(name.replace("\0", "").split()))
    return tag if tag is not None and tag.archived_at is None else None


def tag_lead(session: Session, lead: Lead, tag: Tag, actor_id: int, now: datetime) -> bool:
    """Put the tag on a lead and tell its timeline; False where it carries it already."""
    # Of two who press at once, one waits here and finds it done.
    hold_leads(session, lead.id)
    if carriers(session, tag.id, [lead]):
        return False
    put_on(session, tag.id, [lead.id])
    facts = {"tag_ref": tag.ref}
    timeline.record(session, lead.id, "tag_added", now, actor_id=actor_id, facts=facts)
    return True


def untag_lead(session: Session, lead: Lead, tag: Tag, actor_id: int, now: datetime) -> bool:
    """Take the tag off a lead and tell its timeline; False where it does not carry it."""
    if not take_off(session, tag.id, [lead.id]):
        return False
    facts = {"tag_ref": tag.ref}
    timeline.record(session, lead.id, "tag_removed", now, actor_id=actor_id, facts=facts)
    return True


def key_of(name: str) -> str:
    """The name as it identifies a tag: case folded, in one form of Unicode."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())[:120]


def _checked(name: str, color: str) -> str:
    name = " ".join(name.replace("\0", "").split())
    if not name:
        raise TagRefused("empty")
    if len(name) > LONGEST_NAME:
        raise TagRefused("long")
    if color not in COLORS:
        raise TagRefused("color")
    return name


def _named(session: Session, name: str) -> Tag | None:
    return session.scalar(select(Tag).where(Tag.name_key == key_of(name)))
