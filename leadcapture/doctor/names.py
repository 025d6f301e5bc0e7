"""Questions to the DNS, each bounded by the resolver's lifetime."""

import ipaddress
from typing import Any

import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver
import dns.reversename

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Unanswered(Exception):
    """The DNS gave no answer in time, or a broken one: nothing follows from that."""


def texts(resolver: dns.resolver.Resolver, name: str) -> list[str]:
    """The TXT records of a name, each joined from its strings; none where there is no name."""
    return [
        b"".join(record.strings).decode("utf-8", "replace")
        for record in _ask(resolver, name, "TXT")
    ]


def addresses(resolver: dns.resolver.Resolver, name: str) -> list[Address]:
    """The addresses of a host, or the address itself."""
    try:
        return [ipaddress.ip_address(name)]
    except ValueError:
        found = [*_ask(resolver, name, "A"), *_ask(resolver, name, "AAAA")]
        return [ipaddress.ip_address(record.address) for record in found]


def exchangers(resolver: dns.resolver.Resolver, domain: str) -> list[str]:
    """The hosts that take a domain's mail, best first; ``[""]`` is a null MX (RFC 7505)."""
    found = sorted(_ask(resolver, domain, "MX"), key=lambda record: int(record.preference))
    return [record.exchange.to_text(omit_final_dot=True).rstrip(".") for record in found]


def reverse_names(resolver: dns.resolver.Resolver, address: Address) -> list[str]:
    """The names that an address points back to."""
    pointer = dns.reversename.from_address(str(address)).to_text()
    return [record.target.to_text(omit_final_dot=True) for record in _ask(resolver, pointer, "PTR")]


def _ask(resolver: dns.resolver.Resolver, name: str, kind: str) -> list[Any]:
    try:
        answer = resolver.resolve(name, kind, raise_on_no_answer=False, search=False)
    except dns.resolver.NXDOMAIN:
        return []
    except (dns.exception.DNSException, OSError, UnicodeError):
        raise Unanswered from None
    return list(answer.rrset or ())
