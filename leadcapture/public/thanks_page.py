"""Thanks: what happens next. It repeats nothing that was typed and tells nothing of a lead."""

from flask import abort, render_template, request
from sqlalchemy import select

from leadcapture.database import db
from leadcapture.languages import speak
from leadcapture.leads.references import read_reference, spoken
from leadcapture.models import Request
from leadcapture.public.blueprint import blueprint
from leadcapture.public.texts import current_words
from leadcapture.web import settings


@blueprint.get("/thanks/<receipt>")
def thanks(receipt: str) -> str:
    """The receipt of a request, in the language that it was made in."""
    receipt = read_reference(receipt) or receipt
    language = db.session.scalar(select(Request.language).where(Request.receipt == receipt))
    if language is None:
        abort(404)
    language = speak(request.args.get("lang", "") or language)
    return render_template(
        "public/thanks.html",
        reference=spoken(receipt),
        words=current_words(language),
        sender=settings().mail_from,
    )
