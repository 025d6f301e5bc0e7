"""Tags of a lead: the clinic's words are put on it and taken off, from its page."""

from flask import abort, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from leadcapture import web
from leadcapture.accounts.access import EVERYONE, me, staff_only
from leadcapture.dashboard.blueprint import blueprint
from leadcapture.dashboard.lead_page import Problem, find_lead, show_lead
from leadcapture.database import db
from leadcapture.leads import tags
from leadcapture.models import Lead


@blueprint.post("/leads/<ref>/tags")
@staff_only(*EVERYONE)
def lead_tags(ref: str) -> ResponseReturnValue:
    """Put the typed tag on the lead, or take off the one whose button was pressed."""
    lead = find_lead(ref)
    if off := request.form.get("off"):
        return _take_off(lead, off)
    typed = request.form.get("tag", "")[:200]
    tag = tags.named(db.session(), typed)
    if tag is None:
        return show_lead(lead, Problem(_unknown(typed), "tag", typed))
    added = tags.tag_lead(db.session(), lead, tag, me().id, web.now())
    db.session.commit()
    if added:
        flash(gettext("Tagged “%(tag)s”.", tag=tag.name))
    else:
        flash(gettext("The lead carries “%(tag)s” already.", tag=tag.name))
    return _back(lead)


def _take_off(lead: Lead, ref: str) -> ResponseReturnValue:
    tag = tags.find_tag(db.session(), ref)
    if tag is None:
        abort(404)
    removed = tags.untag_lead(db.session(), lead, tag, me().id, web.now())
    db.session.commit()
    if removed:
        flash(gettext("“%(tag)s” is taken off.", tag=tag.name))
    else:
        flash(gettext("A colleague had taken “%(tag)s” off already.", tag=tag.name))
    return _back(lead)


def _unknown(typed: str) -> str:
    if not typed.strip():
        return str(gettext("Type the tag, or choose one from the list."))
    return str(
        gettext("There is no such tag. Choose one from the list; an administrator adds new ones.")
    )


def _back(lead: Lead) -> ResponseReturnValue:
    return redirect(url_for("dashboard.lead", ref=lead.ref), 303)
