"""The list of leads: searched, filtered by status, page by key."""

from flask import render_template, request
from flask.typing import ResponseReturnValue

from leadcapture.accounts.access import EVERYONE, staff_only
from leadcapture.dashboard.blueprint import blueprint
from leadcapture.database import db
from leadcapture.leads import listing
from leadcapture.models import LeadStatus

_LONGEST_SEARCH = 100


@blueprint.get("/leads")
@staff_only(*EVERYONE)
def leads() -> ResponseReturnValue:
    """The list; all that it shows stands in its address."""
    typed = request.args.get("q", "").replace("\0", "").strip()[:_LONGEST_SEARCH]
    status = _status(request.args.get("status", ""))
    key = listing.read_key(request.args.get("at", ""))
    return render_template(
        "dashboard/leads.html",
        page=listing.page(db.session(), status, typed, key),
        counts=listing.counts(db.session()),
        counted=listing.COUNTED,
        status=status,
        typed=typed,
    )


def _status(word: str) -> LeadStatus | None:
    return LeadStatus(word) if word in listing.LISTED else None
