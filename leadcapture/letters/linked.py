"""How packets reach people: attached to their letter, or behind its link alone."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.letters.manuscript import PACKET, Manuscript
from leadcapture.models import LetterVersion, LinkedPacket
from leadcapture.remembered import Remembered


def current_linked(session: Session, now: datetime) -> frozenset[str]:
    """Topics of the packets that are never attached, at most ten seconds old."""
    return _LINKED.of(session, now)


def read_linked(session: Session) -> frozenset[str]:
    """Topics of the packets that are never attached, as it stands now."""
    return frozenset(session.scalars(select(LinkedPacket.topic)))


def keep_linked(session: Session, topics: Collection[str], now: datetime) -> None:
    """Never attach these packets from now on, and the others again, in the caller's transaction.

    Letters that wait already leave as they were written.
    """
    before = read_linked(session)
    for topic in before - set(topics):
        session.delete(session.get_one(LinkedPacket, topic))
    session.add_all(LinkedPacket(topic=topic, since=now) for topic in set(topics) - before)
    session.flush()
    _LINKED.forget(session)


def packet_titles(session: Session, language: str) -> dict[str, str]:
    """The title of each packet's newest version in this language, by topic."""
    versions = session.scalars(
        select(LetterVersion)
        .where(LetterVersion.kind == PACKET, LetterVersion.language == language)
        .order_by(LetterVersion.id)
    )
    return {version.topic: Manuscript.read(version.text).title for version in versions}


_LINKED = Remembered(read_linked)
