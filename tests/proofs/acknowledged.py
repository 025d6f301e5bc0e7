"""MD-01: what was acknowledged is kept, while the web workers are killed again and again."""

import random
from dataclasses import dataclass

from sqlalchemy import Engine

from tests.load import in_background
from tests.proofs.ledger import Ledger, read_ledger
from tests.proofs.posting import Visitors
from tests.served import Process, Service

KILL_EVERY = 0.2
CLIENTS = 8
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
    visitors = Visitors(service.port, random.Random(seed), count, gives_up=GIVES_UP)
    killer = _Killer(web, random.Random(seed + 1))
    with in_background(killer.strike, KILL_EVERY):
        visitors.come(CLIENTS)
    web.kill()
    ledger = read_ledger(engine, visitors.accepted, visitors.posted)
    return Outcome(
        acknowledged=len(visitors.accepted),
        abandoned=visitors.abandoned,
        retries=visitors.retries,
        kills=killer.kills,
        ledger=ledger,
    )
