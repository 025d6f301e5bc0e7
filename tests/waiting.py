"""Waiting for what other processes and threads do."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def until(question: Callable[[], Found], *, within: float = 10.0, what: str = "it") -> Found:
    """Ask again and again until the answer is true; the answer. Fails after ``within`` seconds."""
    deadline = time.monotonic() + within
    pause = threading.Event()
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {within:g} s in vain for {what}")
        pause.wait(0.02)
