"""SPF (RFC 7208): may this address send for this domain?"""

import ipaddress
from dataclasses import dataclass

import dns.resolver

from leadcapture.doctor import names
from leadcapture.doctor.names import Address

MOST_LOOKUPS = 10
_RESULT = {"+": "pass", "-": "fail", "~": "softfail", "?": "neutral"}
_LOOKS_UP = ("a", "mx", "include", "exists", "ptr")


class SpfBroken(Exception):
    """A permerror: receivers treat the domain as if it had no SPF, or refuse. Says why."""


@dataclass
class SpfReader:
    """Evaluates records and counts the look-ups, of which ten are allowed (§4.6.4)."""

    resolver: dns.resolver.Resolver
    lookups: int = 0

    def record_of(self, domain: str) -> str | None:
        """The domain's one record. Raises `SpfBroken` where there are several."""
        found = [
            text
            for text in names.texts(self.resolver, domain)
            if text.lower() == "v=spf1" or text.lower().startswith("v=spf1 ")
        ]
        if len(found) > 1:
            raise SpfBroken(f"{domain} has {len(found)} SPF records")
        return found[0] if found else None

    def judge(self, domain: str, address: Address) -> str:
        """``pass``, ``fail``, ``softfail``, ``neutral`` or ``none``. Raises `SpfBroken`."""
        record = self.record_of(domain)
        if record is None:
            return "none"
        redirect = ""
        for term in record.split()[1:]:
            if "=" in term.partition(":")[0].partition("/")[0]:
                name, _, value = term.partition("=")
                redirect = value if name.lower() == "redirect" else redirect
                continue
            sign, mechanism = (term[0], term[1:]) if term[0] in _RESULT else ("+", term)
            if self._matches(mechanism, domain, address):
                return _RESULT[sign]
        if not redirect:
            return "neutral"
        self._count()
        result = self.judge(redirect, address)
        if result == "none":
            raise SpfBroken(f"it redirects to {redirect}, which has no SPF record")
        return result

    def _matches(self, mechanism: str, domain: str, address: Address) -> bool:
        name, _, value = mechanism.partition(":")
        name, _, length = name.lower().partition("/")
        if name == "all":
            return True
        if name in ("ip4", "ip6"):
            return _is_within(address, value)
        if name not in _LOOKS_UP:
            raise SpfBroken(f"it has an unknown word: {name[:20]}")
        self._count()
        if "%" in value:
            # Macros depend on the letter; no record of a clinic hangs on them.
            return False
        target, _, own_length = value.partition("/")
        length = own_length or length
        if name == "include":
            result = self.judge(target, address)
            if result == "none":
                raise SpfBroken(f"it includes {target}, which has no SPF record")
            return result == "pass"
        if name in ("a", "mx"):
            hosts = [target or domain]
            if name == "mx":
                hosts = names.exchangers(self.resolver, hosts[0])[:MOST_LOOKUPS]
            found = [one for host in hosts if host for one in names.addresses(self.resolver, host)]
            return any(
                _is_within(address, f"{one}/{length}" if length else str(one)) for one in found
            )
        return False

    def _count(self) -> None:
        self.lookups += 1
        if self.lookups > MOST_LOOKUPS:
            raise SpfBroken(f"it needs more than {MOST_LOOKUPS} look-ups")


def _is_within(address: Address, network: str) -> bool:
    try:
        return address in ipaddress.ip_network(network, strict=False)
    except ValueError:
        raise SpfBroken("it names something that is no network") from None
