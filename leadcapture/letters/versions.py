"""Which version of each text is the current one."""

from datetime import datetime, timedelta
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.orm import Session

from leadcapture.models import LetterVersion

# A new version takes effect within this time in every process; a version never changes.
FRESH_FOR = timedelta(seconds=10)

Versions = dict[tuple[str, str, str], int]
_known: WeakKeyDictionary[Engine, tuple[datetime, Versions]] = WeakKeyDictionary()


def current_versions(session: Session, now: datetime) -> Versions:
    """The id of the newest version of each ``(kind, topic, language)``."""
    bind = session.get_bind()
    engine = bind.engine if isinstance(bind, Connection) else bind
    known = _known.get(engine)
    if known is not None and abs(now - known[0]) < FRESH_FOR:
        return known[1]
    newest = select(
        LetterVersion.kind,
        LetterVersion.topic,
        LetterVersion.language,
        func.max(LetterVersion.id),
    ).group_by(LetterVersion.kind, LetterVersion.topic, LetterVersion.language)
    versions: Versions = {
        (kind, topic, language): id_ for kind, topic, language, id_ in session.execute(newest)
    }
    if versions:
        _known[engine] = (now, versions)
    return versions
