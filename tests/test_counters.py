"""Rate limits count over all processes and survive a restart (AB-04)."""

import multiprocessing
import time
from pathlib import Path

import pytest
from flask import Flask
from limits import parse
from limits.strategies import FixedWindowRateLimiter

from leadcapture.counters import FileCounters, storage_uri
from leadcapture.limits import seconds_to_wait
from leadcapture.settings import Settings

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


def test_the_counts_are_readable_by_us_alone(tmp_path: Path) -> None:
    """Visitors' addresses stand in them."""
    tmp_path.chmod(0o755)
    counters = FileCounters(storage_uri(tmp_path))
    counters.incr("203.0.113.7", 60)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert counters.get("203.0.113.7") == 1, "its files stood open while they were looked at"


def test_only_a_store_that_fails_lets_everybody_in(app: Flask, settings: Settings) -> None:
    """A patient is not kept out by a broken file; a limit that is none is a fault of ours."""
    with app.test_request_context():
        with pytest.raises(ValueError, match="lots"):
            seconds_to_wait("form", "lots")
        (settings.data_dir / "limits.sqlite3").write_bytes(b"this is no database " * 100)
        assert [seconds_to_wait("form", "1 per hour") for _ in range(3)] == [0, 0, 0]
