"""Rate limits count over all processes and survive a restart (AB-04)."""

import multiprocessing
import time
from pathlib import Path

from limits import parse
from limits.strategies import FixedWindowRateLimiter

from leadcapture.counters import FileCounters, storage_uri

TEN = parse("10 per hour")


def _admitted(uri: str, tries: int) -> int:
    limiter = FixedWindowRateLimiter(FileCounters(uri))
    return sum(limiter.hit(TEN, "203.0.113.7") for _ in range(tries))


def test_a_limit_of_ten_admits_ten_over_four_processes_and_a_restart(tmp_path: Path) -> None:
    """AB-04."""
    uri = storage_uri(tmp_path / "data")
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        admitted = sum(pool.starmap(_admitted, [(uri, 10)] * 4))
    assert admitted == 10
    assert _admitted(uri, 5) == 0, "a process that starts later knows what was counted"


def test_each_visitor_is_counted_alone(tmp_path: Path) -> None:
    limiter = FixedWindowRateLimiter(FileCounters(storage_uri(tmp_path)))
    assert all(limiter.hit(TEN, f"203.0.113.{number}") for number in range(50))


def test_a_window_that_ended_counts_anew(tmp_path: Path) -> None:
    counters = FileCounters(storage_uri(tmp_path))
    assert [counters.incr("visitor", 0) for _ in range(3)] == [1, 1, 1]
    assert [counters.incr("other", 60) for _ in range(3)] == [1, 2, 3]
    assert (counters.get("other"), counters.get("visitor")) == (3, 0)
    assert counters.get_expiry("other") > time.time() + 50
    counters.clear("other")
    assert counters.get("other") == 0
    assert counters.check()
    counters.incr("other", 60)
    assert counters.reset() == 2
