"""Settings of services: whose mails tell of missed calls and chats, and what is read in them."""

from collections.abc import Mapping

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from sqlalchemy import select

from leadcapture import web
from leadcapture.accounts.access import RoleName, me, staff_only
from leadcapture.dashboard.blueprint import blueprint
from leadcapture.database import db
from leadcapture.intake.inbound import arrivals, senders
from leadcapture.intake.inbound.notices import Notice
from leadcapture.intake.inbound.senders import SenderRefused
from leadcapture.leads import setting_changes
from leadcapture.models import NoticeKind, NoticeSender

AREA = "services"
_LONGEST_TRIAL = 20_000


@blueprint.get("/settings/services")
@staff_only(RoleName.ADMIN)
def services() -> ResponseReturnValue:
    """The services, a form for one more, and a place to try what is read in a mail."""
    return _show()


@blueprint.post("/settings/services")
@staff_only(RoleName.ADMIN)
def services_new() -> ResponseReturnValue:
    """Add a service; its next mail is read as its own."""
    language = request.form.get("language", "")
    try:
        sender = senders.add_sender(
            db.session(),
            web.settings(),
            " ".join(request.form.get("name", "").split()),
            request.form.get("address", "").strip(),
            request.form.get("kind", ""),
            language if language in web.LANGUAGES else "en",
        )
    except SenderRefused as refused:
        db.session.rollback()
        return _show({refused.args[0]: _why(*refused.args)})
    told = gettext("Added. The next mail from there becomes a lead.")
    return _keep(sender.name, {}, _told(sender), told)


@blueprint.post("/settings/services/<ref>/removal")
@staff_only(RoleName.ADMIN)
def service_removal(ref: str) -> ResponseReturnValue:
    """Take a service away; its mail is what any stranger's is."""
    sender = db.session.scalar(select(NoticeSender).where(NoticeSender.ref == ref))
    if sender is None:
        abort(404)
    db.session.delete(sender)
    told = gettext("Removed. Its mail is read as any stranger’s from now on.")
    return _keep(sender.name, _told(sender), {}, told)


@blueprint.post("/settings/services/trial")
@staff_only(RoleName.ADMIN)
def services_trial() -> ResponseReturnValue:
    """What would be read in a mail of this subject and text; nothing of it is kept."""
    found = arrivals.try_notice(
        web.settings(),
        request.form.get("subject", "")[:_LONGEST_TRIAL],
        request.form.get("text", "")[:_LONGEST_TRIAL],
    )
    return _show(found=found)


def _keep(
    name: str, before: Mapping[str, str], after: Mapping[str, str], told: str
) -> ResponseReturnValue:
    setting_changes.record(db.session(), AREA, name, before, after, me().id, web.now())
    db.session.commit()
    flash(told)
    return redirect(url_for("dashboard.services"), 303)


def _told(sender: NoticeSender) -> dict[str, str]:
    return {
        "name": sender.name,
        "address": sender.address,
        "kind": sender.kind,
        "language": sender.language,
    }


def _why(field: str, word: str) -> str:
    if field == "name" and word == "empty":
        return str(gettext("Give a name of 1 to %(most)s characters.", most=senders.LONGEST_NAME))
    return {
        "empty": str(gettext("Choose what its mails tell of.")),
        "shape": str(gettext("Write an address such as name@example.com, or @example.com.")),
        "ours": str(gettext("This is one of our own addresses.")),
        "people": str(gettext("People write from there, and their mail must be read as theirs.")),
        "taken": str(gettext("This address is on the list already.")),
        "many": str(gettext("There are %(most)s already: remove one.", most=senders.MOST)),
    }[word]


def _show(
    problems: Mapping[str, str] | None = None, found: Notice | None = None
) -> ResponseReturnValue:
    imap = web.settings().imap
    page = render_template(
        "dashboard/settings_services.html",
        senders=senders.list_senders(db.session()),
        kinds=list(NoticeKind),
        languages=web.LANGUAGES,
        has_mailbox=imap is not None,
        authserv_id=imap.authserv_id if imap else "",
        changes=setting_changes.latest(db.session(), AREA),
        problems=problems or {},
        form=request.form,
        found=found,
    )
    return page, 422 if problems else 200
