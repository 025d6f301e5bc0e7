"""Text as people type it, made safe to keep: one kind of newline, nothing invisible that acts."""

import re

_NEWLINES = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
# Controls save tab and newline (category Cc), lone surrogates (Cs), and the marks that turn the
# direction of the text around them, which make one thing read as another.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


def clean_text(typed: str) -> str:
    """Several lines of text: newlines as ``\\n``, no controls, no lone surrogates, trimmed."""
    text = _NEWLINES.sub("\n", typed)
    return _UNSEEN.sub("", text).strip()


def clean_line(typed: str) -> str:
    """One line of text: any run of white space is one space."""
    return " ".join(clean_text(typed).split())
