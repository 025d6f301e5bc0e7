"""The timetable: which function runs how often; due times are columns, never jobs."""

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from datetime import UTC, datetime, timedelta
from functools import partial

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy import Engine, inspect, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from leadcapture import integrity
from leadcapture.accounts import kept_forms
from leadcapture.database import asking, database_now, open_engine, open_session, own_moment
from leadcapture.intake.inbound.reading import read_mailbox
from leadcapture.leads import changes, merging, presence, viewing
from leadcapture.leads.exporting import ExportWriter
from leadcapture.leads.kept_tallies import TallyKeeper
from leadcapture.leads.watch import ResponseWatch
from leadcapture.letters import interpreter_is_safe
from leadcapture.models import Heartbeat, Message, MessageKind
from leadcapture.outbox import audit, claims, gates, instance, ledger, pace, sweeper
from leadcapture.outbox.dispatch import Dispatcher
from leadcapture.outbox.relay import RelaySession
from leadcapture.outbox.relay_log import RelayLog
from leadcapture.outbox.seal_keys import KeyNotes
from leadcapture.settings import Settings
from leadcapture.vault import Vault

log = logging.getLogger(__name__)

BEATS_EVERY = timedelta(seconds=5)
# Seconds. A clock that is steered slips by thousandths; what is put back, by more than this.
CLOCK_SEEN_EVERY = 1.0
# Seconds after which a failure that lasts is told again.
TOLD_EVERY = 60.0
CLOCK_SLIPS = 1.0
RESENT = tuple(kind.value for kind in MessageKind if kind.is_resent_after_doubt)

Duty = Callable[[Session, datetime], object]


def resolve_doubts(session: Session, now: datetime) -> None:
    """Settle what stayed uncertain for 30 minutes."""
    ledger.resolve_doubts(session, now, RESENT)


def forget_what_passed(session: Session, now: datetime) -> None:
    """Drop what open pages, ended sessions and merges leave behind for a while."""
    changes.forget_old_changes(session, now)
    presence.forget_the_gone(session, now)
    kept_forms.forget_old_forms(session, now)
    merging.forget_old_merges(session, now)


