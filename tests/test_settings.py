"""Settings that are unsafe do not start (OP-03), and secrets stay secret (OP-04)."""

import base64
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from leadcapture import up
from leadcapture.secret_keys import read_secret
from leadcapture.settings import SettingsError, load
from leadcapture.variables import Reader
from tests.certificates import make_certificate

KEY = base64.b64encode(bytes(range(32))).decode()


@pytest.fixture
def good(tmp_path: Path) -> dict[str, str]:
    return {
        "LEADCAPTURE_DATA_DIR": str(tmp_path),
        "LEADCAPTURE_PUBLIC_URL": "https://info.clinic.example",
        "LEADCAPTURE_SECRET_KEY": "Vq1" * 16,
        "LEADCAPTURE_SEAL_KEYS": f"k001:{KEY}",
        "LEADCAPTURE_HASH_KEY": KEY,
        "LEADCAPTURE_SMTP_HOST": "relay.clinic.example",
        "LEADCAPTURE_MAIL_FROM": "hello@clinic.example",
        "LEADCAPTURE_STAFF_ALERTS_TO": "desk@clinic.example",
        "LEADCAPTURE_CLINIC_EMAIL": "hello@clinic.example",
        "LEADCAPTURE_CLINIC_NAME": "Spring Clinic",
        "LEADCAPTURE_CLINIC_PHONE": "(212) 555-0123",
        "LEADCAPTURE_CLINIC_PHONE_E164": "+12125550123",
        "LEADCAPTURE_CLINIC_ADDRESS": "1 Spring Street, Tampa, FL 33601",
    }


