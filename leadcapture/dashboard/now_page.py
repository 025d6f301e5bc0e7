"""Now: who waits for a person, and what waits for a decision."""

from flask import render_template
from flask.typing import ResponseReturnValue

from leadcapture import web
from leadcapture.accounts.access import EVERYONE, may_decide, staff_only
from leadcapture.dashboard import words
from leadcapture.dashboard.answers import open_answers
from leadcapture.dashboard.blueprint import blueprint
from leadcapture.database import db
from leadcapture.leads import decisions, waiting
from leadcapture.outbox import gates


@blueprint.get("/")
@staff_only(*EVERYONE)
def now() -> ResponseReturnValue:
    """The first page: it answers who waits before anything is clicked."""
    at = web.now()
    queue = waiting.call_queue(db.session(), at)
    return render_template(
        "dashboard/now.html",
        queue=[(waits, _facts(waits)) for waits in queue],
        waiting_count=waiting.count_waiting(db.session()),
        held=decisions.held_requests(db.session()),
        held_count=decisions.count_held(db.session()),
        letters=decisions.stuck_letters(db.session()),
        tasks=decisions.open_tasks(db.session()),
        gate=gates.closed_gate(db.session(), at),
        may_decide=may_decide(),
    )


def _facts(waits: waiting.Waiting) -> list[str]:
    """What a caller must know, in a line: the conditions, language, way in, and wish."""
    facts = []
    if waits.request is not None:
        answers = open_answers(waits.request)
        facts += [words.of(words.CONDITION, condition) for condition in answers.conditions]
        facts += [answers.unreadable] if answers.unreadable else []
    facts.append(waits.lead.language.upper())
    if waits.request is not None:
        facts.append(words.of(words.CHANNEL, waits.request.channel))
    wish = words.wish(waits.lead.contact_by, waits.lead.contact_time)
    return [*facts, wish] if wish else facts
