"""Invitations: a one-time link, good for a day, that makes an account; nothing else makes one."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from leadcapture.accounts.access import RoleName
from leadcapture.models import Invitation, Role, Staff

VALID_FOR = timedelta(hours=24)


class InvitationUsed(Exception):
    """The link had been used, or had expired, by the time the account was to be made."""


@dataclass(frozen=True)
class NewAccount:
    """What an invited person tells us. ``password_hash`` is Argon2id; ``email`` is normalised."""

    name: str
    email: str
    password_hash: str
    language: str = "en"


def invite(session: Session, role: str, now: datetime) -> str:
    """The token of a new invitation to this role; the caller commits and shows it once.

    `ValueError` where there is no such role.
    """
    token = secrets.token_urlsafe(32)
    session.add(
        Invitation(
            token_sha256=_digest(token),
            role=RoleName(role),
            created_at=now,
            expires_at=now + VALID_FOR,
        )
    )
    session.flush()
    return token


def withdraw_all(session: Session, now: datetime) -> None:
    """Let no link that was not used open any more."""
    session.execute(
        update(Invitation)
        .where(Invitation.used_at.is_(None), Invitation.expires_at > now)
        .values(expires_at=now)
    )


def state_of(
    session: Session, token: str, now: datetime
) -> Literal["open", "used", "expired", "unknown"]:
    """Whether a link still opens; looking at it changes nothing."""
    invitation = _find(session, token)
    if invitation is None:
        return "unknown"
    if invitation.used_at is not None:
        return "used"
    return "open" if now < invitation.expires_at else "expired"


def accept(session: Session, token: str, account: NewAccount, now: datetime) -> Staff:
    """Use the invitation up and make its account; `InvitationUsed` where it no longer opens."""
    role = session.scalar(
        update(Invitation)
        .where(
            Invitation.token_sha256 == _digest(token),
            # Of two who press at once, one finds the row changed and makes no account.
            Invitation.used_at.is_(None),
            Invitation.expires_at > now,
        )
        .values(used_at=now)
        .returning(Invitation.role)
    )
    if role is None:
        raise InvitationUsed
    staff = Staff(
        email=account.email,
        name=account.name,
        language=account.language,
        password=account.password_hash,
        active=True,
        fs_uniquifier=secrets.token_urlsafe(32),
        confirmed_at=now,
        created_at=now,
        roles=[role_named(session, role)],
    )
    session.add(staff)
    session.flush()
    return staff


def role_named(session: Session, name: str) -> Role:
    """The role, made when it is first asked for."""
    role = session.scalar(select(Role).where(Role.name == name))
    if role is None:
        role = Role(name=RoleName(name), description="")
        session.add(role)
    return role


def _find(session: Session, token: str) -> Invitation | None:
    return session.scalar(select(Invitation).where(Invitation.token_sha256 == _digest(token)))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
