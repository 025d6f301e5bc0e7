"""Live: an open page learns within two seconds what others have done, and who else is on it.

The page asks every second; the answer is one look at an index and says nothing (204) where nothing
is new. A stream held open to each page would take a thread of the few that serve patients.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import g, jsonify, render_template, request, url_for
from flask.typing import ResponseReturnValue

from leadcapture import web
from leadcapture.accounts.access import EVERYONE, me, staff_only
from leadcapture.dashboard.blueprint import blueprint
from leadcapture.dashboard.lead_page import find_lead
from leadcapture.database import db
from leadcapture.leads import changes, presence
from leadcapture.models import Lead, Presence

# Pages that follow, and whether their clocks move with the minute. The view of a lead goes on
# record each time, so its page is fetched anew only when something is new.
FOLLOWED = {
    "dashboard.now": True,
    "dashboard.leads": True,
    "dashboard.pipeline": True,
    "dashboard.lead": False,
}


@dataclass(frozen=True)
class Following:
    """What the script of an open page goes by; ``presence`` is its own address, if it has one."""

    mark: changes.Mark
    changes: str
    presence: str
    has_clocks: bool


@blueprint.before_request
def set_mark() -> None:
    """Look where the feed stands before the page reads what it shows, or a change is missed."""
    if request.method == "GET" and request.endpoint in FOLLOWED:
        g.mark = changes.set_mark(db.session(), (request.view_args or {}).get("ref"))


def following() -> Following | None:
    """How the page that is being made follows; None for a page that stays as it is."""
    if "mark" not in g:
        return None
    ref = (request.view_args or {}).get("ref")
    return Following(
        mark=g.mark,
        changes=url_for("dashboard.lead_changes", ref=ref)
        if ref
        else url_for("dashboard.all_changes"),
        presence=url_for("dashboard.lead_presence", ref=ref) if ref else "",
        has_clocks=FOLLOWED[str(request.endpoint)],
    )


def version(lead: Lead) -> str:
    """What a form that is made now is made from."""
    return changes.version_of(lead, web.now())


@dataclass(frozen=True)
class Others:
    """Who else is on the page; ``token`` tells one such list from another."""

    there: Sequence[Presence]
    token: str


def others_at(lead_ref: str) -> Others:
    """Who else looks at this lead now."""
    there = presence.others_at(db.session(), lead_ref, me().id, web.now())
    told = ";".join(f"{one.staff_id} {one.since}" for one in there)
    return Others(there, hashlib.sha256(told.encode()).hexdigest()[:12])


@blueprint.get("/changes")
@staff_only(*EVERYONE)
def all_changes() -> ResponseReturnValue:
    """What is new since the mark ``since``: nothing (204), or the next mark."""
    return _tell(None)


@blueprint.get("/leads/<ref>/changes")
@staff_only(*EVERYONE)
def lead_changes(ref: str) -> ResponseReturnValue:
    """The same for one lead, with who else looks at it where ``there`` tells of others."""
    return _tell(ref)


@blueprint.post("/leads/<ref>/presence")
@staff_only(*EVERYONE)
def lead_presence(ref: str) -> ResponseReturnValue:
    """Note that the page is open, or that it was closed."""
    lead = find_lead(ref)
    if request.form.get("left"):
        presence.leave(db.session(), lead.id, me().id)
    else:
        presence.arrive(db.session(), lead.id, me().id, web.now())
    db.session.commit()
    return "", 204


def _tell(ref: str | None) -> ResponseReturnValue:
    # Where the scheduler is dead nobody else notices; its task is news, and Now shows since when.
    web.probe().standing_since(web.now())
    news: dict[str, Any] = {}
    since = changes.read_mark(request.args.get("since", ""))
    if since is None or changes.has_moved_on(db.session(), since, ref):
        news["mark"] = str(changes.set_mark(db.session(), ref))
    if ref is not None:
        others = others_at(ref)
        if others.token != request.args.get("there"):
            news["there"] = others.token
            news["others"] = render_template("dashboard/_others.html", others=others)
    return jsonify(news) if news else ("", 204)
