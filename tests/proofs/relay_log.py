"""MD-25: a real Postfix's log settles doubts, without a second copy of what it took.

Our scheduler hands its letters to Postfix through a proxy that cuts lines at the dot, in all the
ways in which that leaves a doubt. What Postfix passes on arrives at the tests' post office, which
counts the copies. The log is rotated by Postfix itself, while we read it and while we are dead.
"""

import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from sqlalchemy import select, update

from leadcapture.database import database_now, open_session, reading, table_of
from leadcapture.models import Gate, Heartbeat, Message, MessageKind, MessageState
from leadcapture.settings import load
from tests.both import Place
from tests.postfix import Postfix, open_postfix
from tests.proofs.dot_proxy import DotProxy, Fate, open_dot_proxy
from tests.proofs.finding import Finding
from tests.proofs.fleet import LONG_AGO, Outbox
from tests.served import Process, Service, a_service
from tests.waiting import until

KINDS = (MessageKind.PACKET, MessageKind.FOLLOW_UP)
SETTLED = "evidence_relay_log"
SHARE = 0.95
# Of forty doubts one letter never reached the relay: its log cannot know it.
HAND = (
    *[Fate.ANSWER_LOST] * 24,
    *[Fate.ENDED] * 8,
    *[Fate.RESET] * 7,
    Fate.DOT_LOST,
)
# The upkeep hears the log every ten seconds.
HEARD_WITHIN = 60.0
THREADS = 2


@dataclass(frozen=True)
class Letter:
    """What one message came to."""

    mail_id: str
    kind: str
    state: str
    reason: str
    doubts: int


