"""Now: who waits for a person, and what waits for a decision."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from itertools import groupby
from operator import attrgetter
from zoneinfo import ZoneInfo

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from sqlalchemy import select

from leadcapture import web
from leadcapture.accounts.access import EVERYONE, may_decide, may_read_health, me, staff_only
from leadcapture.dashboard import words
from leadcapture.dashboard.answers import may_read_task, open_answers, open_task
from leadcapture.dashboard.blueprint import blueprint
from leadcapture.dashboard.inbound_page import mails_of
from leadcapture.dashboard.lead_page import find_lead
from leadcapture.dashboard.stale_page import ask_if_stale
from leadcapture.database import db
from leadcapture.leads import (
    assignment,
    bulk,
    clock,
    contact,
    cover,
    decisions,
    mentions,
    waiting,
    watch,
    watched,
)
from leadcapture.models import LeadStatus, Staff
from leadcapture.outbox import gates

_COLLEAGUES = 12


@blueprint.get("/")
@staff_only(*EVERYONE)
def now() -> ResponseReturnValue:
    """The first page: it answers who waits before anything is clicked."""
    at = web.now()
    rules = clock.read_rules(db.session(), web.settings().clinic.time_zone)
    queue = waiting.call_queue(
        db.session(), rules, at, request.args.get("page", default=1, type=int)
    )
    # The queue itself shows who is late: the tasks that say so would say it twice.
    midnight = _midnight(at)
    counts = decisions.count_tasks(db.session(), at, midnight, but=watch.KINDS)
    todo = _page("todo", counts.overdue + counts.today + counts.later)
    tasks = decisions.open_tasks(db.session(), but=watch.KINDS, page=todo.number)
    held_count = decisions.count_held(db.session())
    decide = _typed_page("decide")
    letters, letter_count = decisions.stuck_letters(db.session(), decide)
    alerts = decisions.open_alerts(db.session())
    members, absent = cover.team(db.session(), at)
    return render_template(
        "dashboard/now.html",
        queue=queue,
        turns=[
            (turn, [(waits, _facts(waits)) for waits in group])
            for turn, group in groupby(queue.waiting, key=attrgetter("turn"))
        ],
        clock_runs=rules.hours.is_open(at),
        now=at,
        warn=rules.warn,
        target=rules.target,
        colleagues=[one for one in members if one.id != me().id][:_COLLEAGUES],
        me=me(),
        held=decisions.held_requests(db.session(), decide),
        letters=letters,
        decide_count=held_count + letter_count,
        decide=Page(decide, _pages(max(held_count, letter_count))),
        alerts=alerts,
        watched=watched.whom(db.session(), alerts),
        closable={task.id for task in alerts if watched.may_close(db.session(), task, me())},
        counts=counts,
        todo=todo,
        overdue=[task for task in tasks if task.due_at < at],
        today=[task for task in tasks if at <= task.due_at < midnight],
        later=[task for task in tasks if task.due_at >= midnight],
        mails=mails_of(tasks),
        open_task=open_task,
        may_read_task=may_read_task,
        absent=absent,
        mentions=mentions.unopened(db.session(), me().id),
        standing_since=web.probe().standing_since(at),
        gate=gates.closed_gate(db.session(), at),
        may_decide=may_decide(),
    )


@blueprint.post("/leads/<ref>/assignee")
@staff_only(*EVERYONE)
def assignee(ref: str) -> ResponseReturnValue:
    """Assign the lead to a colleague, or to whoever presses."""
    lead = find_lead(ref)
    if lead.status is LeadStatus.HELD:
        abort(409)
    to = db.session.scalar(
        select(Staff).where(Staff.email == request.form.get("to", ""), Staff.active)
    )
    if to is None:
        abort(400)
    if asked := ask_if_stale(lead, (gettext("Owner"), to.name)):
        return asked
    before, at, undo = lead.owner_id, web.now(), ""
    if to.id == me().id:
        moved = contact.assign(db.session(), lead, to.id, to.id, at)
    else:
        moved = assignment.assign_to(db.session(), lead, to, me().id, at)
    if moved:
        act = bulk.keep_assignment(db.session(), lead, before, to, me().id, at)
        undo = f" undo {act.ref}"
    db.session.commit()
    told = gettext("%(lead)s belongs to %(colleague)s now.", lead=lead.full_name, colleague=to.name)
    if not moved:
        told = gettext("Nothing changed: a colleague may have been quicker.")
    flash(told, f"message{undo}")
    if request.form.get("back") == "lead":
        return redirect(url_for("dashboard.lead", ref=lead.ref), 303)
    return redirect(url_for("dashboard.now"), 303)


@dataclass(frozen=True)
class Page:
    """Which page of a part is shown, of how many; numbered from 1."""

    number: int
    pages: int


def _page(name: str, count: int) -> Page:
    pages = _pages(count)
    return Page(min(_typed_page(name), pages), pages)


def _pages(count: int) -> int:
    return max(-(-count // decisions.SHOWN), 1)


def _typed_page(name: str) -> int:
    typed = request.args.get(name, default=1, type=int)
    return min(max(typed, 1), decisions.COUNTED)


def _midnight(at: datetime) -> datetime:
    """When the clinic's day ends."""
    zone = ZoneInfo(web.settings().clinic.time_zone)
    return datetime.combine(at.astimezone(zone).date() + timedelta(days=1), time(), zone)


def _facts(waits: waiting.Waiting) -> list[str]:
    """What a caller must know, in a line: the conditions, language, way in, and wish."""
    facts = []
    if waits.request is not None:
        answers = open_answers(waits.request)
        facts += [words.of(words.CONDITION, condition) for condition in answers.conditions]
        # Whom it is not for reads it on the lead's page, not in each row.
        facts += [answers.unreadable] if answers.unreadable and may_read_health() else []
    facts.append(waits.lead.language.upper())
    if waits.request is not None:
        facts.append(words.of(words.CHANNEL, waits.request.channel))
    wish = words.wish(waits.lead.contact_by, waits.lead.contact_time)
    return [*facts, wish] if wish else facts
