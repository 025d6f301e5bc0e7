"""The release of the outbox: a person says that this database is no stray copy."""

from flask import abort, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from leadcapture import web
from leadcapture.accounts.access import CARE, me, staff_only
from leadcapture.accounts.passwords import LONGEST, normal_form
from leadcapture.accounts.security import may_guess
from leadcapture.dashboard.blueprint import blueprint
from leadcapture.database import db
from leadcapture.outbox import instance


@blueprint.post("/outbox/release")
@staff_only(*CARE)
def outbox_release() -> ResponseReturnValue:
    """Let a restored copy send its mail; asks for the password again (MD-24)."""
    person, typed = me(), request.form.get("password", "")
    if not may_guess(f"release {person.id}"):
        abort(429)
    if len(typed) > LONGEST or not person.verify_and_update_password(normal_form(typed)):
        flash(gettext("That is not your password, so the mail stays stopped."))
        return redirect(url_for("dashboard.now"), 303)
    instance.release(db.session(), web.now())
    db.session.commit()
    flash(gettext("Released. Letters that are due leave within a minute; those too late do not."))
    return redirect(url_for("dashboard.now"), 303)
