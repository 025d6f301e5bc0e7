"""A simulated year of a clinic: outages, crashes, changes of the clock, and nothing goes wrong.

The real intake, plan, dispatcher and database, real SMTP on loopback; only the clock is moved,
from one thing that happens to the next. The dispatcher is killed between any two of its
transactions, the post office shuts, defers, hangs up and loses replies.
"""

import random
from collections import Counter
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.database import open_session
from leadcapture.models import Message, MessageState, Staff
from leadcapture.outbox import gates, ledger
from leadcapture.outbox.dispatch import Dispatcher
from leadcapture.outbox.relay import RelaySession
from leadcapture.scheduler import RESENT
from leadcapture.settings import load
from tests.both import Place
from tests.clock import Clock
from tests.people import test_vault
from tests.post_office import Letter, PostOffice
from tests.proofs.clinic_year import NEW_YEAR, NO_SUCH_MAILBOX, Clinic, Happening, draw_year
from tests.proofs.finding import Finding
from tests.proofs.held import try_held_again
from tests.proofs.stepping import Stepper
from tests.proofs.year_ledger import Taken, faults_of_year
from tests.served import service_environ

KILLED = 0.004
TROUBLES = 0.15
OUTAGES = 20
LONGEST_REST = timedelta(hours=12)
SHORTEST_STEP, SHUT_STEP = timedelta(seconds=30), timedelta(minutes=5)
DRAINS = timedelta(days=40)
# At the end nothing breaks any more, and staff look at all that is held.
CALM = timedelta(days=5)
OPEN = (
    MessageState.CLAIMED,
    MessageState.SENDING,
    MessageState.UNCERTAIN,
)


class Year:
    """One clinic's year over one database, from New Year until nothing is left to send."""

    def __init__(self, place: Place, patients: int, seed: int) -> None:
        self.place = place
        self.clock = Clock(NEW_YEAR)
        self.chance = random.Random(seed)
        self.taken: list[Taken] = []
        self.kills = self._order = 0
        settings = load(service_environ(place.folder, place.url, port=8000, smtp_port=25))
        relay = load(
            service_environ(place.folder, place.url, port=8000, smtp_port=place.office.port)
        ).relay
        self.settings = settings
        self.stepper = Stepper(place.url)
        self._relay = RelaySession(relay, "clinic.example", timeout=5, dot_timeout=5)
        self.dispatcher = Dispatcher(
            self.stepper.engine, settings, test_vault, self._relay, self.clock
        )
        with open_session(place.engine) as session:
            staff = Staff(email="r@x.example", name="R", fs_uniquifier="r", created_at=NEW_YEAR)
            session.add(staff)
            session.commit()
            self.clinic = Clinic(settings, test_vault, staff.id, seed, self._next)
        self.happenings = draw_year(patients, self.chance)
        self.outages = sorted(
            NEW_YEAR + timedelta(days=365 * self.chance.random()) for _ in range(OUTAGES)
        )
        self._shut_until: datetime | None = None
        self._calm_from = self.happenings[-1].at + DRAINS - CALM
        place.office.before_taking = self._take
        place.office.at("rcpt", to=f"@{NO_SUCH_MAILBOX}").refuse("5.1.1")

    def pass_by(self) -> None:
        """Live through the year, and on until every letter is settled."""
        waiting = list(reversed(self.happenings))
        end = waiting[0].at + DRAINS
        while self.clock.now < end:
            while waiting and waiting[-1].at <= self.clock.now:
                self._meet(waiting.pop())
            self._run_office()
            self._keep_up()
            self._dispatch()
            self._move_clock(waiting[-1].at if waiting else end)
        self.stepper.close()

    def _meet(self, happening: Happening) -> None:
        with open_session(self.place.engine) as session:
            self.clinic.meet(session, happening)
            session.commit()

    def _run_office(self) -> None:
        """The post office opens, shuts for hours, or makes trouble for the next letters."""
        now, office = self.clock.now, self.place.office
        if self._shut_until is not None and now >= self._shut_until:
            self._shut_until = None
            office.restart()
        if self.outages and now >= self.outages[0]:
            self.outages.pop(0)
            if self._shut_until is None:
                office.stop()
            self._shut_until = now + timedelta(hours=6) * self.chance.random()
        if self._shut_until is None and not self._is_calm and self.chance.random() < TROUBLES:
            _make_trouble(office, self.chance)

    def _keep_up(self) -> None:
        resolve = partial(ledger.resolve_doubts, resend=RESENT)
        for duty in (ledger.reclaim_lost, resolve):
            with open_session(self.place.engine) as session:
                duty(session, self.clock.now)
                session.commit()

    def _dispatch(self) -> None:
        """Send what is due; the process may be killed before any of its transactions."""
        self.stepper.begin(self.dispatcher.send_due)
        while self.stepper.is_at_work:
            if not self._is_calm and self.chance.random() < KILLED:
                self.stepper.kill()
                self.kills += 1
                # With the process dies its connection.
                self._relay.close()
                break
            self.stepper.go_on()
        self.place.office.letters.clear()
        self.place.office.heard.clear()

    def _move_clock(self, next_happening: datetime) -> None:
        """To the next thing that happens, falls due or ends; at most twelve hours."""
        now = self.clock.now
        with open_session(self.place.engine) as session:
            moments = [next_happening, now + LONGEST_REST, *self._due(session, now)]
            # A clinic's staff look in, release what is held and open what was shut.
            if self._is_calm or self.chance.random() < 0.05:
                self._look_in(session)
            session.commit()
        if self._shut_until is not None:
            moments.append(self._shut_until)
        # While the post office is shut, one look in five minutes tells as much as ten.
        pace = SHUT_STEP if self._shut_until is not None else SHORTEST_STEP
        self.clock.move_to(max(min(moments), now + pace))

    @property
    def _is_calm(self) -> bool:
        return self.clock.now >= self._calm_from

    def _due(self, session: Session, now: datetime) -> list[datetime]:
        queued = select(Message.due_at).where(Message.state == MessageState.QUEUED)
        moments = list(session.scalars(queued.order_by(Message.due_at).limit(1)))
        unsettled = select(Message.id).where(Message.state.in_(OPEN)).limit(1)
        if session.scalar(unsettled) is not None:
            moments.append(now + timedelta(minutes=5))
        return moments

    def _look_in(self, session: Session) -> None:
        gates.open_gate(session, gates.QUEUE)
        try_held_again(session, self.clinic.actor_id, self.clock.now)

    def _take(self, letter: Letter) -> None:
        header = letter.wire.partition(b"\r\n\r\n")[0]
        [mail_id] = [
            line[12:].decode() for line in header.split(b"\r\n") if line.startswith(b"Message-ID: ")
        ]
        self.taken.append(Taken(mail_id, letter.recipients, self.clock.now, self._next()))

    def _next(self) -> int:
        self._order += 1
        return self._order


