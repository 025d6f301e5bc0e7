"""The demo: thirty believable leads, one in every state, written by the functions that serve."""

import secrets
import unicodedata
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.demo.people import PEOPLE, SOURCES, Person
from leadcapture.demo.post import Post
from leadcapture.intake.consent_texts import current_text
from leadcapture.intake.receive import discard, receive
from leadcapture.intake.submission import Submission
from leadcapture.leads import clock, contact, pipeline, sources
from leadcapture.models import ConsentKind, Lead, LeadStatus, Request, Staff
from leadcapture.settings import Settings
from leadcapture.vault import Vault

_TOKEN = "demo-{}"  # noqa: S105
_ANSWERED = ("contacted", "booked", "patient", "reopened")


def fill(session: Session, vault: Vault, settings: Settings, now: datetime) -> int:
    """Write the leads that are not there yet; how many. Their addresses reach nobody."""
    written = 0
    if not sources.read_rules(session):
        for name, told in SOURCES.items():
            sources.add_rule(session, name, {"utm_source": told})
    for number, person in enumerate(PEOPLE):
        token = _TOKEN.format(number)
        if session.scalar(select(Request.id).where(Request.token == token)) is None:
            _write(session, vault, settings, person, token, now)
            written += 1
    return written


def _write(
    session: Session, vault: Vault, settings: Settings, person: Person, token: str, now: datetime
) -> None:
    post = Post(session, vault, settings)
    asked_at = now - timedelta(hours=person.hours_ago)
    request = _ask(session, vault, settings, person, token, asked_at)
    post.send_at_once(request, person.then, asked_at)
    hours = clock.current_rules(session, now, settings.clinic.time_zone).hours
    answered_at = hours.after(asked_at, timedelta(minutes=person.answered_after))
    # A clinic that was closed since then has answered nobody yet.
    _answer(session, vault, person, request, min(answered_at, now))
    post.send_later(request, person.then, now)
    if person.then == "reopened":
        again = _ask(session, vault, settings, person, f"again-{token}", now)
        post.send_at_once(again, "", now)
    session.flush()


def _ask(
    session: Session, vault: Vault, settings: Settings, person: Person, token: str, at: datetime
) -> Request:
    receive(session, vault, settings, _submission(person, token), at)
    return session.scalars(select(Request).where(Request.token == token)).one()


def _submission(person: Person, token: str) -> Submission:
    kinds = [ConsentKind.HEALTH] + [ConsentKind.FOLLOW_UPS] * person.follow_ups
    email = _address(person.name)
    held = person.then in ("held", "discarded")
    return Submission(
        token=token,
        full_name=person.name,
        email=email,
        email_typed=email,
        conditions=(person.condition,),
        consents=tuple(current_text(kind, person.language).given() for kind in kinds),
        language=person.language,
        time_zone=person.zone,
        message=person.message,
        phone=person.phone or None,
        phone_typed=person.phone,
        country=person.country,
        contact_by="phone" if person.phone else "email",
        contact_time=person.wish,
        page="/",
        held_reason="links" if "http" in person.message else "too_fast" if held else "",
        touch={"first": {"utm_source": person.source}} if person.source else {},
    )


def _address(name: str) -> str:
    """``maria.jose.quesada@example.com``: letters keep their place when they lose their accent."""
    plain = unicodedata.normalize("NFKD", name.lower()).encode("ascii", "ignore").decode()
    words = "".join(sign if sign.isalnum() else " " for sign in plain.replace("'", "")).split()
    return f"{'.'.join(words)}@example.com"


def _answer(session: Session, vault: Vault, person: Person, request: Request, at: datetime) -> None:
    """Let the clinic do for this person what the demo shows."""
    lead: Lead = request.lead
    actor = _colleague(session, at)
    if person.then in _ANSWERED:
        contact.assign(session, lead, actor.id, actor.id, at)
        outcome = contact.CallOutcome.REACHED
        contact.log_call(session, vault, lead, actor.id, at, outcome, person.note)
    elif person.then in (contact.CallOutcome.LEFT_MESSAGE, contact.CallOutcome.NO_ANSWER):
        outcome = contact.CallOutcome(person.then)
        contact.log_call(session, vault, lead, actor.id, at, outcome)
    later = at + timedelta(minutes=3)
    if person.then in ("booked", "patient"):
        pipeline.change_status(session, lead, LeadStatus(person.then), actor.id, later)
    elif person.then in ("closed", "reopened"):
        reason = pipeline.ClosedReason.COST
        pipeline.change_status(session, lead, LeadStatus.CLOSED, actor.id, later, reason)
    elif person.then == "discarded":
        discard(session, request, actor.id, at)


def _colleague(session: Session, now: datetime) -> Staff:
    """Somebody who has done the work; an account that cannot sign in (AU-10)."""
    found = session.scalars(select(Staff).where(Staff.email == "demo@example.com")).first()
    if found is None:
        found = Staff(
            email="demo@example.com",
            name="Sofía (demo)",
            language="en",
            password=None,
            active=False,
            fs_uniquifier=secrets.token_hex(32),
            created_at=now,
        )
        session.add(found)
        session.flush()
    return found
