"""A lead's page: who they are, all that happened, all that is to come, and the next step."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from flask import abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from leadcapture import web
from leadcapture.accounts.access import EVERYONE, may_decide, me, staff_only
from leadcapture.dashboard import on_record
from leadcapture.dashboard.answers import Answers, may_read_task, open_answers, open_note, open_task
from leadcapture.dashboard.blueprint import blueprint
from leadcapture.dashboard.bulk_acts import done as done_last
from leadcapture.dashboard.merging_page import just_told_apart
from leadcapture.database import db
from leadcapture.leads import clock, cover, letters_ahead, mentions, merging, pipeline, tags, tasks
from leadcapture.leads.contact import LONGEST_NOTE, CallOutcome, Meeting
from leadcapture.leads.duplicates import duplicates
from leadcapture.leads.merged import standing_for
from leadcapture.leads.waiting import due_of
from leadcapture.models import (
    Consent,
    Lead,
    LeadStatus,
    Message,
    MessageKind,
    Request,
    Staff,
    TimelineEntry,
)
from leadcapture.outbox import stops

_SHOWN = 200


@dataclass(frozen=True)
class Event:
    """A line of the timeline: an entry with its note opened, or a letter that has left or not."""

    at: datetime
    entry: TimelineEntry | None = None
    letter: Message | None = None
    note: str = ""
    answers: Answers | None = None
    request: Request | None = None


def find_lead(ref: str) -> Lead:
    """The lead that a page is about; 404 for any other reference."""
    lead = db.session.scalar(
        select(Lead).where(Lead.ref == ref).options(joinedload(Lead.owner).lazyload(Staff.roles))
    )
    if lead is None:
        abort(404)
    return lead if lead.merged_into_id is None else _standing(lead)


def _standing(merged: Lead) -> Lead:
    """The lead that stands for one that was merged: a page moves there, an act is done there."""
    if "X-Live" in request.headers:
        # The script of an open page: it says that the lead is no longer there.
        abort(404)
    lead = standing_for(db.session(), merged)
    if request.method == "GET":
        values = {**(request.view_args or {}), "ref": lead.ref}
        abort(redirect(url_for(str(request.endpoint), **values), 303))
    return lead


@blueprint.get("/leads/<ref>")
@staff_only(*EVERYONE)
def lead(ref: str) -> ResponseReturnValue:
    """The lead's page. That it was opened is on record before anything of it is shown."""
    found = find_lead(ref)
    on_record.lead_opened(found)
    mentions.open_mentions(db.session(), db.engine, me().id, found.id, web.now())
    return show_lead(found)


@dataclass(frozen=True)
class Problem:
    """What went wrong with a form of the page: a sentence, its field, and what was typed there."""

    sentence: str
    field: str
    typed: str = ""
    typed_at: str = ""
    chosen: str = ""


def show_lead(lead: Lead, problem: Problem | None = None) -> ResponseReturnValue:
    """The lead's page, with what went wrong with a form of it, if anything."""
    letters = _letters(lead)
    requests = _requests(lead)
    to_come = [letter for letter in letters if letters_ahead.is_ahead(letter)]
    to_do, done = tasks.tasks_of(db.session(), lead)
    owners, absent = cover.team(db.session(), web.now())
    page = render_template(
        "dashboard/lead.html",
        lead=lead,
        requests=requests,
        asked=[(request, open_answers(request)) for request in requests],
        consents=_consents(lead),
        to_come=sorted(to_come, key=lambda letter: letter.due_at, reverse=True),
        past=_past(lead, letters),
        duplicates=duplicates(db.session(), lead),
        moves=pipeline.moves_from(lead.status),
        reasons=list(pipeline.ClosedReason),
        outcomes=list(CallOutcome),
        meetings=list(Meeting),
        tags=tags.tags_of(db.session(), [lead.id]).get(lead.id, ()),
        offered_tags=tags.list_tags(db.session()),
        to_do=to_do,
        tasks_done=done,
        done=done_last(),
        apart=just_told_apart(lead),
        just_merged=request.args.get("merged", ""),
        merges=merging.merges_of(db.session(), lead, web.now()),
        may_decide=may_decide(),
        may_merge=may_decide() and lead.status is not LeadStatus.HELD,
        open_task=open_task,
        may_read_task=may_read_task,
        longest_task=tasks.LONGEST_TEXT,
        owners=owners,
        absent=absent,
        is_paused=letters_ahead.is_paused,
        has_packet=any(letter.kind == MessageKind.PACKET for letter in letters),
        has_follow_ups=any(letter.kind == MessageKind.FOLLOW_UP for letter in to_come),
        is_held=lead.status is LeadStatus.HELD,
        answer_due_at=due_of(lead, _rules()),
        no_mail=stops.why_no_mail(db.session(), lead.cap_hash) if lead.email else "",
        now=web.now(),
        me=me(),
        problem=problem,
        longest_note=LONGEST_NOTE,
    )
    return page, 422 if problem else 200


def _rules() -> clock.Rules:
    return clock.current_rules(db.session(), web.now(), web.settings().clinic.time_zone)


def _past(lead: Lead, letters: Sequence[Message]) -> list[Event]:
    """All that happened, newest first: entries, and letters that left or never will."""
    events = [Event(entry.at, entry=entry, note=open_note(entry)) for entry in _entries(lead)]
    events += [
        Event(letter.sent_at or letter.state_at, letter=letter)
        for letter in letters
        if not letters_ahead.is_ahead(letter)
    ]
    return sorted(events, key=lambda event: event.at, reverse=True)[:_SHOWN]


def _entries(lead: Lead) -> Sequence[TimelineEntry]:
    return db.session.scalars(
        select(TimelineEntry)
        .where(TimelineEntry.lead_id == lead.id)
        .options(joinedload(TimelineEntry.actor).lazyload(Staff.roles))
        .order_by(TimelineEntry.at.desc(), TimelineEntry.id.desc())
        .limit(_SHOWN)
    ).all()


def _letters(lead: Lead) -> Sequence[Message]:
    return db.session.scalars(
        select(Message)
        .where(Message.lead_id == lead.id, Message.kind != MessageKind.STAFF_ALERT)
        .order_by(Message.due_at.desc(), Message.id.desc())
        .limit(_SHOWN)
    ).all()


def _requests(lead: Lead) -> Sequence[Request]:
    return db.session.scalars(
        select(Request)
        .where(Request.lead_id == lead.id)
        .order_by(Request.created_at.desc(), Request.id.desc())
        .limit(20)
    ).all()


def _consents(lead: Lead) -> Sequence[Consent]:
    return db.session.scalars(
        select(Consent)
        .where(Consent.lead_id == lead.id)
        .options(joinedload(Consent.recorded_by).lazyload(Staff.roles))
        .order_by(Consent.given_at.desc(), Consent.id.desc())
        .limit(20)
    ).all()
