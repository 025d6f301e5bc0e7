"""The keys among the settings: which are good enough to start with."""

import base64
import binascii
import re

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from leadcapture.variables import Reader

SigningKey = RSAPrivateKey | Ed25519PrivateKey

_WEAK = frozenset({"secret", "changeme", "password", "dev", "default", "example"})
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")


def read_secret(reader: Reader, name: str) -> str:
    """A key that signs: 32 characters or more that nobody made up."""
    key = reader.text(name)
    if len(key) < 32 or _is_made_up(key):
        reader.wrong(name, "must be 32 or more random characters")
    return key


def _is_made_up(key: str) -> bool:
    """Does it read as words, with one among them that no key should be made of?

    By chance "dev" stands somewhere in one of 500 random keys. So it counts only where so few
    signs as no random key has are used, or where it is a word of its own among long words.
    """
    if not any(word in key.lower() for word in _WEAK):
        return False
    if len(set(key.lower())) < 16:
        return True
    words = _WORD.findall(key)
    letters = "".join(words)
    are_long = len(letters) >= 3 * len(words)
    has_weak = any(word.lower() in _WEAK for word in words)
    return has_weak and are_long and len(set(letters)) <= 20


def read_token(reader: Reader, name: str) -> str:
    """A token that opens a page to programs, or empty."""
    token = reader.text(name)
    if token and len(token) < 20:
        reader.wrong(name, "must be 20 or more random characters")
    return token


def read_key(reader: Reader, name: str, value: str) -> bytes:
    """32 bytes, from base64."""
    try:
        key = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 32:
        reader.wrong(name, "must be 32 random bytes in base64")
    return key


def read_seal_keys(reader: Reader, name: str) -> dict[str, bytes]:
    """Each key by its id, in the order in which they were named."""
    keys = {}
    for part in reader.text(name).split(","):
        key_id, _, value = part.strip().partition(":")
        if not re.fullmatch(r"[a-z0-9]{4}", key_id):
            reader.wrong(name, "must be id:key pairs, the id of 4 letters or digits")
            return {"none": b""}
        keys[key_id] = read_key(reader, name, value)
    return keys


def read_signing_key(reader: Reader, name: str, pem: str) -> SigningKey | None:
    """The key that this PEM holds; None where it is none that signs well enough."""
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if isinstance(key, Ed25519PrivateKey):
        return key
    if isinstance(key, RSAPrivateKey) and key.key_size >= 2048:
        return key
    reader.wrong(name, "must hold an RSA key of 2048 bits or more, or Ed25519, in PEM")
    return None
