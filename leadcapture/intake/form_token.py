"""Form tokens: signed, stateless; a token's id makes the request that it posts idempotent."""

import base64
import binascii
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

VALID_FOR = timedelta(hours=48)

_ID_BYTES = 16
_AT_BYTES = 6
_TAG_BYTES = 24
_BODY_BYTES = _ID_BYTES + _AT_BYTES


@dataclass(frozen=True)
class FormToken:
    """What a token says once its proof holds: 128 random bits in hex, and when it was made."""

    id: str
    issued_at: datetime

    def age(self, now: datetime) -> timedelta:
        return now - self.issued_at

    def is_expired(self, now: datetime) -> bool:
        # A few minutes ahead is another machine's clock; more is nobody's.
        return not -timedelta(minutes=5) <= self.age(now) <= VALID_FOR


def issue(key: str, now: datetime) -> str:
    """A new token, signed (HMAC-SHA256, 192 bits of proof), in letters that a form can carry."""
    at = int(now.timestamp() * 1000).to_bytes(_AT_BYTES, "big")
    body = secrets.token_bytes(_ID_BYTES) + at
    return base64.urlsafe_b64encode(body + _proof(key, body)).decode()


def read(keys: Sequence[str], token: str) -> FormToken | None:
    """The token, if one of ``keys`` signed it, however old; None for anything else."""
    try:
        raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        return None
    if len(raw) != _BODY_BYTES + _TAG_BYTES:
        return None
    body, proof = raw[:_BODY_BYTES], raw[_BODY_BYTES:]
    if not any(hmac.compare_digest(proof, _proof(key, body)) for key in keys):
        return None
    milliseconds = int.from_bytes(body[_ID_BYTES:], "big")
    try:
        issued_at = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return FormToken(body[:_ID_BYTES].hex(), issued_at)


def _proof(key: str, body: bytes) -> bytes:
    return hmac.digest(key.encode(), b"form-token\0" + body, "sha256")[:_TAG_BYTES]
