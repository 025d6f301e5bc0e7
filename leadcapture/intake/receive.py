"""Receive: a submission becomes lead, request, consents, letters and alert in one transaction."""

import json
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection, bindparam, case, func, literal, select, update
from sqlalchemy.orm import Session

from leadcapture.database import pipelined, table_of
from leadcapture.intake import addresses, letters_due
from leadcapture.intake.submission import Received, Submission
from leadcapture.leads import references, timeline
from leadcapture.leads.merged import hold_standing
from leadcapture.leads.search import search_text
from leadcapture.models import Consent, ConsentKind, Lead, LeadStatus, Request, Screening
from leadcapture.outbox import caps
from leadcapture.outbox.holding import hold_leads
from leadcapture.outbox.queue import new_ref
from leadcapture.prepared import Prepared, insert_rows
from leadcapture.settings import Settings
from leadcapture.vault import Vault

_LEAD = table_of(Lead)
_CONSENTS = Prepared(partial(insert_rows, table_of(Consent)))
_RECEIPT_OF_TOKEN = select(Request.receipt).where(Request.token == bindparam("token"))


def receive(
    session: Session, vault: Vault, settings: Settings, submission: Submission, now: datetime
) -> Received:
    """Write all that a submission causes; the caller commits and only then answers.

    A token that was received before, at this moment or in another process, changes nothing
    and gets the receipt that it got then.
    """
    cap_hash = vault.keyed_hash("address", addresses.cap_key(submission.lead_key))
    held = bool(submission.held_reason)
    receipt = references.new_reference()
    # Sealing and hashing come first: from the first statement on, others wait for this one.
    lead_row = _lead_row(settings, submission, cap_hash, held, now)
    request_row = _request_row(vault, submission, receipt, now)
    connection = session.connection()
    lead = _join_lead(connection, lead_row, held) or _join_merged(session, lead_row, held)
    request_id = _write_request(connection, request_row | {"lead_id": lead.id})
    if request_id is None:
        # The token is known, perhaps since this moment: undo what was begun for it. Asking
        # beforehand would cost every first request a query and still not see this moment.
        session.rollback()
        return Received(_receipt_of(session, submission.token), is_repeat=True)
    occasion = letters_due.Occasion(
        lead=lead,
        request_id=request_id,
        receipt=receipt,
        full_name=submission.full_name,
        recipient=submission.email,
        conditions=submission.conditions,
        language=submission.language,
        follow_ups=any(given.kind is ConsentKind.FOLLOW_UPS for given in submission.consents),
        no_packet=submission.no_packet,
    )
    if held:
        letters = letters_due.letters_about_held(session, settings, occasion, now)
    else:
        letters = letters_due.letters_about(session, settings, occasion, now)
    reason = submission.held_reason
    with pipelined(session):
        _write_consents(connection, submission, lead.id, request_id, now)
        timeline.record(
            session,
            lead.id,
            "request_held" if held else "requested",
            now,
            actor_id=submission.recorded_by,
            request_id=request_id,
            facts={"reason": reason} if held else {"channel": submission.channel},
        )
        letters_due.queue_letters(session, vault, settings, letters, request_id, now)
    return Received(receipt, is_repeat=False)


def release(
    session: Session,
    vault: Vault,
    settings: Settings,
    request: Request,
    actor_id: int,
    now: datetime,
) -> bool:
    """A person decides that a held request is real: its letters go out. False if not held."""
    [lead] = hold_leads(session, request.lead_id)
    if not _decide(session, request, Screening.RELEASED):
        return False
    if lead.status is LeadStatus.HELD:
        lead.status = LeadStatus.NEW
    lead.waiting_since = lead.waiting_since or request.created_at
    session.flush()
    timeline.record(
        session, lead.id, "request_released", now, actor_id=actor_id, request_id=request.id
    )
    answers = json.loads(vault.open("request", "answers", request.receipt, request.answers))
    occasion = letters_due.Occasion(
        lead=letters_due.Addressee.of(lead),
        request_id=request.id,
        receipt=request.receipt,
        full_name=request.full_name,
        recipient=lead.email,
        conditions=tuple(answers["conditions"]),
        language=request.language,
        follow_ups=_agreed(session, request.id),
        no_packet=request.packet_note,
    )
    letters = letters_due.letters_about(session, settings, occasion, now, alert=False)
    letters_due.queue_letters(session, vault, settings, letters, request.id, now)
    return True


