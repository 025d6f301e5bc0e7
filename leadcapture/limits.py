"""Limits: how often one visitor may do a thing, counted over all processes of a machine."""

import math
import time
from functools import cache
from ipaddress import IPv6Address, ip_address

from flask import Flask, current_app, request
from limits import RateLimitItem, parse_many
from limits.strategies import FixedWindowRateLimiter

from leadcapture.counters import FAILURES, FileCounters, storage_uri
from leadcapture.errors import log_failure
from leadcapture.web import settings

_KEY = "leadcapture.limits"


def register(app: Flask) -> None:
    """Start counting for this application.

    Flask-Limiter's own engine counts; its hooks, which ask at every request whether something
    is limited there, took longer than the counting.
    """
    with app.app_context():
        counters = FileCounters(storage_uri(settings().data_dir))
    app.extensions[_KEY] = FixedWindowRateLimiter(counters)


def seconds_to_wait(what: str, limits: str, whose: str = "") -> int:
    """Count one more try; 0, or the seconds to wait where there were too many.

    ``limits`` is such as ``10 per minute; 60 per hour``; ``whose`` tries, by default this
    visitor's network's.
    """
    limiter: FixedWindowRateLimiter = current_app.extensions[_KEY]
    whose = whose or client_network()
    items = _items(limits)
    try:
        for item in items:
            if not limiter.hit(item, what, whose):
                ends_at = limiter.get_window_stats(item, what, whose).reset_time
                return max(1, math.ceil(ends_at - time.time()))
    except FAILURES as failure:
        # A counter that fails must not keep a patient out. Whatever else fails is a fault of
        # ours: a limit that nobody can read would be none.
        log_failure(failure)
    return 0


def client_network() -> str:
    """The visitor's address; of IPv6 the /64 that one household holds."""
    address = request.remote_addr or ""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        return parsed.exploded[:19]
    return address


@cache
def _items(limits: str) -> tuple[RateLimitItem, ...]:
    return tuple(parse_many(limits))
