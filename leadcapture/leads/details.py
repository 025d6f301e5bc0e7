"""Details: what staff correct of a person, with the letters that follow a corrected address."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from leadcapture.leads import bulk, timeline
from leadcapture.leads.merged import write_search_text
from leadcapture.leads.undo import Undone, begin, finish
from leadcapture.letters.guard import health_words_in
from leadcapture.models import BulkAct, Lead, Message, MessageState
from leadcapture.outbox import audit, readdressing
from leadcapture.outbox.holding import hold_leads, hold_letters
from leadcapture.outbox.queue import new_ref
from leadcapture.outbox.readdressing import Address, Followed
from leadcapture.settings import Settings
from leadcapture.vault import Vault

LONGEST_NAME = 200
CHANGED = "details_changed"
_IDENTITY = ("address_key", "cap_hash")


@dataclass(frozen=True)
class Details:
    """What staff may correct, normalised; ``phone`` is E.164, None where it cannot be read.

    ``address_key`` and ``cap_hash`` belong to ``email``: what a person is found by, and what caps
    and stops count by.
    """

    full_name: str
    email: str
    address_key: str
    cap_hash: str
    phone: str | None
    phone_typed: str
    country: str
    language: str
    time_zone: str
    contact_by: str
    contact_time: str


NAMES = tuple(one.name for one in fields(Details) if one.name not in (*_IDENTITY, "phone"))
"""The fields as people know them: the telephone is one, however it is kept."""


class AddressTaken(Exception):
    """Another lead has this address; ``holder`` is the one."""

    def __init__(self, holder: Lead) -> None:
        super().__init__("taken")
        self.holder = holder


@dataclass(frozen=True)
class Change:
    """What was changed: the act that can be undone, the fields, and what became of letters."""

    act: BulkAct
    names: tuple[str, ...]
    letters: Followed


def details_of(lead: Lead) -> Details:
    """The lead's details as they stand."""
    return Details(**{one.name: getattr(lead, one.name) for one in fields(Details)})


def changed_names(before: Details, after: Details) -> tuple[str, ...]:
    """The fields that differ, as people know them."""
    return tuple(name for name in NAMES if _value(before, name) != _value(after, name))


def change(
    session: Session,
    vault: Vault,
    settings: Settings,
    lead: Lead,
    wanted: Details,
    actor_id: int,
    now: datetime,
) -> Change | None:
    """Write what staff corrected; None where nothing differs, `AddressTaken` where it cannot be.

    A changed address is unconfirmed; letters that have not left follow it (`readdressing`).
    """
    hold_leads(session, lead.id)
    before = details_of(lead)
    names = changed_names(before, wanted)
    if not names:
        return None
    confirmed_at = lead.confirmed_at
    letters = _write(session, vault, settings, lead, wanted, now)
    facts = {"changes": [_told(name, before, wanted) for name in names]}
    timeline.record(session, lead.id, CHANGED, now, actor_id=actor_id, facts=facts)
    audit.record(session, actor_id, CHANGED, lead.ref, now)
    ref = new_ref()
    stood = {
        "before": _plain(before),
        "after": _plain(wanted),
        "confirmed_at": confirmed_at.isoformat() if confirmed_at else None,
    }
    sealed = vault.seal("bulk_act", "changed", ref, json.dumps(stood))
    line = {"id": lead.id, "sealed": base64.b64encode(sealed).decode()}
    told = {
        "fields": names,
        "letters_moved": len(letters.moved),
        "letters_stopped": len(letters.stopped),
    }
    act = bulk.keep_act(session, actor_id, bulk.Act.EDIT, told, ([line], []), now, ref)
    return Change(act, names, letters)


