"""Email addresses as people type them: read, normalised, and checked for slips."""

from functools import lru_cache

import dns.exception
import dns.resolver
from email_validator import EmailNotValidError, validate_email

LONGEST = 254
# A resolver that does not know this one (RFC 2606) is cut off and knows none.
_SURELY_THERE = "example.com"
_DNS_SECONDS = 1.5

# Where nearly everybody who mistypes a domain has their mailbox.
USUAL_DOMAINS = (
    "gmail.com",
    "hotmail.com",
    "yahoo.com",
    "outlook.com",
    "icloud.com",
    "aol.com",
    "live.com",
    "msn.com",
    "comcast.net",
    "verizon.net",
    "proton.me",
    "protonmail.com",
    "me.com",
    "mac.com",
    "att.net",
    "sbcglobal.net",
    "hotmail.es",
    "yahoo.es",
    "outlook.es",
    "ymail.com",
    "gmx.com",
    "mail.com",
    "hey.com",
    "fastmail.com",
    "cox.net",
    "racsa.co.cr",
)
# Real domains a slip away from a usual one.
_REAL = frozenset({"email.com", "ymail.com", "gmx.net", "gmx.de", "live.ca", "aim.com", "pm.me"})
# Short names lie close to each other: one slip there is no evidence.
_SHORTEST_GUESS = 7


class BadAddress(ValueError):
    """This cannot be an email address that mail reaches."""


def read_address(typed: str) -> str:
    """The address in its normalised form, ASCII as SMTP carries it; raises ``BadAddress``."""
    typed = typed.strip()
    if typed.lower().startswith("mailto:"):
        typed = typed[len("mailto:") :]
    try:
        checked = validate_email(typed, check_deliverability=False, allow_smtputf8=False)
    except (EmailNotValidError, UnicodeError):
        raise BadAddress("not an address") from None
    address = checked.ascii_email or checked.normalized
    if len(address) > LONGEST:
        raise BadAddress("too long")
    return address


def address_key(email: str) -> str:
    """What identifies a person by their address: the address, case folded."""
    return email.casefold()


def phone_key(phone: str) -> str:
    """What identifies a person who gave no address: the telephone, in E.164."""
    return f"tel:{phone}"


def nobody_key(word: str) -> str:
    """What identifies a person who gave neither address nor telephone: a word of their own."""
    return f"none:{word}"


def cap_key(email: str) -> str:
    """What caps and stops count by: the address case folded, without its +tag, dots kept."""
    local, at, domain = email.casefold().rpartition("@")
    return (local.partition("+")[0] or local) + at + domain


def likely_meant(email: str) -> str | None:
    """The address that was probably meant, where the domain is one slip from a usual one."""
    local, _, domain = email.rpartition("@")
    usual = _usual_near(domain.casefold())
    return None if usual is None else f"{local}@{usual}"


@lru_cache(maxsize=1024)
def _usual_near(domain: str) -> str | None:
    """The usual domain that this one is a slip away from; None for a usual or real one."""
    if domain in USUAL_DOMAINS or domain in _REAL:
        return None
    for usual in USUAL_DOMAINS:
        if len(usual) >= _SHORTEST_GUESS and _is_slip(domain, usual):
            return usual
    return None


def is_missing(domain: str, resolver: dns.resolver.Resolver | None = None) -> bool:
    """True only where the DNS says for certain that the domain does not exist (NXDOMAIN).

    A slow, broken or absent resolver is no reason to refuse a person.
    """
    try:
        asked = resolver or dns.resolver.Resolver()
        return _is_unknown(asked, domain) and not _is_unknown(asked, _SURELY_THERE)
    except (dns.exception.DNSException, OSError):
        return False


def _is_unknown(resolver: dns.resolver.Resolver, domain: str) -> bool:
    try:
        resolver.resolve(
            domain, "MX", lifetime=_DNS_SECONDS, raise_on_no_answer=False, search=False
        )
    except dns.resolver.NXDOMAIN:
        return True
    return False


def _is_slip(typed: str, meant: str) -> bool:
    """One letter too many, too few, another, or two swapped; or the right name cut short."""
    name, _, ending = meant.rpartition(".")
    if typed in (name, f"{name}.co", f"{name}.cm", f"{name}.om", f"{name}.con", f"{name}.comm"):
        return ending == "com"
    if abs(len(typed) - len(meant)) > 1:
        return False
    start = next(
        (i for i, (a, b) in enumerate(zip(typed, meant, strict=False)) if a != b),
        min(len(typed), len(meant)),
    )
    one, other = typed[start:], meant[start:]
    return (
        one[1:] == other
        or one == other[1:]
        or one[1:] == other[1:]
        or (one[2:] == other[2:] and one[:2] == other[1::-1])
    )
