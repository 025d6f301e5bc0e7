"""Sealing: health answers are encrypted where they rest, each bound to its row and column."""

import hmac
import os
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12
_KEY_ID_BYTES = 4


class SealBroken(Exception):
    """A sealed value does not open here: another row's, another key's, or altered."""


class Vault:
    """Seals text with AES-256-GCM (NIST SP 800-38D), and hashes addresses with a key.

    ``keys`` maps a key's id (4 characters) to its 32 bytes. ``current`` seals; all open.
    A sealed value is ``key id ‖ nonce ‖ ciphertext and tag``; the associated data are the
    table, the column and the row's public reference, so a value opens in its own place only.
    """

    def __init__(self, keys: Mapping[str, bytes], current: str, hash_key: bytes) -> None:
        if any(len(key) != 32 for key in keys.values()):
            raise ValueError("a sealing key has 32 bytes")
        if any(len(name.encode()) != _KEY_ID_BYTES for name in keys):
            raise ValueError(f"a sealing key's id has {_KEY_ID_BYTES} characters")
        self._ciphers = {name.encode(): AESGCM(key) for name, key in keys.items()}
        self._current = current.encode()
        self._hash_key = hash_key

    def seal(self, table: str, column: str, row: str, text: str) -> bytes:
        """Encrypt ``text`` for one place."""
        nonce = os.urandom(_NONCE_BYTES)
        place = _place(table, column, row)
        cipher = self._ciphers[self._current]
        return self._current + nonce + cipher.encrypt(nonce, text.encode(), place)

    def open(self, table: str, column: str, row: str, sealed: bytes) -> str:
        """Decrypt what was sealed for this place; `SealBroken` for anything else."""
        body = _KEY_ID_BYTES + _NONCE_BYTES
        cipher = self._ciphers.get(sealed[:_KEY_ID_BYTES])
        if cipher is None:
            raise SealBroken(f"{table}.{column}: no such key")
        try:
            opened = cipher.decrypt(
                sealed[_KEY_ID_BYTES:body], sealed[body:], _place(table, column, row)
            )
        except (InvalidTag, ValueError):
            raise SealBroken(f"{table}.{column}: not sealed for this row") from None
        return opened.decode()

    def keyed_hash(self, purpose: str, text: str) -> str:
        """HMAC-SHA256 in hex: finds an address again without keeping it (RFC 2104)."""
        words = purpose.encode() + b"\0" + text.encode()
        return hmac.digest(self._hash_key, words, "sha256").hex()


def _place(table: str, column: str, row: str) -> bytes:
    return "\x1f".join((table, column, row)).encode()
