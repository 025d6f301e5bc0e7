"""A mail as we read it: who wrote, to which of our addresses, about what, in which words."""

import email
import re
from dataclasses import dataclass
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message as Parsed
from email.utils import parseaddr

from leadcapture.intake.inbound import reports, text

DEEPEST = 12
MOST_PARTS = 150
LONGEST_HEADER = 20_000
LONGEST_SUBJECT = 300

_ADDRESS = re.compile(r"[^\s<>,;:\"()@]{1,64}@[A-Za-z0-9.-]{1,253}")
_MESSAGE_ID = re.compile(r"<[^<>\s]{3,250}>")
_BOUNDARY = re.compile(rb"boundary\s*=", re.IGNORECASE)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")

# Where mail systems write down which of our addresses a mail was delivered to.
_DELIVERED = ("Delivered-To", "X-Original-To", "X-Envelope-To", "Envelope-To", "To", "Cc")
_BULK = ("bulk", "junk", "list", "auto_reply")
_AUTOMATIC = (
    *("X-Autoreply", "X-Autorespond", "X-Autoresponder", "X-Vacation", "X-Mail-Autoreply"),
    *("X-Auto-Reply", "X-Failed-Recipients", "List-Id", "Feedback-Type"),
)
# For those that carry no header that says so.
_AWAY = re.compile(
    r"\W*(auto(matic|mated)?[ -]?(reply|response|antwort)|out of (the )?office|auto:|vacation"
    r"|respuesta autom[aá]tica|fuera de (la )?oficina|undeliver(ed|able)|failure notice"
    r"|delivery status notification|mail delivery (failed|subsystem)|returned mail)",
    re.IGNORECASE,
)
_MACHINES = re.compile(
    r"(mailer-daemon|postmaster|no-?reply|do-?not-?reply)(\+.*)?@", re.IGNORECASE
)


class Unreadable(Exception):
    """The bytes are no mail that we dare to take apart; never quotes them."""


@dataclass(frozen=True)
class Mail:
    """One mail. ``sender`` is the plain address of From in lower case, or empty.

    ``threads`` are the Message-IDs that it answers to, the nearest first. ``text`` is what
    its writer wrote, without the quoted original, ``body`` all of it. ``is_automatic``: no
    person wrote it (RFC 3834), so nothing may ever be sent because of it. ``results`` is the
    topmost ``Authentication-Results`` as it stands; empty for none, and where it is not clear whom
    it is about, because there is not exactly one From.
    """

    message_id: str
    sender: str
    subject: str
    delivered_to: tuple[str, ...]
    threads: tuple[str, ...]
    is_automatic: bool
    text: str
    delivery: reports.Delivery | None = None
    complaint: reports.Complaint | None = None
    body: str = ""
    results: str = ""


def read_mail(content: bytes) -> Mail:
    """The mail in these bytes (RFC 5322), which may be cut off at their end.

    Raises `Unreadable` where it is nested too deeply, has too many parts, or breaks the parser.
    """
    if len(_BOUNDARY.findall(content)) > MOST_PARTS:
        raise Unreadable("too many boundaries")
    try:
        parsed = email.message_from_bytes(content)
        _measure(parsed)
        return _read(parsed)
    except (MessageError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise Unreadable("not a mail that can be taken apart") from None


def message_id_of(content: bytes) -> str:
    """The Message-ID of a mail that may be unreadable otherwise; empty for none."""
    header = content[:LONGEST_HEADER].partition(b"\r\n\r\n")[0]
    found = re.search(rb"^message-id:\s*(<[^<>\s]{1,250}>)", header, re.IGNORECASE | re.MULTILINE)
    return found[1].decode("ascii", "replace") if found else ""


def _read(parsed: Parsed) -> Mail:
    if not parsed.keys():
        raise Unreadable("no header")
    sender = parseaddr(header(parsed, "From"))[1].strip().lower()
    body = text.body_of(parsed)
    return Mail(
        message_id=next(iter(_MESSAGE_ID.findall(header(parsed, "Message-ID"))), ""),
        sender=sender if _ADDRESS.fullmatch(sender) else "",
        subject=_words(parsed, "Subject")[:LONGEST_SUBJECT],
        delivered_to=addresses_in(parsed, *_DELIVERED),
        threads=_threads(parsed),
        is_automatic=_is_automatic(parsed, sender),
        text=text.own_words(body),
        body=text.all_words(body),
        delivery=reports.delivery_of(parsed),
        complaint=reports.complaint_of(parsed),
        results=header(parsed, "Authentication-Results") if _has_one_from(parsed) else "",
    )


def header(parsed: Parsed, name: str) -> str:
    """A header as it stands, on one line; empty for none."""
    found = (value for field, value in parsed.raw_items() if field.lower() == name.lower())
    raw = str(next(found, ""))[:LONGEST_HEADER]
    # Many programs write UTF-8 as it is; the parser hands its bytes on as surrogates.
    text = raw.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return _CONTROLS.sub(" ", text).strip()


def addresses_in(parsed: Parsed, *names: str) -> tuple[str, ...]:
    """Every address in these headers, in lower case."""
    return tuple(
        found.lower()
        for name in names
        for value in parsed.get_all(name, [])
        for found in _ADDRESS.findall(str(value)[:LONGEST_HEADER])
    )


def _measure(parsed: Parsed, depth: int = 0) -> int:
    """How many parts there are; `Unreadable` where they are too many or too deep."""
    if depth > DEEPEST:
        raise Unreadable("nested too deeply")
    below = parsed.get_payload() if parsed.is_multipart() else []
    parts = 1 + sum(_measure(part, depth + 1) for part in below if isinstance(part, Parsed))
    if parts > MOST_PARTS:
        raise Unreadable("too many parts")
    return parts


def _words(parsed: Parsed, name: str) -> str:
    """A header's words, decoded (RFC 2047); as they stand where that is impossible."""
    raw = header(parsed, name)
    try:
        decoded = str(make_header(decode_header(raw)))
    except (MessageError, ValueError, LookupError):
        decoded = raw
    return _CONTROLS.sub(" ", decoded).encode("utf-8", "replace").decode().strip()


def _has_one_from(parsed: Parsed) -> bool:
    return len(parsed.get_all("From", [])) == 1


def _threads(parsed: Parsed) -> tuple[str, ...]:
    nearest = _MESSAGE_ID.findall(header(parsed, "In-Reply-To"))
    earlier = _MESSAGE_ID.findall(header(parsed, "References"))
    return tuple(dict.fromkeys([*nearest, *reversed(earlier)]))[:50]


def _is_automatic(parsed: Parsed, sender: str) -> bool:
    submitted = header(parsed, "Auto-Submitted").partition(";")[0].strip().lower()
    if submitted not in ("", "no"):
        return True
    if header(parsed, "Precedence").lower() in _BULK:
        return True
    if "Return-Path" in parsed and header(parsed, "Return-Path") in ("<>", ""):
        return True
    if any(name in parsed for name in _AUTOMATIC):
        return True
    if parsed.get_content_type() == "multipart/report" or _MACHINES.match(sender):
        return True
    return bool(_AWAY.match(_words(parsed, "Subject")))
