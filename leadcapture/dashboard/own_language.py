"""Own language: the one in which the desk and its letters speak to a staff member."""

from flask import flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from leadcapture import languages, web
from leadcapture.accounts.access import EVERYONE, me, staff_only
from leadcapture.dashboard.blueprint import blueprint
from leadcapture.database import db


@blueprint.post("/language")
@staff_only(*EVERYONE)
def my_language() -> ResponseReturnValue:
    """Speak this language to me from the next page on; one that we do not have changes nothing."""
    chosen = request.form.get("language", "")
    if chosen in web.LANGUAGES:
        me().language = chosen
        db.session.commit()
        languages.speak(chosen)
        flash(gettext("Your pages speak English now, and so do the letters to you."))
    return redirect(url_for("dashboard.my_calendar"), 303)
