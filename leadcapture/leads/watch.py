"""The watch: staff hear that somebody waits before it is late, when it is, and after that."""

import secrets
from datetime import datetime

from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session

from leadcapture.leads import assignment, cover, reminders, watched
from leadcapture.leads.clock import Rules, clock_columns, read_rules
from leadcapture.leads.staff_letters import due_words, values_about
from leadcapture.leads.waiting import latest_requests
from leadcapture.letters.versions import current_versions
from leadcapture.models import Lead, LeadStatus, MessageKind, Staff, Task
from leadcapture.outbox.queue import Draft, enqueue
from leadcapture.settings import Settings
from leadcapture.vault import Vault

AT_ONCE = 200
BEFORE, AT, AFTER = range(3)
"""The levels of warning, as ``Lead.warnings`` counts them."""
KINDS = ("response_due", "response_late", "response_next")


class ResponseWatch:
    """A duty of the scheduler: clocks are read, requests given out, people warned.

    Safe to repeat and to run in several processes: a warning exists once for each level of each
    wait. Its letters say neither name nor anything of health.
    """

    def __init__(self, settings: Settings, vault: Vault) -> None:
        self.settings = settings
        self.vault = vault

    def watch_responses(self, session: Session, now: datetime) -> None:
        """What falls due is warned about within one tick."""
        rules = read_rules(session, self.settings.clinic.time_zone)
        read_clocks(session, rules)
        assignment.hand_over(session, rules, now)
        assignment.assign_waiting(session, rules, now)
        self._warn(session, rules, now)
        close_answered(session, now)
        reminders.remind_owners(session, self.settings, self.vault, now)
        watched.tell_administrators(session, self.settings, self.vault, now)

    def _warn(self, session: Session, rules: Rules, now: datetime) -> None:
        late = session.scalars(
            select(Lead)
            .where(Lead.warning_due_at <= now)
            .order_by(Lead.warning_due_at)
            .limit(AT_ONCE)
            # Of two processes that come by at once, one warns.
            .with_for_update(skip_locked=True, of=Lead, key_share=True)
        ).all()
        requests = latest_requests(session, [lead.id for lead in late])
        for lead in late:
            request = requests.get(lead.id)
            self._warn_of(session, rules, lead, request.channel if request else "", now)

    def _warn_of(
        self, session: Session, rules: Rules, lead: Lead, channel: str, now: datetime
    ) -> None:
        if lead.waiting_since is None:
            lead.warning_due_at = None
            return
        times = rules.warnings_after(lead.waiting_since, channel)
        reached = max((n for n, at in enumerate(times) if at <= now), default=None)
        # Who was asleep while two levels passed gives the later warning only.
        if reached is not None and reached >= lead.warnings and lead.status is not LeadStatus.HELD:
            self._warn_once(session, rules, lead, reached, times[AT], now)
            lead.warnings = reached + 1
        lead.warning_due_at = times[lead.warnings] if lead.warnings < len(times) else None

    def _warn_once(
        self,
        session: Session,
        rules: Rules,
        lead: Lead,
        level: int,
        target_at: datetime,
        now: datetime,
    ) -> None:
        """A task and a letter for the owner; after the target, for the next person.

        Before the target it says when that is, from then on when it was and how long ago.
        """
        to = _whom(session, rules, lead, level, now)
        wait = f"{lead.waiting_since:%Y%m%d%H%M%S}"
        _ask(session, lead, f"response:{lead.ref}:{wait}", KINDS[level], to, now)
        language = to.language if to else "en"
        due_at = lead.first_response_due_at or target_at
        kind = "staff_due" if now < due_at else "staff_late"
        values = values_about(session, self.settings, lead, due_at, language)
        values["received_at"] = due_words(self.settings, due_at, now, language)
        draft = Draft(
            kind=MessageKind.STAFF_ALERT,
            dedupe_key=f"alert:response:{lead.ref}:{wait}:{level}",
            recipient=to.email if to else self.settings.staff_alerts_to,
            language=language,
            time_zone=self.settings.clinic.time_zone,
            due_at=now,
            letter=current_versions(session, now)[kind, "", language],
            values=values,
            lead_id=lead.id,
        )
        enqueue(session, self.vault, self.settings.mail_domain, [draft], now)


def read_clocks(session: Session, rules: Rules) -> int:
    """Write down when each new wait is due, two hundred at a time; how many there were."""
    undated = session.execute(
        select(Lead.id, Lead.waiting_since, Lead.warnings)
        .where(Lead.waiting_since.is_not(None), Lead.first_response_due_at.is_(None))
        .order_by(Lead.waiting_since)
        .limit(AT_ONCE)
        # What somebody holds is read a moment later: the watch holds many, and waits for nobody.
        .with_for_update(skip_locked=True, of=Lead, key_share=True)
    ).all()
    requests = latest_requests(session, [row.id for row in undated])
    for row in undated:
        channel = requests[row.id].channel if row.id in requests else ""
        columns: dict[str, datetime | None] = {**clock_columns(rules, row.waiting_since, channel)}
        if row.warnings:
            # Rules that change do not give a warning a second time.
            times = rules.warnings_after(row.waiting_since, channel)
            columns["warning_due_at"] = times[row.warnings] if row.warnings < len(times) else None
        session.execute(
            update(Lead)
            .where(Lead.id == row.id, Lead.waiting_since == row.waiting_since)
            .values(**columns)
        )
    return len(undated)


def close_answered(session: Session, now: datetime) -> None:
    """Tick off the warnings about people whom somebody has answered since."""
    waits = exists().where(Lead.id == Task.lead_id, Lead.waiting_since.is_not(None))
    session.execute(
        update(Task)
        .where(Task.done_at.is_(None), Task.kind.in_(KINDS), ~waits)
        .values(done_at=now)
        .execution_options(synchronize_session=False)
    )


def _whom(session: Session, rules: Rules, lead: Lead, level: int, now: datetime) -> Staff | None:
    """The owner, or who stands in; after the target, or without an owner, the next person.

    None: the team.
    """
    owner = session.get(Staff, lead.owner_id) if lead.owner_id else None
    if owner is None:
        return assignment.next_person(session, rules, lead.language, now)
    warned = cover.acting_for(session, rules, owner, lead.language, now)
    if level < AFTER:
        return warned
    but = [one.id for one in (owner, warned) if one is not None]
    return assignment.next_person(session, rules, lead.language, now, but)


def _ask(
    session: Session, lead: Lead, key: str, kind: str, to: Staff | None, now: datetime
) -> None:
    """One task for a wait: each level gives it its own words and person."""
    task = session.scalar(select(Task).where(Task.dedupe_key == key))
    if task is None:
        task = Task(ref=secrets.token_urlsafe(16), dedupe_key=key, lead_id=lead.id, created_at=now)
        session.add(task)
    task.kind, task.owner_id, task.due_at, task.done_at = kind, to.id if to else None, now, None
