"""Work that stops before each of its transactions, to go on, be overtaken or be killed there."""

import contextlib
from collections.abc import Callable

from greenlet import getcurrent, greenlet
from sqlalchemy import Connection, create_engine, event

from leadcapture.database import apply_rules, engine_options


class Killed(BaseException):
    """What kill -9 is to a process: nothing below may catch it."""


class Stepper:
    """One worker of its own connections, which does nothing until told to go on.

    While it stands, no transaction of its own is open: it stands where a process may be
    suspended, overtaken by others, or lost, with all that it had committed and nothing else.
    """

    def __init__(self, database_url: str) -> None:
        self.engine = create_engine(database_url, **engine_options(database_url))
        # Before the rules, one of which is the BEGIN itself.
        event.listen(self.engine, "begin", self._before_transaction)
        apply_rules(self.engine)
        self._work: greenlet | None = None

    @property
    def is_at_work(self) -> bool:
        return self._work is not None and not self._work.dead

    def begin(self, work: Callable[[], object]) -> None:
        """Start ``work``; it comes to its first transaction."""
        self._work = greenlet(work)
        self._work.switch()

    def go_on(self) -> None:
        """Let it run to where it stops next, or to its end."""
        if self._work is not None:
            self._work.switch()

    def stop_here(self) -> None:
        """For the work itself: stand here until told to go on."""
        if self._work is not None and getcurrent() is self._work:
            assert self._work.parent is not None
            self._work.parent.switch()

    def kill(self) -> None:
        """Lose the worker where it stands."""
        if self._work is not None and self.is_at_work:
            with contextlib.suppress(Killed):
                self._work.throw(Killed)
        self._work = None

    def close(self) -> None:
        self.kill()
        self.engine.dispose()

    def _before_transaction(self, _connection: Connection) -> None:
        self.stop_here()
