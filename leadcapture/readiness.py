"""Readiness: every reason why the service is not what patients and staff rely on."""

import logging
import shutil
import threading
from collections.abc import Collection, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from leadcapture import integrity
from leadcapture.database import once_more, open_session, reading
from leadcapture.models import Heartbeat, Message, MessageState, SealKey, Task
from leadcapture.outbox import gates
from leadcapture.outbox.alerts import clear_alerts, raise_alert
from leadcapture.outbox.audit import ALERT
from leadcapture.outbox.ledger import DOUBT_WAITS

log = logging.getLogger(__name__)

SILENT_AFTER = timedelta(seconds=90)
LATE_AFTER = timedelta(minutes=15)
DOUBT_GRACE = timedelta(seconds=60)
LEAST_FREE = 0.05
TRIED_EVERY = timedelta(seconds=10)
WEB = "web"
"""The heartbeat of the web processes: their write that proves that the database takes one."""
SILENT = "scheduler_silent"


def reasons(session: Session, key_ids: Collection[str], now: datetime) -> list[str]:
    """The words for what the database tells to be amiss. Each is one look-up by index."""
    told = []
    if is_silent(session, now):
        told.append("scheduler_silent")
    told += _why_late(session, now)
    if _is_in_doubt(session, now):
        told.append("uncertain_too_long")
    broken = select(Task.id).where(Task.kind == ALERT, Task.done_at.is_(None))
    if session.scalar(broken.limit(1)) is not None:
        told.append("audit_broken")
    if set(session.scalars(select(SealKey.id))) - set(key_ids):
        told.append("seal_key_missing")
    return told


def is_silent(session: Session, now: datetime) -> bool:
    """True where no scheduler has committed a tick for 90 s.

    A tick of the future was committed before the clock was put back, and says nothing of now.
    """
    last = last_tick(session, now)
    return last is None or now - last > SILENT_AFTER


def last_tick(session: Session, now: datetime) -> datetime | None:
    """When a scheduler last committed that it runs; None where none ever did."""
    past = Heartbeat.at <= now + SILENT_AFTER
    return session.scalar(select(func.max(Heartbeat.at)).where(Heartbeat.job != WEB, past))


def oldest_due_at(session: Session, now: datetime) -> datetime | None:
    """Since when the oldest due message waits."""
    oldest = [
        session.scalar(
            select(Message.due_at)
            .where(
                Message.state == MessageState.QUEUED,
                Message.priority == priority,
                Message.due_at <= now,
            )
            .order_by(Message.due_at)
            .limit(1)
        )
        for priority in (0, 1)
    ]
    return min((at for at in oldest if at is not None), default=None)


def disk_reasons(data_dir: Path, least: float = LEAST_FREE) -> list[str]:
    """Whether less than this share of the data folder's disk is free."""
    usage = shutil.disk_usage(data_dir)
    return ["disk_nearly_full"] if usage.free < least * usage.total else []


@dataclass
class Probe:
    """Asks for one web process whether the service is ready; cheap however often it is asked.

    It is also what notices a dead scheduler: the task that tells staff so is written with the
    tiny write that proves that the database takes one, at most every 10 s. A monitor asks, and so
    does each open page of the desk.
    """

    engine: Engine
    data_dir: Path
    key_ids: Sequence[str]
    _alone: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _tried_at: datetime | None = None
    _writable: bool = True
    _looked_at: datetime | None = None
    _standing_since: datetime | None = None

    def reasons(self, now: datetime) -> list[str]:
        """The words for everything amiss; none where all is well."""
        told = disk_reasons(self.data_dir)
        if integrity.is_damaged(self.data_dir):
            told.append("database_damaged")
        if not self._takes_writes(now):
            told.append("database_not_writable")
        try:
            told += once_more(lambda: self._read(now))
        except SQLAlchemyError as error:
            log.error("readiness cannot read the database: %s", type(error).__name__)
            told.append("database_out_of_reach")
        return told

    def standing_since(self, now: datetime) -> datetime | None:
        """Since when letters stand still, as no scheduler runs; None where one does or never did.

        The answer is 10 s old at most, and staff have their task with it (SC-05).
        """
        last = self._looked_at
        if last is None or not timedelta(0) <= now - last < TRIED_EVERY:
            self._looked_at = now
            try:
                self._standing_since = once_more(lambda: self._look(now))
            except SQLAlchemyError as error:
                log.error("the desk cannot ask for the scheduler: %s", type(error).__name__)
        return self._standing_since

    def _look(self, now: datetime) -> datetime | None:
        with reading(), open_session(self.engine) as session:
            last = last_tick(session, now)
        if last is None:
            return None
        self._takes_writes(now)
        return last if now - last > SILENT_AFTER else None

    def _read(self, now: datetime) -> list[str]:
        with reading(), open_session(self.engine) as session:
            return reasons(session, self.key_ids, now)

    def _takes_writes(self, now: datetime) -> bool:
        if self._tried_at is not None and timedelta(0) <= now - self._tried_at < TRIED_EVERY:
            return self._writable
        # Whoever asks while another tries gets the last answer: no request waits for two.
        if self._alone.acquire(blocking=False):
            try:
                self._tried_at = now
                # In a fresh context, because a page that only reads has said so in its own.
                self._writable = Context().run(self._try, now)
            finally:
                self._alone.release()
        return self._writable

    def _try(self, now: datetime) -> bool:
        if integrity.is_damaged(self.data_dir):
            return False
        try:
            once_more(lambda: self._write(now))
        except SQLAlchemyError as error:
            log.error("readiness cannot write to the database: %s", type(error).__name__)
            return False
        return True

    def _write(self, now: datetime) -> None:
        with open_session(self.engine) as session:
            if is_silent(session, now):
                raise_alert(session, SILENT, "all", now)
            else:
                clear_alerts(session, SILENT, now)
            session.merge(Heartbeat(job=WEB, at=now, ok=True, error=""))
            session.commit()


def _why_late(session: Session, now: datetime) -> list[str]:
    """Mail that waits for 15 minutes is late; where a closed gate keeps it back, say that."""
    oldest = oldest_due_at(session, now)
    if oldest is None or now - oldest <= LATE_AFTER:
        return []
    gate = gates.closed_gate(session, now)
    return [f"mail_kept_back_by_{gate.name}" if gate else "mail_late"]


def _is_in_doubt(session: Session, now: datetime) -> bool:
    doubt = select(Message.id).where(
        Message.state == MessageState.UNCERTAIN,
        Message.state_at < now - DOUBT_WAITS - DOUBT_GRACE,
    )
    return session.scalar(doubt.limit(1)) is not None
