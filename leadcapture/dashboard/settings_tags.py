"""Settings of tags: the clinic's own words for leads, and which of them are offered."""

from collections.abc import Mapping

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from leadcapture import web
from leadcapture.accounts.access import RoleName, me, staff_only
from leadcapture.dashboard.blueprint import blueprint
from leadcapture.database import db
from leadcapture.leads import setting_changes
from leadcapture.leads import tags as words_of_ours
from leadcapture.models import Tag

AREA = "tags"


@blueprint.get("/settings/tags")
@staff_only(RoleName.ADMIN)
def tags() -> ResponseReturnValue:
    """The tags with how many leads carry each, those put away, and a form for one more."""
    return _show()


@blueprint.post("/settings/tags")
@staff_only(RoleName.ADMIN)
def tags_new() -> ResponseReturnValue:
    """Add a tag, or take one of this name out of the archive again."""
    try:
        tag = words_of_ours.add_tag(
            db.session(), _typed("name"), _typed("color") or words_of_ours.COLORS[0], web.now()
        )
    except words_of_ours.TagRefused as refused:
        return _refuse(refused)
    return _keep(tag.name, {}, _told(tag), gettext("Added. Everybody can put it on leads now."))


@blueprint.post("/settings/tags/<ref>")
@staff_only(RoleName.ADMIN)
def tag(ref: str) -> ResponseReturnValue:
    """Change a tag's word or colour, on all leads that carry it."""
    found = _find(ref)
    before = _told(found)
    try:
        words_of_ours.rename_tag(db.session(), found, _typed("name"), _typed("color"))
    except words_of_ours.TagRefused as refused:
        return _refuse(refused, found)
    return _keep(found.name, before, _told(found), gettext("Saved, on all leads that carry it."))


@blueprint.post("/settings/tags/<ref>/archive")
@staff_only(RoleName.ADMIN)
def tag_archive(ref: str) -> ResponseReturnValue:
    """Put a tag away, or offer it again."""
    found = _find(ref)
    before = _told(found)
    if "again" in request.form:
        try:
            words_of_ours.restore_tag(db.session(), found)
        except words_of_ours.TagRefused as refused:
            return _refuse(refused)
        return _keep(found.name, before, _told(found), gettext("Offered again."))
    words_of_ours.archive_tag(db.session(), found, web.now())
    told = gettext("Put away. Leads that carry it keep it; “Offer again” brings it back.")
    return _keep(found.name, before, _told(found), told)


def _keep(
    name: str, before: Mapping[str, str], after: Mapping[str, str], told: str
) -> ResponseReturnValue:
    changed = setting_changes.record(db.session(), AREA, name, before, after, me().id, web.now())
    db.session.commit()
    flash(told if changed else gettext("Nothing was changed."))
    return redirect(url_for("dashboard.tags"), 303)


def _refuse(refused: words_of_ours.TagRefused, wrong: Tag | None = None) -> ResponseReturnValue:
    db.session.rollback()
    why = {
        "empty": gettext("Write the word."),
        "long": gettext("Shorten this to %(most)s characters.", most=words_of_ours.LONGEST_NAME),
        "color": gettext("Choose one of the colours."),
        "taken": gettext("There is a tag of this name already."),
        "many": gettext("There are %(most)s already: put one away.", most=words_of_ours.MOST),
    }[refused.args[0]]
    return _show({"name": str(why)}, wrong)


def _find(ref: str) -> Tag:
    found = words_of_ours.find_tag(db.session(), ref)
    if found is None:
        abort(404)
    return found


def _typed(field: str) -> str:
    return request.form.get(field, "")


def _told(tag: Tag) -> dict[str, str]:
    offered = "no" if tag.archived_at else "yes"
    return {"name": tag.name, "color": tag.color, "offered": offered}


def _show(
    problems: Mapping[str, str] | None = None, wrong: Tag | None = None
) -> ResponseReturnValue:
    """``wrong`` is the tag whose form was sent; without it the form for a new one was."""
    every = words_of_ours.list_tags(db.session(), archived=True)
    page = render_template(
        "dashboard/settings_tags.html",
        tags=[tag for tag in every if not tag.archived_at],
        put_away=[tag for tag in every if tag.archived_at],
        uses=words_of_ours.count_uses(db.session(), every),
        colors=words_of_ours.COLORS,
        longest=words_of_ours.LONGEST_NAME,
        changes=setting_changes.latest(db.session(), AREA),
        problems=problems or {},
        wrong=wrong,
        form=request.form,
    )
    return page, 422 if problems else 200
