"""Arrivals: a missed call or a chat that a service tells of becomes a request, and mails nobody.

The address in such a mail may be anyone's: staff are told, and nothing goes to the person before a
colleague has decided so.
"""

from datetime import datetime, timedelta

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from leadcapture.intake import addresses, phones
from leadcapture.intake.inbound.mail import Mail
from leadcapture.intake.inbound.notices import Notice, read_notice
from leadcapture.intake.inbound.senders import ours
from leadcapture.intake.inbound.text import all_words
from leadcapture.intake.receive import receive
from leadcapture.intake.submission import Submission
from leadcapture.leads import timeline
from leadcapture.models import (
    InboundKind,
    InboundMail,
    Lead,
    NoticeKind,
    NoticeSender,
    Request,
)
from leadcapture.settings import Settings
from leadcapture.vault import Vault

SAME_CALLER_WITHIN = timedelta(hours=1)
MOST_AN_HOUR = 60
LONGEST_MESSAGE = 5_000
_CHANNELS = {NoticeKind.CALL: "missed_call", NoticeKind.CHAT: "chat"}
_AGAIN = {NoticeKind.CALL: "called_again", NoticeKind.CHAT: "wrote_again"}


def take_notice(
    session: Session,
    vault: Vault,
    settings: Settings,
    sender: NoticeSender,
    mail: Mail,
    record: InboundMail,
    now: datetime,
) -> None:
    """Make a request of the notice, or add it to the wait of who called a moment ago.

    Where it does not say how to reach anybody, or may be forged (``unproven``), a person looks at
    it first: it is held with all its words, and staff hear of that once an hour, however many come.
    """
    is_proven = record.kind is InboundKind.NOTICE
    notice = read_notice(mail.subject, mail.body, _own(settings, sender))
    words = f"{mail.subject}\n\n{mail.body}".strip()[:LONGEST_MESSAGE]
    waiting = _waiting(session, notice, now) if is_proven else None
    if waiting is not None:
        record.lead_id = waiting.id
        timeline.record(
            session,
            waiting.id,
            _AGAIN[sender.kind],
            record.received_at,
            note=words or "—",
            vault=vault,
        )
        return
    held_reason = "" if notice.tells_who else "mail_unread"
    if not is_proven:
        held_reason = "sender_unproven"
    elif not held_reason and _many(session, now):
        held_reason = "rate"
    submission = _submission(sender, notice, words, record, held_reason)
    received = receive(session, vault, settings, submission, now)
    lead_id = session.scalars(
        select(Request.lead_id).where(Request.receipt == received.receipt)
    ).one()
    record.lead_id = lead_id
    # They wait since they called, not since the mail was read.
    session.execute(
        update(Lead)
        .where(Lead.id == lead_id, Lead.waiting_since == now)
        .values(waiting_since=record.received_at)
        .execution_options(synchronize_session=False)
    )


def _submission(
    sender: NoticeSender, notice: Notice, words: str, record: InboundMail, held_reason: str
) -> Submission:
    if notice.email:
        key = ""
    elif notice.phone:
        key = addresses.phone_key(notice.phone)
    else:
        key = addresses.nobody_key(record.ref)
    return Submission(
        token=f"mail-{record.sha256[:48]}",
        full_name=notice.full_name or _shown(notice.phone) or notice.email or sender.name,
        email=notice.email,
        email_typed=notice.email,
        conditions=(),
        consents=(),
        language=sender.language,
        time_zone=phones.guess_zone(notice.phone, ""),
        message=words,
        phone=notice.phone,
        phone_typed=notice.phone or "",
        page=sender.kind,
        channel=_CHANNELS[sender.kind],
        held_reason=held_reason,
        person_key=key,
        no_packet="not_asked" if notice.email else "no_address",
    )


def _shown(phone: str | None) -> str:
    return phones.international(phone) if phone else ""


def _waiting(session: Session, notice: Notice, now: datetime) -> Lead | None:
    """Who asked within the hour, waits still, and has this telephone or address."""
    same = []
    if notice.phone:
        same.append(Lead.phone == notice.phone)
    if notice.email:
        same.append(Lead.address_key == addresses.address_key(notice.email))
    if not same:
        return None
    return session.scalars(
        select(Lead)
        .where(
            or_(*same),
            Lead.waiting_since.is_not(None),
            Lead.last_request_at > now - SAME_CALLER_WITHIN,
        )
        .order_by(Lead.last_request_at.desc())
        .limit(1)
    ).first()


def _many(session: Session, now: datetime) -> bool:
    """True where more notices came within the hour than people call: somebody forges them."""
    count = session.scalar(
        select(func.count()).where(
            InboundMail.kind == InboundKind.NOTICE,
            InboundMail.fetched_at > now - timedelta(hours=1),
        )
    )
    return (count or 0) > MOST_AN_HOUR


def try_notice(settings: Settings, subject: str, body: str) -> Notice:
    """What would be read in a mail of this subject and text, whoever sent it."""
    return read_notice(subject, all_words(body), _own(settings))


def _own(settings: Settings, sender: NoticeSender | None = None) -> frozenset[str]:
    """What stands in such mails and is nobody's who called: our own, and the service's."""
    own = {settings.clinic.phone_href.removeprefix("tel:"), *ours(settings)}
    return frozenset(own | {"@" + sender.address.rpartition("@")[2]} if sender else own)
