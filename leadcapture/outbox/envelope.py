"""The envelope of a message: a sender and an ENVID that prove later what a bounce is about.

Each carries a token of its own purpose: 16 bytes of reference and 14 of proof in base32,
48 letters and digits that mean the same in either case, because mail systems fold case.
"""

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass

from leadcapture.models import Message
from leadcapture.settings import Settings

SENDER = "verp"
ENVID = "envid"
COMPLAINT = "complaint"
"""What a token is good for: one is never taken for another."""

_REF_BYTES = 16
_TAG_BYTES = 14
_TOKEN = re.compile(r"[a-z2-7]{48}")


@dataclass(frozen=True)
class SmtpEnvelope:
    """What the relay is told about one message: MAIL FROM, and ENVID (RFC 3461 §4.4).

    ``envid`` is empty where delivery reports have no address of ours to go to. Its letters
    and digits stand for themselves in xtext.
    """

    sender: str
    envid: str = ""


def envelope_of(settings: Settings, message: Message) -> SmtpEnvelope:
    """The envelope of every copy of this message; the plain sender without a bounce address."""
    if not settings.bounce_address:
        return SmtpEnvelope(settings.mail_from)
    local, _, domain = settings.bounce_address.rpartition("@")
    token = sign(settings.hash_key, SENDER, message.ref)
    return SmtpEnvelope(f"{local}+{token}@{domain}", sign(settings.hash_key, ENVID, message.ref))


def feedback_id(settings: Settings, message: Message) -> str:
    """The token that complaints about this message carry (RFC 9477); empty without an address."""
    return sign(settings.hash_key, COMPLAINT, message.ref) if settings.bounce_address else ""


def sign(secret: bytes, purpose: str, ref: str) -> str:
    """A token for a message's reference; ValueError for what is no reference of ours."""
    subject = _unpacked(ref)
    return base64.b32encode(subject + _tag(secret, purpose, subject)).decode().lower()


def verify(secret: bytes, purpose: str, token: str) -> str | None:
    """The reference of the message that a token of this purpose is about; None for any other."""
    token = token.lower()
    if not _TOKEN.fullmatch(token):
        return None
    packed = base64.b32decode(token.upper())
    subject, tag = packed[:_REF_BYTES], packed[_REF_BYTES:]
    if not hmac.compare_digest(tag, _tag(secret, purpose, subject)):
        return None
    return base64.urlsafe_b64encode(subject).decode().rstrip("=")


def token_of_sender(bounce_address: str, address: str) -> str:
    """What stands between + and @ in an address of ours for bounces; empty in any other."""
    ours, _, our_domain = bounce_address.lower().rpartition("@")
    local, _, domain = address.lower().rpartition("@")
    name, _, token = local.partition("+")
    return token if ours and (name, domain) == (ours, our_domain) else ""


def _unpacked(ref: str) -> bytes:
    try:
        subject = base64.urlsafe_b64decode(ref + "==")
    except (binascii.Error, ValueError):
        subject = b""
    if len(subject) != _REF_BYTES:
        raise ValueError("not a message's reference")
    return subject


def _tag(secret: bytes, purpose: str, subject: bytes) -> bytes:
    text = f"envelope\0{purpose}\0".encode() + subject
    return hmac.new(secret, text, hashlib.sha256).digest()[:_TAG_BYTES]
