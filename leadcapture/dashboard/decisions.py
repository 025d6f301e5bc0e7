"""Decisions: release or discard a held request, let mail flow again."""

from flask import abort, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from sqlalchemy import select

from leadcapture import web
from leadcapture.accounts.access import CARE, me, staff_only
from leadcapture.dashboard.blueprint import blueprint
from leadcapture.database import db
from leadcapture.intake import receive
from leadcapture.models import Request
from leadcapture.outbox import audit, gates
from leadcapture.vault import SealBroken


@blueprint.post("/requests/<receipt>/decision")
@staff_only(*CARE)
def request_decision(receipt: str) -> ResponseReturnValue:
    """Release a held request, so that its packet goes out, discard it, or take that back."""
    held = db.session.scalar(select(Request).where(Request.receipt == receipt))
    if held is None:
        abort(404)
    decision = request.form.get("decision", "")
    if decision == "release":
        flash(_release(held))
    elif decision == "discard":
        _discard(held)
    elif decision == "hold":
        flash(_hold_again(held))
    else:
        abort(400)
    return redirect(url_for("dashboard.now"), 303)


@blueprint.post("/mail/opening")
@staff_only(*CARE)
def mail_opening() -> ResponseReturnValue:
    """Let mail flow again after the relay had refused us."""
    gates.open_gate(db.session(), gates.QUEUE, web.now())
    audit.record(db.session(), me().id, "gate_opened", gates.QUEUE, web.now())
    db.session.commit()
    flash(gettext("Mail flows again. If the mail server still refuses us, it stops once more."))
    return redirect(url_for("dashboard.now"), 303)


def _release(held: Request) -> str:
    try:
        released = receive.release(
            db.session(), web.vault(), web.settings(), held, me().id, web.now()
        )
    except SealBroken:
        db.session.rollback()
        return str(gettext("Not released: its answers cannot be opened with our keys."))
    if released:
        audit.record(db.session(), me().id, "request_released", held.lead.ref, web.now())
    db.session.commit()
    if not released:
        return str(gettext("A colleague had decided already."))
    return str(gettext("Released. The packet for %(name)s is on its way.", name=held.full_name))


def _discard(held: Request) -> None:
    discarded = receive.discard(db.session(), held, me().id, web.now())
    if discarded:
        audit.record(db.session(), me().id, "request_discarded", held.lead.ref, web.now())
    db.session.commit()
    if discarded:
        told = gettext("Discarded. It stays on file and mails nobody.")
        flash(told, f"message undo-request {held.receipt}")
    else:
        flash(gettext("A colleague had decided already."))


def _hold_again(discarded: Request) -> str:
    is_held = receive.hold_again(db.session(), discarded, me().id, web.now())
    if is_held:
        audit.record(db.session(), me().id, "request_held_again", discarded.lead.ref, web.now())
    db.session.commit()
    if not is_held:
        return str(gettext("A colleague had decided already."))
    return str(gettext("Undone: the request is held as before."))