@dataclass
class _Run:
    place: Place
    service: Service
    outbox: Outbox
    postfix: Postfix
    proxy: DotProxy
    chance: random.Random

    def leave_doubts(self, hands: int) -> None:
        """Send letters until that many hands of fates were dealt, passing dots among them."""
        fates = list(HAND) * hands + [Fate.PASS] * (len(HAND) * hands // 4)
        self.chance.shuffle(fates)
        self.proxy.deal(fates)
        scheduler = self.service.start_scheduler()
        # From its first turn on it holds the log open, and is not to lose it.
        until(self.is_log_open, within=60, what="the first turn of the upkeep")
        self.outbox.queue(len(fates) // len(KINDS), KINDS)
        until(lambda: self.proxy.dealt.total() >= len(fates) // 2, within=120, what="half of them")
        self.postfix.rotate_log()
        until(lambda: not self.states(MessageState.QUEUED), within=120, what="the first tries")
        self.wait_for_the_log(scheduler)
        scheduler.stop()

    def kill_in_doubt(self) -> None:
        """kill -9 a scheduler that waits for answers; its log is rotated before the next reads."""
        self.proxy.deal([Fate.SILENT] * THREADS)
        self.outbox.queue(THREADS, KINDS[:1])
        scheduler = self.service.start_scheduler()
        sending = MessageState.SENDING
        with self.told_apart():
            until(lambda: self.states(sending) == THREADS, within=120, what="letters at their dot")
        threading.Event().wait(0.2)
        scheduler.kill()
        self.postfix.rotate_log()
        with open_session(self.outbox.engine) as session:
            session.execute(
                update(Message)
                .where(Message.state == sending)
                .values(lease_until=database_now(session) - LONG_AGO)
            )
            session.commit()
        scheduler = self.service.start_scheduler()
        until(lambda: not self.states(sending), within=60, what="the lost leases")
        self.wait_for_the_log(scheduler)
        scheduler.stop()

    @contextmanager
    def told_apart(self) -> Iterator[None]:
        """Whoever waits in vain says where the letters are."""
        try:
            yield
        except AssertionError as waited:
            stands = f"{dict(self.outbox.states())}, dots {dict(self.proxy.dealt)}"
            gates = ", ".join(self.gates())
            raise AssertionError(f"{waited}: {stands}; {gates}") from waited

    def gates(self) -> list[str]:
        """What holds letters back."""
        with reading(), open_session(self.outbox.engine) as session:
            return [str(tuple(row)) for row in session.execute(select(table_of(Gate)))]

    def wait_for_the_log(self, scheduler: Process) -> None:
        """Return once the log has settled all that it can know, or had the time for it."""
        lost = self.proxy.dealt[Fate.DOT_LOST]
        with suppress(AssertionError):
            until(
                lambda: self.states(MessageState.UNCERTAIN) <= lost,
                within=HEARD_WITHIN,
                what="the log",
            )
        assert scheduler.is_running(), scheduler.ended()

    def let_half_an_hour_pass(self) -> None:
        """What the log did not show is decided by the rule for doubts."""
        scheduler = self.service.start_scheduler()
        with open_session(self.outbox.engine) as session:
            session.execute(
                update(Message)
                .where(Message.state == MessageState.UNCERTAIN)
                .values(state_at=database_now(session) - LONG_AGO)
            )
            session.commit()
        until(self.outbox.is_done, within=HEARD_WITHIN, what="the end of all doubts")
        scheduler.stop()

    def is_log_open(self) -> bool:
        with reading(), open_session(self.outbox.engine) as session:
            return session.get(Heartbeat, "settle_by_relay_log") is not None

    def states(self, state: MessageState) -> int:
        return self.outbox.states()[str(state)]

    def letters(self) -> list[Letter]:
        with reading(), open_session(self.outbox.engine) as session:
            rows = session.execute(
                select(Message.mail_id, Message.kind, Message.state, Message.reason, Message.doubts)
            )
            return [Letter(*row) for row in rows]


def relay_log(place: Place, quick: bool, seed: int) -> Finding:
    """Of real doubts before a real Postfix, at least 95 % are settled from its log."""
    return prove_relay_log(place, hands=1 if quick else 10, kills=0 if quick else 10, seed=seed)


def prove_relay_log(place: Place, hands: int, kills: int, seed: int) -> Finding:
    """``hands`` of forty doubts each, then ``kills`` of a scheduler with two letters in doubt."""
    with ExitStack() as stack:
        # Queue ids that come again, and such that never do.
        long_ids = place.kind == "postgresql"
        postfix = stack.enter_context(open_postfix(place.office.port, long_ids=long_ids))
        proxy = stack.enter_context(open_dot_proxy(postfix.port))
        more = {"RELAY_LOG": str(postfix.log), "DISPATCH_THREADS": str(THREADS)}
        service = stack.enter_context(a_service(place.folder, place.url, proxy.port, **more))
        outbox = Outbox(place.engine, load(service.environ))
        run = _Run(place, service, outbox, postfix, proxy, random.Random(seed))
        run.leave_doubts(hands)
        for _ in range(kills):
            run.kill_in_doubt()
        run.let_half_an_hour_pass()
        letters = run.letters()
        doubtful = [letter for letter in letters if letter.doubts]
        settled = sum(letter.reason == SETTLED for letter in doubtful)
        expected = len(letters) - run.proxy.dealt[Fate.DOT_LOST]
        until(lambda: len(place.office.letters) >= expected, within=60, what="what Postfix took")
    copies = Counter(letter.message_id for letter in place.office.letters)
    sentence = (
        f"{len(doubtful)} doubts, {settled} settled from the log, {kills} schedulers killed in "
        f"doubt, {sum(copies.values())} copies of {len(letters)} messages"
    )
    wanted = len(HAND) * hands + THREADS * kills
    faults = [] if len(doubtful) == wanted else [f"{wanted} doubts were to be made"]
    if settled < SHARE * len(doubtful):
        faults.append(f"{settled} of {len(doubtful)} were settled from the log")
    return Finding(sentence, faults + _faults_of_copies(letters, copies))


def _faults_of_copies(letters: list[Letter], copies: Counter[str]) -> list[str]:
    faults = []
    for letter in letters:
        count = copies[letter.mail_id]
        if letter.state != MessageState.SENT:
            faults.append(f"{letter.mail_id} is {letter.state}")
        # A follow-up whose dot was lost is counted as sent, and listed as assumed.
        elif count != 1 and not (count == 0 and letter.reason == "assumed_sent"):
            faults.append(f"{letter.mail_id} ({letter.kind}) arrived {count} times")
    return faults
