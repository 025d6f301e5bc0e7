"""Readdressing: letters that have not left follow a person to another address.

Nothing but a letter of which no copy was ever offered to the relay takes another recipient: each
copy has the same bytes (I6), and its header names the recipient. What was tried before is
cancelled, and what may have arrived is not sent once more to an address that was wrong. Each step
is a compare-and-swap from the state and the fence that were read, so that of it and a worker's
intent one loses; a letter that is being sent keeps its recipient.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from leadcapture.models import Message, MessageKind, MessageState
from leadcapture.outbox import caps, ledger, links, policy, stops
from leadcapture.outbox.queue import domain_of, open_payload
from leadcapture.settings import Settings
from leadcapture.vault import Vault

READDRESSED = "readdressed"
CHANGED = "address_changed"
_NOT_LEFT = (
    MessageState.QUEUED,
    MessageState.CLAIMED,
    MessageState.HELD,
    MessageState.UNCERTAIN,
)
_TRIES = 3


@dataclass(frozen=True)
class Address:
    """Where letters go: the address itself, and the keyed hash that caps and stops count by."""

    email: str
    cap_hash: str


@dataclass
class Followed:
    """What became of the letters, by their ids: on to the new address, or never to be sent."""

    moved: list[int] = field(default_factory=list)
    stopped: list[int] = field(default_factory=list)


def letters_to(
    session: Session, lead_id: int, cap_hash: str, kinds: Sequence[MessageKind] = ()
) -> Sequence[Message]:
    """The lead's letters to this address that have not left or are in doubt, the oldest first."""
    wanted = select(Message).where(
        Message.lead_id == lead_id,
        Message.cap_hash == cap_hash,
        Message.kind != MessageKind.STAFF_ALERT,
        Message.state.in_(_NOT_LEFT),
    )
    if kinds:
        wanted = wanted.where(Message.kind.in_(kinds))
    fresh = wanted.order_by(Message.id).execution_options(populate_existing=True)
    return session.scalars(fresh).all()


def follow(
    session: Session,
    vault: Vault,
    settings: Settings,
    letters: Sequence[Message],
    to: Address,
    now: datetime,
    reason: str = READDRESSED,
) -> Followed:
    """Send these letters to ``to``, which nobody has confirmed, where the rules for it allow.

    ``reason`` is what then stands with them.
    """
    followed = Followed()
    for letter in letters:
        for _ in range(_TRIES):
            if letter.state not in _NOT_LEFT:
                break
            ends = _ends(session, letter, to, now)
            changes = ends or _to_address(vault, settings, letter, to, reason)
            if ledger.settle(session, letter, now=now, since=(letter.state,), **changes):
                (followed.moved if ends is None else followed.stopped).append(letter.id)
                session.expire(letter)
                break
            # A worker was faster: perhaps it only claimed the letter.
            session.refresh(letter)
    return followed


def values_for(settings: Settings, values: Mapping[str, str], cap_hash: str) -> dict[str, str]:
    """A letter's values, with the links that stop letters at the address that gets them."""
    stop = links.stop_link(settings.public_url, settings.hash_key, cap_hash)
    named = {"stop_link", "preferences_link"} & set(values)
    return {**values, **dict.fromkeys(named, stop)}


def _ends(session: Session, letter: Message, to: Address, now: datetime) -> dict[str, Any] | None:
    """How the letter ends instead of going to the new address; None where it may go there."""
    if letter.state is MessageState.UNCERTAIN:
        sent_at = letter.state_at
        return {"state": MessageState.SENT, "reason": "assumed_sent", "sent_at": sent_at}
    if letter.sha256 is not None:
        return {"state": MessageState.CANCELLED, "reason": CHANGED}
    if stops.is_suppressed(session, to.cap_hash, letter.kind):
        return {"state": MessageState.SUPPRESSED, "reason": "unsubscribed"}
    if letter.kind in policy.AWAITED and _is_capped(session, letter, to, now):
        return {"state": MessageState.SUPPRESSED, "reason": "capped_unconfirmed"}
    return None


def _is_capped(session: Session, letter: Message, to: Address, now: datetime) -> bool:
    """AB-01: an address that nobody has confirmed gets so much mail and no more.

    Follow-ups are asked when they leave; what a person waits for is asked where it is queued.
    """

    counted = select(
        func.count().filter(caps.is_letter_since(now - caps.DAY)),
        func.count().filter(caps.is_letter_since(now - caps.MONTH)),
    ).where(Message.cap_hash == to.cap_hash, Message.id != letter.id)
    in_day, in_month = session.execute(counted).one()
    return caps.UNCONFIRMED.is_reached(in_day, in_month)


def _to_address(
    vault: Vault, settings: Settings, letter: Message, to: Address, reason: str
) -> dict[str, Any]:
    payload = open_payload(vault, letter)
    payload["values"] = values_for(settings, payload["values"], to.cap_hash)
    changes: dict[str, Any] = {
        "recipient": to.email,
        "domain": domain_of(to.email),
        "cap_hash": to.cap_hash,
        "payload": vault.seal("message", "payload", letter.ref, json.dumps(payload)),
    }
    if letter.state is MessageState.HELD:
        # It goes on being held for the reason that it is held for.
        return changes | {"state": MessageState.HELD}
    if letter.state is MessageState.CLAIMED:
        # From its worker, who has it with the old recipient and now loses the intent.
        changes["attempts"] = Message.attempts - 1
    return changes | {"state": MessageState.QUEUED, "reason": reason}
