"""The list of leads: searched, filtered, ordered, in one's own columns, page by key."""

from collections.abc import Sequence
from dataclasses import dataclass

from flask import redirect, render_template, request
from flask.typing import ResponseReturnValue

from leadcapture.accounts.access import EVERYONE, RoleName, me, staff_only
from leadcapture.dashboard import bulk_acts, on_record
from leadcapture.dashboard.blueprint import blueprint
from leadcapture.dashboard.list_words import Shown, asker, chips, choices, read_query, read_shown
from leadcapture.database import db
from leadcapture.leads import listing, tags, views
from leadcapture.leads.bulk import MOST
from leadcapture.leads.next_steps import next_steps
from leadcapture.leads.pipeline import ClosedReason
from leadcapture.leads.standing import COUNTED, standing
from leadcapture.leads.viewing import LIST
from leadcapture.models import SavedView


@blueprint.get("/leads")
@staff_only(*EVERYONE)
def leads() -> ResponseReturnValue:
    """The list; all that it shows stands in its address."""
    given = request.args.to_dict(flat=False)
    shown = read_shown(given)
    if any(not value for values in given.values() for value in values):
        # A form sends its empty fields, too; an address that people copy has only what counts.
        return redirect(shown.href(), 303)
    on_record.page_opened(LIST, shown, "at")
    return show_list(shown)


@blueprint.post("/leads/columns")
@staff_only(*EVERYONE)
def list_columns() -> ResponseReturnValue:
    """Keep which columns this person sees."""
    wanted = request.form.getlist("column")
    if request.form.get("usual"):
        wanted = list(views.USUAL)
    views.choose_columns(db.session(), me().id, wanted)
    db.session.commit()
    return redirect(read_query(request.form.get("list", "")).href(), 303)


def show_list(
    shown: Shown, problem: str = "", typed_name: str = "", chosen: tuple[str, ...] = ()
) -> ResponseReturnValue:
    """The list's page; with what went wrong with a form of it, and what was typed there."""
    session, asks = db.session(), asker()
    offered = choices(asks, shown.filters)
    page = listing.page(
        session,
        shown.filters,
        asks,
        shown.order,
        listing.read_key(request.args.get("at", "")),
    )
    saved = views.views_for(session, me().id)
    current = next((view for view in saved if _is_shown(view, shown)), None)
    columns = views.columns_for(session, me().id)
    if current is not None and request.args.get("view") == current.ref:
        columns = views.ordered(current.columns)
    made = render_template(
        "dashboard/leads.html",
        page=page,
        shown=shown,
        filters=shown.filters,
        order=shown.order,
        chips=chips(shown, offered),
        offered=offered,
        columns=columns,
        all_columns=views.COLUMNS,
        standing=standing(session),
        counted=COUNTED,
        reach=listing.BOUNDS.reach,
        tags=tags.tags_of(session, [lead.id for lead in page.leads]),
        steps=next_steps(session, page.leads) if "next" in columns else {},
        views=saved,
        current=current,
        replaced=_replaced(saved),
        replaceable=[view for view in saved if view is not current and _may_change(view)],
        me=me(),
        most=MOST,
        reasons=list(ClosedReason),
        done=bulk_acts.done(),
        problem=problem,
        typed_name=typed_name,
        chosen=chosen,
    )
    return made, 422 if problem else 200


@dataclass(frozen=True)
class Replaced:
    """A view that keeps another list since a moment, with what it kept before."""

    view: SavedView
    was: str
    wore: str


def _replaced(saved: Sequence[SavedView]) -> Replaced | None:
    if "was" not in request.args:
        return None
    view = next((each for each in saved if each.ref == request.args.get("view")), None)
    if view is None or not _may_change(view):
        return None
    return Replaced(view, request.args["was"], request.args.get("wore", ""))


def _may_change(view: SavedView) -> bool:
    return view.owner_id == me().id or me().has_role(RoleName.ADMIN)


def _is_shown(view: SavedView, shown: Shown) -> bool:
    return {key: list(given) for key, given in shown.words.items()} == dict(view.words)
