"""The record of the settings: who changed what, when, and what had been set before."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from leadcapture.models import SettingChange, Staff
from leadcapture.outbox import audit

SHOWN = 20
_LONGEST_SUBJECT = 100


def record(
    session: Session,
    area: str,
    subject: str,
    before: Mapping[str, str],
    after: Mapping[str, str],
    actor_id: int,
    now: datetime,
) -> bool:
    """Note, in the caller's transaction, what differs; False where nothing does.

    The sealed audit gets a line too, so that the record cannot be rewritten unseen.
    """
    fields = [*before, *(field for field in after if field not in before)]
    changed = [field for field in fields if before.get(field, "") != after.get(field, "")]
    if not changed:
        return False
    change = SettingChange(
        area=area,
        subject=subject[:_LONGEST_SUBJECT],
        before={field: before.get(field, "") for field in changed},
        after={field: after.get(field, "") for field in changed},
        actor_id=actor_id,
        at=now,
    )
    session.add(change)
    session.flush()
    audit.record(session, actor_id, "setting_changed", f"{area} {change.id}", now)
    return True


def latest(session: Session, area: str) -> Sequence[SettingChange]:
    """The latest changes of one page of settings, newest first, twenty at most."""
    return session.scalars(
        select(SettingChange)
        .where(SettingChange.area == area)
        .options(joinedload(SettingChange.actor).lazyload(Staff.roles))
        .order_by(SettingChange.id.desc())
        .limit(SHOWN)
    ).all()
