"""A form that comes again: the request it made before or, corrected, one more of its own.

Whoever got no answer and mends their address before they press again would otherwise be thanked
for the request that went to the wrong one.
"""

import dataclasses
import json
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.intake.receive import receive
from leadcapture.intake.submission import Received, Submission
from leadcapture.models import Consent, Request
from leadcapture.settings import Settings
from leadcapture.vault import Vault


def receive_form(
    session: Session, vault: Vault, settings: Settings, submission: Submission, now: datetime
) -> Received:
    """`receive`; a known token that says something else makes a request under a key of its own.

    That key follows from token and words, so that it comes again as the same request too. With
    another address it waits for a person: one fresh form must not write to a hundred (AB-05).
    Only a form that does come again costs a question more.
    """
    received = receive(session, vault, settings, submission, now)
    if not received.is_repeat or _receipt_of(session, vault, submission, submission.token):
        return received
    first = session.scalar(select(Request.email_typed).where(Request.token == submission.token))
    is_same_address = first is not None and first.casefold() == submission.email_typed.casefold()
    corrected = dataclasses.replace(
        submission,
        token=_own_key(vault, submission),
        held_reason=submission.held_reason or ("" if is_same_address else "other_address"),
    )
    return receive(session, vault, settings, corrected, now)


def find_receipt(session: Session, vault: Vault, submission: Submission) -> str | None:
    """The receipt that this form got when it said the same before; None where it never did."""
    return _receipt_of(session, vault, submission, submission.token) or _receipt_of(
        session, vault, submission, _own_key(vault, submission)
    )


def _receipt_of(session: Session, vault: Vault, submission: Submission, key: str) -> str | None:
    request = session.scalar(select(Request).where(Request.token == key))
    if request is None or _said_by(session, vault, request) != _words(submission):
        return None
    return request.receipt


def _own_key(vault: Vault, submission: Submission) -> str:
    # With our key: nobody who reads the column can try which words it was made of.
    words = json.dumps([submission.token, _words(submission)], sort_keys=True)
    return vault.keyed_hash("corrected-form", words)


def _words(submission: Submission) -> dict[str, Any]:
    return _in_one_form(submission, submission.conditions, submission.message, submission.consents)


def _said_by(session: Session, vault: Vault, request: Request) -> dict[str, Any]:
    sealed = vault.open("request", "answers", request.receipt, request.answers)
    answers = json.loads(sealed)
    given = session.scalars(select(Consent).where(Consent.request_id == request.id))
    return _in_one_form(request, answers["conditions"], answers["message"], given)


def _in_one_form(
    asked: Submission | Request, conditions: Any, message: str, consents: Any
) -> dict[str, Any]:
    """What a person said, as it is both posted and kept; not how or from where it was sent."""
    return {
        "full_name": asked.full_name,
        "email": asked.email_typed.casefold(),
        "phone": asked.phone_typed,
        "country": asked.country,
        "contact_by": asked.contact_by,
        "contact_time": asked.contact_time,
        "time_zone": asked.time_zone,
        "language": asked.language,
        "conditions": sorted(conditions),
        "message": message,
        "consents": sorted(consent.kind for consent in consents),
    }
