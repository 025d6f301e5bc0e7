"""The private page of a packet: read here, taken along as a PDF, issued again when it expired."""

from flask import Response, abort, g, make_response, render_template, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from leadcapture.database import db
from leadcapture.intake import packets
from leadcapture.languages import speak
from leadcapture.letters.manuscript import Manuscript
from leadcapture.letters.markdown import Block, read_markdown
from leadcapture.letters.packet_pdf import neutral_filename
from leadcapture.letters.placeholders import substitute
from leadcapture.models import LetterVersion
from leadcapture.public.blueprint import blueprint
from leadcapture.web import now, settings, vault


@blueprint.get("/packet/<token>")
def packet_page(token: str) -> AnyResponse:
    """The packet to read, or the offer of a new link; whoever follows the link changes nothing."""
    opened = _open(token)
    if opened.state == "expired":
        return _private(render_template("public/packet_expired.html", token=token), 410)
    documents = [_readable(version) for version in opened.documents]
    return _private(render_template("public/packet.html", token=token, documents=documents))


@blueprint.post("/packet/<token>")
def packet_copy(token: str) -> AnyResponse:
    """The PDF, under a name that says nothing. A press of a button also proves the address."""
    opened = _open(token)
    if opened.state == "expired":
        return _private(render_template("public/packet_expired.html", token=token), 410)
    wanted = request.form.get("document", "0")
    position = int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 3 else 0
    if position >= len(opened.documents):
        abort(404)
    pdf = opened.documents[position].pdf
    if pdf is None:
        abort(404)
    packets.confirm_address(db.session(), opened.message_ref, now())
    db.session.commit()
    response = Response(pdf, mimetype="application/pdf")
    name = neutral_filename(opened.language, position, len(opened.documents))
    response.headers.set("Content-Disposition", "attachment", filename=name)
    return _private(response)


@blueprint.post("/packet/<token>/link")
def packet_link(token: str) -> AnyResponse:
    """A new link by mail, to the address of the lead only: the page never names it."""
    opened = _open(token)
    is_queued = packets.issue_again(db.session(), vault(), settings(), token, now())
    db.session.commit()
    speak(request.args.get("lang", "") or opened.language)
    page = render_template(
        "public/packet_link_sent.html", is_queued=is_queued, sender=settings().mail_from
    )
    return _private(page)


def _open(token: str) -> packets.OpenedPacket:
    opened = packets.open_packet(db.session(), vault(), settings(), token, now())
    if opened.state == "unknown":
        g.error_words = (
            _("This link does not open anything"),
            _(
                "It may have been cut off in the letter. Please copy all of it, "
                "or ask for the packet again: it takes half a minute."
            ),
        )
        abort(404)
    speak(request.args.get("lang", "") or opened.language)
    return opened


def _readable(version: LetterVersion) -> dict[str, str | tuple[Block, ...]]:
    """Title, summary and blocks of a packet, its placeholders filled."""
    text = Manuscript.read(version.text)
    clinic = settings().clinic
    values = {
        "clinic_name": clinic.name,
        "clinic_phone": clinic.phone,
        "postal_address": clinic.postal_address,
    }
    return {
        "language": version.language,
        "title": substitute(text.title or text.subject, values),
        "summary": substitute(text.summary, values),
        "body": read_markdown(substitute(text.body, values)),
        "fixed": read_markdown(substitute(text.fixed, values)),
    }


def _private(page: str | AnyResponse, status: int = 200) -> AnyResponse:
    response = make_response(page) if isinstance(page, str) else page
    if status != 200:
        response.status_code = status
    response.headers["X-Robots-Tag"] = "noindex"
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
