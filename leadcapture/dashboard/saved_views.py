"""Saved views: keep a list under a name, rename it, share it, let it go."""

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from leadcapture import web
from leadcapture.accounts.access import EVERYONE, RoleName, me, staff_only
from leadcapture.dashboard.blueprint import blueprint
from leadcapture.dashboard.lead_list import show_list
from leadcapture.dashboard.list_words import read_query, read_shown
from leadcapture.database import db
from leadcapture.leads import views
from leadcapture.models import SavedView


@blueprint.get("/views")
@staff_only(*EVERYONE)
def saved_views() -> ResponseReturnValue:
    """One's own views and the shared ones."""
    return _show()


@blueprint.post("/views")
@staff_only(*EVERYONE)
def saved_views_new() -> ResponseReturnValue:
    """Keep the list that was shown under a name."""
    shown = read_query(request.form.get("list", ""))
    name = request.form.get("name", "")
    try:
        view = views.save_view(
            db.session(),
            me().id,
            name,
            "shared" in request.form,
            shown.words,
            views.columns_for(db.session(), me().id),
            web.now(),
        )
    except views.ViewRefused as refused:
        db.session.rollback()
        return show_list(shown, _why_refused(refused), typed_name=name)
    db.session.commit()
    flash(gettext("Saved as “%(name)s”.", name=view.name))
    return redirect(shown.href(view=view.ref), 303)


@blueprint.post("/views/<ref>")
@staff_only(*EVERYONE)
def saved_view(ref: str) -> ResponseReturnValue:
    """Rename a view, share it, or keep it to oneself."""
    view = _mine(ref)
    name = request.form.get("name", "")
    try:
        views.change_view(db.session(), view, name, "shared" in request.form, web.now())
    except views.ViewRefused as refused:
        db.session.rollback()
        return _show(_why_refused(refused), ref, name)
    db.session.commit()
    flash(gettext("Saved as “%(name)s”.", name=view.name))
    return redirect(url_for("dashboard.saved_views"), 303)


@blueprint.post("/views/<ref>/list")
@staff_only(*EVERYONE)
def saved_view_list(ref: str) -> ResponseReturnValue:
    """Let a view keep the list that is shown, with its columns; what it kept can be taken back."""
    view = _mine(ref)
    shown = read_query(request.form.get("list", ""))
    columns = views.ordered(request.form.get("columns", "").split(","))
    before = {"was": read_shown(view.words).query or "sort=asked", "wore": ",".join(view.columns)}
    views.replace_list(view, shown.words, columns or view.columns, web.now())
    db.session.commit()
    flash(gettext("“%(name)s” keeps this list now.", name=view.name))
    return redirect(shown.href(view=view.ref, **before), 303)


@blueprint.post("/views/<ref>/removal")
@staff_only(*EVERYONE)
def saved_view_removal(ref: str) -> ResponseReturnValue:
    """Let a view go; it can be taken back from the message."""
    view = _mine(ref)
    name, shown = view.name, read_shown(view.words)
    act = views.delete_view(db.session(), web.vault(), view, me().id, web.now())
    db.session.commit()
    told = gettext("“%(name)s” is gone. No lead was touched.", name=name)
    flash(told, f"message undo {act.ref}")
    return redirect(shown.href(), 303)


def _mine(ref: str) -> SavedView:
    """The view, where the reader may change it: 404 where they may not even see it."""
    view = views.find_view(db.session(), ref, me().id)
    if view is None:
        abort(404)
    if view.owner_id != me().id and not me().has_role(RoleName.ADMIN):
        abort(403)
    return view


def _show(problem: str = "", wrong: str = "", typed: str = "") -> ResponseReturnValue:
    kept = views.views_for(db.session(), me().id)
    made = render_template(
        "dashboard/views.html",
        views=[(view, read_shown(view.words).href(view=view.ref)) for view in kept],
        me=me(),
        may_change_all=me().has_role(RoleName.ADMIN),
        problem=problem,
        wrong=wrong,
        typed=typed,
        longest=views.LONGEST_NAME,
    )
    return made, 422 if problem else 200


def _why_refused(refused: views.ViewRefused) -> str:
    told: dict[str, str] = {
        "empty": gettext("Give the view a name."),
        "long": gettext("A name has %(most)s characters at most.", most=views.LONGEST_NAME),
        "taken": gettext("You have a view of this name already. Choose another."),
        "many": gettext("You have %(most)s views, which is the most. Let one go.", most=views.MOST),
    }
    return told[str(refused)]
