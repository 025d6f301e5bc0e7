"""Passwords: long, and not made of the clinic's own words (NIST SP 800-63B-4, 3.1.1)."""

import re
import unicodedata
from typing import Any

from flask_babel import gettext
from flask_security import PasswordUtil

from leadcapture import web
from leadcapture.settings import Clinic

SHORTEST = 15
LONGEST = 128
_SHORTEST_WORD = 4
_ALWAYS = frozenset({"leadcapture", "clinic", "clinica", "password", "contrasena"})


class Rules(PasswordUtil):
    """The rules, as Flask-Security asks for them."""

    def normalize(self, password: str) -> str:
        """The password in the form that is checked and hashed."""
        return normal_form(password)

    def validate(
        self, password: str, is_register: bool, **about: Any
    ) -> tuple[list[str] | None, str]:
        """What is wrong with the password, if anything, and its normalised form."""
        normal = self.normalize(password)
        problem = why_not(normal, web.settings().clinic, about)
        return ([problem] if problem else None), normal


def normal_form(password: str) -> str:
    """The same password, however a keyboard composes its accents (RFC 8265, Unicode NFKC)."""
    return unicodedata.normalize("NFKC", password)


def why_not(password: str, clinic: Clinic, about: dict[str, Any]) -> str:
    """Why this password will not do, in a sentence; empty where it will."""
    if not SHORTEST <= len(password) <= LONGEST:
        return str(
            gettext(
                "Use %(shortest)s to %(longest)s characters. Four or five unrelated words are easy "
                "to remember.",
                shortest=SHORTEST,
                longest=LONGEST,
            )
        )
    folded = _fold(password)
    own = (str(about.get("name", "")), str(about.get("email", "")).partition("@")[0])
    words = _ALWAYS.union(*(_words(text) for text in (clinic.name, *own)))
    if any(word in folded for word in words):
        return str(gettext("Leave out the clinic's name, your own name and the word “password”."))
    return ""


def _words(text: str) -> set[str]:
    return {word for word in re.findall(r"[^\W_]+", _fold(text)) if len(word) >= _SHORTEST_WORD}


def _fold(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))
