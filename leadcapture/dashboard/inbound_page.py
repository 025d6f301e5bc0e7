"""A stranger's mail, opened for those who may read what patients write."""

import json
from collections.abc import Sequence

from flask import abort, render_template
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from leadcapture import web
from leadcapture.accounts.access import CARE, may_read_health, staff_only
from leadcapture.dashboard.blueprint import blueprint
from leadcapture.database import db
from leadcapture.models import InboundMail, Task
from leadcapture.vault import SealBroken


@blueprint.get("/mail/<ref>")
@staff_only(*CARE)
def inbound_mail(ref: str) -> ResponseReturnValue:
    """Who wrote, about what, in which words, and the task about it."""
    found = db.session.execute(
        select(InboundMail, Task)
        .outerjoin(Task, Task.id == InboundMail.task_id)
        .where(InboundMail.ref == ref)
    ).first()
    if found is None or found[0].content is None:
        abort(404)
    mail, task = found
    return render_template("dashboard/mail.html", mail=mail, task=task, words_of=_opened(mail))


def mails_of(tasks: Sequence[Task]) -> dict[int, str]:
    """The reference of the mail that a task is about, by the task's id; none for who may not."""
    if not may_read_health() or not tasks:
        return {}
    found = db.session.execute(
        select(InboundMail.task_id, InboundMail.ref).where(
            InboundMail.task_id.in_([task.id for task in tasks]), InboundMail.content.is_not(None)
        )
    )
    return {task_id: ref for task_id, ref in found if task_id is not None}


def _opened(mail: InboundMail) -> dict[str, str] | None:
    """``sender``, ``subject`` and ``text``; None where our keys do not open them."""
    try:
        opened = web.vault().open("inbound_mail", "content", mail.ref, mail.content or b"")
        found: dict[str, str] = json.loads(opened)
    except (SealBroken, ValueError):
        return None
    return found
