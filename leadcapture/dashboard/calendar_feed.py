"""Calendar feed: a staff member's own link for their calendar, and what is behind it."""

import hashlib
import re
from collections.abc import Mapping

from flask import (
    Blueprint,
    Response,
    abort,
    flash,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_babel import LazyString, gettext, lazy_gettext

from leadcapture import languages, web
from leadcapture.accounts.access import EVERYONE, me, staff_only
from leadcapture.dashboard.blueprint import blueprint
from leadcapture.database import db
from leadcapture.leads import calendar
from leadcapture.models import CalendarFeed

feeds = Blueprint("calendar", __name__, url_prefix="/calendar")
"""Outside ``/desk``: a calendar signs in nowhere, it only knows its link."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_CALL: LazyString = lazy_gettext("Call: a first answer is due")
_WORDS: Mapping[str, LazyString] = {
    "": lazy_gettext("Task"),
    "call_back": lazy_gettext("Call back"),
    "response_due": _CALL,
    "response_late": _CALL,
    "response_next": _CALL,
    "answer": lazy_gettext("Read an answer"),
    "todo": lazy_gettext("Task"),
}


@blueprint.get("/calendar")
@staff_only(*EVERYONE)
def my_calendar() -> ResponseReturnValue:
    """One's own link: whether there is one, and what it shows."""
    return _show()


@blueprint.post("/calendar")
@staff_only(*EVERYONE)
def my_calendar_link() -> ResponseReturnValue:
    """Make a link and show it, this once; the one before stops working."""
    token = calendar.open_feed(db.session(), me(), web.now())
    db.session.commit()
    # No redirect: the link stands nowhere but in this answer, only its hash is kept.
    return _show(web.settings().public_url + url_for("calendar.feed", token=token))


@blueprint.post("/calendar/removal")
@staff_only(*EVERYONE)
def my_calendar_removal() -> ResponseReturnValue:
    """Let the link open nothing any more."""
    closed = calendar.close_feed(db.session(), me(), web.now())
    db.session.commit()
    flash(
        gettext("The link opens nothing any more. Calendars empty themselves within the hour.")
        if closed
        else gettext("There was no link.")
    )
    return redirect(url_for("dashboard.my_calendar"), 303)


@feeds.get("/<token>.ics")
def feed(token: str) -> Response:
    """The feed, or 304 where it is as the calendar knows it (RFC 9110, 13.1.2)."""
    staff = calendar.reader_of(db.session(), token) if _TOKEN.fullmatch(token) else None
    if staff is None:
        abort(404)
    languages.speak(staff.language)
    settings = web.settings()
    shown = calendar.Feed(
        name=gettext("Calls and tasks, %(clinic)s", clinic=settings.clinic.name),
        host=settings.public_host.partition(":")[0],
        desk=f"{settings.public_url}/desk",
        words={kind: str(word) for kind, word in _WORDS.items()},
    )
    body = calendar.write_feed(shown, calendar.due_for(db.session(), staff.id, web.now()))
    response = make_response(body)
    response.mimetype = "text/calendar"
    response.headers["Cache-Control"] = "private, no-cache"
    response.headers["X-Robots-Tag"] = "noindex"
    response.set_etag(hashlib.sha256(body).hexdigest()[:32])
    response.make_conditional(request)
    return response


def _show(link: str = "") -> ResponseReturnValue:
    return render_template(
        "dashboard/calendar.html",
        feed=db.session.get(CalendarFeed, me().id),
        link=link,
        languages=web.LANGUAGES,
    )