def _make_trouble(office: PostOffice, chance: random.Random) -> None:
    """One kind of trouble for one letter."""
    phase = chance.choice(("mail", "rcpt", "data", "dot"))
    trouble = chance.randrange(16)
    if trouble == 0:
        office.at("dot").hang_up(times=1, taking=True)
    elif trouble == 1:
        office.at("dot").hang_up(times=1, taking=False)
    elif trouble == 2:
        office.at("connect").hang_up(times=1)
    elif trouble == 3:
        office.at("rcpt").refuse("5.7.1", times=1)
    elif trouble == 4:
        office.at("dot").refuse("5.6.0", times=1)
    elif trouble == 5:
        office.at(phase).say(b"999 what?\r\n", times=1)  # type: ignore[arg-type]
    else:
        office.at(phase).defer(times=1)  # type: ignore[arg-type]


def year(place: Place, quick: bool, seed: int) -> Finding:
    """I1-I8, SC-06, SC-12, AB-01: a clinic's year under outages, crashes and changes of clock."""
    return live_through(place, 60 if quick else 2000, seed)


def live_through(place: Place, patients: int, seed: int) -> Finding:
    """A year with so many patients."""
    lived = Year(place, patients, seed)
    lived.pass_by()
    with open_session(place.engine) as session:
        faults = list(faults_of_year(session, lived.clinic, lived.taken))
        messages = session.execute(select(Message.state, Message.doubts)).all()
    states = Counter(state.value for state, _ in messages)
    told = ", ".join(f"{count} {state}" for state, count in states.most_common())
    sentence = (
        f"{patients} patients, {len(lived.clinic.accepted)} requests, {told}; "
        f"{len(lived.taken)} copies, {sum(doubts for _, doubts in messages)} doubts, "
        f"{lived.kills} kills, {OUTAGES} outages"
    )
    return Finding(sentence, faults)
