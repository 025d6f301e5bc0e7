"""The instance: a restored or cloned database sends nothing until a person releases it.

The database has a name and a mark that grows every few seconds; the data folder of each machine
that sends for it has both in a file, outside every backup. A machine belongs where the names are
equal and the database's mark has not gone back. So the file tells a clone (its folder has no
name or another), a backup restored beside the old folder (the mark lies behind) and a standby
that lost its last commits (likewise).

A second machine is no copy, yet its folder has no name either. What tells them apart: a mark
moves only by the hand of a machine that belongs. Where it moves, a newcomer may `join`, and
until then keeps back only its own sending. Where it stands still, nobody else sends for this
database: the gate ``instance`` closes for all, and a person decides.
"""

import contextlib
import enum
import fcntl
import logging
import os
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Connection, CursorResult, Engine, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from leadcapture.database import asking, open_session, reading
from leadcapture.kept_file import replace_file
from leadcapture.models import OPEN_STATES, Gate, Instance, Message
from leadcapture.models.instance import ONLY
from leadcapture.outbox import gates

log = logging.getLogger(__name__)

GATE = gates.INSTANCE
FILE = "instance"
STILL_FOR = timedelta(seconds=30)
JOIN_WAITS = 45.0
_ROW = select(Instance.name, Instance.mark).where(Instance.id == ONLY)


class Standing(enum.StrEnum):
    """What a machine is to a database."""

    BELONGS = "belongs"
    UNNAMED = "unnamed"
    RELEASED = "released"
    STRANGE = "strange"


@dataclass(frozen=True)
class Named:
    """A data folder's file: the database's name and the highest mark seen."""

    name: str
    mark: int


def standing(session: Session | Connection, data_dir: Path) -> Standing:
    """What the machine with this data folder is to the database. Costs one look-up by key."""
    known = read_file(data_dir)
    row = session.execute(_ROW).first()
    if row is None:
        # A folder that has sent before and a nameless database with letters: an old copy.
        was_another = known is not None and known.mark > 0
        return Standing.STRANGE if was_another and _is_waiting(session) else Standing.UNNAMED
    if row.mark == 0:
        return Standing.RELEASED
    if known is not None and known.name == row.name and known.mark <= row.mark:
        return Standing.BELONGS
    return Standing.STRANGE


def take(engine: Engine, data_dir: Path, now: datetime) -> bool:
    """Make this machine the one that sends: at a database's first start or after a release.

    Of several machines one wins, the others may join it; all processes of one machine win.
    """
    with _alone(data_dir), open_session(engine) as session:
        found = standing(session, data_dir)
        if found not in (Standing.UNNAMED, Standing.RELEASED):
            return found is Standing.BELONGS
        if found is Standing.UNNAMED:
            known = _propose_name(data_dir)
            row = Instance(id=ONLY, name=known.name, mark=1, since=now)
            try:
                session.add(row)
                session.commit()
            except IntegrityError:
                return False
        else:
            row = session.get_one(Instance, ONLY, populate_existing=True)
            if not _swap_mark(session, row.name, 0, 1):
                return False
            session.commit()
        write_file(data_dir, Named(row.name, 1))
        return True


def release(session: Session, now: datetime) -> None:
    """Let this database's mail leave, by a person's decision: it gets a new name.

    Whoever still knows the old name, the original or another copy, is a stranger from now on.
    The first scheduler to see it takes the name.
    """
    session.execute(delete(Instance))
    session.execute(insert(Instance).values(id=ONLY, name=_new_name(), mark=0, since=now))
    session.execute(delete(Gate).where(Gate.name == GATE))
    log.warning("the outbox was released by a person")


def disown(session: Session, now: datetime) -> None:
    """Make strangers of all machines: what `restore` has written is a copy."""
    session.execute(delete(Instance))
    session.execute(insert(Instance).values(id=ONLY, name=_new_name(), mark=1, since=now))
    _close_gate(session, now)


def join(engine: Engine, data_dir: Path, patience: float = JOIN_WAITS) -> bool:
    """Let this machine send too, where another that belongs is seen at work.

    False where the mark stands still for ``patience`` seconds: it may be a copy.
    """
    pause = threading.Event()
    first = _look(engine)
    for _ in range(int(patience / 0.25)):
        if first is None or first.mark == 0:
            return False
        seen = _look(engine)
        if seen is not None and seen.name == first.name and seen.mark > first.mark:
            write_file(data_dir, seen)
            return True
        pause.wait(0.25)
    return False


