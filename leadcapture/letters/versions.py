"""Which version of each text is the current one."""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from leadcapture.models import LetterVersion
from leadcapture.remembered import Remembered

Versions = dict[tuple[str, str, str], int]


def current_versions(session: Session, now: datetime) -> Versions:
    """The id of the newest version of each ``(kind, topic, language)``, at most ten seconds old.

    A version itself never changes.
    """
    versions = _NEWEST.of(session, now)
    if not versions:
        # Nothing is published yet; once it is, no letter waits ten seconds for it.
        _NEWEST.forget(session)
    return versions


def _read_newest(session: Session) -> Versions:
    newest = select(
        LetterVersion.kind,
        LetterVersion.topic,
        LetterVersion.language,
        func.max(LetterVersion.id),
    ).group_by(LetterVersion.kind, LetterVersion.topic, LetterVersion.language)
    return {(kind, topic, language): id_ for kind, topic, language, id_ in session.execute(newest)}


_NEWEST = Remembered(_read_newest)
