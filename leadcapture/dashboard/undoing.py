"""Undoing: one's own last act is taken back from the message that confirms it."""

from datetime import datetime

from flask import abort, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from leadcapture import web
from leadcapture.accounts.access import EVERYONE, me, staff_only
from leadcapture.dashboard.blueprint import blueprint
from leadcapture.dashboard.bulk_acts import SAID_AT_ONCE, undone_sentence
from leadcapture.dashboard.list_words import read_query, read_shown
from leadcapture.dashboard.times import exact
from leadcapture.database import db
from leadcapture.leads import bulk, details, tasks, views
from leadcapture.leads.bulk import Act
from leadcapture.leads.undo import undo
from leadcapture.models import BulkAct

_PAGES = ("dashboard.leads", "dashboard.pipeline")


@blueprint.post("/acts/<ref>/undoing")
@staff_only(*EVERYONE)
def act_undoing(ref: str) -> ResponseReturnValue:
    """Take back one's own last act."""
    act = bulk.last_act(db.session(), ref, me().id)
    if act is None:
        abort(404)
    if act.act == Act.DROP_VIEW:
        return _have_view_back(act)
    page = request.form.get("page", "")
    if act.act == Act.PUT_OFF:
        _have_task_back(act)
    else:
        _put_leads_back(act, page == "now")
    if page == "now":
        return redirect(url_for("dashboard.now"), 303)
    if page == "lead":
        lead = request.form.get("list", "")
        return redirect(url_for("dashboard.lead", ref=lead, done=act.ref), 303)
    shown = read_query(request.form.get("list", ""))
    endpoint = f"dashboard.{page}" if f"dashboard.{page}" in _PAGES else _PAGES[0]
    return redirect(shown.href(endpoint, done=act.ref), 303)


def _put_leads_back(act: BulkAct, says_so: bool) -> None:
    """``says_so``: the page that follows has no message of its own about the act."""
    if act.act == Act.EDIT:
        undone = details.take_back(db.session(), web.vault(), web.settings(), act, web.now())
    else:
        undone = undo(db.session(), web.vault(), web.settings(), act, web.now())
    db.session.commit()
    if undone is None:
        flash(_undone_already())
    elif act.act in SAID_AT_ONCE or says_so:
        kept = gettext("Not undone: somebody has dealt with them since.")
        flash(undone_sentence(act) if undone.restored else kept)


def _have_task_back(act: BulkAct) -> None:
    undone = tasks.take_back(db.session(), act, web.now())
    db.session.commit()
    if undone is None:
        flash(_undone_already())
    elif undone:
        when = exact(datetime.fromisoformat(act.facts["due_at"]))
        flash(gettext("Undone: it is due %(when)s.", when=when))
    else:
        flash(gettext("Not undone: somebody has dealt with it since."))


def _have_view_back(act: BulkAct) -> ResponseReturnValue:
    try:
        view = views.take_back(db.session(), web.vault(), act, web.now())
    except views.ViewRefused as refused:
        db.session.rollback()
        # What stands in its way can be cleared away: the button stays.
        flash(_why_gone(refused), f"message undo {act.ref}")
        return redirect(url_for("dashboard.saved_views"), 303)
    db.session.commit()
    if view is None:
        flash(_undone_already())
        return redirect(url_for("dashboard.saved_views"), 303)
    flash(gettext("“%(name)s” is back.", name=view.name))
    return redirect(read_shown(view.words).href(view=view.ref), 303)


def _why_gone(refused: views.ViewRefused) -> str:
    why, name = refused.args
    if why == "many":
        sentence = gettext(
            "Not undone: its owner has %(most)s views, which is the most. Let one go, then undo.",
            most=views.MOST,
        )
    else:
        sentence = gettext(
            "Not undone: there is another view called “%(name)s” now. Rename that, then undo.",
            name=name,
        )
    return str(sentence)


def _undone_already() -> str:
    return str(gettext("It was undone already."))
