"""Said: what letters say of their own, opened and held against what a letter may say (I9, AB-02).

Whoever fills in the form chooses who reads it. So of their words only a name that passes the filter
may stand in a letter, and only in its greeting.
"""

import json
from collections.abc import Iterator, Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.letters.greeting import first_name, is_greeting
from leadcapture.letters.placeholders import LINK_NAMES, NAMES, UnsafeLink, checked_link
from leadcapture.models import Message
from leadcapture.outbox.invariants import Scope
from leadcapture.vault import SealBroken, Vault

# So many payloads are held at a time: a million of them would fill the memory.
_AT_ONCE = 1_000
# What the clinic's settings say, which no visitor can write.
_CLINICS = frozenset({"clinic_name", "clinic_phone", "postal_address"})
# The longest is a moment with the name of a town.
_LONGEST = 80


def wrong_letters(session: Session, vault: Vault, scope: Scope) -> Iterator[tuple[str, int | None]]:
    """Reference and lead of each letter that says what none may.

    What does not open here says nothing that we could read: it cannot leave from here either.
    """
    rows = select(Message.ref, Message.lead_id, Message.payload).where(scope.messages)
    for row in session.execute(rows, execution_options={"yield_per": _AT_ONCE}):
        try:
            values = json.loads(vault.open("message", "payload", row.ref, row.payload))["values"]
        except SealBroken:
            continue
        if not may_be_said(values):
            yield row.ref, row.lead_id


def may_be_said(values: Mapping[str, str]) -> bool:
    """True where each value stands for a name on the list, and is of that name's kind."""
    return all(name in NAMES and _is_of_kind(name, said) for name, said in values.items())


def _is_of_kind(name: str, said: str) -> bool:
    if name == "greeting":
        return is_greeting(said)
    if name == "first_name":
        return said == first_name(said)
    if name not in LINK_NAMES:
        # A reference, a moment or a language: short, and nothing that a reader could follow.
        return name in _CLINICS or (len(said) <= _LONGEST and "/" not in said)
    try:
        checked_link(said)
    except UnsafeLink:
        return False
    return True
