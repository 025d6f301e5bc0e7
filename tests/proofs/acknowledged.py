"""MD-01: what was acknowledged is kept, while the web workers are killed again and again."""

import random
import threading
import time
from dataclasses import dataclass, field

from sqlalchemy import Engine

from leadcapture.intake import form_token
from tests.load import SECRET_KEY, Connection, in_background, in_parallel, new_token, post_request
from tests.people import typed_form
from tests.proofs.ledger import Ledger, read_ledger
from tests.served import Process, Service

KILL_EVERY = 0.2
CLIENTS = 8
ANSWERED_WITHIN = 60.0
# One in so many visitors gives up at the first failure and never learns what came of it.
GIVES_UP = 4


@dataclass
class Outcome:
    """What came of it: how many were acknowledged and how often a worker died under them."""

    acknowledged: int
    abandoned: int
    retries: int
    kills: int
    ledger: Ledger


@dataclass
class _Visitors:
    port: int
    wanted: int
    chance: random.Random
    accepted: dict[str, str] = field(default_factory=dict)
    posted: set[str] = field(default_factory=set)
    retries: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def visit(self) -> None:
        """Post one form after the other until as many were acknowledged as are wanted."""
        with Connection(self.port, timeout=10) as connection:
            while (number := self._begin()) is not None:
                self._submit(connection, number)

    def _begin(self) -> int | None:
        with self._lock:
            if len(self.accepted) >= self.wanted:
                return None
            self._number = getattr(self, "_number", 0) + 1
            return self._number

    def _submit(self, connection: Connection, number: int) -> None:
        token = new_token()
        read = form_token.read([SECRET_KEY], token)
        assert read is not None
        with self._lock:
            self.posted.add(read.id)
        fields = typed_form(token, email=f"patient.{number}@tampamail.example")
        request = post_request(self.port, fields)
        gives_up = self.chance.randrange(GIVES_UP) == 0
        pause = threading.Event()
        deadline = time.monotonic() + ANSWERED_WITHIN
        while True:
            assert time.monotonic() < deadline, f"no answer in {ANSWERED_WITHIN:g} s of trying"
            try:
                answer = connection.ask(request)
            except OSError:
                with self._lock:
                    self.retries += 1
                if gives_up:
                    return
                pause.wait(0.02)
                continue
            assert answer.status == 303, f"{answer.status}: {answer.body[:300]!r}"
            with self._lock:
                self.accepted[read.id] = answer.receipt
            return


@dataclass
class _Killer:
    web: Process
    chance: random.Random
    kills: int = 0

    def strike(self) -> None:
        """kill -9 one worker, whichever."""
        workers = self.web.children()
        if workers:
            self.chance.choice(workers).kill()
            self.kills += 1


def prove_acknowledged(service: Service, engine: Engine, count: int, seed: int) -> Outcome:
    """Have ``count`` submissions acknowledged while a worker dies every 200 ms, then look."""
    web = service.start_web(workers=4, threads=4)
    visitors = _Visitors(service.port, count, random.Random(seed))
    killer = _Killer(web, random.Random(seed + 1))
    with in_background(killer.strike, KILL_EVERY):
        in_parallel([visitors.visit] * CLIENTS)
    web.kill()
    ledger = read_ledger(engine, visitors.accepted, visitors.posted)
    return Outcome(
        acknowledged=len(visitors.accepted),
        abandoned=len(visitors.posted) - len(visitors.accepted),
        retries=visitors.retries,
        kills=killer.kills,
        ledger=ledger,
    )