def discard(session: Session, request: Request, actor_id: int, now: datetime) -> bool:
    """A person decides that a held request is not real: it stays on file and mails nobody."""
    [lead] = hold_leads(session, request.lead_id)
    if not _decide(session, request, Screening.DISCARDED):
        return False
    if lead.status is LeadStatus.HELD and not _others_held(session, request):
        lead.status = LeadStatus.CLOSED
        lead.closed_reason = "not_a_person"
    timeline.record(
        session, lead.id, "request_discarded", now, actor_id=actor_id, request_id=request.id
    )
    return True


def hold_again(session: Session, request: Request, actor_id: int, now: datetime) -> bool:
    """Take a discarding back: the request is held as before. False where it is not discarded."""
    [lead] = hold_leads(session, request.lead_id)
    if not _decide(session, request, Screening.HELD, since=Screening.DISCARDED):
        return False
    closed_by_it = (lead.status, lead.closed_reason) == (LeadStatus.CLOSED, "not_a_person")
    if closed_by_it and not _others_count(session, request):
        lead.status = LeadStatus.HELD
        lead.closed_reason = ""
    session.flush()
    timeline.record(
        session, lead.id, "request_held_again", now, actor_id=actor_id, request_id=request.id
    )
    return True


def _decide(
    session: Session, request: Request, decision: Screening, since: Screening = Screening.HELD
) -> bool:
    # Two colleagues may press at once: the second press finds nothing to decide.
    decided = session.execute(
        update(Request)
        .where(Request.id == request.id, Request.screening == since)
        .values(screening=decision)
        .returning(Request.id)
    )
    return decided.first() is not None


def _others_held(session: Session, request: Request) -> bool:
    others = select(Request.id).where(
        Request.lead_id == request.lead_id,
        Request.id != request.id,
        Request.screening != Screening.DISCARDED,
    )
    return session.scalar(others.limit(1)) is not None


def _others_count(session: Session, request: Request) -> bool:
    others = select(Request.id).where(
        Request.lead_id == request.lead_id,
        Request.id != request.id,
        Request.screening.in_((Screening.ACCEPTED, Screening.RELEASED)),
    )
    return session.scalar(others.limit(1)) is not None


def _agreed(session: Session, request_id: int) -> bool:
    agreed = select(Consent.id).where(
        Consent.request_id == request_id, Consent.kind == ConsentKind.FOLLOW_UPS
    )
    return session.scalar(agreed.limit(1)) is not None


def _receipt_of(session: Session, token: str) -> str:
    receipt: str | None = session.scalar(_RECEIPT_OF_TOKEN, {"token": token})
    if receipt is None:
        raise LookupError("a token that is taken has a request")
    return receipt


def _join_lead(
    connection: Connection, row: dict[str, Any], held: bool
) -> letters_due.Addressee | None:
    """Find the address's lead or make one; None where that lead went into another.

    What a known lead says of the person stays. A new request changes only the clocks and
    reopens what was closed (AB-08); a held one changes nothing.
    """
    join = _JOIN_HELD if held else _JOIN
    joined = join.run(connection, row).first()
    if joined is None:
        return None
    return letters_due.Addressee(
        id=joined.id,
        ref=joined.ref,
        cap_hash=row["cap_hash"],
        time_zone=joined.time_zone,
        confirmed=joined.confirmed_at is not None,
    )


def _join(dialect: str, names: Sequence[str], *, held: bool) -> Any:
    statement = insert_rows(_LEAD, dialect, names)
    if dialect == "postgresql":
        # Spellings of one address queue up behind this lock, or two at once would each get a
        # packet. It is taken by the statement itself: SQLite has one writer anyway.
        turn = caps.turn_of(bindparam("cap_hash")).table_valued("turn")
        values = [bindparam(name, type_=_LEAD.c[name].type) for name in names]
        statement = statement.from_select(names, select(*values).select_from(turn))
    on_conflict: dict[str, Any] = {"last_request_at": Lead.last_request_at}
    if not held:
        reopened = Lead.status.in_((LeadStatus.CLOSED, LeadStatus.HELD))
        on_conflict = {
            "last_request_at": statement.excluded.last_request_at,
            "waiting_since": func.coalesce(Lead.waiting_since, statement.excluded.waiting_since),
            "status": case((reopened, literal(LeadStatus.NEW.value)), else_=Lead.status),
            "closed_reason": case((reopened, literal("")), else_=Lead.closed_reason),
        }
    return statement.on_conflict_do_update(
        index_elements=["address_key"],
        set_=on_conflict,
        # The row of a lead that went into another is locked, and stays as it is.
        where=Lead.merged_into_id.is_(None),
    ).returning(Lead.id, Lead.ref, Lead.time_zone, Lead.confirmed_at)


