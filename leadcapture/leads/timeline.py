"""The timeline: one entry for each thing that happens to a lead."""

import secrets
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy.orm import Session

from leadcapture.database import table_of
from leadcapture.models import TimelineEntry
from leadcapture.prepared import Prepared, insert_rows
from leadcapture.vault import Vault

_ENTRY = Prepared(partial(insert_rows, table_of(TimelineEntry)))


def record(
    session: Session,
    lead_id: int,
    kind: str,
    now: datetime,
    *,
    actor_id: int | None = None,
    request_id: int | None = None,
    message_id: int | None = None,
    facts: Mapping[str, Any] | None = None,
    note: str = "",
    vault: Vault | None = None,
) -> str:
    """Add an entry; its reference.

    ``facts`` are plain and hold nothing of anyone's health; ``note`` is sealed.
    """
    ref = secrets.token_urlsafe(16)
    if note and vault is None:
        raise ValueError("a note needs the vault")
    _ENTRY.run(
        session.connection(),
        {
            "ref": ref,
            "lead_id": lead_id,
            "kind": kind,
            "at": now,
            "actor_id": actor_id,
            "request_id": request_id,
            "message_id": message_id,
            "facts": dict(facts or {}),
            "note": vault.seal("timeline_entry", "note", ref, note) if note and vault else None,
        },
    )
    return ref
