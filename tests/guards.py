"""Guards around every test: only loopback, no sleep, no patient's word in any log."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.people import PATIENT_WORDS

LONGEST_SLEEP = 0.05
_LOOPBACK = ("127.", "::1", "localhost")
_ASKS_NETWORK = ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname")

_refused: list[str] = []


class OnlyLoopback(OSError):
    """A test wanted to talk to another machine."""


def _watch(event: str, given: tuple[object, ...]) -> None:
    if event not in _ASKS_NETWORK:
        return
    address = given[0] if event.startswith("socket.get") else given[1]
    host = address[0] if isinstance(address, tuple) else address
    if isinstance(host, bytes):
        host = host.decode(errors="replace")
    # None and the empty name are the machine itself; a path is a socket of this machine.
    if not host or not isinstance(host, str) or host.startswith((*_LOOPBACK, "/", "\0")):
        return
    _refused.append(f"{event} {host}")
    raise OnlyLoopback(f"the tests reach no other machine: {event} {host}")


def watch_sockets() -> None:
    """From now on no connection of this process leaves the machine. It cannot be undone."""
    sys.addaudithook(_watch)


@contextmanager
def nothing_left_the_machine() -> Iterator[None]:
    """Fail where code tried to connect elsewhere, even if it swallowed the refusal."""
    _refused.clear()
    yield
    assert not _refused, f"reached for another machine: {_refused}"


@contextmanager
def no_sleep(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail whoever sleeps: time is an argument here. Waiting for processes: `tests.waiting`."""
    sleep = time.sleep

    def short_sleep(seconds: float) -> None:
        assert seconds <= LONGEST_SLEEP, f"a test slept {seconds} s"
        sleep(seconds)

    patch.setattr(time, "sleep", short_sleep)
    yield


class _Reader(logging.Handler):
    """Reads every record as a log file would show it, traceback included."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        digits = "".join(c for c in text if c not in " ()-.")
        for word in PATIENT_WORDS:
            if word.lower() in text.lower() or word in digits:
                self.told.append(f"{word!r} in: {text}")


@contextmanager
def no_patient_word_in_logs(log: logging.Logger = logging.root) -> Iterator[None]:
    """Fail where a log record, or the traceback in it, tells of the tests' patient (PR-01)."""
    reader, level = _Reader(), log.level
    log.addHandler(reader)
    # As the service itself logs.
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(reader)
        log.setLevel(level)
    assert not reader.told, "a log tells of a patient:\n" + "\n".join(reader.told)
