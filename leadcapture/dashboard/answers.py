"""Answers: what patients and colleagues wrote about health, opened for those who may read it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from flask import g
from flask_babel import gettext

from leadcapture import web
from leadcapture.accounts.access import CARE, may_read_health, me
from leadcapture.database import db
from leadcapture.leads import cover
from leadcapture.models import Request, Task, TimelineEntry
from leadcapture.vault import SealBroken


@dataclass(frozen=True)
class Answers:
    """A request's answers; ``unreadable`` says why there are none."""

    conditions: Sequence[str] = ()
    message: str = ""
    unreadable: str = ""


def open_answers(request: Request) -> Answers:
    """The conditions and the message of a request, as far as this reader may see them."""
    if not may_read_health():
        return Answers(unreadable=gettext("Only coordinators read what was asked."))
    try:
        opened = web.vault().open("request", "answers", request.receipt, request.answers)
        answers = json.loads(opened)
    except (SealBroken, ValueError):
        return Answers(unreadable=gettext("This answer cannot be opened with our keys."))
    return Answers(tuple(answers.get("conditions", ())), answers.get("message", ""))


def open_note(entry: TimelineEntry) -> str:
    """The note of a timeline entry; its writer may always read it."""
    if entry.note is None:
        return ""
    if not may_read_health() and entry.actor_id != me().id:
        return str(gettext("A note for coordinators."))
    try:
        return web.vault().open("timeline_entry", "note", entry.ref, entry.note)
    except SealBroken:
        return str(gettext("This note cannot be opened with our keys."))


def open_task(task: Task) -> str:
    """What a task says; its owner may always read it. Empty for a task without a text.

    So may who stands in for an owner who may read no more than they: what coordinators write
    for each other is not theirs (AU-12).
    """
    if task.text is None:
        return ""
    if not may_read_task(task):
        return str(gettext("A task for coordinators."))
    try:
        return web.vault().open("task", "text", task.ref, task.text)
    except SealBroken:
        return str(gettext("This task cannot be opened with our keys."))


def may_read_task(task: Task) -> bool:
    """Whether this reader may read what the task says, and so tick it off or put it off.

    A task without a text, such as a call back, is everybody's.
    """
    is_theirs = task.owner_id == me().id or task.text is None
    return is_theirs or may_read_health() or _stands_in(task)


def _stands_in(task: Task) -> bool:
    if "covered" not in g:
        g.covered = cover.covered_by(db.session(), me().id, web.now())
    owner = task.owner
    if owner is None or owner.id not in g.covered or not g.covered[owner.id].holds(task.due_at):
        return False
    return not any(role.name in CARE for role in owner.roles)
