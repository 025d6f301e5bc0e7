"""The few names that staff may write into a text, and their plain substitution."""

import re
from collections.abc import Callable, Mapping

# Staff text is never a program: a name from this list becomes its value, once, and nothing
# else in a text has any meaning.
NAMES = frozenset(
    {
        "greeting",
        "first_name",
        "clinic_name",
        "clinic_phone",
        "postal_address",
        "packet_link",
        "stop_link",
        "preferences_link",
        "lead_link",
        "receipt",
        "received_at",
        "language",
    }
)
LINK_NAMES = frozenset(name for name in NAMES if name.endswith("_link"))

_PLACEHOLDER = re.compile(r"\{\{[ \t]*([^{}\s]*)[ \t]*\}\}")
_URL = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+(?:[/?#][A-Za-z0-9\-._~:/?#\[\]@!$&()*+,;=%]*)?")


class UnknownPlaceholder(ValueError):
    """A text asks for a name that is not on the list."""


class MissingValue(ValueError):
    """A text asks for a name that this message has no value for."""


class UnsafeLink(ValueError):
    """A link does not lead to a plain web address, or does not come from a placeholder."""


def names_in(text: str) -> list[str]:
    """Every name that the text asks for, in order, repeats included."""
    return _PLACEHOLDER.findall(text)


def unknown_names(text: str) -> list[str]:
    """The names that the text asks for and that nobody may use, in order."""
    return [name for name in names_in(text) if name not in NAMES]


def substitute(
    text: str, values: Mapping[str, str], escape: Callable[[str], str] | None = None
) -> str:
    """The text with each placeholder replaced by its value, ``escape`` applied to values only.

    One pass: a value that looks like a placeholder stays as it is. Raises
    ``UnknownPlaceholder``, ``MissingValue`` or ``UnsafeLink``.
    """

    def filled(match: re.Match[str]) -> str:
        value = value_of(match[1], values)
        return escape(value) if escape else value

    return _PLACEHOLDER.sub(filled, text)


def value_of(name: str, values: Mapping[str, str]) -> str:
    """What stands for a placeholder; raises as `substitute` does."""
    if name not in NAMES:
        raise UnknownPlaceholder(name)
    if name not in values:
        raise MissingValue(name)
    return checked_link(values[name]) if name in LINK_NAMES else values[name]


def parted(text: str) -> tuple[list[str], list[str]]:
    """What stands between the placeholders, one piece more than there are, and their names."""
    pieces = _PLACEHOLDER.split(text)
    return pieces[::2], pieces[1::2]


def checked_link(url: str) -> str:
    """The web address itself, if it is one that is safe in mail; else ``UnsafeLink``."""
    if len(url) > 900 or not _URL.fullmatch(url):
        raise UnsafeLink("not a plain http or https address")
    return url
