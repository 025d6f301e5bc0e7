"""References: nine signs that a person can say on the telephone, and staff can type."""

import re
import secrets

# Crockford's base 32: no I, L, O or U, so that nothing reads as something else.
_SIGNS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_BITS = 5
_LENGTH = 9
_GROUP = 3
_FORGIVEN = str.maketrans("OIL", "011", " -–.·")
_WHOLE = re.compile(f"[{_SIGNS}]{{{_LENGTH}}}")
# Before they could be said aloud, references were 128 random bits.
_OLD = re.compile(r"[A-Za-z0-9_-]{22}")


def new_reference() -> str:
    """A reference as it is stored: 45 random bits. It opens nothing and protects nothing."""
    bits = secrets.randbits(_BITS * _LENGTH)
    return "".join(_SIGNS[bits >> _BITS * place & 31] for place in range(_LENGTH))


def spoken(reference: str) -> str:
    """The reference as people see it, in groups: ``7K3-M9Q-XW2``; an old one as it is."""
    if not _WHOLE.fullmatch(reference):
        return reference
    return "-".join(reference[at : at + _GROUP] for at in range(0, _LENGTH, _GROUP))


def read_reference(typed: str) -> str | None:
    """The reference that was meant, or None where none was.

    Small letters, spaces, dashes, O for 0 and I or L for 1 are forgiven.
    """
    if _OLD.fullmatch(typed.strip()):
        return typed.strip()
    meant = typed.strip().upper().translate(_FORGIVEN)
    return meant if _WHOLE.fullmatch(meant) else None
