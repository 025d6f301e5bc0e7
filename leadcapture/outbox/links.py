"""Signed links: a token is good for one purpose, holds 192 bits of proof and needs no table."""

import base64
import hmac

_TAG_BYTES = 24


def stop_link(public_url: str, secret: bytes, cap_hash: str) -> str:
    """Where letters to the address of this hash are stopped."""
    return f"{public_url}/stop/{sign(secret, 'stop', cap_hash)}"


def sign(secret: bytes, purpose: str, subject: str) -> str:
    """A token for ``subject`` (letters, digits, ``-`` and ``_``): ``subject.proof``."""
    return f"{subject}.{_proof(secret, purpose, subject)}"


def verify(secret: bytes, purpose: str, token: str) -> str | None:
    """The subject of a token made for this purpose; None for anything else."""
    subject, dot, proof = token.rpartition(".")
    if not dot or not token.isascii():
        return None
    return subject if hmac.compare_digest(proof, _proof(secret, purpose, subject)) else None


def _proof(secret: bytes, purpose: str, subject: str) -> str:
    tag = hmac.digest(secret, f"link\0{purpose}\0{subject}".encode(), "sha256")
    return base64.urlsafe_b64encode(tag[:_TAG_BYTES]).decode()
