"""A message becomes bytes: the pinned versions, the pinned values, the same every time."""

import json
from collections.abc import Callable, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session, undefer

from leadcapture.letters import Envelope, Letter, put_together, write_letter, written_apart
from leadcapture.models import LetterVersion, Message
from leadcapture.outbox import dkim
from leadcapture.outbox.envelope import feedback_id
from leadcapture.outbox.queue import open_payload
from leadcapture.settings import Settings
from leadcapture.vault import Vault

_KEPT_VERSIONS = 32

Versions = Callable[[Sequence[int]], Sequence[LetterVersion]]


class Press:
    """Writes the letters of one database; what a version says is asked for once."""

    def __init__(self, vault: Vault, settings: Settings) -> None:
        self._vault = vault
        self._settings = settings
        self._versions: dict[int, LetterVersion] = {}

    def write(self, message: Message, find: Versions) -> Letter:
        """The letter as it goes to the relay (RFC 5322, CRLF), byte for byte the same on a retry.

        ``find`` answers with versions by their ids, as `versions_of` does.
        """
        payload = open_payload(self._vault, message)
        versions = self._found([payload["letter"], *payload["packets"]], find)
        if "first_copy" in payload:
            return put_together(payload["first_copy"], versions[1:])
        headers = envelope(self._settings, message, payload["values"])
        letter = write_letter(versions[0], versions[1:], payload["values"], headers)
        if self._settings.dkim is None:
            return letter
        return dkim.signed(letter, self._settings.dkim, headers.date)

    def payload_with(self, message: Message, letter: Letter) -> bytes:
        """The message's payload with this letter in it, sealed.

        For a letter that was at the dot and has to go there again: whatever another release or
        other settings would write then, it stays this one (MD-03).
        """
        payload = open_payload(self._vault, message) | {"first_copy": written_apart(letter)}
        return self._vault.seal("message", "payload", message.ref, json.dumps(payload))

    def _found(self, wanted: Sequence[int], find: Versions) -> list[LetterVersion]:
        # A version never changes: it need not be read again.
        missing = [key for key in wanted if key not in self._versions]
        if missing:
            while self._versions and len(self._versions) + len(missing) > _KEPT_VERSIONS:
                self._versions.pop(next(iter(self._versions)))
            self._versions |= {version.id: version for version in find(missing)}
        return [self._versions[key] for key in wanted]


def versions_of(session: Session, keys: Sequence[int]) -> Sequence[LetterVersion]:
    """These versions whole, packets with their PDF."""
    whole = select(LetterVersion).options(undefer(LetterVersion.pdf))
    return session.scalars(whole.where(LetterVersion.id.in_(keys))).all()


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
