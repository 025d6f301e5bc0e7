"""The pipeline: a column for each status, and leads that move from one to another."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from flask import redirect, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from sqlalchemy.orm import Session

from leadcapture import web
from leadcapture.accounts.access import EVERYONE, me, staff_only
from leadcapture.dashboard import bulk_acts, on_record, words
from leadcapture.dashboard.blueprint import blueprint
from leadcapture.dashboard.lead_page import find_lead
from leadcapture.dashboard.list_words import Shown, asker, read_query
from leadcapture.database import db, reading
from leadcapture.leads import bulk, listing, tags
from leadcapture.leads.filters import LISTED, ME, NOBODY, Asker, Filters
from leadcapture.leads.next_steps import next_steps
from leadcapture.leads.pipeline import ClosedReason, moves_from
from leadcapture.leads.standing import COUNTED, Standing, standing
from leadcapture.leads.viewing import BOARD
from leadcapture.models import Lead, LeadStatus

# Of each column at once: more would be scrolled past, and each card has a menu of its own.
CARDS = 25


@dataclass(frozen=True)
class Column:
    """The leads of one status, the latest request first, and where they may go."""

    status: LeadStatus
    page: listing.Page
    moves: Sequence[LeadStatus]
    standing: Standing | None
    is_first_page: bool


@blueprint.get("/pipeline")
@staff_only(*EVERYONE)
def pipeline() -> ResponseReturnValue:
    """The board. ``owner`` narrows it; each column has the key of its page under its name."""
    # A move leads back to the board that was looked at: whoever tidies it up reads no more of it.
    is_back = "done" in request.args and not any(status.value in request.args for status in LISTED)
    shown = _read_board(request.args.get("owner", ""))
    _record_view(shown, again=is_back)
    return _show(shown)


@blueprint.post("/leads/<ref>/move")
@staff_only(*EVERYONE)
def move(ref: str) -> ResponseReturnValue:
    """Move one card: ``to`` is a status, with its reason where the lead is closed."""
    lead = find_lead(ref)
    shown = read_query(request.form.get("list", ""))
    typed = request.form.get("to", "")
    problem = _why_not(lead, typed, request.form.get("from", ""))
    if problem:
        return _show_refusal(shown, problem)
    wish = bulk_acts.read_wish(f"move:{typed}")
    leads = bulk.leads_by_ref(db.session(), [lead.ref])
    if wish is None or not leads:
        return _show_refusal(shown, gettext("Choose where the lead goes."))
    act = bulk.carry_out(db.session(), leads, wish, me().id, web.now())
    db.session.commit()
    return redirect(shown.href("dashboard.pipeline", done=act.ref, _anchor=f"lead-{lead.ref}"), 303)


def _show_refusal(shown: Shown, problem: str) -> ResponseReturnValue:
    """The board with what stood in the way. Nothing was done, so that from here on it only reads:
    the view, where it is not on record, is written in a transaction of its own.
    """
    db.session.rollback()
    with reading():
        _record_view(shown, again=True)
        return _show(shown, problem)


def _record_view(shown: Shown, again: bool) -> None:
    on_record.page_opened(BOARD, shown, *(status.value for status in LISTED), again=again)


def _why_not(lead: Lead, typed: str, shown_at: str) -> str:
    """Why the lead cannot go there, as a sentence; empty where it can."""
    word, _, reason = typed.partition(":")
    if word not in LISTED:
        return str(gettext("Choose where the lead goes."))
    here, there = words.of(words.STATUS, lead.status), words.of(words.STATUS, word)
    if shown_at in set(LeadStatus) and shown_at != lead.status:
        return str(
            gettext(
                "%(name)s was not moved to “%(there)s”: a colleague has moved this lead to "
                "“%(here)s” meanwhile.",
                name=lead.full_name,
                there=there,
                here=here,
            )
        )
    if word not in moves_from(lead.status):
        able = " · ".join(words.of(words.STATUS, each) for each in moves_from(lead.status))
        return str(
            gettext(
                "%(name)s stands at “%(here)s” and cannot go to “%(there)s” from there. "
                "Possible: %(able)s.",
                name=lead.full_name,
                here=here,
                there=there,
                able=able or "–",
            )
        )
    if word == LeadStatus.CLOSED and reason not in set(ClosedReason):
        return str(gettext("Say why %(name)s is closed.", name=lead.full_name))
    return ""


def _read_board(owner: str) -> Shown:
    return Shown(Filters(owner=owner if owner in (ME, NOBODY) else ""), listing.Order())


def _show(shown: Shown, problem: str = "") -> ResponseReturnValue:
    session, asks = db.session(), asker()
    known = {} if shown.filters.owner else standing(session)
    columns = [
        _column(session, asks, shown.filters, status, known.get(status)) for status in LISTED
    ]
    leads = [lead for column in columns for lead in column.page.leads]
    made = render_template(
        "dashboard/pipeline.html",
        columns=columns,
        shown=shown,
        owner=shown.filters.owner,
        counted=COUNTED,
        tags=tags.tags_of(session, [lead.id for lead in leads]),
        steps=next_steps(session, leads),
        reasons=list(ClosedReason),
        is_empty=not leads,
        done=bulk_acts.done(),
        problem=problem,
        now=web.now(),
    )
    return made, 422 if problem else 200


def _column(
    session: Session,
    asks: Asker,
    filters: Filters,
    status: LeadStatus,
    standing: Standing | None,
) -> Column:
    key = listing.read_key(request.args.get(status.value, ""))
    own = replace(filters, status=(status,))
    page = listing.page(session, own, asks, key=key, size=CARDS)
    return Column(status, page, moves_from(status), standing, key is None)
