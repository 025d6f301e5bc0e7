"""Text as people type it, made safe to keep: one kind of newline, nothing invisible that acts."""

import re
import unicodedata

_NEWLINES = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
# Marks that turn the direction of the text around them make one thing read as another.
_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def clean_text(typed: str) -> str:
    """Several lines of text: newlines as ``\\n``, no controls, no lone surrogates, trimmed."""
    text = _NEWLINES.sub("\n", typed)
    return "".join(c for c in text if c in "\n\t" or _may_stay(c)).strip()


def clean_line(typed: str) -> str:
    """One line of text: any run of white space is one space."""
    return " ".join(clean_text(typed).split())


def _may_stay(character: str) -> bool:
    return unicodedata.category(character) not in ("Cc", "Cs") and character not in _DIRECTIONS