def take_back(
    session: Session, vault: Vault, settings: Settings, act: BulkAct, now: datetime
) -> Undone | None:
    """Put the details back; None where it is undone already.

    They stay where somebody has changed one of them since (``changed``), or another lead has
    taken the old address (``taken``).
    """
    if not begin(session, act, now):
        return None
    line = act.changed[0]
    stood = json.loads(vault.open("bulk_act", "changed", act.ref, base64.b64decode(line["sealed"])))
    before, after = Details(**stood["before"]), Details(**stood["after"])
    [lead] = hold_leads(session, line["id"])
    why = _why_not(session, lead, before, after)
    if why:
        done = Undone(0, [[lead.ref, why]], 0)
        finish(session, act, done)
        return done
    _write(session, vault, settings, lead, before, now)
    if stood["confirmed_at"] and before.address_key != after.address_key:
        lead.confirmed_at = datetime.fromisoformat(stood["confirmed_at"])
    facts = {"act": bulk.Act.EDIT, "back_to": ""}
    timeline.record(session, lead.id, "act_undone", now, actor_id=act.actor_id, facts=facts)
    audit.record(session, act.actor_id, "details_put_back", lead.ref, now)
    done = Undone(1, [], act.facts.get("letters_stopped", 0))
    finish(session, act, done)
    return done


def _why_not(session: Session, lead: Lead, before: Details, after: Details) -> str:
    names = changed_names(before, after)
    stands = details_of(lead)
    if lead.merged_into_id is not None or set(names) & set(changed_names(stands, after)):
        return "changed"
    return "taken" if _holder(session, lead, before.address_key) is not None else ""


def _write(
    session: Session,
    vault: Vault,
    settings: Settings,
    lead: Lead,
    wanted: Details,
    now: datetime,
) -> Followed:
    before = details_of(lead)
    if holder := _holder(session, lead, wanted.address_key):
        raise AddressTaken(holder)
    if wanted.address_key != before.address_key:
        # It is a key, and is written after the letters are held.
        hold_letters(session, lead.id)
    try:
        with session.begin_nested():
            for one in fields(Details):
                setattr(lead, one.name, getattr(wanted, one.name))
            if wanted.address_key != before.address_key:
                lead.confirmed_at = None
            write_search_text(session, lead)
            session.flush()
    except IntegrityError:
        session.refresh(lead)
        if holder := _holder(session, lead, wanted.address_key):
            # Somebody asked from this address in this very moment.
            raise AddressTaken(holder) from None
        raise
    if wanted.time_zone != before.time_zone:
        _move_zone(session, lead)
    if wanted.address_key == before.address_key:
        return Followed()
    letters = readdressing.letters_to(session, lead.id, before.cap_hash)
    to = Address(wanted.email, wanted.cap_hash)
    return readdressing.follow(session, vault, settings, letters, to, now)


def _holder(session: Session, lead: Lead, address_key: str) -> Lead | None:
    return session.scalar(select(Lead).where(Lead.address_key == address_key, Lead.id != lead.id))


def _move_zone(session: Session, lead: Lead) -> None:
    """Let the letters to come keep the quiet hours of where the person is."""
    session.execute(
        update(Message)
        .where(
            Message.lead_id == lead.id,
            Message.state.in_((MessageState.QUEUED, MessageState.CLAIMED, MessageState.HELD)),
        )
        .values(time_zone=lead.time_zone)
        .execution_options(synchronize_session=False)
    )


def _value(details: Details, name: str) -> tuple[str | None, ...]:
    value = getattr(details, name)
    return (value, details.phone) if name == "phone_typed" else (value,)


def _told(name: str, before: Details, after: Details) -> list[str]:
    """The field with its old and new value; without, where one of them tells of somebody's health.

    ``phone_typed`` is told as it is dialled.
    """
    values = [_shown(one, name) for one in (before, after)]
    if any(health_words_in(value) for value in values):
        return [name]
    return [name, *values]


def _shown(details: Details, name: str) -> str:
    if name == "phone_typed":
        return details.phone or details.phone_typed
    return str(getattr(details, name))


def _plain(details: Details) -> Mapping[str, Any]:
    return {one.name: getattr(details, one.name) for one in fields(details)}
