"""Settings with the tests' keys, for whoever needs no fixture: the programs of tests too."""

from pathlib import Path

from leadcapture.settings import Clinic, Relay, Settings
from tests.people import test_keys

CLINIC = Clinic(email="hello@clinic.example")


def make_settings(
    data_dir: Path, database_url: str, *, smtp_port: int = 25, port: int = 8000
) -> Settings:
    """Settings with the tests' keys, all on loopback."""
    return Settings(
        data_dir=data_dir,
        database_url=database_url,
        public_url=f"http://127.0.0.1:{port}",
        secret_key="k" * 48,
        seal_keys=test_keys,
        hash_key=bytes(range(32, 64)),
        relay=Relay(host="127.0.0.1", port=smtp_port, security="none"),
        mail_from="hello@clinic.example",
        reply_to="hello@clinic.example",
        staff_alerts_to="desk@clinic.example",
        clinic=CLINIC,
        dns_check=False,
        form_min_seconds=0.0,
        form_limit="10000 per minute",
        sign_in_limit="10000 per minute",
        # The tests' clock leaps by days while somebody is signed in.
        staff_idle_minutes=0,
        domain_pace=0,
        relay_pace=0,
    )
