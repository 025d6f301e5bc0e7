"""The texts that come with the service, put on record as versions once each."""

import hashlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from leadcapture.letters.guard import Finding, findings, health_words_in
from leadcapture.letters.mail_html import first_screen, render
from leadcapture.letters.manuscript import (
    LANGUAGES,
    PACKET,
    SHELF,
    BadManuscript,
    Manuscript,
    finish,
    fixed_block,
)
from leadcapture.letters.packet_pdf import PACKET_NAMES, typeset
from leadcapture.letters.placeholders import NAMES, UnknownPlaceholder, names_in
from leadcapture.models.letter import LetterVersion
from leadcapture.settings import Clinic

KINDS = (
    PACKET,
    "packet_letter",
    "packet_link",
    "follow_up",
    "staff_alert",
    "staff_uncertain",
    "staff_answer",
    "staff_due",
    "staff_late",
    "staff_task",
    "staff_cover",
    "staff_watched",
)


class BlockedPhrase(ValueError):
    """A text says what no letter may say; ``findings`` name the phrases."""

    def __init__(self, found: list[Finding]) -> None:
        super().__init__("; ".join(f"{one.phrase!r}: {one.reason}" for one in found))
        self.findings = found


class OutsPatient(ValueError):
    """A letter shows a word about health where a bystander would read it (PR-12)."""


def publish_shipped(
    session: Session, now: datetime, clinic: Clinic, directory: Path = SHELF
) -> list[LetterVersion]:
    """Put every shipped text on record that is not yet; the new versions, none the second time.

    A text is left alone once it has been on record, so that a restart never brings an old
    text back over what staff wrote after it. All of them or, where ``check`` raises, none.
    """
    with session.begin_nested():
        made = [
            publish(session, now, clinic, kind, topic, language, finish(source, kind, language))
            for kind, topic, language, source in shipped_texts(directory)
        ]
    return [version for version in made if version is not None]


def shipped_texts(directory: Path = SHELF) -> Iterator[tuple[str, str, str, str]]:
    """Each shipped text as kind, topic (may be empty), language and source."""
    for kind in KINDS:
        for path in sorted((directory / kind).glob("*.md")):
            topic, _, language = path.stem.rpartition(".")
            if language not in LANGUAGES:
                raise BadManuscript(f"{kind}/{path.name} is in no language of ours")
            yield kind, topic, language, path.read_text("utf-8")


def publish(
    session: Session,
    now: datetime,
    clinic: Clinic,
    kind: str,
    topic: str,
    language: str,
    text: str,
) -> LetterVersion | None:
    """Put a finished text on record as the next version; None if it has been on record before.

    A packet is typeset here, once: every copy ever sent of this version is the same. Raises
    what ``check`` raises.
    """
    fingerprint = _fingerprint(text, kind, clinic)
    same_text = (
        LetterVersion.kind == kind,
        LetterVersion.topic == topic,
        LetterVersion.language == language,
    )
    if session.scalar(
        select(LetterVersion.id).where(*same_text, LetterVersion.sha256 == fingerprint)
    ):
        return None
    check(text, kind, language)
    newest = session.scalar(select(func.max(LetterVersion.number)).where(*same_text))
    manuscript = Manuscript.read(text)
    version = LetterVersion(
        kind=kind,
        topic=topic,
        language=language,
        number=(newest or 0) + 1,
        subject=manuscript.subject,
        text=text,
        pdf=typeset(manuscript, language, clinic) if kind == PACKET else None,
        sha256=fingerprint,
        created_at=now,
    )
    session.add(version)
    session.flush()
    return version


def check(text: str, kind: str, language: str) -> None:
    """Refuse a text that may not go out.

    Raises ``BadManuscript`` (also where the fixed block is missing or changed),
    ``UnknownPlaceholder``, ``BlockedPhrase``, ``OutsPatient``, ``UnsafeLink``.
    """
    manuscript = Manuscript.read(text)
    if manuscript.fixed != fixed_block(kind, language):
        raise BadManuscript("the fixed block is missing or has been changed")
    allowed = PACKET_NAMES if kind == PACKET else NAMES
    if unknown := [name for name in names_in(text) if name not in allowed]:
        raise UnknownPlaceholder(", ".join(unknown))
    if found := findings(text):
        raise BlockedPhrase(found)
    if kind == PACKET:
        if not (manuscript.title and manuscript.summary):
            raise BadManuscript("a packet needs a title and a summary")
        shown = f"{manuscript.subject} {manuscript.preview}"
    else:
        shown = first_screen(render(text, language), manuscript.preview)
    if words := health_words_in(shown):
        raise OutsPatient(", ".join(words))


def _fingerprint(text: str, kind: str, clinic: Clinic) -> str:
    """What makes two versions the same: the text, and for a packet who it says we are."""
    parts = [text]
    if kind == PACKET:
        parts += [clinic.name, clinic.phone, clinic.postal_address]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
