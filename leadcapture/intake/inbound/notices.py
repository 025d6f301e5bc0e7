"""Notices: whom a telephone's or a chat's service tells of in a mail, as far as it can be told.

Each service words its mails in its own way and changes them when it likes, so nothing here knows
a service: a telephone counts by the words before it, a name and an address by the label of their
line. What is not certain is left out, and a person reads the mail.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import phonenumbers
from phonenumbers import Leniency, PhoneNumberFormat, PhoneNumberMatcher

from leadcapture.intake.addresses import BadAddress, read_address
from leadcapture.intake.typed_text import clean_line

_MOST_TEXT = 10_000
_LONGEST_VALUE = 320
_BEFORE = 60
_LONGEST_NAME = 60

# Whose a number is, by the nearest such word before it.
_CALLERS = (
    r"from|caller(?: id| number)?|call ?back|phone|telephone|tel|mobile|cell|number|called you"
    r"|tel[eé]fono|celular|m[oó]vil|n[uú]mero|llamante|llam[oó]|de|del"
)
_OTHERS = (
    r"to|fax|your (?:number|line|phone|extension)|ext(?:ension)?|support|help|questions|account"
    r"|order|reference|ticket|duration|id|date|time|para|su (?:n[uú]mero|l[ií]nea)|extensi[oó]n"
    r"|soporte|ayuda|preguntas|cuenta|fecha|hora|duraci[oó]n"
)
_WHOSE = re.compile(rf"\b(?:(?P<caller>{_CALLERS})|(?P<other>{_OTHERS}))\b", re.IGNORECASE)

_NAME = re.compile(
    r"(?:(?:full|first|visitor|visitor'?s|customer|contact|caller|your)[ -])?name|visitor|customer"
    r"|caller(?: id)?|nombre(?: completo| del visitante)?|visitante|cliente|llamante",
    re.IGNORECASE,
)
_FROM = re.compile(r"from|de", re.IGNORECASE)
_EMAIL = re.compile(
    r"(?:(?:visitor|customer|contact|your)[ -])?e-?mail(?: address)?|correo(?: electr[oó]nico)?",
    re.IGNORECASE,
)
_LABEL = re.compile(r"[ >*•-]*([^\W\d_][\w '’-]{1,30}?) ?[*]* ?[:=][ *]*(.*)")
_ADDRESS = re.compile(r"[^\s<>()\[\],;:\"|*]+@[^\s<>()\[\],;:\"|*]+\.[^\s<>()\[\],;:\"|*]+")
_SHAPE_OF_NAME = re.compile(r"[^\W\d_][^\d_@<>/\\:]*")
_NOBODY = frozenset(
    {
        *("wireless caller", "unknown", "unknown caller", "unknown name", "anonymous", "private"),
        *("restricted", "unavailable", "no name", "visitor", "guest", "blocked", "caller"),
        *("name unavailable", "private caller", "toll free call", "external call", "v"),
        *("desconocido", "anónimo", "anonimo", "privado", "visitante", "sin nombre", "invitado"),
    }
)


@dataclass(frozen=True)
class Notice:
    """Whom the mail tells of: E.164 or None, a name and a normalised address, each maybe empty."""

    phone: str | None = None
    full_name: str = ""
    email: str = ""

    @property
    def tells_who(self) -> bool:
        """True where the person can be reached."""
        return bool(self.phone or self.email)


def read_notice(subject: str, body: str, own: frozenset[str]) -> Notice:
    """What can be told from a mail's subject and whole text.

    ``own``: telephones (E.164) and addresses (lower case) of the clinic, and domains (``@…``) of
    the service, which are nobody's who called.
    """
    subject, body = subject[:_MOST_TEXT], body[:_MOST_TEXT]
    pairs = list(_labelled(body))
    return Notice(
        phone=_phone(subject, body, own), full_name=_name(pairs), email=_email(pairs, own)
    )


def _phone(subject: str, body: str, own: frozenset[str]) -> str | None:
    """The one number that is a caller's; else the only number there is; None in doubt."""
    found = [list(_numbers(subject)), list(_numbers(body))]
    for numbers in found:
        callers = {number for number, whose in numbers if whose == "caller"} - own
        if callers:
            return callers.pop() if len(callers) == 1 else None
    unsaid = {number for numbers in found for number, whose in numbers if not whose} - own
    return unsaid.pop() if len(unsaid) == 1 else None


def _numbers(text: str) -> Iterator[tuple[str, str]]:
    """Each number in E.164, and whose it is: ``caller``, ``other``, or empty where nothing says."""
    for region in ("US", "CR"):
        for found in PhoneNumberMatcher(text, region, leniency=Leniency.VALID):
            whose = _whose(text, found.start)
            # Eight figures that nothing calls a telephone may be a date.
            if region == "CR" and whose != "caller" and not found.raw_string.startswith("+"):
                continue
            yield phonenumbers.format_number(found.number, PhoneNumberFormat.E164), whose


def _whose(text: str, start: int) -> str:
    """By the words before it on its line, or on the line above where it stands alone."""
    before = text[:start].rstrip("(<+ \t")
    lines = before[-4 * _BEFORE :].split("\n")
    near = lines[-1][-_BEFORE:]
    if not near.strip():
        above = [line for line in lines[:-1] if line.strip()]
        near = above[-1][-_BEFORE:] if above else ""
    said = [found.lastgroup or "" for found in _WHOSE.finditer(near)]
    return said[-1] if said else ""


def _labelled(body: str) -> Iterator[tuple[str, str]]:
    """Label and value of each line that has both; a label alone has the next line's words."""
    lines = [" ".join(line.split()) for line in body.split("\n") if line.strip()]
    for line, below in zip(lines, [*lines[1:], ""], strict=False):
        found = _LABEL.fullmatch(line)
        if found:
            yield found[1], (found[2] or below)[:_LONGEST_VALUE]
        elif _NAME.fullmatch(line) or _EMAIL.fullmatch(line) or _FROM.fullmatch(line):
            yield line, below[:_LONGEST_VALUE]


def _name(pairs: list[tuple[str, str]]) -> str:
    named = [value for label, value in pairs if _NAME.fullmatch(label)]
    # "From" may be a header of the mail that is quoted, unless a telephone stands beside it.
    named += [value for label, value in pairs if _FROM.fullmatch(label) and _has_number(value)]
    for value in named:
        name = clean_line(re.split(r"[(<+\d|]", value)[0]).strip(" ,-–")
        if (
            _SHAPE_OF_NAME.fullmatch(name)
            and 1 < len(name) <= _LONGEST_NAME
            and name.casefold() not in _NOBODY
        ):
            return name
    return ""


def _has_number(value: str) -> bool:
    return any(True for _ in PhoneNumberMatcher(value, "US", leniency=Leniency.VALID))


def _email(pairs: list[tuple[str, str]], own: frozenset[str]) -> str:
    for label, value in pairs:
        found = _ADDRESS.search(value) if _EMAIL.fullmatch(label) else None
        if found is None:
            continue
        try:
            email = read_address(found[0])
        except BadAddress:
            continue
        domain = "@" + email.rpartition("@")[2].lower()
        if email.lower() not in own and domain not in own:
            return email
    return ""
