"""First and last touch: where a visitor came from, bounded, and free of health words."""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

LONGEST_COOKIE = 1024

_FIELDS = ("utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term")
_LONGEST_VALUE = 48
_LONGEST_HOST = 80
# An advertisement's name must not tell a cookie, or us, what a person suffers from.
_HEALTH_WORDS = re.compile(
    r"arthr|artr|autoinm|autoimm|lupus|scleros|escleros|psoria|crohn|colitis|bowel|intestin"
    r"|joint|articula|knee|rodilla|injur|lesi[oó]n|disease|enferm|cancer|c[aá]ncer|pain|dolor"
    r"|\bms\b|\bra\b|\bibd\b|stem|madre",
    re.IGNORECASE,
)

Touch = dict[str, str]


def arrival(arguments: Mapping[str, str], referrer: str, own_host: str, path: str) -> Touch | None:
    """What this arrival tells, or None where it tells nothing: UTM fields, referrer, landing.

    Of the referrer only the host is kept: what follows it may name an illness.
    """
    told = {name: _plain(arguments.get(name, ""), _LONGEST_VALUE) for name in _FIELDS}
    told["referrer"] = _foreign_host(referrer, own_host)
    kept = {name: value for name, value in told.items() if value}
    return {**kept, "landing": path[:32]} if kept else None


def remember(cookie: str, touch: Touch) -> str:
    """The cookie that keeps this touch as the last one, and as the first if there was none."""
    kept = recall(cookie)
    return _pack({"first": kept.get("first", touch), "last": touch})


def recall(cookie: str) -> dict[str, Touch]:
    """First and last touch out of a cookie; empty for anything that we did not write."""
    if not 0 < len(cookie) <= LONGEST_COOKIE:
        return {}
    try:
        found: Any = json.loads(base64.urlsafe_b64decode(cookie.encode("ascii")))
    except (UnicodeError, binascii.Error, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    kept = {name: _checked(found.get(name)) for name in ("first", "last")}
    return {name: touch for name, touch in kept.items() if touch}


def _pack(touches: dict[str, Touch]) -> str:
    packed = base64.urlsafe_b64encode(json.dumps(touches, separators=(",", ":")).encode()).decode()
    if len(packed) <= LONGEST_COOKIE:
        return packed
    last = {"last": touches["last"]} if "first" in touches else {}
    return _pack(last) if last else ""


def _checked(touch: object) -> Touch:
    if not isinstance(touch, dict):
        return {}
    return {
        name: _plain(touch[name], _LONGEST_HOST)
        for name in (*_FIELDS, "referrer", "landing")
        if isinstance(touch.get(name), str) and _plain(touch[name], _LONGEST_HOST)
    }


def _plain(value: str, longest: int) -> str:
    value = re.sub(r"[^\w .,:/+\-]", "", value, flags=re.ASCII).strip()[:longest]
    return "" if _HEALTH_WORDS.search(value) else value


def _foreign_host(referrer: str, own_host: str) -> str:
    try:
        parts = urlsplit(referrer)
        host = (parts.hostname or "") if parts.scheme in ("http", "https") else ""
    except ValueError:
        return ""
    return "" if host == own_host.partition(":")[0] else _plain(host, _LONGEST_HOST)
