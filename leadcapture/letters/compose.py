"""A letter as the bytes that leave us: RFC 5322 and MIME, put together by hand, then read back.

By hand, because the same bytes must come out on every try, and because a packet of half a
megabyte is encoded once, not once a message. Read back, because what a parser finds in the
header is what the world will believe.
"""

import base64
import hashlib
import html
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.errors import MultipartInvariantViolationDefect
from email.header import decode_header, make_header
from email.parser import HeaderParser
from email.utils import format_datetime
from functools import cached_property, lru_cache

import idna

from leadcapture.letters import plates
from leadcapture.letters.mail_html import Written
from leadcapture.letters.placeholders import checked_link, substitute

_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"({_ATEXT}+(?:\.{_ATEXT}+)*)@({_LABEL}(?:\.{_LABEL})*)")
_MESSAGE_ID = re.compile(r"<[A-Za-z0-9._+=-]{1,120}@[A-Za-z0-9.-]{1,120}>")
_FEEDBACK_ID = re.compile(r"[a-z0-9]{1,64}")
_FILENAME = re.compile(r"[a-z0-9-]{1,60}\.[a-z]{1,5}")
_PLAIN_WORDS = re.compile(r"[\x20-\x7e]*")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9 &'.,-]+")
_FOLD = re.compile(r"\r\n(?=[ \t])")


class _AsWritten(policy.EmailPolicy):
    """The new parser's rules, save that nobody takes values apart to learn the content's type."""

    def header_fetch_parse(self, name: str, value: str) -> str:
        return value


_COMPAT32 = HeaderParser(policy=policy.compat32)
_DEFAULT = HeaderParser(policy=_AsWritten())
# CPython before 3.11.5 misses the parts even where it was asked for the header alone (gh-106186).
_NO_BODY = MultipartInvariantViolationDefect


class UnsafeHeader(ValueError):
    """A header would not be read back as exactly what was meant: the message must not leave."""


class NotAnAddress(ValueError):
    """A recipient or sender that is not one plain address. The message never quotes it."""


class NeedsSmtpUtf8(NotAnAddress):
    """The part before the @ is not ASCII: it needs SMTPUTF8 (RFC 6531), which we do not speak."""


@dataclass(frozen=True)
class Envelope:
    """Who writes to whom, and what stays the same on every try: the Message-ID and the date.

    Addresses are plain (``name@domain``); ``sender_name`` is the clinic's, never a visitor's.
    ``unsubscribe_url`` adds the one-click headers of RFC 8058. ``complaints_to`` and
    ``feedback_id`` say where a complaint goes and what it is about (RFC 9477).
    """

    sender: str
    sender_name: str
    recipient: str
    message_id: str
    date: datetime
    reply_to: str = ""
    unsubscribe_url: str = ""
    complaints_to: str = ""
    feedback_id: str = ""


@dataclass(frozen=True)
class Attachment:
    """A file with its body already in base64, whose lines never begin with a dot."""

    filename: str
    encoded: bytes
    media_type: str = "application/pdf"

    @classmethod
    def of(cls, filename: str, content: bytes, media_type: str = "application/pdf") -> "Attachment":
        """The attachment for these bytes; the encoding is the costly part, so keep the result."""
        return cls(filename, encode_content(content), media_type)


def encode_content(content: bytes) -> bytes:
    """Base64 in lines of 76 with CRLF, the last one ended too."""
    return base64.encodebytes(content).replace(b"\n", b"\r\n")


def plain_address(address: str) -> str:
    """The address as SMTP carries it: ASCII, its domain in IDNA. Raises ``NotAnAddress``.

    One address and nothing else: no display name, route, comment, quote or encoded word.
    """
    local, at, domain = address.rpartition("@")
    if not at or len(address) > 254 or len(local) > 64:
        raise NotAnAddress("not one plain address")
    if not local.isascii():
        raise NeedsSmtpUtf8("the name before the @ is not ASCII")
    if not domain.isascii():
        try:
            domain = idna.encode(domain, uts46=True).decode("ascii")
        except idna.IDNAError:
            raise NotAnAddress("not one plain address") from None
    if not _ADDRESS.fullmatch(f"{local}@{domain}") or "=?" in local or len(domain) > 253:
        raise NotAnAddress("not one plain address")
    return f"{local}@{domain}"


