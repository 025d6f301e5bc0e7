"""The settings: one frozen object from ``LEADCAPTURE_*``; the only reader of the environment."""

import base64
import binascii
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

SmtpSecurity = Literal["starttls", "tls", "none"]

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_WEAK = ("secret", "changeme", "password", "dev", "default", "example")


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
class Settings:
    """Everything that may differ between two installations. Durations are seconds, sizes bytes."""

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
    mailbox_dir: Path | None = None
    trusted_proxies: int = 0
    dns_check: bool = True
    form_min_seconds: float = 3.0
    form_limit: str = "10 per minute; 60 per hour"
    sign_in_limit: str = "10 per 15 minutes"
    packet_link_days: int = 30

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


SECRETS_FILE = "secrets.env"


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings; `SettingsError` names every bad variable at once.

    Where ``secrets.env`` stands in the data folder (``leadcapture up`` makes it), its lines
    stand in for variables that are not set.
    """
    given = dict(os.environ if environ is None else environ)
    reader = _Reader(given)
    data_dir = Path(given.get("LEADCAPTURE_DATA_DIR", "leadcapture-data")).absolute()
    reader.add_file(data_dir / SECRETS_FILE)
    settings = _read(reader, data_dir)
    if reader.problems:
        raise SettingsError(reader.problems)
    return settings


class _Reader:
    """Reads variables and gathers what is wrong with them, so that all is said at once."""

    def __init__(self, given: dict[str, str]) -> None:
        self.given = given
        self.problems: list[str] = []

    def add_file(self, path: Path) -> None:
        if not path.exists():
            return
        self.refuse_shared(path, SECRETS_FILE)
        for line in path.read_text().splitlines():
            name, found, value = line.partition("=")
            if found:
                self.given.setdefault(name.strip(), value.strip())

    def refuse_shared(self, path: Path, setting: str) -> None:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            self.problems.append(f"{setting}: {path.name} can be read by others; chmod 600 it")

    def text(self, name: str, default: str = "") -> str:
        """The variable, or the content of the file that ``…_FILE`` names."""
        path = self.given.get(f"LEADCAPTURE_{name}_FILE")
        if path is None:
            return self.given.get(f"LEADCAPTURE_{name}", default).strip()
        try:
            self.refuse_shared(Path(path), f"LEADCAPTURE_{name}_FILE")
            return Path(path).read_text().strip()
        except OSError as error:
            self.wrong(f"{name}_FILE", f"cannot be read ({error.strerror})")
            return default

    def wrong(self, name: str, why: str) -> None:
        self.problems.append(f"LEADCAPTURE_{name}: {why}")

    def number(self, name: str, default: int, low: int, high: int) -> int:
        value = self.text(name, str(default))
        if value.isascii() and value.isdigit() and low <= int(value) <= high:
            return int(value)
        self.wrong(name, f"must be a whole number from {low} to {high}")
        return default

    def flag(self, name: str, default: bool) -> bool:
        value = self.text(name, "yes" if default else "no").lower()
        if value in ("yes", "true", "1", "on"):
            return True
        if value not in ("no", "false", "0", "off"):
            self.wrong(name, "must be yes or no")
        return False


def _read(reader: _Reader, data_dir: Path) -> Settings:
    clinic = _read_clinic(reader)
    if reader.flag("DEBUG", False) or reader.given.get("FLASK_DEBUG", "0") not in ("", "0"):
        reader.wrong("DEBUG", "must be off: a debugger shows patients' answers to anyone")
    mailbox = reader.text("MAILBOX_DIR")
    return Settings(
        data_dir=data_dir,
        database_url=_read_database_url(reader, data_dir),
        public_url=_read_public_url(reader),
        secret_key=_read_secret(reader),
        secret_key_fallbacks=tuple(reader.text("SECRET_KEY_FALLBACKS").split()),
        seal_keys=_read_seal_keys(reader),
        hash_key=_read_key(reader, "HASH_KEY", reader.text("HASH_KEY")),
        relay=_read_relay(reader),
        mail_from=_read_address(reader, "MAIL_FROM", clinic.email),
        reply_to=_read_address(reader, "REPLY_TO", clinic.email),
        staff_alerts_to=_read_address(reader, "STAFF_ALERTS_TO", clinic.email),
        clinic=clinic,
        mailbox_dir=Path(mailbox) if mailbox else None,
        trusted_proxies=reader.number("TRUSTED_PROXIES", 0, 0, 5),
        dns_check=reader.flag("DNS_CHECK", True),
        form_min_seconds=float(reader.number("FORM_MIN_SECONDS", 3, 0, 60)),
        form_limit=reader.text("FORM_LIMIT", Settings.form_limit),
        sign_in_limit=reader.text("SIGN_IN_LIMIT", Settings.sign_in_limit),
        packet_link_days=reader.number("PACKET_LINK_DAYS", 30, 1, 365),
    )


def _read_clinic(reader: _Reader) -> Clinic:
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


def _read_database_url(reader: _Reader, data_dir: Path) -> str:
    url = reader.text("DATABASE_URL") or f"sqlite:///{data_dir / 'leadcapture.sqlite3'}"
    if url.startswith(("postgresql://", "postgres://")):
        url = "postgresql+psycopg://" + url.split("://", 1)[1]
    if not url.startswith(("sqlite:///", "postgresql+psycopg://")):
        reader.wrong("DATABASE_URL", "must begin with postgresql:// or sqlite:///")
    elif url in ("sqlite:///", "sqlite:///:memory:"):
        reader.wrong("DATABASE_URL", "must name a file: a database in memory loses everything")
    return url


def _read_public_url(reader: _Reader) -> str:
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


def _read_secret(reader: _Reader) -> str:
    key = reader.text("SECRET_KEY")
    if len(key) < 32 or any(word in key.lower() for word in _WEAK):
        reader.wrong("SECRET_KEY", "must be 32 or more random characters")
    return key


def _read_key(reader: _Reader, name: str, value: str) -> bytes:
    try:
        key = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 32:
        reader.wrong(name, "must be 32 random bytes in base64")
    return key


def _read_seal_keys(reader: _Reader) -> dict[str, bytes]:
    keys = {}
    for part in reader.text("SEAL_KEYS").split(","):
        name, _, value = part.strip().partition(":")
        if not re.fullmatch(r"[a-z0-9]{4}", name):
            reader.wrong("SEAL_KEYS", "must be id:key pairs, the id of 4 letters or digits")
            return {"none": b""}
        keys[name] = _read_key(reader, "SEAL_KEYS", value)
    return keys


def _read_address(reader: _Reader, name: str, default: str) -> str:
    address = reader.text(name, default)
    if not re.fullmatch(r"[!-?A-~]+@[A-Za-z0-9.-]+", address):
        reader.wrong(name, "must be one plain email address")
    return address


def _read_relay(reader: _Reader) -> Relay:
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
        ca_file=reader.text("SMTP_CA_FILE"),
    )
