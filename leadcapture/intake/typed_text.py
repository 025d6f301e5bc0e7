"""Text as people type it, made safe to keep: one kind of newline, nothing invisible that acts."""

import re
import unicodedata

_NEWLINES = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
# Controls save tab and newline (category Cc), lone surrogates (Cs), and the marks that turn the
# direction of the text around them, which make one thing read as another.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")
# Letters and symbols that show nothing: Hangul's fillers and the blank of Braille.
_BLANK = "\u115f\u1160\u2800\u3164\uffa0"


def clean_text(typed: str) -> str:
    """Several lines of text: newlines as ``\\n``, no controls, no lone surrogates, trimmed."""
    text = _NEWLINES.sub("\n", typed)
    return _UNSEEN.sub("", text).strip()


def clean_line(typed: str) -> str:
    """One line of text, any run of white space one space; empty where nobody sees any of it."""
    line = " ".join(clean_text(typed).split())
    return line if any(map(_is_seen, line)) else ""


def _is_seen(character: str) -> bool:
    return unicodedata.category(character)[0] in "LNPS" and character not in _BLANK
