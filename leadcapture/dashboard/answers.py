"""Answers: what patients and colleagues wrote about health, opened for those who may read it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from flask_babel import gettext

from leadcapture import web
from leadcapture.accounts.access import may_read_health, me
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
    """What a task says; its owner may always read it. Empty for a task without a text."""
    if task.text is None:
        return ""
    if not may_read_health() and task.owner_id != me().id:
        return str(gettext("A task for coordinators."))
    try:
        return web.vault().open("task", "text", task.ref, task.text)
    except SealBroken:
        return str(gettext("This task cannot be opened with our keys."))
