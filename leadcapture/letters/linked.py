"""How packets reach people: attached to their letter, or behind its link alone."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from leadcapture.database import table_of
from leadcapture.letters.manuscript import PACKET, Manuscript
from leadcapture.models import LetterVersion, LinkedPacket
from leadcapture.prepared import insert_rows
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
    session.execute(delete(LinkedPacket).where(LinkedPacket.topic.not_in(topics)))
    rows = [{"topic": topic, "since": now} for topic in sorted(topics)]
    if rows:
        # A colleague may save the same in this moment.
        add = insert_rows(table_of(LinkedPacket), session.get_bind().dialect.name, ())
        session.execute(add.values(rows).on_conflict_do_nothing())
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
