"""Stops that race with intents: each letter's stop commits at the moment in which it leaves."""

import dataclasses
import random
import threading
from collections import Counter
from collections.abc import Callable
from queue import SimpleQueue

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from leadcapture.database import open_engine, open_session
from leadcapture.letters import Letter
from leadcapture.letters.versions import current_versions
from leadcapture.models import Message, MessageKind, MessageState, SuppressionScope
from leadcapture.outbox import stops
from leadcapture.outbox.dispatch import Dispatcher
from leadcapture.outbox.queue import Draft, enqueue
from leadcapture.outbox.relay import RelaySession
from leadcapture.settings import Relay, load
from tests.both import Place
from tests.clock import TUESDAY_MORNING, Clock
from tests.people import LETTER_VALUES, test_vault
from tests.proofs.finding import Finding
from tests.served import service_environ

LATEST = 0.003
BATCH = 500


class RacingRelay(RelaySession):
    """Keeps the contract of `RelaySession.send`; before the intent it sets the stop running."""

    def __init__(self, relay: Relay, stopper: "Stopper", chance: random.Random) -> None:
        super().__init__(relay, "clinic.example")
        self.copies: Counter[str] = Counter()
        self._stopper = stopper
        self._chance = chance
        self._moment = threading.Event()

    def send(
        self,
        sender: str,
        recipient: str,
        letter: Letter | bytes,
        intent: Callable[[], bool],
        envid: str = "",
    ) -> bool:
        self._stopper.asked.put(recipient)
        self._moment.wait(LATEST * self._chance.random())
        declared = intent()
        # The next letter has a stop of its own to race with.
        self._stopper.done.get()
        self.copies[recipient] += declared
        return declared


class Stopper(threading.Thread):
    """Stops, in a thread and over connections of its own, each address that it is asked to."""

    def __init__(self, database_url: str, chance: random.Random) -> None:
        super().__init__()
        self.asked: SimpleQueue[str | None] = SimpleQueue()
        self.done: SimpleQueue[str] = SimpleQueue()
        self._url = database_url
        self._chance = chance

    def run(self) -> None:
        engine, moment = open_engine(self._url), threading.Event()
        while (recipient := self.asked.get()) is not None:
            moment.wait(LATEST * self._chance.random())
            with open_session(engine) as session:
                cap_hash = _cap_hash(recipient)
                stops.suppress(session, cap_hash, SuppressionScope.ALL, "told", TUESDAY_MORNING)
                session.commit()
            self.done.put(recipient)
        engine.dispose()


def stop_races(place: Place, quick: bool, seed: int) -> Finding:
    """MD-16, I7: a stop that commits before the intent leaves no copy, in 5,000 races on each."""
    return race(place, 300 if quick else 5_000, seed)


def race(place: Place, count: int, seed: int) -> Finding:
    """So many letters, each against its own stop."""
    settings = load(service_environ(place.folder, place.url, port=8000, smtp_port=9))
    unhurried = dataclasses.replace(settings, domain_pace=0, relay_pace=0)
    stopper = Stopper(place.url, random.Random(seed + 1))
    relay = RacingRelay(settings.relay, stopper, random.Random(seed))
    dispatcher = Dispatcher(place.engine, unhurried, test_vault, relay, Clock())
    _queue_letters(place.engine, count)
    stopper.start()
    try:
        while dispatcher.send_due():
            pass
    finally:
        stopper.asked.put(None)
        stopper.join(60)
    with open_session(place.engine) as session:
        return _judge(session, relay.copies, count)


def _judge(session: Session, copies: Counter[str], count: int) -> Finding:
    states = Counter(session.scalars(select(Message.state)))
    faults = []
    for recipient, state in session.execute(select(Message.recipient, Message.state)):
        wanted = 1 if state is MessageState.SENT else 0
        if copies[recipient] != wanted:
            faults.append(f"I7: a letter is {state} and has {copies[recipient]} copies")
    sent, stopped = states[MessageState.SENT], states[MessageState.SUPPRESSED]
    if sent + stopped != count:
        faults.append(f"I3: of {count} letters {sent} were sent and {stopped} stopped")
    if not sent or not stopped:
        faults.append(f"no race: {sent} sent, {stopped} stopped")
    return Finding(f"{count} races: {sent} letters were faster, {stopped} stops", faults)


def _queue_letters(engine: Engine, count: int) -> None:
    with open_session(engine) as session:
        letter = current_versions(session, TUESDAY_MORNING)["packet_letter", "", "en"]
        for first in range(0, count, BATCH):
            drafts = [
                Draft(
                    kind=MessageKind.PACKET,
                    dedupe_key=f"race:{number}",
                    recipient=f"patient{number}@tampamail.example",
                    language="en",
                    time_zone="America/New_York",
                    due_at=TUESDAY_MORNING,
                    letter=letter,
                    values=LETTER_VALUES,
                    cap_hash=_cap_hash(f"patient{number}@tampamail.example"),
                )
                for number in range(first, min(first + BATCH, count))
            ]
            enqueue(session, test_vault, "clinic.example", drafts, TUESDAY_MORNING)
            session.commit()


def _cap_hash(address: str) -> str:
    return test_vault.keyed_hash("address", address)
