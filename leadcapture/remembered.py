"""Remembered: what changes seldom is read from a database at most once in ten seconds."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar, TypeVarTuple
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine
from sqlalchemy.orm import Session

# What one process changes is known to every other within this time.
FRESH_FOR = timedelta(seconds=10)

Asked = TypeVarTuple("Asked")
Answer = TypeVar("Answer")


class Remembered(Generic[*Asked, Answer]):
    """A reading of each database, in this process, at most `FRESH_FOR` old.

    ``read`` gets a session, and what else it is asked by.
    """

    def __init__(self, read: Callable[[Session, *Asked], Answer]) -> None:
        self._read = read
        self._known: WeakKeyDictionary[Engine, dict[Any, tuple[datetime, Answer]]]
        self._known = WeakKeyDictionary()

    def of(self, session: Session, now: datetime, *asked: *Asked) -> Answer:
        """What was read lately, or is read now, of what can be a key."""
        answers = self._known.setdefault(_engine(session), {})
        if asked in answers and abs(now - answers[asked][0]) < FRESH_FOR:
            return answers[asked][1]
        answer = self._read(session, *asked)
        answers[asked] = (now, answer)
        return answer

    def forget(self, session: Session) -> None:
        """Read anew whatever of this database is asked next: it has just been changed here."""
        self._known.pop(_engine(session), None)


def _engine(session: Session) -> Engine:
    bind = session.get_bind()
    return bind.engine if isinstance(bind, Connection) else bind
