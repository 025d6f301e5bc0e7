"""The words of the public form that the clinic may write itself: versions, and which is in use."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from leadcapture.letters import guard, placeholders
from leadcapture.letters.markdown import Block, read_markdown
from leadcapture.models import FormText, FormTextInUse, Staff
from leadcapture.remembered import Remembered
from leadcapture.settings import Clinic

# Each part with its longest; those of one line become headings, the others are Markdown.
PARTS = {"headline": 90, "intro": 600, "thanks": 90, "next": 1_200}
LINES = frozenset({"headline", "thanks"})
NAMES = ("clinic_name", "clinic_phone", "postal_address")
SHIPPED_NUMBER = 0

SHIPPED: Mapping[str, Mapping[str, str]] = {
    "en": {
        "headline": "Request your information packet",
        "intro": "Answer three questions and you have it by email within a minute, as a PDF to "
        "read in peace and to show to your own doctor.",
        "thanks": "Thank you. Your packet is on its way.",
        "next": "A person from the clinic reads every request and answers on the next working "
        "day at the latest, in your language.",
    },
    "es": {
        "headline": "Pida su paquete informativo",
        "intro": "Responda tres preguntas y lo recibe por correo electrónico en menos de un "
        "minuto: un PDF para leer con calma y mostrar a su propio médico.",
        "thanks": "Gracias. Su paquete va en camino.",
        "next": "Una persona de la clínica lee cada solicitud y responde en su idioma, a más "
        "tardar el siguiente día hábil.",
    },
}

_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")


@dataclass(frozen=True)
class Words:
    """The texts as visitors read them: two lines, two trees of Markdown. ``number`` 0 is ours."""

    number: int
    headline: str
    intro: tuple[Block, ...]
    thanks: str
    next: tuple[Block, ...]


@dataclass(frozen=True)
class Flaw:
    """Why a part cannot be kept: ``empty``, ``too_long``, ``lines``, ``name`` or ``claim``.

    ``words`` is what it is about: the length, the name, the phrase.
    """

    part: str
    kind: str
    words: str = ""
    reason: str = ""


def current(session: Session, language: str, clinic: Clinic, now: datetime) -> Words:
    """What visitors read in this language, at most ten seconds old: for the public pages.

    One question to the database each ten seconds in each process; a page that is kept drawn is to
    be drawn anew when ``number`` has changed.
    """
    number, parts = _IN_USE.of(session, now).get(language, (SHIPPED_NUMBER, SHIPPED[language]))
    return words_of(parts, clinic, number)


def words_of(parts: Mapping[str, str], clinic: Clinic, number: int = SHIPPED_NUMBER) -> Words:
    """The parts with their placeholders filled in and their Markdown read."""
    values = {
        "clinic_name": clinic.name,
        "clinic_phone": clinic.phone,
        "postal_address": clinic.postal_address,
    }
    return Words(
        number=number,
        headline=placeholders.substitute(parts["headline"], values),
        intro=read_markdown(placeholders.substitute(parts["intro"], values, _literally)),
        thanks=placeholders.substitute(parts["thanks"], values),
        next=read_markdown(placeholders.substitute(parts["next"], values, _literally)),
    )


def flaws_of(parts: Mapping[str, str]) -> list[Flaw]:
    """All that keeps these parts from being used, in the order in which they stand."""
    return [flaw for part in PARTS for flaw in _flaws_in(part, parts.get(part, ""))]


def keep_version(
    session: Session, language: str, parts: Mapping[str, str], author_id: int, now: datetime
) -> FormText:
    """A new version of these texts, or the one that says the same already. None is ever changed."""
    texts = {part: parts[part] for part in PARTS}
    digest = hashlib.sha256(json.dumps(texts, sort_keys=True).encode()).hexdigest()
    kept = select(FormText).where(FormText.language == language)
    same = session.scalar(kept.where(FormText.sha256 == digest).limit(1))
    if same is not None:
        return same
    last = session.scalar(select(func.max(FormText.number)).where(FormText.language == language))
    version = FormText(
        language=language,
        number=(last or 0) + 1,
        parts=texts,
        sha256=digest,
        author_id=author_id,
        created_at=now,
    )
    session.add(version)
    session.flush()
    return version


def use_version(session: Session, language: str, number: int, now: datetime) -> bool:
    """Let visitors read this version from now; 0 goes back to what we ship. False: no such."""
    in_use = session.get(FormTextInUse, language)
    if number == SHIPPED_NUMBER:
        if in_use is not None:
            session.delete(in_use)
    else:
        version = find_version(session, language, number)
        if version is None:
            return False
        session.merge(FormTextInUse(language=language, form_text_id=version.id, since=now))
    session.flush()
    _IN_USE.forget(session)
    return True


def number_in_use(session: Session, language: str) -> int:
    """The number of the version that visitors read, as it stands now."""
    number = session.scalar(
        select(FormText.number)
        .join(FormTextInUse, FormTextInUse.form_text_id == FormText.id)
        .where(FormTextInUse.language == language)
    )
    return SHIPPED_NUMBER if number is None else number


def parts_of(session: Session, language: str, number: int) -> Mapping[str, str] | None:
    """The texts of a version, as they were written; None where there is none."""
    if number == SHIPPED_NUMBER:
        return SHIPPED[language]
    version = find_version(session, language, number)
    return version.parts if version else None


def find_version(session: Session, language: str, number: int) -> FormText | None:
    """One version; None for the one that we ship, which stands in no table."""
    return session.scalar(
        select(FormText).where(FormText.language == language, FormText.number == number)
    )


def versions(session: Session, language: str, limit: int = 50) -> Sequence[FormText]:
    """The versions that the clinic wrote, newest first."""
    return session.scalars(
        select(FormText)
        .where(FormText.language == language)
        .options(joinedload(FormText.author).lazyload(Staff.roles))
        .order_by(FormText.number.desc())
        .limit(limit)
    ).all()


def _flaws_in(part: str, text: str) -> list[Flaw]:
    if not text.strip():
        return [Flaw(part, "empty")]
    if len(text) > PARTS[part]:
        return [Flaw(part, "too_long", str(PARTS[part]))]
    if part in LINES and not text.isprintable():
        return [Flaw(part, "lines")]
    named = [name for name in placeholders.names_in(text) if name not in NAMES]
    claims = [Flaw(part, "claim", found.phrase, found.reason) for found in guard.findings(text)]
    return [*(Flaw(part, "name", name) for name in named), *claims]


def _literally(value: str) -> str:
    """A value in which Markdown sees nothing but characters (CommonMark 0.31, 2.4)."""
    return _PUNCTUATION.sub(r"\\\1", value)


def _read_in_use(session: Session) -> dict[str, tuple[int, Mapping[str, str]]]:
    rows = session.execute(
        select(FormText.language, FormText.number, FormText.parts).join(
            FormTextInUse, FormTextInUse.form_text_id == FormText.id
        )
    )
    return {language: (number, parts) for language, number, parts in rows}


_IN_USE = Remembered(_read_in_use)
