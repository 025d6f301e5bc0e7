"""The doctor: looks at everything the service leans on, and says what to mend in plain words."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import dns.resolver

from leadcapture.doctor import machine, mailbox, relay, sender, stored
from leadcapture.doctor.finding import Finding, Verdict, bounded, fault
from leadcapture.settings import Settings, SettingsError

__all__ = ["Finding", "Verdict", "check_settings", "examine", "make_resolver"]

_DNS_SECONDS = 2.0


def examine(settings: Settings, now: datetime, resolver: dns.resolver.Resolver) -> list[Finding]:
    """All findings, in a fixed order. The groups are looked at side by side, each bounded.

    The whole ends within 30 seconds even where nothing out there answers. No mail is sent.
    """
    groups: tuple[tuple[str, Callable[[], list[Finding]]], ...] = (
        ("machine", lambda: machine.examine(settings, now)),
        ("database", lambda: stored.examine(settings, now)),
        ("relay", lambda: relay.examine(settings, now)),
        ("sender's domain", lambda: sender.examine(settings, resolver)),
        ("mailbox", lambda: mailbox.examine(settings)),
    )
    with ThreadPoolExecutor(len(groups)) as pool:
        pending = [pool.submit(bounded, name, group) for name, group in groups]
        return [finding for done in pending for finding in done.result()]


def check_settings(error: SettingsError) -> list[Finding]:
    """A fault for each setting that keeps the service from starting; nothing else can be seen."""
    mend = "Set it as the README says; nothing starts before."
    return [fault("settings", problem, mend) for problem in error.problems]


def make_resolver() -> dns.resolver.Resolver:
    """This machine's resolver, which waits no longer than a doctor may."""
    resolver = dns.resolver.Resolver()
    resolver.timeout, resolver.lifetime = 1.0, _DNS_SECONDS
    return resolver
