"""The self-test of this interpreter: hostile words must leave as they were meant, or not at all.

Python's own ``email`` package has turned what a visitor typed into headers more than once, and
may again in a version that we have not seen. So we do not ask which version this is: we try.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import cache

from leadcapture.letters.compose import Envelope, NotAnAddress, UnsafeHeader, compose
from leadcapture.letters.mail_html import Written

HOSTILE = (
    "Bob\r\nBcc: evil@x.test",
    "Bob\nBcc: evil@x.test",
    "Bob\rBcc: evil@x.test",
    "Bob\x85Bcc: evil@x.test",
    "Bob\u2028Bcc: evil@x.test",
    "Bob\u2029Bcc: evil@x.test",
    "Bob\x0bBcc: evil@x.test",
    "Bob\x0cBcc: evil@x.test",
    "Bob\x1cBcc: evil@x.test",
    "Bob\x00Bcc: evil@x.test",
    "Bob\r\n\r\nevil",
    "Bob\r\n evil@x.test",
    "=?utf-8?q?Bob=0ABcc:_evil@x.test?=",
    "=?utf-8?q?Bob=0D=0ABcc:_evil@x.test?=",
    "=?utf-8?b?Qm9iCkJjYzogZXZpbEB4LnRlc3Q=?=",
    "=?utf-8?q?Bob?= =?utf-8?q?=0ABcc:_evil@x.test?=",
    "=?utf-8?q?evil=40x.test=2C?=",
    "=?utf-8?q?Bob=3E=2C_evil=40x.test?= <b@x.test>",
    '"Bob" <evil@x.test>, x',
    "Bob <evil@x.test>",
    "evil@x.test, other@x.test",
    "@a.test,@b.test:evil@x.test",
    "<@a.test:evil@x.test>",
    "group: evil@x.test, b@x.test;",
    "(Bob) evil@x.test",
    'Bob" <evil@x.test>',
    "Bob\\",
    "evil@x.test\u2028",
    "evil@x.test>\r\nRCPT TO:<b@x.test",
)
_HEADERS = [
    *("From", "To", "Subject", "Date", "Message-ID", "Reply-To", "Auto-Submitted"),
    *("Content-Language", "MIME-Version", "Content-Type"),
]
_CLINIC, _PATIENT, _SUBJECT = "hello@clinic.test", "janet@mail.test", "A letter"

Compose = Callable[[Envelope, Written], bytes]


@cache
def interpreter_is_safe() -> bool:
    """True where no hostile word gets out of its place under this interpreter. Asked once."""
    return composes_safely(compose)


def composes_safely(write: Compose) -> bool:
    """True where every letter that ``write`` makes of hostile words has the headers it shall.

    It may refuse a word (``UnsafeHeader``, ``NotAnAddress``), though not all words; what it
    writes must be read back by the old parser of Python and by the new one as exactly what was
    meant.
    """
    return _writes(write, "Clínica", _PATIENT, "Información") and all(
        _is_as_meant(write, name, recipient, subject)
        for word in HOSTILE
        for name, recipient, subject in (
            (word, _PATIENT, _SUBJECT),
            ("Clinic", word, _SUBJECT),
            ("Clinic", _PATIENT, word),
        )
    )


def _writes(write: Compose, name: str, recipient: str, subject: str) -> bool:
    """True where words that nobody need fear make a letter: refusing all of them is no safety."""
    try:
        return _reads_as(write(*_letter(name, recipient, subject)), recipient, subject)
    except (UnsafeHeader, NotAnAddress):
        return False


def _is_as_meant(write: Compose, name: str, recipient: str, subject: str) -> bool:
    try:
        letter = write(*_letter(name, recipient, subject))
    except (UnsafeHeader, NotAnAddress):
        return True
    return _reads_as(letter, recipient, subject)


def _letter(name: str, recipient: str, subject: str) -> tuple[Envelope, Written]:
    envelope = Envelope(
        sender=_CLINIC,
        sender_name=name,
        recipient=recipient,
        message_id="<1@clinic.test>",
        date=datetime(2026, 3, 2, 16, 4, tzinfo=UTC),
        reply_to=_CLINIC,
    )
    return envelope, Written("en", subject, "Hello.\n", "<p>Hello.</p>")


def _reads_as(letter: bytes, recipient: str, subject: str) -> bool:
    old = message_from_bytes(letter, policy=policy.compat32)
    new = message_from_bytes(letter, policy=policy.default)
    lines = letter.partition(b"\r\n\r\n")[0].split(b"\r\n")
    own_lines = [line for line in lines if not line.startswith((b" ", b"\t"))]
    return (
        old.keys() == new.keys() == _HEADERS
        and [line.partition(b":")[0].decode("latin-1") for line in own_lines] == _HEADERS
        and _addresses(new, "From") == _addresses(new, "Reply-To") == [_CLINIC]
        and _addresses(new, "To") == [recipient]
        and str(new["Subject"]) == subject
    )


def _addresses(letter: EmailMessage, name: str) -> list[str]:
    return [address.addr_spec for address in letter[name].addresses]