@dataclass(frozen=True)
class Letter:
    """A whole message in pieces, so that the half megabyte of a packet is not copied for each.

    ``words`` are the header, the text and the HTML; in ``attached`` no line begins with a dot.
    """

    words: bytes
    attached: tuple[bytes, ...] = ()

    def __bytes__(self) -> bytes:
        return b"".join((self.words, *self.attached))

    @cached_property
    def sha256(self) -> str:
        """The hash of the whole, in hex."""
        digest = hashlib.sha256(self.words)
        for piece in self.attached:
            digest.update(piece)
        return digest.hexdigest()


def compose(envelope: Envelope, written: Written, attachments: Sequence[Attachment] = ()) -> bytes:
    """The whole message in one piece: see `compose_letter`."""
    return bytes(compose_letter(envelope, written, attachments))


def compose_letter(
    envelope: Envelope,
    written: Written,
    attachments: Sequence[Attachment] = (),
    values: Mapping[str, str] | None = None,
) -> Letter:
    """The whole message: the same bytes for the same arguments, every line ended by CRLF.

    ``values`` fill the placeholders of ``written``; without them it has none. Raises as
    `placeholders.substitute` does, and ``UnsafeHeader`` or ``NotAnAddress`` rather than let a
    doubtful header leave.
    """
    subject = written.subject if values is None else substitute(written.subject, values)
    # "=_" occurs in neither quoted-printable nor base64, so no body can hold a boundary.
    seed = hashlib.sha256(envelope.message_id.encode()).hexdigest()[:24]
    outer, inner = f"=_{seed}.0", f"=_{seed}.1"
    alternative = f'multipart/alternative; boundary="{inner}"'
    mixed = f'multipart/mixed; boundary="{outer}"'
    header = _header(envelope, subject, written.language, mixed if attachments else alternative)

    words = (
        f"--{inner}\r\n".encode()
        + _text_part("plain", _struck(written.text, values))
        + f"--{inner}\r\n".encode()
        + _text_part("html", _struck(written.html, values, html.escape))
        + f"--{inner}--\r\n".encode()
    )
    if not attachments:
        return Letter(header + b"\r\n" + words)
    opening = f"\r\n--{outer}\r\nContent-Type: {alternative}\r\n\r\n".encode()
    attached: list[bytes] = []
    for attachment in attachments:
        attached += [f"--{outer}\r\n".encode() + _attachment_header(attachment)]
        attached += [attachment.encoded]
    return Letter(header + opening + words, (*attached, f"--{outer}--\r\n".encode()))


def _header(envelope: Envelope, subject: str, language: str, content_type: str) -> bytes:
    sender, recipient = plain_address(envelope.sender), plain_address(envelope.recipient)
    if not _MESSAGE_ID.fullmatch(envelope.message_id):
        raise UnsafeHeader("Message-ID")
    if envelope.date.tzinfo is None:
        raise UnsafeHeader("Date")
    name = display_name(envelope.sender_name)
    intended = [
        ("From", f"{_phrase(name)} <{sender}>" if name else sender),
        ("To", recipient),
        ("Subject", _unstructured(subject)),
        ("Date", format_datetime(envelope.date)),
        ("Message-ID", envelope.message_id),
        ("Auto-Submitted", "auto-generated"),
        ("Content-Language", language),
        ("MIME-Version", "1.0"),
        ("Content-Type", content_type),
    ]
    if envelope.reply_to:
        intended.insert(5, ("Reply-To", plain_address(envelope.reply_to)))
    if envelope.unsubscribe_url:
        intended[-3:-3] = [
            ("List-Unsubscribe", f"<{checked_link(envelope.unsubscribe_url)}>"),
            ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ]
    if envelope.complaints_to:
        if not _FEEDBACK_ID.fullmatch(envelope.feedback_id):
            raise UnsafeHeader("CFBL-Feedback-ID")
        intended[-3:-3] = [
            ("CFBL-Address", f"{plain_address(envelope.complaints_to)}; report=arf"),
            ("CFBL-Feedback-ID", envelope.feedback_id),
        ]
    block = "".join(f"{name}: {value}\r\n" for name, value in intended)
    _read_back(block, intended, subject)
    return block.encode("ascii")


