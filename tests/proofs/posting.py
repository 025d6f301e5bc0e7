"""Visitors who send the form, and press the button again until they are answered."""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from leadcapture.intake import form_token
from tests.load import (
    SECRET_KEY,
    Answer,
    Connection,
    in_parallel,
    new_token,
    post_request,
)
from tests.people import typed_form

ANSWERED_WITHIN = 60.0
TRIES_AGAIN_AFTER = 0.02


@dataclass
class Visitors:
    """Forms are to be acknowledged, each of another person, whatever breaks meanwhile.

    ``wanted``: how many; None: until it is enough.
    ``gives_up``: one visitor in so many leaves at the first failure and never learns what came
    of it; 0: nobody does. ``pause``: seconds between two forms of one connection. ``bears``:
    answers after which they press the button again. Nobody agrees to follow-ups, so that all
    their letters are due at once.
    """

    port: int
    chance: random.Random
    wanted: int | None = None
    gives_up: int = 0
    pause: float = 0.0
    bears: frozenset[int] = frozenset()
    accepted: dict[str, str] = field(default_factory=dict)
    posted: set[str] = field(default_factory=set)
    answers: Counter[int] = field(default_factory=Counter)
    retries: int = 0
    longest: float = 0.0
    """The longest that anybody was kept from a receipt: seconds from their first failure on."""

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._begun = 0
        self._enough = threading.Event()

    @property
    def abandoned(self) -> int:
        return len(self.posted) - len(self.accepted)

    def come(self, at_once: int) -> None:
        """So many at once post one form after the other, until all that are wanted were kept."""
        in_parallel([self._visit] * at_once)

    @contextmanager
    def coming(self, at_once: int) -> Iterator[None]:
        """Within: so many at once post. At the end all that are still wanted are waited for."""
        self._enough.clear()
        with ThreadPoolExecutor(1) as pool:
            posting = pool.submit(self.come, at_once)
            try:
                yield
            finally:
                if self.wanted is None:
                    self._enough.set()
            posting.result()

    def _visit(self) -> None:
        with Connection(self.port, timeout=10) as connection:
            while (number := self._begin()) is not None:
                self._submit(connection, number)
                threading.Event().wait(self.pause * 2 * self.chance.random())

    def _begin(self) -> int | None:
        with self._lock:
            all_kept = self.wanted is not None and len(self.accepted) >= self.wanted
            if all_kept or self._enough.is_set():
                return None
            self._begun += 1
            return self._begun

    def _submit(self, connection: Connection, number: int) -> None:
        token = new_token()
        read = form_token.read([SECRET_KEY], token)
        assert read is not None
        with self._lock:
            self.posted.add(read.id)
        fields = typed_form(
            token, email=f"patient.{number}@tampamail.example", consent_follow_ups=None
        )
        request = post_request(self.port, fields)
        gives_up = bool(self.gives_up) and self.chance.randrange(self.gives_up) == 0
        began = time.monotonic()
        failed_at: float | None = None
        while True:
            assert time.monotonic() < began + ANSWERED_WITHIN, (
                f"no receipt in {ANSWERED_WITHIN:g} s of trying"
            )
            answer = self._ask(connection, request)
            if answer is not None and answer.status == 303:
                self._keep(read.id, answer.receipt, failed_at)
                return
            failed_at = failed_at or time.monotonic()
            if answer is None and gives_up:
                return
            threading.Event().wait(TRIES_AGAIN_AFTER)

    def _ask(self, connection: Connection, request: bytes) -> Answer | None:
        """The answer; None where it was lost."""
        try:
            answer = connection.ask(request)
        except OSError:
            with self._lock:
                self.retries += 1
            return None
        with self._lock:
            self.answers[answer.status] += 1
        known = answer.status == 303 or answer.status in self.bears
        assert known, f"{answer.status}: {answer.body[:300]!r}"
        return answer

    def _keep(self, token_id: str, receipt: str, failed_at: float | None) -> None:
        with self._lock:
            self.accepted[token_id] = receipt
            if failed_at is not None:
                self.longest = max(self.longest, time.monotonic() - failed_at)
