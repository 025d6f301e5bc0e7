"""The mailbox over IMAP (RFC 3501, RFC 6851): what lies in its folder, and where it is filed."""

import imaplib
import re
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from leadcapture.settings import Imap

TIMEOUT = 30.0
LARGEST = 2 * 1024 * 1024
"""How many bytes of a mail are fetched: its words come before its pictures."""
FILED = "filed"
SET_ASIDE = "set-aside"

_ARRIVED = re.compile(rb'INTERNALDATE "[^"]+"')
_DELIMITER = re.compile(rb'\([^)]*\) "(.)"')


class MailboxOut(Exception):
    """The mailbox cannot be read now. Never carries the server's words: they may quote mail."""


@dataclass(frozen=True)
class Arrived:
    """One mail as the mailbox has it: its first 2 MiB, and when the mailbox got it (UTC)."""

    uid: str
    content: bytes
    received_at: datetime


class Mailbox:
    """An open, signed-in session on one folder."""

    def __init__(self, client: imaplib.IMAP4, imap: Imap) -> None:
        self._client = client
        self._folder = imap.folder
        self._delimiter = "/"

    def open(self) -> None:
        listed = self._ask("LIST", self._client.list('""', '""'))
        found = _DELIMITER.search(next((one for one in listed if isinstance(one, bytes)), b""))
        if found:
            self._delimiter = found[1].decode("ascii", "replace")
        self._ask("SELECT", self._client.select(_quoted(self._folder)))

    def uids(self, limit: int) -> list[str]:
        """What lies in the folder, the oldest first."""
        [found, *_] = self._ask("SEARCH", self._client.uid("SEARCH", "UNDELETED"))
        return [uid.decode() for uid in (found or b"").split()[:limit]]

    def fetch(self, uid: str) -> Arrived | None:
        """One mail, left unread; None where another worker has filed it meanwhile."""
        wanted = f"(INTERNALDATE BODY.PEEK[]<0.{LARGEST}>)"
        answer = self._ask("FETCH", self._client.uid("FETCH", uid, wanted))
        pairs = [piece for piece in answer if isinstance(piece, tuple)]
        if not pairs:
            return None
        said = b" ".join(
            piece if isinstance(piece, bytes) else piece[0] for piece in answer if piece
        )
        return Arrived(uid, pairs[0][1], _instant(said))

    def move(self, uid: str, name: str) -> None:
        """Put a mail into ``leadcapture/<name>``; one that is gone already stays gone."""
        # Some servers keep every folder below the inbox.
        for above in ((), ("INBOX",)):
            target = _quoted(self._delimiter.join((*above, "leadcapture", name)))
            if self._move(uid, target):
                return
            if self._client.create(target)[0] == "OK" and self._move(uid, target):
                return
        raise MailboxOut("MOVE")

    def _move(self, uid: str, target: str) -> bool:
        if "MOVE" in self._client.capabilities:
            return bool(self._client.uid("MOVE", uid, target)[0] == "OK")
        if self._client.uid("COPY", uid, target)[0] != "OK":
            return False
        self._ask("STORE", self._client.uid("STORE", uid, "+FLAGS.SILENT", r"(\Deleted)"))
        self._ask("EXPUNGE", self._client.expunge())
        return True

    def _ask(self, what: str, answer: tuple[str, list[Any]]) -> list[Any]:
        status, found = answer
        if status != "OK":
            raise MailboxOut(what)
        return found


@contextmanager
def open_mailbox(imap: Imap) -> Iterator[Mailbox]:
    """The mailbox, signed in. Raises `MailboxOut` for whatever goes wrong with the server."""
    client: imaplib.IMAP4 | None = None
    try:
        client = _connect(imap)
        client.login(imap.user, imap.password)
        # What a server offers may change once it knows whom it speaks with.
        client.capabilities = _capabilities(client)
        mailbox = Mailbox(client, imap)
        mailbox.open()
        yield mailbox
    except (imaplib.IMAP4.error, OSError) as error:
        raise MailboxOut(type(error).__name__) from None
    finally:
        if client is not None:
            with suppress(imaplib.IMAP4.error, OSError):
                client.logout()


def _connect(imap: Imap) -> imaplib.IMAP4:
    if imap.security == "none":
        return imaplib.IMAP4(imap.host, imap.port, TIMEOUT)
    tls = ssl.create_default_context(cafile=imap.ca_file or None)
    if imap.security == "tls":
        return imaplib.IMAP4_SSL(imap.host, imap.port, ssl_context=tls, timeout=TIMEOUT)
    client = imaplib.IMAP4(imap.host, imap.port, TIMEOUT)
    try:
        client.starttls(tls)
    except BaseException:
        client.shutdown()
        raise
    return client


def _capabilities(client: imaplib.IMAP4) -> tuple[str, ...]:
    _, [said, *_] = client.capability()
    return tuple((said or b"").decode("ascii", "replace").upper().split())


def _instant(said: bytes) -> datetime:
    """When the mailbox got the mail, else now."""
    found = _ARRIVED.search(said)
    parsed = imaplib.Internaldate2tuple(found[0]) if found else None
    if parsed is None:
        return datetime.now(UTC)
    return datetime.fromtimestamp(time.mktime(parsed), UTC)


def _quoted(folder: str) -> str:
    return '"' + folder.replace("\\", "\\\\").replace('"', '\\"') + '"'
