"""The way to stop letters: a page that changes nothing, and a press that stops them (RFC 8058)."""

from flask import abort, g, render_template, request
from flask_babel import gettext as _
from sqlalchemy import select

from leadcapture.database import db
from leadcapture.languages import speak
from leadcapture.leads import stopping
from leadcapture.models import Lead
from leadcapture.outbox import links
from leadcapture.public.blueprint import blueprint
from leadcapture.web import now, settings

# Beside it stands a button that withdraws everything; mail services do not send this.
EVERYTHING = "everything"


@blueprint.route("/stop/<token>", methods=["GET", "POST"])
def stop(token: str) -> str:
    """One question and two buttons; a scanner that follows the link changes nothing.

    A POST needs no cookie and no token but the link's own: mail services send it.
    """
    cap_hash = _address_of(token)
    is_everything = request.form.get("stop") == EVERYTHING
    if request.method == "POST":
        stop_letters(cap_hash, is_everything)
    leads = _leads_of(cap_hash)
    speak(request.args.get("lang", "") or next((lead.language for lead in leads), ""))
    page = "public/stopped.html" if request.method == "POST" else "public/stop.html"
    return render_template(page, token=token, is_everything=is_everything)


def stop_letters(cap_hash: str, is_everything: bool) -> None:
    """Stop letters to this address for ever, its lead known, unknown or erased."""
    stop = stopping.stop_everything if is_everything else stopping.stop_follow_ups
    stop(db.session(), cap_hash, now())
    db.session.commit()


def _address_of(token: str) -> str:
    cap_hash = links.verify(settings().hash_key, "stop", token)
    if cap_hash is None:
        g.error_words = (
            _("This link is not whole"),
            _(
                "It may have been cut off in the letter. Please copy all of it, answer any letter "
                "of ours with the word “stop”, or call us: we will stop them for you."
            ),
        )
        abort(404)
    return cap_hash


def _leads_of(cap_hash: str) -> list[Lead]:
    return list(db.session.scalars(select(Lead).where(Lead.cap_hash == cap_hash)))
