"""The timetable: which function runs how often; due times are columns, never jobs."""

import logging
import signal
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from leadcapture.database import database_now, open_engine, open_session
from leadcapture.models import Heartbeat, MessageKind
from leadcapture.outbox import ledger
from leadcapture.outbox.dispatch import Dispatcher
from leadcapture.outbox.relay import RelaySession
from leadcapture.settings import Settings
from leadcapture.vault import Vault

log = logging.getLogger(__name__)

BEATS_EVERY = timedelta(seconds=5)
RESENT = tuple(kind.value for kind in MessageKind if kind.is_resent_after_doubt)

Duty = Callable[[Session, datetime], object]


def resolve_doubts(session: Session, now: datetime) -> None:
    """Settle what stayed uncertain for 30 minutes."""
    ledger.resolve_doubts(session, now, RESENT)


# What one job does in turn: APScheduler keeps few jobs, each with a thread of its own.
UPKEEP: tuple[Duty, ...] = (ledger.reclaim_lost, resolve_doubts)


class Timetable:
    """The jobs of one scheduler process. Each is idempotent: any number of processes may run."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        vault: Vault,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self.engine = engine
        self.clock = clock
        self.stopping = threading.Event()
        self._beaten: dict[str, tuple[datetime, str]] = {}
        helo = settings.mail_from.rpartition("@")[2]
        self.dispatchers = [
            Dispatcher(engine, settings, vault, RelaySession(settings.relay, helo), clock)
            for _ in range(2)
        ]

    def jobs(self) -> list[tuple[str, Callable[[], object], timedelta]]:
        """Name, function, every: the whole timetable."""
        first, second = self.dispatchers
        stopping = self.stopping.is_set
        return [
            ("dispatch-1", lambda: first.send_due(stopping=stopping), timedelta(seconds=0.5)),
            ("dispatch-2", lambda: second.send_due(stopping=stopping), timedelta(seconds=0.5)),
            ("upkeep", lambda: self._in_turn(UPKEEP), timedelta(seconds=10)),
        ]

    def _in_turn(self, duties: Sequence[Duty]) -> None:
        """Do each duty in a transaction of its own: one that fails keeps no other from its turn."""
        for duty in duties:
            self.tick(duty.__name__, partial(self._do, duty))

    def _do(self, duty: Duty) -> None:
        with open_session(self.engine) as session:
            duty(session, self.clock() if self.clock else database_now(session))
            session.commit()

    def tick(self, name: str, job: Callable[[], object]) -> None:
        """Run a job, survive whatever it raises, and commit a heartbeat at most each 5 s."""
        error = ""
        try:
            job()
        except Exception as problem:
            # The class alone: the words and the traceback may hold an address.
            error = type(problem).__name__
            log.error("job %s failed: %s", name, error)
        try:
            self._beat(name, error)
        except Exception as problem:
            log.error("heartbeat of %s failed: %s", name, type(problem).__name__)

    def _beat(self, name: str, error: str) -> None:
        now = self.clock() if self.clock else datetime.now(UTC)
        last, last_error = self._beaten.get(name, (None, ""))
        if last is not None and error == last_error and now - last < BEATS_EVERY:
            return
        with open_session(self.engine) as session:
            at = self.clock() if self.clock else database_now(session)
            session.merge(Heartbeat(job=name, at=at, ok=not error, error=error))
            session.commit()
        self._beaten[name] = (now, error)


def run(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; a dot that was begun may still wait for its answer."""
    engine = open_engine(settings.database_url)
    vault = Vault(settings.seal_keys, settings.seal_key_id, settings.hash_key)
    timetable = Timetable(settings, engine, vault)
    scheduler = BackgroundScheduler(
        executors={"default": ThreadPoolExecutor(6)},
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        timezone="UTC",
    )
    for name, job, every in timetable.jobs():
        scheduler.add_job(
            timetable.tick, "interval", args=(name, job), seconds=every.total_seconds(), id=name
        )
    # A job still at work when its next tick comes is simply left to finish.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    asked_to_stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked_to_stop.set())
    scheduler.start()
    log.info("scheduler started with %d jobs", len(timetable.jobs()))
    asked_to_stop.wait()
    timetable.stopping.set()
    scheduler.shutdown(wait=True)
    for dispatcher in timetable.dispatchers:
        dispatcher.close()
    engine.dispose()
