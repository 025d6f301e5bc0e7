"""Access: which roles a page is for, and what a role may read on it."""

import enum
from collections.abc import Callable
from typing import Any, TypeVar, cast

from flask_security import auth_required, current_user, roles_accepted

from leadcapture.models import Staff

View = TypeVar("View", bound=Callable[..., Any])


class RoleName(enum.StrEnum):
    """The roles there are. ``front_desk`` reads no word about anyone's health (AU-12)."""

    ADMIN = "admin"
    COORDINATOR = "coordinator"
    FRONT_DESK = "front_desk"


EVERYONE = tuple(RoleName)
CARE = (RoleName.ADMIN, RoleName.COORDINATOR)


def staff_only(*roles: RoleName) -> Callable[[View], View]:
    """Open a page to whoever is signed in with one of these roles, to nobody else."""

    def guard(view: View) -> View:
        return cast(View, auth_required("session")(roles_accepted(*roles)(view)))

    return guard


def me() -> Staff:
    """The staff member whose request this is; for pages that `staff_only` guards."""
    return cast(Staff, current_user)


def may_decide() -> bool:
    """True for those who may decide about held requests and stopped mail."""
    return _has(me(), CARE)


def may_read_health() -> bool:
    """True for those who may read what a patient wrote, and colleagues' notes."""
    return reads_health(me())


def reads_health(colleague: Staff) -> bool:
    """The same of a colleague."""
    return _has(colleague, CARE)


def _has(colleague: Staff, roles: tuple[RoleName, ...]) -> bool:
    return any(role.name in roles for role in colleague.roles)
