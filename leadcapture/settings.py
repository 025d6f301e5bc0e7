"""The settings: one frozen object from ``LEADCAPTURE_*``; the only reader of the environment."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from leadcapture import secret_keys
from leadcapture.secret_keys import SigningKey
from leadcapture.variables import Reader

SmtpSecurity = Literal["starttls", "tls", "none"]

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class SettingsError(Exception):
    """The settings do not let the service start safely; ``problems`` names each of them."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Clinic:
    """Who we are, as patients read it."""

    name: str = "Cellebration Wellness"
    phone: str = "(858) 258-5090"
    phone_href: str = "tel:+18582585090"
    email: str = "info@cellebration.example"
    postal_address: str = "Avenida Escazú, Building 202, Suite 401, Escazú, San José, Costa Rica"
    time_zone: str = "America/Costa_Rica"


@dataclass(frozen=True)
class Relay:
    """The SMTP server that takes our mail. ``security`` is ``none`` on loopback only."""

    host: str
    port: int
    security: SmtpSecurity
    user: str = ""
    password: str = field(default="", repr=False)
    ca_file: str = ""


@dataclass(frozen=True)
class Dkim:
    """The key that signs our letters, and where the DNS shows its public half."""

    domain: str
    selector: str
    key: SigningKey = field(repr=False)


@dataclass(frozen=True)
class Imap:
    """The mailbox that bounces and answers come to. ``security`` is ``none`` on loopback only.

    ``authserv_id`` is the name under which its mail server says who sent a mail (RFC 8601).
    """

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    security: SmtpSecurity = "tls"
    folder: str = "INBOX"
    ca_file: str = ""
    authserv_id: str = ""


@dataclass(frozen=True)
class Settings:
    """Everything that may differ between two installations. Durations are seconds, sizes bytes.

    ``domain_pace`` and ``relay_pace`` are messages a minute to one recipient domain and to the
    relay, over all workers and hosts; 0 is no limit.
    """

    data_dir: Path
    database_url: str = field(repr=False)
    public_url: str
    secret_key: str = field(repr=False)
    seal_keys: Mapping[str, bytes] = field(repr=False)
    hash_key: bytes = field(repr=False)
    relay: Relay
    mail_from: str
    staff_alerts_to: str
    secret_key_fallbacks: tuple[str, ...] = field(default=(), repr=False)
    reply_to: str = ""
    clinic: Clinic = Clinic()
    bounce_address: str = ""
    dkim: Dkim | None = None
    imap: Imap | None = None
    relay_log: Path | None = None
    mailbox_dir: Path | None = None
    trusted_proxies: int = 0
    dns_check: bool = True
    form_min_seconds: float = 3.0
    form_limit: str = "10 per minute; 60 per hour"
    sign_in_limit: str = "10 per 15 minutes"
    staff_idle_minutes: int = 20
    packet_link_days: int = 30
    domain_pace: int = 20
    relay_pace: int = 100
    dispatch_threads: int = 2
    metrics_token: str = field(default="", repr=False)

    @property
    def seal_key_id(self) -> str:
        """The id of the key that seals: the first one named."""
        return next(iter(self.seal_keys))

    @property
    def public_host(self) -> str:
        """The one Host that requests may name, with its port if it has one."""
        return urlsplit(self.public_url).netloc

    @property
    def is_https(self) -> bool:
        return self.public_url.startswith("https://")

    @property
    def keeps_mail(self) -> bool:
        """True where all mail goes to the mailbox that `up` runs, and to nobody."""
        return self.mailbox_dir is not None and self.relay.host in _LOOPBACK

    @property
    def mail_domain(self) -> str:
        """The domain of our Message-IDs and our HELO: the sender's, which no visitor chooses."""
        return self.mail_from.rpartition("@")[2]


