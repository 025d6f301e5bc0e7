"""Kept forms: what somebody sends after their session has ended comes back when they are.

Each form says, sealed, who it was made for. What arrives without a session is kept sealed for
that person alone, one form each, for an hour; nothing of it is ever in the browser, and it is
shown again, never carried out, when that person has signed in.
"""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from leadcapture.models import KeptForm, Staff
from leadcapture.vault import SealBroken, Vault

KEPT_FOR = timedelta(hours=1)
# What is about the session that has ended, not about what was typed.
_NOT_KEPT = frozenset({"csrf_token", "writer"})


@dataclass(frozen=True)
class Kept:
    """Where the form was going, and the names and values of its fields."""

    path: str
    fields: Sequence[tuple[str, str]]
    kept_at: datetime


def sign_writer(vault: Vault, staff_id: int) -> str:
    """Whom a form is made for, as the form carries it."""
    return base64.urlsafe_b64encode(vault.seal("kept_form", "writer", "", str(staff_id))).decode()


def read_writer(vault: Vault, typed: str) -> int | None:
    """The id of the staff member for whom we made the form; None for anything else."""
    try:
        return int(vault.open("kept_form", "writer", "", base64.urlsafe_b64decode(typed)))
    except (SealBroken, binascii.Error, ValueError):
        return None


def keep(
    session: Session,
    vault: Vault,
    staff_id: int,
    path: str,
    fields: Sequence[tuple[str, str]],
    now: datetime,
) -> bool:
    """Keep the form for its writer, instead of one kept before; False for who may not sign in."""
    writer = session.get(Staff, staff_id)
    if writer is None or not writer.active:
        return False
    typed = {"path": path, "fields": [pair for pair in fields if _is_kept(pair[0])]}
    sealed = vault.seal("kept_form", "sealed", writer.fs_uniquifier, json.dumps(typed))
    session.merge(KeptForm(staff_id=staff_id, sealed=sealed, kept_at=now))
    return True


def _is_kept(name: str) -> bool:
    # A password that was asked for again is asked for once more.
    return name not in _NOT_KEPT and "password" not in name


def find_kept(session: Session, vault: Vault, writer: Staff, now: datetime) -> Kept | None:
    """What is kept for this person; None where nothing is, or it is over an hour old."""
    row = session.scalar(
        select(KeptForm).where(KeptForm.staff_id == writer.id, KeptForm.kept_at > now - KEPT_FOR)
    )
    if row is None:
        return None
    try:
        typed = json.loads(vault.open("kept_form", "sealed", writer.fs_uniquifier, row.sealed))
    except SealBroken:
        # Their password has changed since, or our keys have.
        return None
    return Kept(typed["path"], [(name, value) for name, value in typed["fields"]], row.kept_at)


def drop(session: Session, staff_id: int) -> None:
    """Forget what is kept for this person: it was sent, or they want it no more."""
    session.execute(delete(KeptForm).where(KeptForm.staff_id == staff_id))


def forget_old_forms(session: Session, now: datetime) -> None:
    """Drop what nobody came back for."""
    session.execute(delete(KeptForm).where(KeptForm.kept_at <= now - KEPT_FOR))
