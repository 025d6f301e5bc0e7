"""A message becomes bytes: the pinned versions, the pinned values, the same every time."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.letters import Envelope, write_letter
from leadcapture.models import LetterVersion, Message
from leadcapture.outbox import dkim
from leadcapture.outbox.envelope import feedback_id
from leadcapture.outbox.queue import open_payload
from leadcapture.settings import Settings
from leadcapture.vault import Vault


def render(session: Session, vault: Vault, settings: Settings, message: Message) -> bytes:
    """The letter as it goes to the relay (RFC 5322, CRLF), byte for byte the same on a retry."""
    payload = open_payload(vault, message)
    wanted = [payload["letter"], *payload["packets"]]
    versions = {
        version.id: version
        for version in session.scalars(select(LetterVersion).where(LetterVersion.id.in_(wanted)))
    }
    headers = envelope(settings, message, payload["values"])
    letter = write_letter(
        versions[payload["letter"]],
        [versions[key] for key in payload["packets"]],
        payload["values"],
        headers,
    )
    return dkim.signed(letter, settings.dkim, headers.date) if settings.dkim else letter


def envelope(settings: Settings, message: Message, values: dict[str, str]) -> Envelope:
    """The headers that this message carries on every copy."""
    if message.mail_date is None:
        raise ValueError("a message is rendered after its claim, which dates it")
    return Envelope(
        sender_name=settings.clinic.name,
        sender=settings.mail_from,
        recipient=message.recipient,
        reply_to=settings.reply_to,
        message_id=message.mail_id,
        date=message.mail_date,
        unsubscribe_url=values.get("stop_link", ""),
        complaints_to=settings.bounce_address if settings.dkim else "",
        feedback_id=feedback_id(settings, message) if settings.dkim else "",
    )
