"""Next steps: what comes next for each lead of a page, from what is on record."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from leadcapture.leads.among import among
from leadcapture.models import Lead, Message, MessageKind, MessageState, Task


class StepKind(enum.StrEnum):
    """A task by a person, a first answer that is due, or a letter that leaves by itself."""

    TASK = "task"
    ANSWER = "answer"
    LETTER = "letter"


@dataclass(frozen=True)
class NextStep:
    """What comes next and when it is due; ``task`` is the kind of a task."""

    kind: StepKind
    at: datetime
    task: str = ""


def next_steps(session: Session, leads: Sequence[Lead]) -> Mapping[int, NextStep]:
    """The next step of each lead that has one, by its id: two questions for any number.

    A task comes before a letter, because a person is waiting for it to be done.
    """
    ids = [lead.id for lead in leads]
    if not ids:
        return {}
    steps = {
        lead_id: NextStep(StepKind.LETTER, due_at)
        for lead_id, due_at in session.execute(
            select(Message.lead_id, func.min(Message.due_at))
            .where(
                among(session, Message.lead_id, ids),
                Message.kind == MessageKind.FOLLOW_UP,
                Message.state == MessageState.QUEUED,
            )
            .group_by(Message.lead_id)
        )
        if lead_id is not None
    }
    for lead in leads:
        if lead.waiting_since is not None:
            due = lead.first_response_due_at or lead.waiting_since
            steps[lead.id] = NextStep(StepKind.ANSWER, due)
    tasks = session.execute(
        select(Task.lead_id, Task.kind, Task.due_at)
        .where(
            among(session, Task.lead_id, ids),
            Task.done_at.is_(None),
            Task.kind.not_like("response_%"),
        )
        .order_by(Task.due_at.desc())
    )
    for lead_id, kind, due_at in tasks:
        if lead_id is not None:
            steps[lead_id] = NextStep(StepKind.TASK, due_at, kind)
    return steps
