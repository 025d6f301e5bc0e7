"""The team: which role each colleague has, and whether their account opens."""

import secrets
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from leadcapture.accounts.access import RoleName
from leadcapture.accounts.invitations import role_named
from leadcapture.models import Invitation, Role, Staff


class LastAdmin(Exception):
    """The change would leave nobody who may change it back."""


def change_role(session: Session, member: Staff, role: RoleName) -> bool:
    """Give a colleague this role alone and end their sessions; False where they have it.

    `LastAdmin` where no other administrator would be left.
    """
    if [own.name for own in member.roles] == [role]:
        return False
    if role is not RoleName.ADMIN:
        _keep_an_admin(session, member)
    member.roles = [role_named(session, role)]
    end_sessions(member)
    session.flush()
    return True


def disable(session: Session, member: Staff) -> bool:
    """Close an account at its person's next click; False where it is closed. `LastAdmin` too."""
    if not member.active:
        return False
    _keep_an_admin(session, member)
    member.active = False
    end_sessions(member)
    session.flush()
    return True


def enable(session: Session, member: Staff) -> bool:
    """Open an account again, with the password that it had; False where it is open."""
    if member.active:
        return False
    member.active = True
    end_sessions(member)
    session.flush()
    return True


def end_sessions(member: Staff) -> None:
    """Sign a colleague out of every browser (AU-05)."""
    member.fs_uniquifier = secrets.token_urlsafe(32)


def open_invitations(session: Session, now: datetime) -> Sequence[Invitation]:
    """The invitations that still open, the latest first."""
    return session.scalars(
        select(Invitation)
        .where(Invitation.used_at.is_(None), Invitation.expires_at > now)
        .order_by(Invitation.id.desc())
        .limit(20)
    ).all()


def withdraw_invitation(session: Session, token_sha256: str, now: datetime) -> Invitation | None:
    """Close an invitation that nobody has used: that one, or None where there is none."""
    invitation = session.scalar(
        select(Invitation)
        .where(
            Invitation.token_sha256 == token_sha256,
            Invitation.used_at.is_(None),
            Invitation.expires_at > now,
        )
        .with_for_update()
    )
    if invitation is not None:
        invitation.expires_at = now
        session.flush()
    return invitation


def _keep_an_admin(session: Session, member: Staff) -> None:
    # The lock lets two administrators not demote each other in the same moment.
    admin = session.scalar(select(Role).where(Role.name == RoleName.ADMIN).with_for_update())
    if admin is None or admin not in member.roles or not member.active:
        return
    others = session.scalar(
        select(func.count())
        .select_from(Staff)
        .where(Staff.roles.any(Role.id == admin.id), Staff.active, Staff.id != member.id)
    )
    if not others:
        raise LastAdmin
