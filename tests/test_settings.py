"""Settings that are unsafe do not start (OP-03), and secrets stay secret (OP-04)."""

import base64
from pathlib import Path

import pytest

from leadcapture import up
from leadcapture.settings import SettingsError, load

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
        "LEADCAPTURE_CLINIC_EMAIL": "hello@clinic.example",
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
