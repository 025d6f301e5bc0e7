"""A stale save: what changed since the form was made, what was typed, and the choice between."""

from collections.abc import Sequence

from flask import render_template, request
from flask.typing import ResponseReturnValue

from leadcapture.dashboard import words
from leadcapture.database import db
from leadcapture.leads.changes import Stale, check_version
from leadcapture.models import Lead

_NOT_REPEATED = ("csrf_token", "version")


def ask_if_stale(lead: Lead, *typed: tuple[str, str]) -> ResponseReturnValue | None:
    """The page that asks, where the lead has changed since the form was made; else None.

    ``typed``: what this form would change, as pairs of a name and a value that people read.
    """
    stale = check_version(db.session(), lead, request.form.get("version", ""))
    return show_stale(lead, stale, typed) if stale else None


def show_stale(
    lead: Lead, stale: Stale, typed: Sequence[tuple[str, str]] = ()
) -> ResponseReturnValue:
    """What changed and by whom, and the form again: applied as it is, or dropped.

    The form that applies it carries the version that this page shows: whatever changes while
    somebody reads it is asked about again.
    """
    page = render_template(
        "dashboard/stale.html",
        lead=lead,
        happened=[(entry, words.happened(entry)) for entry in stale.entries],
        typed=[(name, value) for name, value in typed if value],
        fields=[pair for pair in request.form.items(multi=True) if pair[0] not in _NOT_REPEATED],
    )
    return page, 409