def problems(environ: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as refused:
        load(environ)
    return refused.value.problems


def test_good_settings_are_read(good: dict[str, str]) -> None:
    settings = load(good)
    assert settings.public_host == "info.clinic.example"
    assert settings.is_https
    assert settings.relay.security == "starttls"
    assert settings.database_url.startswith("sqlite:////")


UNSAFE = [
    ("SECRET_KEY", ""),
    ("SECRET_KEY", "short"),
    ("SECRET_KEY", "changeme-changeme-changeme-changeme"),
    ("SECRET_KEY", "dev-secret-change-me-please-replace-this-in-production"),
    ("SECRET_KEY", "dev-secret-change-me-0123456789abcdef"),
    ("SECRET_KEY", "SECRET_KEY_OF_DEVELOPMENT_0000001"),
    ("SECRET_KEY", "MySecretKeyForDevelopmentOnly12345"),
    ("SECRET_KEY", "Password123Password123Password123"),
    ("SECRET_KEY", "example1234567890example1234567890"),
    ("SECRET_KEY", "secretkeysecretkeysecretkey123456"),
    ("SEAL_KEYS", ""),
    ("SEAL_KEYS", "k001:c2hvcnQ="),
    ("SEAL_KEYS", f"toolong:{KEY}"),
    ("HASH_KEY", "not base64!"),
    ("PUBLIC_URL", "http://info.clinic.example"),
    ("PUBLIC_URL", ""),
    ("PUBLIC_URL", "https://info.clinic.example/path"),
    ("SMTP_HOST", ""),
    ("SMTP_SECURITY", "none"),
    ("SMTP_SECURITY", "maybe"),
    ("SMTP_PORT", "0"),
    ("SMTP_PORT", "25x"),
    ("SMTP_PASSWORD", "without-a-user"),
    ("DEBUG", "yes"),
    ("DATABASE_URL", "mysql://localhost/x"),
    ("DATABASE_URL", "sqlite:///:memory:"),
    ("MAIL_FROM", "Clinic <hello@clinic.example>"),
    ("CLINIC_TIME_ZONE", "Mars/Olympus"),
    ("TRUSTED_PROXIES", "99"),
    ("DNS_CHECK", "perhaps"),
    ("RELAY_LOG", "mail.log"),
    ("FORM_LIMIT", "lots"),
    ("FORM_LIMIT", ""),
    ("FORM_LIMIT", "10 per minute; lots"),
    ("FORM_LIMIT", "0 per minute"),
    ("SIGN_IN_LIMIT", "10"),
    ("SIGN_IN_LIMIT", "10 per fortnight"),
]


@pytest.mark.parametrize(("name", "value"), UNSAFE)
def test_an_unsafe_setting_is_refused_by_its_name(
    good: dict[str, str], name: str, value: str
) -> None:
    """OP-03."""
    found = problems(good | {f"LEADCAPTURE_{name}": value})
    assert any(problem.startswith(f"LEADCAPTURE_{name}:") for problem in found)


def test_a_limit_that_cannot_be_read_is_refused_with_one_that_can(good: dict[str, str]) -> None:
    """OP-03: it would be no limit, and nobody would know."""
    for name, right in (("FORM", "10 per minute; 60 per hour"), ("SIGN_IN", "10 per 15 minutes")):
        (told,) = problems(good | {f"LEADCAPTURE_{name}_LIMIT": "lots"})
        assert told.startswith(f"LEADCAPTURE_{name}_LIMIT:") and right in told
    read = load(good | {"LEADCAPTURE_FORM_LIMIT": "5/minute, 20 per 2 hours"})
    assert read.form_limit == "5/minute, 20 per 2 hours"


OWN = (
    "MAIL_FROM",
    "STAFF_ALERTS_TO",
    "CLINIC_EMAIL",
    "CLINIC_NAME",
    "CLINIC_PHONE",
    "CLINIC_PHONE_E164",
    "CLINIC_ADDRESS",
)


@pytest.mark.parametrize("host", ["relay.clinic.example", "127.0.0.1"])
def test_no_mail_leaves_in_the_name_of_the_demo_clinic(good: dict[str, str], host: str) -> None:
    """OP-03: not through a relay of this machine either."""
    without = {
        name: value for name, value in good.items() if name.removeprefix("LEADCAPTURE_") not in OWN
    } | {"LEADCAPTURE_SMTP_HOST": host}
    named = {problem.partition(":")[0] for problem in problems(without)}
    assert named == {f"LEADCAPTURE_{name}" for name in (*OWN, "REPLY_TO")}


@pytest.mark.parametrize("name", OWN)
def test_one_that_is_left_to_the_demo_is_named(good: dict[str, str], name: str) -> None:
    """OP-03; what has an address of the clinic's to fall back on needs none of its own."""
    left = {key: value for key, value in good.items() if key != f"LEADCAPTURE_{name}"}
    if name in ("MAIL_FROM", "STAFF_ALERTS_TO"):
        load(left)
        left |= {f"LEADCAPTURE_{name}": "info@cellebration.example"}
    assert any(problem.startswith(f"LEADCAPTURE_{name}:") for problem in problems(left))
    emptied = left | {f"LEADCAPTURE_{name}": ""}
    assert any(problem.startswith(f"LEADCAPTURE_{name}:") for problem in problems(emptied))


def test_the_demo_clinic_may_write_to_the_mailbox_of_up(good: dict[str, str]) -> None:
    bare = {
        name: value for name, value in good.items() if name.removeprefix("LEADCAPTURE_") not in OWN
    }
    mailbox = up.mailbox_settings(Path(bare["LEADCAPTURE_DATA_DIR"]), 2525)
    assert load(bare | mailbox).clinic.email == "info@cellebration.example"
    away = bare | mailbox | {"LEADCAPTURE_SMTP_HOST": "relay.clinic.example"}
    assert "LEADCAPTURE_MAIL_FROM" in "".join(problems(away))


IMAP = {
    "LEADCAPTURE_IMAP_HOST": "mail.clinic.example",
    "LEADCAPTURE_IMAP_USER": "desk",
    "LEADCAPTURE_IMAP_PASSWORD": "pw",
}
DKIM = {"LEADCAPTURE_DKIM_DOMAIN": "clinic.example", "LEADCAPTURE_DKIM_SELECTOR": "spring"}


@pytest.mark.parametrize("name", ["SMTP_CA_FILE", "IMAP_CA_FILE", "DKIM_KEY_FILE"])
def test_a_file_that_is_away_or_is_something_else_is_named(
    good: dict[str, str], tmp_path: Path, name: str
) -> None:
    """OP-03: the service would start, and no letter would ever leave."""
    given = good | IMAP | (DKIM if name.startswith("DKIM") else {})
    words, junk = tmp_path / "words.pem", tmp_path / "junk.pem"
    words.write_text("no certificate stands here")
    junk.write_bytes(bytes(range(256)))
    for path, why in (
        (tmp_path / "gone.pem", "cannot be read (No such file or directory)"),
        (tmp_path, "cannot be read (Is a directory)"),
        (words, "must hold"),
        (junk, "must"),
    ):
        if path.is_file():
            path.chmod(0o600)
        found = problems(given | {f"LEADCAPTURE_{name}": str(path)})
        assert any(told.startswith(f"LEADCAPTURE_{name}: {why}") for told in found), found


def test_a_certificate_to_trust_is_taken(good: dict[str, str], tmp_path: Path) -> None:
    path = str(make_certificate(tmp_path).path)
    files = {"LEADCAPTURE_SMTP_CA_FILE": path, "LEADCAPTURE_IMAP_CA_FILE": path}
    read = load(good | IMAP | files)
    assert read.imap is not None
    assert (read.relay.ca_file, read.imap.ca_file) == (path, path)


def url_safe(random_bytes: Callable[[int], bytes]) -> str:
    """As ``secrets.token_urlsafe(48)`` makes them, and `up`."""
    return base64.urlsafe_b64encode(random_bytes(48)).rstrip(b"=").decode()


def in_hex(random_bytes: Callable[[int], bytes]) -> str:
    """As ``secrets.token_hex(32)``."""
    return random_bytes(32).hex()


def in_base64(random_bytes: Callable[[int], bytes]) -> str:
    """As ``openssl rand -base64 32``."""
    return base64.b64encode(random_bytes(32)).decode()


@pytest.mark.parametrize("make", [url_safe, in_hex, in_base64])
def test_no_random_key_is_refused(make: Callable[[Callable[[int], bytes]], str]) -> None:
    """OP-03: whatever words stand in it by chance; `up` once refused two of a thousand it made."""
    random_bytes = random.Random(20261127).randbytes
    keys = [make(random_bytes) for _ in range(200_000)]
    reader = Reader({})
    for key in keys:
        reader.given["LEADCAPTURE_SECRET_KEY"] = key
        read_secret(reader, "SECRET_KEY")
    assert reader.problems == []
    assert make is in_hex or any("dev" in key.lower() for key in keys)


def test_all_bad_settings_are_named_at_once(good: dict[str, str]) -> None:
    bad = {"LEADCAPTURE_SECRET_KEY": "", "LEADCAPTURE_PUBLIC_URL": "", "LEADCAPTURE_SMTP_HOST": ""}
    assert len(problems(good | bad)) == 3


def test_a_secrets_file_that_others_can_read_is_refused(
    good: dict[str, str], tmp_path: Path
) -> None:
    """OP-03."""
    (tmp_path / "secrets.env").write_text("LEADCAPTURE_SECRET_KEY=x\n")
    (tmp_path / "secrets.env").chmod(0o644)
    assert any("secrets.env" in problem for problem in problems(good))


def test_a_secret_can_come_from_a_file(good: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("Wr2" * 16 + "\n")
    path.chmod(0o600)
    del good["LEADCAPTURE_SECRET_KEY"]
    assert load(good | {"LEADCAPTURE_SECRET_KEY_FILE": str(path)}).secret_key == "Wr2" * 16


def test_a_secret_never_shows_in_the_settings_words(good: dict[str, str]) -> None:
    """OP-04: a traceback or a log may hold repr(settings)."""
    given = {"LEADCAPTURE_SMTP_USER": "clinic", "LEADCAPTURE_SMTP_PASSWORD": "pw-canary-77"}
    shown = repr(load(good | given))
    for secret in (good["LEADCAPTURE_SECRET_KEY"], KEY, "pw-canary-77", str(bytes(range(32)))):
        assert secret not in shown


def test_each_installation_makes_secrets_of_its_own_once(tmp_path: Path) -> None:
    """AU-10, OP-04: there is no key that two installations share."""
    first, second = tmp_path / "a", tmp_path / "b"
    for folder in (first, second, first):
        up.make_secrets(folder)
    texts = [(folder / "secrets.env").read_text() for folder in (first, second)]
    assert texts[0] != texts[1]
    assert (first / "secrets.env").stat().st_mode & 0o077 == 0
    environ = {"LEADCAPTURE_DATA_DIR": str(first)} | up.mailbox_settings(first, 2525)
    settings = load(environ | up.embedded_defaults(environ, 8000))
    assert settings.seal_key_id == "k001"
