"""Views: lists kept under a name, one's own and shared, and the columns that each person sees."""

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session, joinedload

from leadcapture.leads import bulk
from leadcapture.leads.undo import begin
from leadcapture.models import BulkAct, ListChoice, SavedView, Staff
from leadcapture.outbox.queue import new_ref
from leadcapture.vault import Vault

COLUMNS = (
    *("status", "reach", "asked", "waits", "due", "owner", "tags", "next"),
    *("country", "language", "created"),
)
USUAL = ("status", "reach", "asked", "waits", "owner", "tags")
LONGEST_NAME = 60
MOST = 30
_KEPT = ("ref", "owner_id", "name", "is_shared", "words", "columns")


class ViewRefused(Exception):
    """``args[0]`` says why: ``empty``, ``long``, ``taken`` or ``many``."""


def views_for(session: Session, staff_id: int) -> Sequence[SavedView]:
    """A person's own views and those that colleagues share, by name."""
    return session.scalars(
        select(SavedView)
        .where(or_(SavedView.owner_id == staff_id, SavedView.is_shared))
        .options(joinedload(SavedView.owner).lazyload(Staff.roles))
        .order_by(func.lower(SavedView.name), SavedView.id)
        .limit(MOST * 4)
    ).all()


def find_view(session: Session, ref: str, staff_id: int) -> SavedView | None:
    """The view of this reference, where this person may see it."""
    return session.scalar(
        select(SavedView)
        .where(SavedView.ref == ref, or_(SavedView.owner_id == staff_id, SavedView.is_shared))
        .options(joinedload(SavedView.owner).lazyload(Staff.roles))
    )


def save_view(
    session: Session,
    owner_id: int,
    name: str,
    is_shared: bool,
    words: Mapping[str, Sequence[str]],
    columns: Sequence[str],
    now: datetime,
) -> SavedView:
    """Keep a list under a name; `ViewRefused` says why not."""
    own = _own(session, owner_id)
    if len(own) >= MOST:
        raise ViewRefused("many")
    view = SavedView(
        ref=new_ref(),
        owner_id=owner_id,
        name=_checked(name, own),
        is_shared=is_shared,
        words={key: list(given) for key, given in words.items()},
        columns=list(columns),
        changed_at=now,
    )
    session.add(view)
    session.flush()
    return view


def change_view(
    session: Session, view: SavedView, name: str, is_shared: bool, now: datetime
) -> None:
    """Rename the view, share it or keep it to oneself; `ViewRefused` says why not."""
    others = [each for each in _own(session, view.owner_id) if each.id != view.id]
    view.name, view.is_shared, view.changed_at = _checked(name, others), is_shared, now
    session.flush()


def replace_list(
    view: SavedView, words: Mapping[str, Sequence[str]], columns: Sequence[str], now: datetime
) -> None:
    """Let the view show another list under its name."""
    view.words = {key: list(given) for key, given in words.items()}
    view.columns, view.changed_at = list(columns), now


def delete_view(
    session: Session, vault: Vault, view: SavedView, actor_id: int, now: datetime
) -> BulkAct:
    """Forget the view, as an act that can be taken back; the leads are not touched."""
    ref = new_ref()
    stood = json.dumps({name: getattr(view, name) for name in _KEPT})
    # Sealed: the words of a search may name a person.
    sealed = vault.seal("bulk_act", "view", ref, stood)
    session.delete(view)
    session.flush()
    facts = {"sealed": base64.b64encode(sealed).decode()}
    return bulk.keep_act(session, actor_id, bulk.Act.DROP_VIEW, facts, ([], []), now, ref)


def take_back(session: Session, vault: Vault, act: BulkAct, now: datetime) -> SavedView | None:
    """Have the view back as it was; None where it is back already.

    `ViewRefused` where its owner has ``taken`` its name or has as ``many`` as anybody may; then
    ``args[1]`` is the name, and the caller's rollback leaves the act to be undone.
    """
    if not begin(session, act, now):
        return None
    sealed = base64.b64decode(act.facts["sealed"])
    stood = json.loads(vault.open("bulk_act", "view", act.ref, sealed))
    own = _own(session, stood["owner_id"])
    if len(own) >= MOST:
        raise ViewRefused("many", stood["name"])
    if stood["name"].casefold() in {other.name.casefold() for other in own}:
        raise ViewRefused("taken", stood["name"])
    view = SavedView(**stood, changed_at=now)
    session.add(view)
    session.flush()
    return view


def columns_for(session: Session, staff_id: int) -> tuple[str, ...]:
    """The columns that this person has chosen, in the order in which they always stand."""
    choice = session.get(ListChoice, staff_id)
    return ordered(choice.columns) if choice else USUAL


def choose_columns(session: Session, staff_id: int, columns: Sequence[str]) -> None:
    """Show these from now on; those that there are not are passed over."""
    choice = session.get(ListChoice, staff_id) or ListChoice(staff_id=staff_id)
    choice.columns = list(ordered(columns))
    session.add(choice)
    session.flush()


def ordered(columns: Sequence[str]) -> tuple[str, ...]:
    """Those of the columns that there are, in their order."""
    return tuple(column for column in COLUMNS if column in set(columns))


def _own(session: Session, owner_id: int) -> Sequence[SavedView]:
    return session.scalars(select(SavedView).where(SavedView.owner_id == owner_id)).all()


def _checked(name: str, others: Sequence[SavedView]) -> str:
    name = " ".join(name.replace("\0", "").split())
    if not name:
        raise ViewRefused("empty")
    if len(name) > LONGEST_NAME:
        raise ViewRefused("long")
    if name.casefold() in {other.name.casefold() for other in others}:
        raise ViewRefused("taken")
    return name
