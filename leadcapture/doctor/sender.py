"""The sender's domain: does the world believe that our letters are ours?"""

import base64
import binascii
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import dns.resolver
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from leadcapture.doctor import names
from leadcapture.doctor.finding import Finding, attention, fault, ok
from leadcapture.doctor.names import Address, Unanswered
from leadcapture.doctor.spf import SpfBroken, SpfReader
from leadcapture.settings import Dkim, Settings

_SILENT = "the DNS gave no answer in time"
_ASK_AGAIN = "Ask again; where it stays so, look at /etc/resolv.conf."


def examine(settings: Settings, resolver: dns.resolver.Resolver) -> list[Finding]:
    """SPF, DKIM, DMARC, MX and reverse DNS."""
    if settings.mailbox_dir is not None:
        return [ok("sender's domain", "not needed: the embedded mailbox keeps all mail here")]
    looks: tuple[tuple[str, Callable[[], Finding]], ...] = (
        ("SPF", lambda: check_spf(settings, resolver)),
        ("DKIM", lambda: check_dkim(settings.dkim, resolver)),
        ("DMARC", lambda: check_dmarc(settings, resolver)),
        ("MX", lambda: check_mx(settings, resolver)),
        ("reverse DNS", lambda: check_reverse(settings, resolver)),
    )
    with ThreadPoolExecutor(len(looks)) as pool:
        return list(pool.map(lambda each: _answered(*each), looks))


def check_spf(settings: Settings, resolver: dns.resolver.Resolver) -> Finding:
    """Does the domain of MAIL FROM let the relay send, and not everybody else?"""
    domain = _domain(settings.bounce_address or settings.mail_from)
    reader = SpfReader(resolver)
    try:
        record = reader.record_of(domain)
        if record is None:
            mend = f'Publish a TXT record at {domain}: "v=spf1 include:… -all", as your relay says.'
            return fault("SPF", f"{domain} has none", mend)
        if {"all", "+all"} & set(record.lower().split()):
            mend = "End the record with -all or ~all."
            return fault("SPF", f"{domain} lets the whole world send in its name", mend)
        public = [one for one in _relay_addresses(settings, resolver) if one.is_global]
        if not public:
            return ok("SPF", f"{domain} has one; the relay's public address is not known here")
        results = {SpfReader(resolver).judge(domain, address) for address in public}
    except SpfBroken as broken:
        return fault("SPF", f"{domain}: {broken}", "Mend the record: receivers give up on it.")
    if results == {"pass"}:
        return ok("SPF", f"{domain} lets the relay send")
    mend = (
        f"Add what your relay's provider names (include:…) to the SPF record of {domain}. Where "
        "the relay sends from other addresses than it listens at, this may be right already."
    )
    return attention("SPF", f"{domain} does not name the relay ({', '.join(results)})", mend)


def check_dkim(dkim: Dkim | None, resolver: dns.resolver.Resolver) -> Finding:
    """Does the DNS show the public half of the key that signs?"""
    if dkim is None:
        mend = "Set LEADCAPTURE_DKIM_KEY_FILE, _DOMAIN and _SELECTOR, or let the relay sign."
        return attention("DKIM", "we do not sign; whether the relay does cannot be seen here", mend)
    name = f"{dkim.selector}._domainkey.{dkim.domain}"
    published = [_tags(text) for text in names.texts(resolver, name)]
    keys = [tags["p"] for tags in published if "p" in tags]
    mend = f"Publish at {name}: v=DKIM1; k={_kind(dkim)}; p={_public_key(dkim)}"
    if not keys:
        return fault("DKIM", f"there is no key at {name}", mend)
    if len(keys) > 1:
        return fault("DKIM", f"there are {len(keys)} keys at {name}", mend)
    if not keys[0]:
        return fault("DKIM", f"the key at {name} is revoked", mend)
    if _decoded(keys[0]) != _decoded(_public_key(dkim)):
        return fault("DKIM", f"the key at {name} is not the one that signs", mend)
    return ok("DKIM", f"{name} shows the key that signs")


