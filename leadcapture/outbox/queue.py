"""The queue: a message is written in the transaction of its cause, once for each dedupe key."""

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import idna
from sqlalchemy.orm import Session

from leadcapture.database import table_of
from leadcapture.models import Message, MessageKind, MessageState
from leadcapture.prepared import Prepared, insert_rows
from leadcapture.vault import Vault

# No domain has this sign, so that a lane is nobody's domain.
STAFF_LANE = "@"


@dataclass(frozen=True)
class Draft:
    """A message before it has a row. ``dedupe_key`` says what must exist once.

    ``letter``, ``packets`` (attached) and ``linked`` (only read behind the letter's link) are ids
    of letter versions, pinned now so that what leaves in a month is what was meant today.
    ``values`` fill the placeholders.
    """

    kind: MessageKind
    dedupe_key: str
    recipient: str
    language: str
    time_zone: str
    due_at: datetime
    letter: int
    packets: tuple[int, ...] = ()
    linked: tuple[int, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    step: str = ""
    lead_id: int | None = None
    request_id: int | None = None
    cap_hash: str = ""
    not_after: datetime | None = None
    ref: str = field(default_factory=lambda: new_ref())


def new_ref() -> str:
    """A public reference: 128 random bits, 22 characters."""
    return secrets.token_urlsafe(16)


def enqueue(
    session: Session, vault: Vault, mail_domain: str, drafts: Iterable[Draft], now: datetime
) -> None:
    """Queue the drafts; one whose dedupe key is already known changes nothing."""
    rows = [_row(vault, mail_domain, draft, now) for draft in drafts]
    if not rows:
        return
    _QUEUE.run(session.connection(), *rows)


def _new_messages(dialect: str, names: Sequence[str]) -> Any:
    insert = insert_rows(table_of(Message), dialect, names)
    return insert.on_conflict_do_nothing(index_elements=["dedupe_key"])


_QUEUE = Prepared(_new_messages)


def domain_of(recipient: str) -> str:
    """The domain that the pace and the gates know: lower case, IDNA; empty for no address."""
    domain = recipient.rpartition("@")[2].lower()
    try:
        return domain if domain.isascii() else idna.encode(domain, uts46=True).decode("ascii")
    except idna.IDNAError:
        return ""


def lane_of(kind: str, recipient: str) -> str:
    """The message's ``domain``: what its pace goes by, and the gate that it waits for.

    Letters to staff have a lane beside their domain's. Its pace is our politeness to strangers'
    servers, and a warning that somebody waits must not wait behind it.
    """
    domain = domain_of(recipient)
    return f"{STAFF_LANE}{domain}" if domain and kind == MessageKind.STAFF_ALERT else domain


def open_payload(vault: Vault, message: Message) -> dict[str, Any]:
    """``letter``, ``packets``, ``linked`` and ``values`` as they were pinned; see `Message`."""
    payload: dict[str, Any] = json.loads(
        vault.open("message", "payload", message.ref, message.payload)
    )
    return payload


def draft_again(vault: Vault, message: Message, dedupe_key: str) -> Draft:
    """A new letter that says and brings what this one did, to the same address."""
    payload = open_payload(vault, message)
    return Draft(
        kind=MessageKind(message.kind),
        step=message.step,
        dedupe_key=dedupe_key,
        recipient=message.recipient,
        language=message.language,
        time_zone=message.time_zone,
        due_at=message.due_at,
        not_after=message.not_after,
        letter=payload["letter"],
        packets=tuple(payload["packets"]),
        linked=tuple(payload.get("linked", ())),
        values=payload["values"],
        lead_id=message.lead_id,
        request_id=message.request_id,
        cap_hash=message.cap_hash,
    )


def _row(vault: Vault, mail_domain: str, draft: Draft, now: datetime) -> dict[str, Any]:
    payload: dict[str, Any] = {"letter": draft.letter, "packets": draft.packets}
    payload["values"] = dict(draft.values)
    if draft.linked:
        payload["linked"] = draft.linked
    return {
        "ref": draft.ref,
        "kind": draft.kind,
        "step": draft.step,
        "dedupe_key": draft.dedupe_key,
        "lead_id": draft.lead_id,
        "request_id": draft.request_id,
        "recipient": draft.recipient,
        "domain": lane_of(draft.kind, draft.recipient),
        "cap_hash": draft.cap_hash,
        "language": draft.language,
        "time_zone": draft.time_zone,
        "priority": draft.kind.priority,
        "payload": vault.seal("message", "payload", draft.ref, json.dumps(payload)),
        "state": MessageState.QUEUED,
        "reason": "",
        "due_at": draft.due_at,
        "not_after": draft.not_after,
        "fence": 0,
        "attempts": 0,
        "doubts": 0,
        "mail_id": f"<{draft.ref}@{mail_domain}>",
        "created_at": now,
        "state_at": now,
    }
