"""Plates: a text in quoted-printable, cast once a version, into which a message's values go.

A letter is the same for all but for a few words. Between those it is encoded once, and a soft
line break (RFC 2045 §6.7) parts it from them, so that no value moves the lines of the rest.
"""

import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from leadcapture.letters.placeholders import parted, value_of

_LINE_END = re.compile(r"\r\n|\r|\n")
_SOFT = b"=\r\n"
_LONGEST = 76
_KEPT = 512


@dataclass(frozen=True)
class Plate:
    """The pieces between the values, and which values go there: one piece more than names."""

    pieces: tuple[bytes, ...]
    names: tuple[str, ...]

    def struck(self, values: Mapping[str, str], escape: Callable[[str], str] = str) -> bytes:
        """The text of one message, its last line ended. Raises as `substitute` does."""
        words = {
            name: _quoted(escape(value_of(name, values)), is_followed=True)
            for name in dict.fromkeys(self.names)
        }
        parts = [self.pieces[0]]
        for name, piece in zip(self.names, self.pieces[1:], strict=True):
            parts += (words[name], piece)
        return b"".join(parts)


@lru_cache(maxsize=_KEPT)
def cast(text: str) -> Plate:
    """The plate of a text with placeholders. Only for texts of ours: it is kept in memory."""
    pieces, names = parted(text)
    return Plate(_encoded(pieces), tuple(names))


def set_once(text: str) -> bytes:
    """A text without placeholders, whatever stands in it, its last line ended."""
    return _quoted(text, is_followed=False)


def _encoded(pieces: Sequence[str]) -> tuple[bytes, ...]:
    *before, last = pieces
    return (*(_quoted(piece, is_followed=True) for piece in before), set_once(last))


def _quoted(text: str, is_followed: bool) -> bytes:
    """Quoted-printable with CRLF; what is followed by more ends in a soft line break."""
    # The last line end also keeps binascii, which takes its line ends from the first one that
    # it sees, from breaking long lines with a bare LF.
    lines = _LINE_END.sub("\r\n", text) + "\r\n"
    quoted = binascii.b2a_qp(lines.encode("utf-8", "replace"), istext=True)
    if not is_followed:
        return quoted
    quoted = quoted[:-2]
    if not quoted or quoted.endswith(b"\r\n"):
        return quoted
    if len(quoted) - (quoted.rfind(b"\n") + 1) < _LONGEST:
        return quoted + _SOFT
    # Its last line is full: one more sign, and it would be too long.
    last = -3 if quoted[-3:-2] == b"=" else -1
    return quoted[:last] + _SOFT + quoted[last:] + _SOFT
