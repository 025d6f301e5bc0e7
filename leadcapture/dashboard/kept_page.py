"""A form that was kept when a session ended, shown to its writer to send again or throw away."""

from collections.abc import Sequence
from dataclasses import dataclass

from flask import current_app, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from sqlalchemy import select
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RoutingException

from leadcapture import web
from leadcapture.accounts import kept_forms
from leadcapture.accounts.access import EVERYONE, me, staff_only
from leadcapture.dashboard.blueprint import blueprint
from leadcapture.database import db
from leadcapture.models import Lead

_SHORT = 60
# What a form carries for us, not for whoever wrote it.
_OURS = ("version", "back", "kept", "token", "email_looked_at", "person")


@dataclass(frozen=True)
class Sorted:
    """The fields of a kept form: what was written, to be read and changed, and the rest."""

    written: Sequence[tuple[str, str]]
    rest: Sequence[tuple[str, str]]


@blueprint.get("/kept")
@staff_only(*EVERYONE)
def kept() -> ResponseReturnValue:
    """What was typed, in a form that goes where it was going; nothing is saved by itself."""
    found = kept_forms.find_kept(db.session(), web.vault(), me(), web.now())
    if found is None:
        flash(gettext("Nothing is kept for you any more."))
        return redirect(url_for("dashboard.now"), 303)
    return render_template(
        "dashboard/kept.html",
        kept=found,
        fields=_sort(found.fields),
        ours=_OURS,
        lead=_lead_of(found.path),
    )


@blueprint.post("/kept")
@staff_only(*EVERYONE)
def kept_dropped() -> ResponseReturnValue:
    """Throw it away."""
    kept_forms.drop(db.session(), me().id)
    db.session.commit()
    flash(gettext("Thrown away."))
    return redirect(url_for("dashboard.now"), 303)


def _lead_of(path: str) -> Lead | None:
    """The lead that the form was about, if it was about one that is still there."""
    try:
        _, values = current_app.url_map.bind("").match(path, method="POST")
    except (HTTPException, RoutingException):
        return None
    return db.session.scalar(select(Lead).where(Lead.ref == values.get("ref", "")))


def _sort(fields: Sequence[tuple[str, str]]) -> Sorted:
    written = [pair for pair in fields if _is_written(*pair)]
    return Sorted(written, [pair for pair in fields if pair not in written])


def _is_written(name: str, value: str) -> bool:
    return (
        bool(value)
        and name not in _OURS
        and (name == "note" or "\n" in value or len(value) > _SHORT)
    )
