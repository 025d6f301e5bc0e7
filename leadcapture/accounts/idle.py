"""Idle: a session ends some time after its person's last sign of life, and says so beforehand."""

from datetime import datetime, timedelta

from flask import Flask, flash, jsonify, request, session
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from flask_login import current_user, logout_user, user_logged_in

from leadcapture import web
from leadcapture.accounts.access import EVERYONE, staff_only
from leadcapture.accounts.pages import blueprint
from leadcapture.accounts.security import STAFF_ROOMS

# Whoever is about to be signed out is told so long before (WCAG 2.2.1 asks for 20 s; AX-07).
WARNED_BEFORE = timedelta(minutes=3)
LONGEST = timedelta(hours=12)
_SEEN, _BEGAN = "seen_at", "began_at"
# The cookie is not written anew with each click.
_EXACT_TO = 20
# What scripts ask by themselves is no sign of life.
_BY_ITSELF = "X-Live"


def register(app: Flask) -> None:
    """Hook in before whatever looks who is signed in."""
    app.before_request(end_idle_session)
    user_logged_in.connect(_begin, app)
    app.jinja_env.globals["idle"] = how_long


def how_long() -> timedelta:
    """How long a session lives without a sign of life; nothing where it lives on."""
    return timedelta(minutes=web.settings().staff_idle_minutes)


def end_idle_session() -> None:
    """Sign whoever was away too long out, before the page is asked who they are."""
    if not how_long() or request.blueprint not in STAFF_ROOMS or not current_user.is_authenticated:
        return
    now = _seconds(web.now())
    if _left(now) <= 0:
        logout_user()
        session.clear()
        flash(gettext("You were signed out because nothing had been done for a while."), "kept")
    elif not is_by_itself() and now - session.get(_SEEN, 0) >= _EXACT_TO:
        session.setdefault(_BEGAN, now)
        session[_SEEN] = now


@blueprint.get("/desk/session")
@staff_only(*EVERYONE)
def time_left() -> ResponseReturnValue:
    """How many seconds the session still lives; asking does not lengthen it."""
    return jsonify(left=_left(_seconds(web.now())))


@blueprint.post("/desk/session")
@staff_only(*EVERYONE)
def sign_of_life() -> ResponseReturnValue:
    """Somebody is there: they type, or they pressed "stay signed in"."""
    return jsonify(left=_left(_seconds(web.now())))


def is_by_itself() -> bool:
    """True of what the script of an open page asks without anybody's doing."""
    return _BY_ITSELF in request.headers or (
        request.endpoint == "accounts.time_left" and request.method == "GET"
    )


def _begin(_app: Flask, **_who: object) -> None:
    session[_BEGAN] = session[_SEEN] = _seconds(web.now())


def _left(now: int) -> int:
    """Seconds until the session ends, from the last sign of life and from its beginning."""
    idle, longest = how_long() / timedelta(seconds=1), LONGEST / timedelta(seconds=1)
    since_seen = now - session.get(_SEEN, now)
    since_began = now - session.get(_BEGAN, now)
    return int(min((idle or longest) - since_seen, longest - since_began))


def _seconds(at: datetime) -> int:
    return int(at.timestamp())
