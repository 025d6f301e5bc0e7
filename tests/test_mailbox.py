"""The newcomer's mailbox: in its reader's language, by the clinic's clock."""

from pathlib import Path
from typing import Any

import pytest

from tests.visitors import Visitor

# Filed on 3 March 2026 at 15:04 UTC.
NAME = "01772550240000000000-0a1b2c3d.eml"
LETTER = b"""From: Clinic <hello@clinic.example>
To: ana@example.com
Subject: What you asked for
Date: Tue, 03 Mar 2026 15:04:00 +0000
Content-Type: text/plain; charset=utf-8

Hello.
"""


@pytest.fixture
def database_kind() -> str:
    """Letters lie in files: one database is enough."""
    return "sqlite"


@pytest.fixture
def settings_changes(tmp_path: Path) -> dict[str, Any]:
    folder = tmp_path / "mailbox"
    folder.mkdir()
    (folder / NAME).write_bytes(LETTER)
    return {"mailbox_dir": folder}


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("en", ("Sender", "To", "Arrived", "Tue 3 Mar 2026, 09:04 Costa Rica")),
        ("es", ("Remitente", "Para", "Llegó", "mar 3 mar 2026, 09:04 Costa Rica")),
    ],
)
def test_a_letter_says_when_it_arrived_on_the_clinics_clock(
    client: Visitor, language: str, told: tuple[str, ...]
) -> None:
    page = client.page(f"/mailbox/{NAME}?lang={language}")
    assert all(words in page.main_text for words in told)
    [time] = client.page(f"/mailbox?lang={language}").find("time")
    assert time.text.endswith(f", {told[-1]}")