SECRETS_FILE = "secrets.env"


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings; `SettingsError` names every bad variable at once.

    Where ``secrets.env`` stands in the data folder (``leadcapture up`` makes it), its lines
    stand in for variables that are not set.
    """
    given = dict(os.environ if environ is None else environ)
    reader = Reader(given)
    data_dir = Path(given.get("LEADCAPTURE_DATA_DIR", "leadcapture-data")).absolute()
    reader.add_file(data_dir / SECRETS_FILE)
    settings = _read(reader, data_dir)
    if not settings.keeps_mail:
        _refuse_demo(reader, settings)
    if reader.problems:
        raise SettingsError(reader.problems)
    return settings


def _read(reader: Reader, data_dir: Path) -> Settings:
    clinic = _read_clinic(reader)
    if reader.flag("DEBUG", False) or reader.given.get("FLASK_DEBUG", "0") not in ("", "0"):
        reader.wrong("DEBUG", "must be off: a debugger shows patients' answers to anyone")
    mailbox = reader.text("MAILBOX_DIR")
    return Settings(
        data_dir=data_dir,
        database_url=_read_database_url(reader, data_dir),
        public_url=_read_public_url(reader),
        secret_key=secret_keys.read_secret(reader, "SECRET_KEY"),
        secret_key_fallbacks=tuple(reader.text("SECRET_KEY_FALLBACKS").split()),
        seal_keys=secret_keys.read_seal_keys(reader, "SEAL_KEYS"),
        hash_key=secret_keys.read_key(reader, "HASH_KEY", reader.text("HASH_KEY")),
        relay=_read_relay(reader),
        mail_from=_read_address(reader, "MAIL_FROM", clinic.email),
        reply_to=_read_address(reader, "REPLY_TO", clinic.email),
        staff_alerts_to=_read_address(reader, "STAFF_ALERTS_TO", clinic.email),
        clinic=clinic,
        bounce_address=_read_bounce_address(reader),
        dkim=_read_dkim(reader),
        imap=_read_imap(reader),
        relay_log=_read_relay_log(reader),
        mailbox_dir=Path(mailbox) if mailbox else None,
        trusted_proxies=reader.number("TRUSTED_PROXIES", 0, 0, 5),
        dns_check=reader.flag("DNS_CHECK", True),
        form_min_seconds=float(reader.number("FORM_MIN_SECONDS", 3, 0, 60)),
        form_limit=reader.limits("FORM_LIMIT", Settings.form_limit),
        sign_in_limit=reader.limits("SIGN_IN_LIMIT", Settings.sign_in_limit),
        # 0: no session ends by itself. The warning comes three minutes before.
        staff_idle_minutes=reader.number("STAFF_IDLE_MINUTES", Settings.staff_idle_minutes, 0, 720),
        packet_link_days=reader.number("PACKET_LINK_DAYS", 30, 1, 365),
        domain_pace=reader.number("DOMAIN_PACE", Settings.domain_pace, 0, 100_000),
        relay_pace=reader.number("RELAY_PACE", Settings.relay_pace, 0, 100_000),
        dispatch_threads=reader.number("DISPATCH_THREADS", Settings.dispatch_threads, 1, 16),
        metrics_token=secret_keys.read_token(reader, "METRICS_TOKEN"),
    )


def _refuse_demo(reader: Reader, settings: Settings) -> None:
    """Name all by which patients or staff would still meet the demo's clinic."""
    clinic = settings.clinic
    for name, address in (
        ("MAIL_FROM", settings.mail_from),
        ("REPLY_TO", settings.reply_to),
        ("STAFF_ALERTS_TO", settings.staff_alerts_to),
        ("CLINIC_EMAIL", clinic.email),
    ):
        # Also where it is written out: nobody has a mailbox there.
        if address == Clinic.email:
            reader.wrong(name, f"must be your own where mail leaves: {address} is the demo's")
    for name, words in (
        ("CLINIC_NAME", clinic.name),
        ("CLINIC_PHONE", clinic.phone),
        ("CLINIC_PHONE_E164", clinic.phone_href.removeprefix("tel:")),
        ("CLINIC_ADDRESS", clinic.postal_address),
    ):
        if not words:
            reader.wrong(name, "must not be empty where mail leaves")
        elif not reader.is_given(name):
            reader.wrong(name, f"must be your own where mail leaves: {words} is the demo's")


def _read_clinic(reader: Reader) -> Clinic:
    clinic = Clinic(
        name=reader.text("CLINIC_NAME", Clinic.name),
        phone=reader.text("CLINIC_PHONE", Clinic.phone),
        phone_href="tel:" + reader.text("CLINIC_PHONE_E164", Clinic.phone_href[4:]),
        email=_read_address(reader, "CLINIC_EMAIL", Clinic.email),
        postal_address=reader.text("CLINIC_ADDRESS", Clinic.postal_address),
        time_zone=reader.text("CLINIC_TIME_ZONE", Clinic.time_zone),
    )
    try:
        ZoneInfo(clinic.time_zone)
    except (KeyError, ValueError, OSError):
        reader.wrong("CLINIC_TIME_ZONE", "is no time zone of the tz database")
    return clinic


def database_url(given: str) -> str:
    """The URL with the driver that we use, where it names none."""
    if given.startswith(("postgresql://", "postgres://")):
        return "postgresql+psycopg://" + given.split("://", 1)[1]
    return given


def _read_database_url(reader: Reader, data_dir: Path) -> str:
    given = reader.text("DATABASE_URL") or f"sqlite:///{data_dir / 'leadcapture.sqlite3'}"
    url = database_url(given)
    if not url.startswith(("sqlite:///", "postgresql+psycopg://")):
        reader.wrong("DATABASE_URL", "must begin with postgresql:// or sqlite:///")
    elif url in ("sqlite:///", "sqlite:///:memory:"):
        reader.wrong("DATABASE_URL", "must name a file: a database in memory loses everything")
    return url


