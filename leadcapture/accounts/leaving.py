"""Leaving: signing out leaves nothing in the browser, and an ended session loses nothing typed."""

from flask import Flask, Response, flash, g, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from flask_security import current_user

from leadcapture import web
from leadcapture.accounts import kept_forms
from leadcapture.accounts.access import me
from leadcapture.database import db

# Not "cookies": that would empty those of every site under the clinic's domain. The session's
# own cookie goes by itself.
_CLEARED = '"cache", "storage"'


def register(app: Flask) -> None:
    """Hook in before the guards, which refuse a form whose session has ended."""
    app.before_request(keep_what_was_typed)
    app.after_request(forget_what_was_sent)
    app.after_request(clear_browser)
    app.jinja_env.globals["writer"] = writer


def writer() -> str:
    """Whom the forms of this page are made for, sealed; empty for who is not signed in."""
    if not current_user.is_authenticated:
        return ""
    if "writer" not in g:
        g.writer = kept_forms.sign_writer(web.vault(), me().id)
    return str(g.writer)


def keep_what_was_typed() -> ResponseReturnValue | None:
    """Keep a form of the desk that comes without a session, and ask to sign in.

    It is taken only with the seal that we gave its page, and never carried out: nobody who is
    not signed in changes anything but the one form that is kept for its writer.
    """
    if request.method != "POST" or request.blueprint != "dashboard":
        return None
    if current_user.is_authenticated:
        return None
    staff_id = kept_forms.read_writer(web.vault(), request.form.get("writer", ""))
    if staff_id is None:
        return None
    fields = list(request.form.items(multi=True))
    if kept_forms.keep(db.session(), web.vault(), staff_id, request.path, fields, web.now()):
        db.session.commit()
        flash(
            gettext(
                "Your session had ended, so nothing was saved yet. Sign in again within an hour "
                "and you get back what you typed."
            ),
            "kept",
        )
    return redirect(url_for("security.login"), 303)


def forget_what_was_sent(response: Response) -> Response:
    """Drop a kept form once it was sent again and taken."""
    is_desk = request.method == "POST" and request.blueprint == "dashboard"
    is_taken = is_desk and response.status_code == 303 and bool(request.form.get("kept"))
    if is_taken and current_user.is_authenticated:
        kept_forms.drop(db.session(), me().id)
        db.session.commit()
    return response


def clear_browser(response: Response) -> Response:
    """Tell the browser to forget our pages when somebody signs out (WS-16)."""
    if request.endpoint == "security.logout" and response.status_code in (302, 303):
        response.headers["Clear-Site-Data"] = _CLEARED
    return response