# What one job does in turn: APScheduler keeps few jobs, each with a thread of its own.
UPKEEP: tuple[Duty, ...] = (
    ledger.reclaim_lost,
    resolve_doubts,
    ledger.tell_of_delay,
    pace.forget_idle_paces,
    gates.forget_old_gates,
    forget_what_passed,
)


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
        self.settings = settings
        self.vault = vault
        self.clock = clock
        self.stopping = threading.Event()
        self.guard = instance.Guard(engine, settings.data_dir)
        self.keeper = audit.Keeper(settings.hash_key, settings.data_dir)
        self.key_notes = KeyNotes()
        self.responses = ResponseWatch(settings, vault)
        self.exports = ExportWriter(vault, settings.clinic.time_zone)
        self.tallies = TallyKeeper(settings.clinic.time_zone)
        self.pages = integrity.DailyCheck(engine, settings.data_dir)
        integrity.remember_damage_met(engine, settings.data_dir)
        self._beaten: dict[str, tuple[datetime, str]] = {}
        self._told: dict[str, tuple[str, float]] = {}
        helo = settings.mail_domain
        self.relay_log = RelayLog(settings.relay_log, helo) if settings.relay_log else None
        self.dispatchers = [
            Dispatcher(engine, settings, vault, RelaySession(settings.relay, helo), clock)
            for _ in range(settings.dispatch_threads)
        ]
        self._crew = futures.ThreadPoolExecutor(settings.dispatch_threads, "dispatch")
        self._at_work: dict[str, futures.Future[None]] = {}

    def jobs(self) -> list[tuple[str, Callable[[], object], timedelta]]:
        """Name, function, every: the whole timetable."""
        return [
            ("dispatch", self.dispatch, timedelta(seconds=0.5)),
            ("upkeep", lambda: self._in_turn(self._upkeep()), timedelta(seconds=10)),
            ("watch", self._watch, timedelta(seconds=60)),
            *self._mailbox_job(),
        ]

    def stop(self) -> None:
        """Let go of what has not reached its intent, and begin nothing more (SC-09)."""
        self.stopping.set()
        for dispatcher in self.dispatchers:
            dispatcher.abandon()

    def close(self) -> None:
        """Wait for the letters past their intent, and hang up."""
        self._crew.shutdown(wait=True)
        for dispatcher in self.dispatchers:
            dispatcher.close()

    def dispatch(self) -> None:
        """Where something is due, send the dispatchers on their way that have nothing in hand.

        Each works in a thread of its own: a relay silent to one letter stops no other.
        """
        with asking(self.engine) as connection:
            # While nothing is due this is all that a tick costs.
            if not claims.is_anything_due(connection, own_moment(self.engine, self.clock)):
                return
        for number, dispatcher in enumerate(self.dispatchers, start=1):
            name = f"dispatch-{number}"
            if (working := self._at_work.get(name)) is None or working.done():
                send = partial(dispatcher.send_due, stopping=self._is_kept_back)
                self._at_work[name] = self._crew.submit(self.tick, name, send)

    def finish_dispatch(self) -> None:
        """Wait until every dispatcher has nothing in hand."""
        futures.wait(self._at_work.values())

    def check_before_start(self) -> None:
        """Look at the database's pages (DD-11) and at whose it is, before the first letter."""
        self._in_turn((self.pages.check_pages, self.guard.watch_instance))

    def _upkeep(self) -> tuple[Duty, ...]:
        # What the relay's log shows is heard before a doubt is settled without it.
        evidence = (self.relay_log.settle_by_relay_log,) if self.relay_log else ()
        return (
            self.guard.watch_instance,
            *evidence,
            *UPKEEP,
            self.responses.watch_responses,
            self.keeper.seal_audit,
            # Last, because it may take two seconds.
            self.exports.write_exports,
        )

    def _watch(self) -> None:
        keeper, notes = self.keeper.verify_audit, self.key_notes.note_keys
        watched = (self.pages.check_pages, self.sweep, viewing.watch_views, keeper, notes)
        # The tallies come last, because they may take two seconds.
        self._in_turn((*watched, self.tallies.keep_tallies))

    def sweep(self, session: Session, now: datetime) -> None:
        """Look for what broke an invariant, also in what letters say."""
        sweeper.sweep(session, now, self.vault)

    def _mailbox_job(self) -> list[tuple[str, Callable[[], object], timedelta]]:
        imap = self.settings.imap
        if imap is None:
            return []

        def read() -> None:
            if not self._is_kept_back():
                read_mailbox(
                    self.engine, self.settings, self.vault, imap, self.clock, self._is_kept_back
                )

        return [("mailbox", read, timedelta(seconds=30))]

    def _is_kept_back(self) -> bool:
        """True while nothing may leave from here: we stop, or the database may be a copy.

        Nor does anything where this Python misreads what visitors type (MD-19, WS-17).
        """
        now = self.clock() if self.clock else datetime.now(UTC)
        return (
            self.stopping.is_set()
            or not interpreter_is_safe()
            or self._is_damaged()
            or not self.guard.admits(now)
        )

    def _is_damaged(self) -> bool:
        return integrity.is_damaged(self.settings.data_dir)

    def _in_turn(self, duties: Sequence[Duty]) -> None:
        """Do each duty in a transaction of its own: one that fails keeps no other from its turn.

        Their heartbeats are committed together: one by one they were half of what idling costs.
        """
        self._beat(
            {
                duty.__name__: self._survive(partial(self._do, duty), duty.__name__)
                for duty in duties
            }
        )

    def _do(self, duty: Duty) -> None:
        if self._is_damaged() and duty != self.pages.check_pages:
            return
        with open_session(self.engine) as session:
            duty(session, self.clock() if self.clock else database_now(session))
            session.commit()

    def tick(self, name: str, job: Callable[[], object]) -> None:
        """Run a job, survive whatever it raises, and commit a heartbeat at most each 5 s."""
        self._beat({name: self._survive(job, name)})

    def _survive(self, job: Callable[[], object], name: str) -> str:
        """The class of what the job raised, empty where it did its work."""
        try:
            job()
        except Exception as problem:
            # The class alone: the words and the traceback may hold an address.
            kind = type(problem).__name__
            if self._is_worth_a_line(name, kind):
                log.error("job %s failed: %s", name, kind)
            return kind
        self._told.pop(name, None)
        return ""

    def _is_worth_a_line(self, name: str, kind: str) -> bool:
        """Whether a failure is another one than the last, or was last told a minute ago.

        Four lines a second, as long as a database is away, would bury whatever else is said.
        """
        last_kind, at = self._told.get(name, ("", 0.0))
        if kind == last_kind and time.monotonic() - at < TOLD_EVERY:
            return False
        self._told[name] = (kind, time.monotonic())
        return True

    def _beat(self, ended: Mapping[str, str]) -> None:
        """Commit that these jobs ended, each with the class of its error or none."""
        now = self.clock() if self.clock else datetime.now(UTC)
        due = {name: error for name, error in ended.items() if self._is_news(name, error, now)}
        if not due or self._is_damaged():
            return
        try:
            with open_session(self.engine) as session:
                at = self.clock() if self.clock else database_now(session)
                # Loaded together, so that merging asks for none by itself.
                _known = session.scalars(select(Heartbeat).where(Heartbeat.job.in_(due))).all()
                for name, error in due.items():
                    session.merge(Heartbeat(job=name, at=at, ok=not error, error=error))
                session.commit()
        except Exception as problem:
            kind = type(problem).__name__
            if self._is_worth_a_line("heartbeat", kind):
                log.error("heartbeat of %s failed: %s", ", ".join(due), kind)
            return
        self._told.pop("heartbeat", None)
        self._beaten |= {name: (now, error) for name, error in due.items()}

    def _is_news(self, name: str, error: str, now: datetime) -> bool:
        last, last_error = self._beaten.get(name, (None, ""))
        is_fresh = last is not None and timedelta(0) <= now - last < BEATS_EVERY
        return not is_fresh or error != last_error