def _read_public_url(reader: Reader) -> str:
    url = reader.text("PUBLIC_URL").rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query:
        reader.wrong(
            "PUBLIC_URL",
            "must be the address of the service, such as https://info.clinic.example",
        )
    elif parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        reader.wrong("PUBLIC_URL", "must be https: patients send health answers to it")
    return url


def _read_address(reader: Reader, name: str, default: str) -> str:
    address = reader.text(name, default)
    if not re.fullmatch(r"[!-?A-~]+@[A-Za-z0-9.-]+", address):
        reader.wrong(name, "must be one plain email address")
    return address


def _read_relay(reader: Reader) -> Relay:
    host = reader.text("SMTP_HOST")
    security = reader.text("SMTP_SECURITY", "starttls")
    if not host:
        reader.wrong("SMTP_HOST", "must name the relay that takes our mail")
    if security not in ("starttls", "tls", "none"):
        reader.wrong("SMTP_SECURITY", "must be starttls, tls or none")
    elif security == "none" and host not in _LOOPBACK:
        reader.wrong("SMTP_SECURITY", "may be none on loopback only: mail would travel readable")
    user, password = reader.text("SMTP_USER"), reader.text("SMTP_PASSWORD")
    if bool(user) != bool(password):
        reader.wrong("SMTP_PASSWORD", "goes together with LEADCAPTURE_SMTP_USER")
    return Relay(
        host=host,
        port=reader.number("SMTP_PORT", 587, 1, 65535),
        security=security,  # type: ignore[arg-type]
        user=user,
        password=password,
        ca_file=reader.certificates("SMTP_CA_FILE"),
    )


def _read_relay_log(reader: Reader) -> Path | None:
    path = reader.text("RELAY_LOG")
    if path and not Path(path).is_absolute():
        reader.wrong("RELAY_LOG", "must be the whole path of the relay's log")
    return Path(path) if path else None


def _read_bounce_address(reader: Reader) -> str:
    if not reader.text("BOUNCE_ADDRESS"):
        return ""
    address = _read_address(reader, "BOUNCE_ADDRESS", "")
    local = address.rpartition("@")[0]
    # 64 octets (RFC 5321 §4.5.3.1.1), of which + and the proof take 49.
    if len(local) > 15 or not re.fullmatch(r"[A-Za-z0-9._-]+", local):
        reader.wrong("BOUNCE_ADDRESS", "must have 15 plain characters at most before the @")
    return address


def _read_dkim(reader: Reader) -> Dkim | None:
    pem, domain = reader.text("DKIM_KEY"), reader.text("DKIM_DOMAIN").lower()
    selector = reader.text("DKIM_SELECTOR")
    if not (pem or domain or selector):
        return None
    if not (pem and domain and selector):
        reader.wrong("DKIM_KEY_FILE", "goes together with DKIM_DOMAIN and DKIM_SELECTOR")
        return None
    for name, value in (("DKIM_DOMAIN", domain), ("DKIM_SELECTOR", selector)):
        if not re.fullmatch(r"[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*", value):
            reader.wrong(name, "must be a name as the DNS has them")
    key = secret_keys.read_signing_key(reader, "DKIM_KEY_FILE", pem)
    return Dkim(domain, selector, key) if key is not None else None


def _read_imap(reader: Reader) -> Imap | None:
    host = reader.text("IMAP_HOST")
    if not host:
        return None
    security = reader.text("IMAP_SECURITY", "tls")
    if security not in ("starttls", "tls", "none"):
        reader.wrong("IMAP_SECURITY", "must be tls, starttls or none")
    elif security == "none" and host not in _LOOPBACK:
        reader.wrong("IMAP_SECURITY", "may be none on loopback only: mail would travel readable")
    user, password = reader.text("IMAP_USER"), reader.text("IMAP_PASSWORD")
    if not (user and password):
        reader.wrong("IMAP_USER", "goes together with LEADCAPTURE_IMAP_PASSWORD")
    authserv_id = reader.text("IMAP_AUTHSERV_ID")
    if not re.fullmatch(r"[\w.-]*", authserv_id, re.ASCII):
        reader.wrong("IMAP_AUTHSERV_ID", "must be a name alone, such as mx.example.com")
    return Imap(
        host=host,
        port=reader.number("IMAP_PORT", 993 if security == "tls" else 143, 1, 65535),
        user=user,
        password=password,
        security=security,  # type: ignore[arg-type]
        folder=reader.text("IMAP_FOLDER", Imap.folder),
        authserv_id=authserv_id,
        ca_file=reader.certificates("IMAP_CA_FILE"),
    )