def _read_back(block: str, intended: list[tuple[str, str]], subject: str) -> None:
    """Parse the header as both kinds of Python's parsers do, and accept nothing unexpected."""
    plain = [(name, _unfolded(value)) for name, value in intended]
    lines = [f"{name}: {value}" for name, value in plain]
    if any(not line.isascii() or not line.isprintable() or len(line) > 998 for line in lines):
        raise UnsafeHeader("a control character or an endless line")
    if _unfolded(block).split("\r\n") != [*lines, ""]:
        raise UnsafeHeader("the header is not what was written")
    for parser in (_COMPAT32, _DEFAULT):
        message = parser.parsestr(block + "\r\n", headersonly=True)
        found = [(name, _unfolded(value)) for name, value in message.raw_items()]
        if found != plain or any(not isinstance(one, _NO_BODY) for one in message.defects):
            raise UnsafeHeader("the header is read back as something else")
    for name, value in plain:
        if name in ("From", "Reply-To") and not _is_our_address(name, value):
            raise UnsafeHeader(name)
        if name == "To" and not _is_one_address(name, value):
            raise UnsafeHeader(name)
        if name == "Subject" and _subject_as_read(value) != {subject}:
            raise UnsafeHeader(name)


def _unfolded(value: str) -> str:
    return _FOLD.sub("", value) if "\r\n" in value else value


def _is_one_address(name: str, value: str) -> bool:
    """Whether a mail program finds the one address that stands in the header, and no other."""
    header = policy.default.header_factory(name, value)
    addresses = header.addresses
    return (
        len(addresses) == 1
        and addresses[0].addr_spec == value.rpartition("<")[2].removesuffix(">")
        and not header.defects
        and str(header).isprintable()
    )


# Ours are few and always the same; a patient's address is not kept in memory.
_is_our_address = lru_cache(maxsize=16)(_is_one_address)


@lru_cache(maxsize=256)
def _subject_as_read(value: str) -> frozenset[str]:
    """The subject as the old and the new parser of Python decode it: one text if they agree."""
    return frozenset(
        (
            str(make_header(decode_header(value))),
            str(policy.default.header_factory("Subject", value)),
        )
    )


@lru_cache(maxsize=64)
def display_name(name: str) -> str:
    """A sender's name made of letters, digits and plain punctuation; anything else is dropped."""
    tidy = "".join(
        c for c in unicodedata.normalize("NFC", name) if c.isalpha() or c in "0123456789 &'.,-"
    )
    return " ".join(tidy.split())[:64]


def _phrase(name: str) -> str:
    # Letters, digits and these marks need only quotes: nothing in them ends a quoted string.
    return f'"{name}"' if _PLAIN_NAME.fullmatch(name) else _encoded_words(name)


def _unstructured(text: str) -> str:
    if any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in text):
        raise UnsafeHeader("Subject")
    if len(text) > 200 or text != text.strip() or not text:
        raise UnsafeHeader("Subject")
    if _PLAIN_WORDS.fullmatch(text) and "=?" not in text:
        return text
    return _encoded_words(text)


def _encoded_words(text: str) -> str:
    """RFC 2047 base64 words of whole characters, each on its own line, none over 75 long."""
    words, run = [], b""
    for character in text:
        piece = character.encode()
        if len(run) + len(piece) > 42:
            words.append(run)
            run = b""
        run += piece
    words.append(run)
    return "\r\n ".join(f"=?utf-8?b?{base64.b64encode(word).decode()}?=" for word in words)


def _struck(
    text: str, values: Mapping[str, str] | None, escape: Callable[[str], str] = str
) -> bytes:
    return plates.set_once(text) if values is None else plates.cast(text).struck(values, escape)


def _text_part(subtype: str, body: bytes) -> bytes:
    # The body's last line end is the boundary's (RFC 2046, 5.1.1).
    head = (
        f"Content-Type: text/{subtype}; charset=utf-8\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    )
    return head.encode() + body


def _attachment_header(attachment: Attachment) -> bytes:
    if not _FILENAME.fullmatch(attachment.filename):
        raise UnsafeHeader("the file name of an attachment")
    return (
        f'Content-Type: {attachment.media_type}; name="{attachment.filename}"\r\n'
        f'Content-Disposition: attachment; filename="{attachment.filename}"\r\n'
        "Content-Transfer-Encoding: base64\r\n\r\n"
    ).encode()
