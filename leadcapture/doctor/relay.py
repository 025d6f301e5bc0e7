"""The relay: does it take our mail, over a line that nobody can read?"""

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

from leadcapture.doctor.finding import Finding, attention, fault, ok
from leadcapture.outbox.relay_probe import RelayLook, look_at_relay
from leadcapture.settings import Settings

EXPIRES_SOON = timedelta(days=14)
LOG_END = 1024 * 1024
CLOCK_APART = timedelta(seconds=60)
_DATE = re.compile(r"\w{3}, \d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}")

_MEND = {
    "name": "LEADCAPTURE_SMTP_HOST names no machine that the DNS knows.",
    "connect": "Is the relay up, and does the firewall let us out to LEADCAPTURE_SMTP_PORT?",
    "ehlo": "The relay does not want to talk to us: its own log says why.",
    "starttls": (
        "Its certificate must be valid for LEADCAPTURE_SMTP_HOST and of an authority that this "
        "machine knows (LEADCAPTURE_SMTP_CA_FILE). We never send without."
    ),
    "auth": "Check LEADCAPTURE_SMTP_USER and LEADCAPTURE_SMTP_PASSWORD with the relay's provider.",
    "mail": "The relay must allow our account to send from LEADCAPTURE_MAIL_FROM.",
    "quit": "The relay broke off at the end: its own log says why.",
}


def examine(settings: Settings, now: datetime) -> list[Finding]:
    if settings.mailbox_dir is not None:
        return [ok("relay", "the embedded mailbox takes all mail; nothing leaves this machine")]
    sender = settings.bounce_address or settings.mail_from
    helo = settings.mail_domain
    look = look_at_relay(settings.relay, helo, sender)
    findings = [_check_talk(look, settings)]
    findings += _check_certificate(look, now)
    if look.signed_in:
        findings.append(ok("relay sign-in", "accepted"))
    findings += _check_banner_clock(look) + check_log(settings.relay_log)
    return findings


def check_log(path: Path | None) -> list[Finding]:
    """Can the log that is to settle doubts be read, and is it the one that Postfix writes to?"""
    if path is None:
        return []
    mend = (
        "LEADCAPTURE_RELAY_LOG must name the file that Postfix writes to now, and the service's "
        "user must be able to read it; the log of maillog_file is root's alone at first."
    )
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_END))
            speaks = b"/qmgr[" in file.read()
    except OSError as error:
        return [fault("relay log", f"{path}: {error.strerror}", mend)]
    if not speaks:
        return [attention("relay log", f"{path} tells of no letter that Postfix took", mend)]
    return [ok("relay log", "can be read, and Postfix writes to it")]


def _check_talk(look: RelayLook, settings: Settings) -> Finding:
    where = f"{settings.relay.host}:{settings.relay.port}"
    if look.failed:
        stage = "starttls" if look.failed.startswith("certificate") else look.stage
        return fault("relay", f"{where} failed at {look.stage}: {look.failed}", _MEND[stage])
    offers = ", ".join(look.offers) or "nothing special"
    if settings.bounce_address and "dsn" not in look.offers:
        mend = "Bounces may come without our ENVID; the address of the sender still proves them."
        return attention("relay", f"{where} takes our sender but offers no DSN", mend)
    return ok("relay", f"{where} takes our sender; offers {offers}")


def _check_certificate(look: RelayLook, now: datetime) -> list[Finding]:
    if look.certificate_until is None:
        return []
    left = look.certificate_until - now
    found = f"valid for {left.days} days more"
    if left < EXPIRES_SOON:
        mend = "Renew it: on the day it ends all mail stops."
        return [attention("relay certificate", found, mend)]
    return [ok("relay certificate", found)]


def _check_banner_clock(look: RelayLook) -> list[Finding]:
    """Some relays greet with the time: one more clock to compare with."""
    told = _DATE.search(look.greeting)
    if told is None:
        return []
    apart = abs(datetime.now(UTC) - parsedate_to_datetime(told[0]).astimezone(UTC))
    found = f"{apart.total_seconds():.0f} s from ours"
    if apart > CLOCK_APART:
        return [attention("relay clock", found, "Let this machine keep time by NTP.")]
    return [ok("relay clock", found)]
