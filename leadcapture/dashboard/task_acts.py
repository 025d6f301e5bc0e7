"""Tasks by hand: written on a lead's page, done, not done after all, and put off."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from flask import abort, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from sqlalchemy import select
from sqlalchemy.orm import lazyload

from leadcapture import web
from leadcapture.accounts.access import EVERYONE, me, staff_only
from leadcapture.dashboard.answers import may_read_task
from leadcapture.dashboard.blueprint import blueprint
from leadcapture.dashboard.lead_page import Problem, find_lead, show_lead
from leadcapture.dashboard.times import day, exact, full_day
from leadcapture.database import db
from leadcapture.leads import cover, decisions, tasks, watched
from leadcapture.models import Staff, Task


@blueprint.post("/leads/<ref>/tasks")
@staff_only(*EVERYONE)
def lead_task(ref: str) -> ResponseReturnValue:
    """Write a task about the lead, for oneself or a colleague."""
    lead, now = find_lead(ref), web.now()
    text = request.form.get("text", "").replace("\0", "").replace("\r\n", "\n").strip()
    due_at = _due_at(now)
    owner = db.session.scalar(
        select(Staff)
        .where(Staff.email == request.form.get("owner", ""), Staff.active)
        .options(lazyload(Staff.roles))
    )
    if not text:
        return show_lead(lead, _problem(gettext("Write what is to be done."), "task-text", text))
    if len(text) > tasks.LONGEST_TEXT:
        most = gettext("Shorten this to %(most)s characters.", most=tasks.LONGEST_TEXT)
        return show_lead(lead, _problem(most, "task-text", text))
    if due_at is None:
        sentence = gettext("Say when it is due: a day and a time to come.")
        return show_lead(lead, _problem(sentence, "task-due", text))
    if owner is None:
        return show_lead(lead, _problem(gettext("Choose whose task it is."), "task-owner", text))
    tasks.add_task(db.session(), web.vault(), lead, owner, text, due_at, me().id, now)
    db.session.commit()
    flash(_kept(owner, due_at))
    return redirect(url_for("dashboard.lead", ref=lead.ref), 303)


@blueprint.post("/tasks/<ref>/completion")
@staff_only(*EVERYONE)
def task_completion(ref: str) -> ResponseReturnValue:
    """Tick a task off."""
    task = _find(ref)
    if not watched.may_close(db.session(), task, me()):
        flash(gettext("Only an administrator whom it is not about can close this alert."))
        return _back(task)
    is_own = watched.is_about(db.session(), task, me())
    done = decisions.finish_task(db.session(), task, me().id, web.now())
    if done:
        watched.note_closing(db.session(), task, me(), web.now())
    db.session.commit()
    if not done:
        flash(gettext("A colleague had done it already."))
        return _back(task)
    told = gettext("Done.")
    if is_own:
        told = gettext(
            "Done. The alert was about you; you are the only administrator, so the audit "
            "record says that you closed it yourself."
        )
    flash(told, f"message undo-task {task.ref}")
    return _back(task)


@blueprint.post("/tasks/<ref>/reopening")
@staff_only(*EVERYONE)
def task_reopening(ref: str) -> ResponseReturnValue:
    """Take back that a task was done."""
    task = _find(ref)
    if not watched.may_close(db.session(), task, me()):
        flash(gettext("Only an administrator whom it is not about can close this alert."))
        return _back(task)
    reopened = tasks.reopen_task(db.session(), task, me().id, web.now())
    if reopened:
        watched.note_reopening(db.session(), task, me(), web.now())
    db.session.commit()
    flash(gettext("It is to do again.") if reopened else gettext("It was to do already."))
    return _back(task)


@blueprint.post("/tasks/<ref>/snooze")
@staff_only(*EVERYONE)
def task_snooze(ref: str) -> ResponseReturnValue:
    """Put a task off to tomorrow's morning or next week."""
    task, word = _find(ref), request.form.get("until", "")
    if word not in set(tasks.Snooze):
        abort(400)
    until = tasks.Snooze(word).until(web.now(), web.settings().clinic.time_zone)
    act = tasks.put_off(db.session(), task, until, me().id, web.now())
    db.session.commit()
    if act:
        flash(gettext("Put off to %(when)s.", when=exact(until)), f"message undo {act.ref}")
    else:
        flash(gettext("A colleague had done it already."))
    return _back(task)


def _kept(owner: Staff, due_at: datetime) -> str:
    """That the task is kept, and who hears of it when it is due."""
    facts = {"name": owner.name, "when": exact(due_at)}
    absence = cover.absences(db.session(), due_at).get(owner.id)
    if absence is None or absence.until is None:
        return str(gettext("The task is kept. %(name)s gets mail %(when)s.", **facts))
    facts["day"] = full_day(day(absence.until))
    if absence.cover is None:
        return str(
            gettext(
                "The task is kept. %(name)s is out of office until %(day)s: whoever is on duty "
                "gets mail %(when)s.",
                **facts,
            )
        )
    return str(
        gettext(
            "The task is kept. %(name)s is out of office until %(day)s: %(cover)s gets mail "
            "%(when)s.",
            **facts,
            cover=absence.cover.name,
        )
    )


def _find(ref: str) -> Task:
    """The task; 403 for whoever may not read what they would tick off."""
    task = db.session.scalar(select(Task).where(Task.ref == ref))
    if task is None:
        abort(404)
    if not may_read_task(task):
        abort(403)
    return task


def _back(task: Task) -> ResponseReturnValue:
    if request.form.get("back") == "lead" and task.lead is not None:
        return redirect(url_for("dashboard.lead", ref=task.lead.ref), 303)
    return redirect(url_for("dashboard.now"), 303)


def _due_at(now: datetime) -> datetime | None:
    """The typed time, on the clinic's clock, in UTC; None for what is no time to come."""
    zone = ZoneInfo(web.settings().clinic.time_zone)
    try:
        typed = datetime.fromisoformat(request.form.get("due_at", ""))
        at = typed.replace(tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return at if now < at < now + tasks.FARTHEST else None


def _problem(sentence: str, field: str, text: str) -> Problem:
    typed = request.form
    return Problem(str(sentence), field, text, typed.get("due_at", ""), typed.get("owner", ""))