_JOIN = Prepared(partial(_join, held=False))
_JOIN_HELD = Prepared(partial(_join, held=True))


def _join_merged(session: Session, row: dict[str, Any], held: bool) -> letters_due.Addressee:
    """The address belongs to a lead that went into another: that one is asked.

    Letters go to the address that was typed, which is confirmed or not by itself.
    """
    found = select(Lead).where(Lead.address_key == row["address_key"])
    merged = session.scalars(found.execution_options(populate_existing=True)).one()
    # The row of the one that went there is held since it was found.
    standing = hold_standing(session, merged)
    if not held:
        standing.last_request_at = row["last_request_at"]
        standing.waiting_since = standing.waiting_since or row["waiting_since"]
        if standing.status in (LeadStatus.CLOSED, LeadStatus.HELD):
            standing.status, standing.closed_reason = LeadStatus.NEW, ""
        session.flush()
    return letters_due.Addressee(
        id=standing.id,
        ref=standing.ref,
        cap_hash=row["cap_hash"],
        time_zone=standing.time_zone,
        confirmed=merged.confirmed_at is not None,
    )


def _new_request(dialect: str, names: Sequence[str]) -> Any:
    insert = insert_rows(table_of(Request), dialect, names)
    return insert.on_conflict_do_nothing(index_elements=["token"]).returning(Request.id)


_REQUEST = Prepared(_new_request)


def _lead_row(
    settings: Settings, submission: Submission, cap_hash: str, held: bool, now: datetime
) -> dict[str, Any]:
    return {
        "ref": new_ref(),
        "address_key": submission.lead_key,
        "cap_hash": cap_hash,
        "email": submission.email,
        "full_name": submission.full_name,
        "phone": submission.phone,
        "phone_typed": submission.phone_typed,
        "country": submission.country,
        "time_zone": submission.time_zone or settings.clinic.time_zone,
        "language": submission.language,
        "contact_by": submission.contact_by,
        "contact_time": submission.contact_time,
        "status": LeadStatus.HELD if held else LeadStatus.NEW,
        "closed_reason": "",
        "created_at": now,
        "last_request_at": now,
        "waiting_since": None if held else now,
        "warnings": 0,
        "search_text": search_text(
            submission.full_name, submission.email, submission.phone or submission.phone_typed
        ),
    }


def _request_row(
    vault: Vault, submission: Submission, receipt: str, now: datetime
) -> dict[str, Any]:
    answers = {"conditions": submission.conditions, "message": submission.message}
    return {
        "receipt": receipt,
        "token": submission.token,
        "channel": submission.channel,
        "full_name": submission.full_name,
        "email_typed": submission.email_typed,
        "phone": submission.phone,
        "phone_typed": submission.phone_typed,
        "country": submission.country,
        "contact_by": submission.contact_by,
        "contact_time": submission.contact_time,
        "time_zone": submission.time_zone,
        "language": submission.language,
        "page": submission.page,
        "touch": dict(submission.touch),
        "answers": vault.seal("request", "answers", receipt, json.dumps(answers)),
        "screening": Screening.HELD if submission.held_reason else Screening.ACCEPTED,
        "held_reason": submission.held_reason,
        "packet_note": submission.no_packet,
        "created_at": now,
    }


def _write_request(connection: Connection, row: dict[str, Any]) -> int | None:
    """The id of the new request; None where its token is known."""
    request_id: int | None = _REQUEST.run(connection, row).scalar()
    return request_id


def _write_consents(
    connection: Connection,
    submission: Submission,
    lead_id: int,
    request_id: int,
    now: datetime,
) -> None:
    rows = [
        {
            "lead_id": lead_id,
            "request_id": request_id,
            "kind": given.kind,
            "text_version": given.text_version,
            "text_sha256": given.text_sha256,
            "language": given.language,
            "page": submission.page,
            "given_at": now,
            "recorded_by_id": submission.recorded_by,
        }
        for given in submission.consents
    ]
    if rows:
        _CONSENTS.run(connection, *rows)