def run(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; a dot that was begun may still wait for its answer."""
    engine = open_engine(settings.database_url)
    if _has_no_tables(engine):
        log.error("the database has no tables yet; to make them: leadcapture migrate")
        sys.exit(2)
    vault = Vault(settings.seal_keys, settings.seal_key_id, settings.hash_key)
    if not interpreter_is_safe():
        log.error("this Python misreads the headers of mail: nothing is sent")
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
    timetable.check_before_start()
    scheduler.start()
    log.info("scheduler started with %d jobs", len(timetable.jobs()))
    _keep_time(scheduler, asked_to_stop)
    timetable.stop()
    scheduler.shutdown(wait=True)
    timetable.close()
    engine.dispose()


def _has_no_tables(engine: Engine) -> bool:
    """True where the database answers and was never migrated; whoever starts it is to know."""
    try:
        return not inspect(engine).has_table(Message.__tablename__)
    except SQLAlchemyError:
        # It may be back in a moment.
        return False


def _keep_time(scheduler: BackgroundScheduler, asked_to_stop: threading.Event) -> None:
    """Wait to be asked to stop; where the clock is put back meanwhile, have all jobs run now.

    APScheduler goes by the wall clock, and would stand still until it shows the old time again
    (SC-07).
    """
    ahead = time.time() - time.monotonic()
    while not asked_to_stop.wait(CLOCK_SEEN_EVERY):
        was, ahead = ahead, time.time() - time.monotonic()
        if ahead < was - CLOCK_SLIPS:
            log.warning("the clock was put back by %.0f s", was - ahead)
            for job in scheduler.get_jobs():
                job.modify(next_run_time=datetime.now(UTC))
