"""Screening: what makes a request look like a robot's. Whatever does is held, never dropped."""

import re
from datetime import timedelta

MOST_LINKS = 2

_LINK = re.compile(r"https?://|www\.|\[url|<a\s", re.IGNORECASE)


def suspect(*, trap: str, age: timedelta, min_age: timedelta, message: str, name: str) -> str:
    """Why the request is held for a person to look at; empty where nothing is suspected.

    ``trap`` is what stood in the field that people never see, ``age`` how long the form was
    open before it was sent.
    """
    if trap:
        return "honeypot"
    if age < min_age:
        return "too_fast"
    if _LINK.search(name) or len(_LINK.findall(message)) > MOST_LINKS:
        return "links"
    return ""