def check_dmarc(settings: Settings, resolver: dns.resolver.Resolver) -> Finding:
    """Is there a policy, and does a letter of ours pass it (RFC 7489 §3.1)?"""
    author = _domain(settings.mail_from)
    domain, tags = _policy(resolver, author)
    if not tags:
        mend = f'Publish a TXT record at _dmarc.{author}: "v=DMARC1; p=quarantine; rua=mailto:…".'
        return fault("DMARC", f"{author} has no policy", mend)
    by_spf = _aligned(author, _domain(settings.bounce_address or settings.mail_from), tags, "aspf")
    by_dkim = settings.dkim is not None and _aligned(author, settings.dkim.domain, tags, "adkim")
    if not by_spf and not by_dkim:
        mend = f"Let LEADCAPTURE_DKIM_DOMAIN or the bounce address be of {author}."
        return fault("DMARC", f"neither SPF nor DKIM of ours speaks for {author}", mend)
    if tags.get("p", "none").lower() not in ("quarantine", "reject"):
        mend = "Once its reports are clean, make it p=quarantine or p=reject."
        return attention("DMARC", f"{domain} only watches (p=none): anyone can forge it", mend)
    return ok("DMARC", f"{domain} says p={tags['p'].lower()}, and our letters are aligned")


def check_mx(settings: Settings, resolver: dns.resolver.Resolver) -> Finding:
    """Can answers and bounces come back?"""
    wanted = {
        _domain(address)
        for address in (
            settings.bounce_address or settings.mail_from,
            settings.reply_to or settings.mail_from,
        )
    }
    for domain in sorted(wanted):
        hosts = names.exchangers(resolver, domain)
        # Without MX the address of the domain itself counts (RFC 5321 §5.1).
        if hosts == [""] or not (hosts or names.addresses(resolver, domain)):
            mend = f"Publish an MX record for {domain}: receivers refuse mail nobody can answer."
            return fault("MX", f"{domain} takes no mail", mend)
    return ok("MX", f"{', '.join(sorted(wanted))} can be answered")


def check_reverse(settings: Settings, resolver: dns.resolver.Resolver) -> Finding:
    """Does the relay's address have a name that points back to it?"""
    public = [one for one in _relay_addresses(settings, resolver) if one.is_global]
    if not public:
        return ok("reverse DNS", "the relay's public address is not known here")
    for address in public:
        back = names.reverse_names(resolver, address)
        if not any(address in names.addresses(resolver, name) for name in back[:3]):
            found = f"{address} has no name that points back to it"
            mend = "Ask whoever runs the relay (or its network) for a PTR record that matches."
            return attention("reverse DNS", found, mend)
    return ok("reverse DNS", "each address of the relay has a name that points back to it")


def _answered(name: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except Unanswered:
        return attention(name, _SILENT, _ASK_AGAIN)


def _relay_addresses(settings: Settings, resolver: dns.resolver.Resolver) -> list[Address]:
    if settings.relay.host == "localhost":
        return []
    return names.addresses(resolver, settings.relay.host)


def _policy(resolver: dns.resolver.Resolver, author: str) -> tuple[str, dict[str, str]]:
    """The policy of the domain, or of the one above it that has one."""
    labels = author.split(".")
    for start in range(max(1, len(labels) - 1)):
        domain = ".".join(labels[start:])
        for text in names.texts(resolver, f"_dmarc.{domain}"):
            tags = _tags(text)
            if tags.get("v", "").upper() == "DMARC1":
                return domain, tags
    return author, {}


def _aligned(author: str, other: str, tags: dict[str, str], mode: str) -> bool:
    """Strict: the same domain. Relaxed: one is the other or lies below it."""
    if tags.get(mode, "r").lower() == "s":
        return author == other
    return author == other or author.endswith(f".{other}") or other.endswith(f".{author}")


def _tags(text: str) -> dict[str, str]:
    """``tag=value; …`` as DKIM (RFC 6376 §3.2) and DMARC write it."""
    pairs = (part.partition("=") for part in text.split(";"))
    return {
        name.strip().lower(): "".join(value.split()) for name, _, value in pairs if name.strip()
    }


def _public_key(dkim: Dkim) -> str:
    public = dkim.key.public_key()
    if isinstance(dkim.key, Ed25519PrivateKey):
        return base64.b64encode(public.public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()
    return base64.b64encode(
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ).decode()


def _kind(dkim: Dkim) -> str:
    return "ed25519" if isinstance(dkim.key, Ed25519PrivateKey) else "rsa"


def _decoded(key: str) -> bytes:
    try:
        return base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _domain(address: str) -> str:
    return address.rpartition("@")[2].lower()
