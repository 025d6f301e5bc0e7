"""The patient's pages in lynx: a browser of text alone, driven by its keys."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.models import Consent, ConsentKind, Lead, Suppression
from leadcapture.outbox import links
from leadcapture.settings import Settings
from tests.pages import Page
from tests.parts import find_part
from tests.people import a_lead
from tests.visitors import Visitor

_NEXT, _PRESS = "^I", "Right Arrow"


def keys_through(page: Page, answers: Mapping[str, str]) -> Iterator[str]:
    """The keys of somebody who goes from stop to stop, answers these fields and then sends.

    An answer is what is typed; an empty one presses: a box, a button.
    """
    names = list(_stops(page))
    for number, name in enumerate(names):
        if name in answers:
            yield from _type(answers[name]) if answers[name] else (_PRESS,)
        if not set(answers) & set(names[number + 1 :]):
            return
        yield _NEXT


def _stops(page: Page) -> Iterator[str]:
    """What the tab key reaches, in the order of the page: a field's name and value, a button."""
    for element in page.all():
        if element.name == "a" and element.get("href"):
            yield "a link"
        elif element.name == "button":
            yield "the button"
        elif element.name in ("input", "select", "textarea") and element.get("type") != "hidden":
            is_box = element.get("type") == "checkbox"
            yield f"{element.get('name')}={element.get('value')}" if is_box else element.get("name")


def _type(words: str) -> Iterator[str]:
    yield from ("<space>" if letter == " " else letter for letter in words)


def visit(address: str, keys: Iterator[str], folder: Path) -> None:
    """Open the page in lynx, press the keys one after the other, and leave."""
    script = folder / "keys"
    script.write_text("".join(f"key {key}\n" for key in (*keys, "Q", "y")))
    subprocess.run(
        [find_part("lynx", "lynx"), "-accept_all_cookies", f"-cmd_script={script}", address],
        env={**os.environ, "TERM": "vt100", "HOME": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        timeout=60,
        check=True,
    )


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_patient_asks_for_the_packet_in_lynx(
    site: str, client: Visitor, session: Session, tmp_path: Path, language: str
) -> None:
    """AX-08."""
    answers = {
        "full_name": "Janet Whitfield",
        "email": "janet@example.com",
        "conditions=not_sure": "",
        "consent_health=health-1": "",
        "the button": "",
    }
    page = Page(client.get(f"/{language}").text)
    visit(f"{site}/{language}", keys_through(page, answers), tmp_path)
    lead = session.scalars(select(Lead)).one()
    assert (lead.full_name, lead.email) == ("Janet Whitfield", "janet@example.com")
    consent = session.scalars(select(Consent)).one()
    assert (consent.kind, consent.language) == (ConsentKind.HEALTH, language)


def test_a_patient_stops_our_letters_in_lynx(
    site: str, client: Visitor, session: Session, settings: Settings, tmp_path: Path
) -> None:
    """AX-08, MD-15."""
    lead = a_lead(session)
    path = f"/stop/{links.sign(settings.hash_key, 'stop', lead.cap_hash)}"
    page = Page(client.get(path).text)
    visit(site + path, iter(()), tmp_path)
    assert session.scalars(select(Suppression)).all() == []
    session.commit()
    visit(site + path, keys_through(page, {"the button": ""}), tmp_path)
    assert session.scalars(select(Suppression)).one().cap_hash == lead.cap_hash
