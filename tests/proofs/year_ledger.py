"""What must be true of every letter at the end of a clinic's year."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.models import Lead, Message, MessageKind, MessageState, Request, SuppressionScope
from tests.proofs.clinic_year import Clinic

DAY, MONTH = timedelta(days=1), timedelta(days=30)
TO_PATIENTS = frozenset({MessageKind.PACKET, MessageKind.PACKET_LINK, MessageKind.FOLLOW_UP})


@dataclass(frozen=True)
class Taken:
    """One copy that the post office took, at the year's clock; ``order`` as the clinic's."""

    mail_id: str
    recipients: tuple[str, ...]
    at: datetime
    order: int


def faults_of_year(session: Session, clinic: Clinic, taken: Sequence[Taken]) -> Iterator[str]:
    """Each broken promise in a sentence without an address."""
    messages = {message.mail_id: message for message in session.scalars(select(Message))}
    copies: dict[str, list[Taken]] = defaultdict(list)
    for copy in taken:
        if copy.mail_id not in messages:
            yield "a copy of a letter that nobody queued"
        copies[copy.mail_id].append(copy)
    yield from _faults_of_requests(session, clinic)
    for mail_id, message in messages.items():
        yield from _faults_of_letter(message, copies[mail_id])
    yield from _faults_of_stops(clinic, messages, taken)
    yield from _faults_of_caps(session, messages, copies)


def _faults_of_requests(session: Session, clinic: Clinic) -> Iterator[str]:
    rows = session.execute(select(Request.token, Request.receipt, Request.id, Request.packet_note))
    found = {row.token: row for row in rows}
    wanted = select(Message.request_id).where(Message.kind == MessageKind.PACKET)
    packets = Counter(session.scalars(wanted))
    for token, receipt in clinic.accepted.items():
        row = found.pop(token, None)
        if row is None or row.receipt != receipt:
            yield f"I1: {token} was accepted and is not on record"
        elif packets[row.id] + bool(row.packet_note) != 1:
            yield f"I2: {token} has {packets[row.id]} packets, note {row.packet_note!r}"
    if found:
        yield f"I1: {len(found)} requests that nobody made"


def _faults_of_letter(message: Message, copies: list[Taken]) -> Iterator[str]:
    told = f"{message.kind} {message.step} {message.ref}: {message.state} ({message.reason})"
    if not message.state.is_final:
        yield f"I3: {told} at the end of the year"
    if message.state is MessageState.SENT and not copies and message.reason != "assumed_sent":
        yield f"I4: {told} without a copy"
    if len(copies) > 1 + message.doubts:
        yield f"I5: {told}: {len(copies)} copies, {message.doubts} doubts"
    if any(copy.recipients != (message.recipient,) for copy in copies):
        yield f"I8: {told} went elsewhere"
    if message.kind == MessageKind.FOLLOW_UP:
        if len(copies) > 1:
            yield f"I5: {told}: {len(copies)} copies"
        for copy in copies:
            local = copy.at.astimezone(ZoneInfo(message.time_zone))
            if not time(9) <= local.time() < time(20):
                yield f"SC-06: {told} at {local:%Y-%m-%d %H:%M} in {message.time_zone}"
            if message.not_after is not None and copy.at > message.not_after:
                yield f"MD-05: {told} after its time"


def _faults_of_stops(
    clinic: Clinic, messages: dict[str, Message], taken: Sequence[Taken]
) -> Iterator[str]:
    by_address: dict[str, list[tuple[int, SuppressionScope]]] = defaultdict(list)
    for order, cap_hash, scope in clinic.stopped:
        by_address[cap_hash].append((order, scope))
    by_lead: dict[int | None, list[tuple[int, datetime]]] = defaultdict(list)
    for order, lead_id, at in clinic.cancelled:
        by_lead[lead_id].append((order, at))
    for copy in taken:
        message = messages.get(copy.mail_id)
        if message is None or message.kind == MessageKind.STAFF_ALERT:
            continue
        follow_up = message.kind == MessageKind.FOLLOW_UP
        for order, scope in by_address[message.cap_hash]:
            if copy.order > order and (follow_up or scope is SuppressionScope.ALL):
                yield f"I7, MD-16: {message.kind} {message.ref} left after a stop"
        for order, at in by_lead[message.lead_id]:
            # Who asks anew after a closing is written to anew.
            if follow_up and copy.order > order and message.created_at <= at:
                yield f"I7: {message.kind} {message.ref} left after its lead was answered"


def _faults_of_caps(
    session: Session, messages: dict[str, Message], copies: dict[str, list[Taken]]
) -> Iterator[str]:
    rows = session.execute(select(Lead.id, Lead.confirmed_at))
    confirmed = {row.id: row.confirmed_at for row in rows}
    commercial: dict[str, list[datetime]] = defaultdict(list)
    unconfirmed: dict[str, list[datetime]] = defaultdict(list)
    for mail_id, message in messages.items():
        if message.kind not in TO_PATIENTS or not copies[mail_id]:
            continue
        # A copy after a doubt is the same letter.
        at = copies[mail_id][0].at
        if message.kind == MessageKind.FOLLOW_UP:
            commercial[message.cap_hash].append(at)
        since = confirmed.get(message.lead_id or 0)
        if since is None or at < since:
            unconfirmed[message.cap_hash].append(at)
    yield from _too_often("SC-12", commercial, daily=1, monthly=5)
    yield from _too_often("AB-01", unconfirmed, daily=1, monthly=3)


def _too_often(
    promise: str, times: dict[str, list[datetime]], daily: int, monthly: int
) -> Iterator[str]:
    for moments in times.values():
        moments.sort()
        for within, most in ((DAY, daily), (MONTH, monthly)):
            for first, last in zip(moments, moments[most:], strict=False):
                if last - first < within:
                    yield f"{promise}: {most + 1} letters to one address within {last - first}"