class Guard:
    """Asks for one scheduler process whether its mail may leave."""

    def __init__(self, engine: Engine, data_dir: Path) -> None:
        self._engine = engine
        self._data_dir = data_dir
        self._seen: tuple[int, datetime] | None = None

    def admits(self, now: datetime) -> bool:
        """True where this machine belongs; takes a name that nobody has. Cheap: asked at a claim.

        While it answers False nothing of this process leaves, gate or no gate.
        """
        with asking(self._engine) as connection:
            found = standing(connection, self._data_dir)
        if found in (Standing.UNNAMED, Standing.RELEASED):
            return take(self._engine, self._data_dir, now)
        return found is Standing.BELONGS

    def watch_instance(self, session: Session, now: datetime) -> None:
        """Move the mark where this machine belongs; close the gate where nobody moves it.

        Takes a name that nobody has. Commits: the file may run behind the database, never
        ahead of it.
        """
        found = standing(session, self._data_dir)
        if found is Standing.BELONGS:
            self._seen = None
            self._move_mark(session)
        elif found is Standing.STRANGE:
            self._doubt(session, now)
        else:
            # A name is taken in a transaction of its own.
            session.rollback()
            take(self._engine, self._data_dir, now)

    def _move_mark(self, session: Session) -> None:
        row = session.get_one(Instance, ONLY, populate_existing=True)
        moved = _swap_mark(session, row.name, row.mark, row.mark + 1)
        # Whoever belongs proves that this is no copy, even if a stranger had shut the gate.
        session.execute(delete(Gate).where(Gate.name == GATE))
        session.commit()
        # A lost race means that another machine moved it in this moment: as good.
        write_file(self._data_dir, Named(row.name, row.mark + int(moved)))

    def _doubt(self, session: Session, now: datetime) -> None:
        mark = session.scalar(select(Instance.mark)) or 0
        if self._seen is None or self._seen[0] != mark:
            log.warning("this machine does not belong to its database and sends nothing")
            self._seen = (mark, now)
        elif now - self._seen[1] >= STILL_FOR:
            _close_gate(session, now)
        session.commit()


def read_file(data_dir: Path) -> Named | None:
    """What the folder knows; None where it knows nothing or nothing that can be read."""
    try:
        name, mark = (data_dir / FILE).read_text().split()
        return Named(name, int(mark))
    except (OSError, ValueError):
        return None


def write_file(data_dir: Path, known: Named) -> None:
    """Write the folder's file so that a crash leaves the old one or the new one."""
    replace_file(data_dir / FILE, f"{known.name} {known.mark}\n")


@contextlib.contextmanager
def _alone(data_dir: Path) -> Iterator[None]:
    """Let one process of this machine take a name at a time."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = os.open(data_dir, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _propose_name(data_dir: Path) -> Named:
    """The name to give a nameless database: written down before, so that a crash forgets none."""
    known = read_file(data_dir)
    if known is None or known.mark > 0:
        known = Named(_new_name(), 0)
        write_file(data_dir, known)
    return known


def _swap_mark(session: Session, name: str, start: int, end: int) -> bool:
    swapped = session.execute(
        update(Instance)
        .where(Instance.id == ONLY, Instance.name == name, Instance.mark == start)
        .values(mark=end)
        .execution_options(synchronize_session=False)
    )
    return cast(CursorResult[Any], swapped).rowcount == 1


def _close_gate(session: Session, now: datetime) -> None:
    if session.get(Gate, GATE) is None:
        with contextlib.suppress(IntegrityError), session.begin_nested():
            session.execute(
                insert(Gate).values(
                    name=GATE, reason="restored_copy", since=now, failures=0, closed_until=None
                )
            )


def _is_waiting(session: Session | Connection) -> bool:
    waiting = select(Message.id).where(Message.state.in_(OPEN_STATES))
    return session.scalar(waiting.limit(1)) is not None


def _look(engine: Engine) -> Named | None:
    with reading(), open_session(engine) as session:
        row = session.execute(select(Instance.name, Instance.mark)).first()
        return Named(row.name, row.mark) if row else None


def _new_name() -> str:
    return secrets.token_hex(16)
