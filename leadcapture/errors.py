"""Errors as pages: what happened, what to do, whom to call; never what went wrong inside."""

import logging
from pathlib import Path
from traceback import extract_tb

from flask import Flask, Response, g, render_template, request
from flask_babel import gettext as _
from flask_login import current_user
from gunicorn.http.errors import ParseException
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import BadRequest, HTTPException, InternalServerError, ServiceUnavailable

from leadcapture.database import db
from leadcapture.web import settings

log = logging.getLogger(__name__)

_OURS = str(Path(__file__).parent)


def register(app: Flask) -> None:
    """Answer every error with a page of ours."""
    app.register_error_handler(HTTPException, show_error)
    app.register_error_handler(SQLAlchemyError, show_database_failure)
    app.register_error_handler(ParseException, show_unreadable)
    app.register_error_handler(Exception, show_failure)


def show_error(error: HTTPException) -> Response | HTTPException:
    """The page of an HTTP error; its headers (Allow, Retry-After) stay, its words do not."""
    if error.code is None or error.code < 400:
        return error
    response = Response(status=error.code, mimetype="text/html")
    for name, value in error.get_headers():
        if name not in ("Content-Type", "Content-Length"):
            response.headers[name] = value
    response.set_data(_page(error.code))
    return response


def show_database_failure(error: SQLAlchemyError) -> Response | HTTPException:
    log_failure(error)
    db.session.rollback()
    return show_error(ServiceUnavailable())


def show_unreadable(_error: ParseException) -> Response | HTTPException:
    """The server finds only while we read it that a body in chunks is none: no failure of ours."""
    return show_error(BadRequest())


def show_failure(error: Exception) -> Response | HTTPException:
    log_failure(error)
    return show_error(InternalServerError())


def log_failure(error: BaseException) -> None:
    """Log where a request failed and of what kind, never its words: they may be a patient's."""
    ours = [
        f"{Path(frame.filename).name}:{frame.lineno}"
        for frame in extract_tb(error.__traceback__)
        if frame.filename.startswith(_OURS)
    ]
    log.error(
        "%s failed in %s at %s",
        request.endpoint or "request",
        type(error).__name__,
        ours[-1] if ours else "unknown place",
    )


def _page(code: int) -> str:
    try:
        title, sentence = _words(code)
        room = "dashboard" if _is_for_staff(code) else "public"
        return render_template(f"{room}/error.html", code=code, title=title, sentence=sentence)
    except Exception as error:
        # The page that tells of failures must not fail: without its template it is one line.
        log_failure(error)
        phone = settings().clinic.phone
        return f'<!doctype html><html lang="en"><title>Error</title><p>Please call us: {phone}</p>'


def _is_for_staff(code: int) -> bool:
    """True where a colleague went astray at the desk; when we failed ourselves, ask for nothing."""
    at_desk = code < 500 and request.path.startswith("/desk/")
    return at_desk and bool(current_user.is_authenticated)


def _words(code: int) -> tuple[str, str]:
    """Title and sentence for a status code, in the visitor's language."""
    if "error_words" in g:
        title, sentence = g.error_words
        return title, sentence
    words = {
        400: (
            _("We could not read that"),
            _("Something in the address or the form was not as it should be. Nothing was changed."),
        ),
        401: (_("Please sign in"), _("This page is for people who have signed in.")),
        403: (_("This is not open to you"), _("Nothing was changed.")),
        404: (
            _("There is no page here"),
            _("The address may be mistyped or cut off. A link in a letter must be copied whole."),
        ),
        405: (_("This page cannot do that"), _("Nothing was changed.")),
        413: (
            _("That was too much at once"),
            _("Please shorten what you sent and try again. Nothing was changed."),
        ),
        429: (
            _("Too many tries in a short time"),
            _("Please wait a minute and try again, or call us."),
        ),
        503: (
            _("We cannot do that right now"),
            _("This is our fault, not yours. Please try again in a minute, or call us."),
        ),
    }
    if code in words:
        return words[code]
    if code < 500:
        return words[400]
    return (
        _("Something failed on our side"),
        _("This is our fault, not yours. Please try again in a minute, or call us."),
    )
