"""Exports: ask for a file of leads, let a colleague's begin, watch it, take it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from flask import Response, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from sqlalchemy import select
from werkzeug.datastructures import MultiDict

from leadcapture import web
from leadcapture.accounts.access import (
    CARE,
    EVERYONE,
    may_decide,
    may_read_health,
    me,
    staff_only,
)
from leadcapture.accounts.step_up import GuessedTooOften, is_password_of_mine
from leadcapture.dashboard.blueprint import blueprint
from leadcapture.dashboard.list_words import Choices, Shown, asker, chips, choices
from leadcapture.database import db
from leadcapture.leads import exporting
from leadcapture.leads.filters import ME, Filters, read_filters
from leadcapture.leads.listing import Order
from leadcapture.models import Export, ExportState


@blueprint.get("/exports")
@staff_only(*EVERYONE)
def exports() -> ResponseReturnValue:
    """The exports of the past month: one's own; everybody's for those who may decide."""
    return _show_exports()


@blueprint.get("/exports/new")
@staff_only(*EVERYONE)
def export_new() -> ResponseReturnValue:
    """What is going to be in the file, before anything is written."""
    return _show_form(request.args, list(exporting.USUAL))


@blueprint.post("/exports")
@staff_only(*EVERYONE)
def export() -> ResponseReturnValue:
    """A short file at once; a long one is put on record and waits for a second person."""
    allowed = exporting.columns_for(may_read_health())
    columns = [name for name in allowed if name in request.form.getlist("column")]
    if not columns:
        problem = gettext("Choose at least one column.")
        return _show_form(request.form, columns, {"columns": problem})
    if wrong := _why_not_me():
        return _show_form(request.form, columns, {"password": wrong})
    leads = _typed_leads(request.form)
    found = exporting.first_leads(db.session(), leads)
    asked = exporting.ask(db.session(), web.vault(), leads, columns, found)
    if found is None:
        db.session.commit()
        flash(gettext("On record. The file is written once a colleague has said yes to it."))
        return redirect(url_for("dashboard.exports"), 303)
    lines = exporting.write(db.session(), web.vault(), found, asked, leads.asker.zone)
    db.session.commit()
    return _file(exporting.heading(columns) + lines)


@blueprint.post("/exports/<ref>/approval")
@staff_only(*CARE)
def export_approval(ref: str) -> ResponseReturnValue:
    """Let a colleague's long export begin (AU-11)."""
    asked = _find(ref)
    if wrong := _why_not_me():
        return _show_exports({ref: wrong})
    try:
        exporting.approve(db.session(), asked, me().id, web.now())
    except exporting.ExportRefused:
        db.session.rollback()
        return _show_exports({ref: gettext("This export is your own, or was settled meanwhile.")})
    db.session.commit()
    flash(gettext("The file is being written now."))
    return redirect(url_for("dashboard.exports"), 303)


@blueprint.post("/exports/<ref>/cancellation")
@staff_only(*EVERYONE)
def export_cancellation(ref: str) -> ResponseReturnValue:
    """End an export; what was written of it is deleted."""
    ended = exporting.cancel(db.session(), _find(ref), me().id, web.now())
    db.session.commit()
    flash(
        gettext("Cancelled. Nothing of the file is kept.")
        if ended
        else gettext("There was nothing left to cancel.")
    )
    return redirect(url_for("dashboard.exports"), 303)


@blueprint.post("/exports/<ref>/file")
@staff_only(*EVERYONE)
def export_file(ref: str) -> ResponseReturnValue:
    """The file, for who asked for it."""
    asked = _find(ref)
    if set(asked.columns) & set(exporting.HEALTH) and not may_read_health():
        # Their role has changed since they asked.
        abort(403)
    if wrong := _why_not_me():
        return _show_exports({ref: wrong})
    try:
        whole = exporting.take(db.session(), web.vault(), asked, me().id, web.now())
    except exporting.ExportRefused:
        db.session.rollback()
        return _show_exports({ref: gettext("This file is not yours, or is not kept any more.")})
    db.session.commit()
    return _file(whole)


def _find(ref: str) -> Export:
    found = db.session.scalar(select(Export).where(Export.ref == ref))
    if found is None or not (found.actor_id == me().id or may_decide()):
        abort(404)
    return found


def _why_not_me() -> str:
    try:
        if is_password_of_mine(request.form.get("password", "")):
            return ""
    except GuessedTooOften:
        abort(429)
    return str(gettext("That is not your password, so nothing was exported."))


def _typed_leads(typed: MultiDict[str, str]) -> exporting.Leads:
    filters = read_filters(dict(typed.lists()))
    if filters.owner == ME:
        # Whoever says yes to the file is somebody else.
        filters = replace(filters, owner=me().email)
    return exporting.Leads(filters, asker())


def _file(text: str) -> Response:
    name = f"leads-{web.now():%Y-%m-%d}.csv"
    return Response(
        text.encode(),
        mimetype="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _show_form(
    typed: MultiDict[str, str], columns: Sequence[str], problems: Mapping[str, str] | None = None
) -> ResponseReturnValue:
    leads = _typed_leads(typed)
    found = exporting.first_leads(db.session(), leads)
    page = render_template(
        "dashboard/export_new.html",
        filters=leads.filters,
        terms=_terms(leads.filters, choices(leads.asker, leads.filters)),
        count=None if found is None else len(found),
        small=exporting.SMALL,
        allowed=exporting.columns_for(may_read_health()),
        health=exporting.HEALTH,
        chosen=columns,
        problems=problems or {},
    )
    return page, 422 if problems else 200


def _terms(filters: Filters, offered: Choices) -> Sequence[str]:
    """The filter as the list says it."""
    return [chip.text for chip in chips(Shown(filters, Order()), offered)]


def _show_exports(problems: Mapping[str, str] | None = None) -> ResponseReturnValue:
    found = exporting.recent(db.session(), web.now(), me().id, may_decide())
    wanted = [exporting.wanted_filters(web.vault(), one) for one in found]
    offered = choices(asker(), *wanted)
    page = render_template(
        "dashboard/exports.html",
        exports=[
            (one, _terms(filters, offered)) for one, filters in zip(found, wanted, strict=True)
        ],
        is_at_work=any(one.state is ExportState.QUEUED for one in found),
        me=me(),
        may_decide=may_decide(),
        problems=problems or {},
    )
    return page, 422 if problems else 200
