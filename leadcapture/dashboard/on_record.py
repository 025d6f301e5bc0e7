"""On record: what a colleague opens is written down before it is shown (PR-09, AB-09)."""

from flask import request

from leadcapture import web
from leadcapture.accounts import idle
from leadcapture.accounts.access import me
from leadcapture.dashboard.list_words import Shown
from leadcapture.database import db
from leadcapture.leads.viewing import record_view
from leadcapture.models import Lead


def lead_opened(lead: Lead) -> None:
    """Note that this person opens the lead; once, where the open page follows by itself."""
    record_view(
        db.session(), db.engine, me().id, lead.ref, web.now(), refreshes=idle.is_by_itself()
    )


def page_opened(kind: str, shown: Shown, *keys: str, again: bool = False) -> None:
    """Note that they open a page of the list or pipeline: which one, only its hash tells.

    ``keys`` name the parts of the address that say where its pages begin; ``again`` is true where
    an act led back to the page.
    """
    place = "\n".join((shown.query, *(request.args.get(key, "") for key in keys)))
    record_view(
        db.session(),
        db.engine,
        me().id,
        kind,
        web.now(),
        refreshes=again or idle.is_by_itself(),
        page=web.vault().keyed_hash("page-opened", place),
    )
