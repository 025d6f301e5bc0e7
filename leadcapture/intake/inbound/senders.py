"""Senders: the services whose mails are read as notices of calls and chats, named by staff."""

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from leadcapture.intake.addresses import LONGEST, USUAL_DOMAINS, BadAddress, read_address
from leadcapture.models import Lead, NoticeKind, NoticeSender, Staff
from leadcapture.outbox.queue import new_ref
from leadcapture.settings import Settings

LONGEST_NAME = 60
MOST = 30


class SenderRefused(Exception):
    """``args[0]`` is the field, ``args[1]`` why: ``empty``, ``shape``, ``ours``, ``people``,
    ``taken`` or ``many``.
    """


def list_senders(session: Session) -> Sequence[NoticeSender]:
    """All of them, by name."""
    return session.scalars(select(NoticeSender).order_by(NoticeSender.name, NoticeSender.id)).all()


def sender_of(session: Session, address: str) -> NoticeSender | None:
    """The service that has this sender's address (lower case) or its domain; None for others."""
    domain = "@" + address.rpartition("@")[2]
    found = session.scalars(
        select(NoticeSender).where(NoticeSender.address.in_((address, domain)))
    ).all()
    # A sender's own line says more than its domain's.
    return max(found, key=lambda one: len(one.address), default=None)


def add_sender(
    session: Session, settings: Settings, name: str, address: str, kind: str, language: str
) -> NoticeSender:
    """One more; raises `SenderRefused` where it would swallow other mail, patients' or our own."""
    address = _checked(session, settings, address)
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        raise SenderRefused("name", "empty")
    if kind not in set(NoticeKind):
        raise SenderRefused("kind", "empty")
    if session.scalar(select(func.count()).select_from(NoticeSender)) == MOST:
        raise SenderRefused("name", "many")
    sender = NoticeSender(
        ref=new_ref(), name=name, address=address, kind=NoticeKind(kind), language=language
    )
    session.add(sender)
    session.flush()
    return sender


def ours(settings: Settings) -> frozenset[str]:
    """Our own addresses, in lower case."""
    own = (settings.mail_from, settings.reply_to, settings.staff_alerts_to, settings.clinic.email)
    return frozenset(address.lower() for address in own)


def _checked(session: Session, settings: Settings, typed: str) -> str:
    """The address, or ``@`` and a domain, in lower case."""
    is_domain = typed.startswith("@")
    try:
        whole = read_address("anyone" + typed if is_domain else typed).lower()
    except BadAddress:
        raise SenderRefused("address", "shape") from None
    domain = "@" + whole.rpartition("@")[2]
    address = domain if is_domain else whole
    if len(address) > LONGEST:
        raise SenderRefused("address", "shape")
    if _is_of_staff(session, settings, address):
        raise SenderRefused("address", "ours")
    # Whoever writes from there is a person, and a person's mail must be read as one's.
    if domain.removeprefix("@") in USUAL_DOMAINS and is_domain:
        raise SenderRefused("address", "people")
    if session.scalar(select(Lead.id).where(Lead.address_key == address)) is not None:
        raise SenderRefused("address", "people")
    if session.scalar(select(NoticeSender.id).where(NoticeSender.address == address)) is not None:
        raise SenderRefused("address", "taken")
    return address


def _is_of_staff(session: Session, settings: Settings, address: str) -> bool:
    people = [email.lower() for email in session.scalars(select(Staff.email))]
    known = [*ours(settings), *people]
    if address.startswith("@"):
        return any(one.endswith(address) for one in known)
    return address in known
