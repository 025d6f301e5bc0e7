"""The processor's time: what a busy machine lengthens least, of this thread and of PostgreSQL."""

import time
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Engine, text

# With the one that is asked: where the pool has one connection, that one does all the work.
# One that vacuums by itself is gone when its table is done.
_SERVERS = text(
    "SELECT pid FROM pg_stat_activity"
    " WHERE datname = current_database() AND backend_type = 'client backend'"
)


class Processor:
    """Milliseconds that this thread, and the servers of its connections, have been at work.

    Made when the connections are open; on SQLite the thread alone does all the work.
    """

    def __init__(self, engine: Engine) -> None:
        self._servers: Sequence[Path] = ()
        if engine.dialect.name == "postgresql":
            with engine.connect() as connection:
                numbers = connection.scalars(_SERVERS).all()
            self._servers = [Path(f"/proc/{number}/schedstat") for number in numbers]

    def spent(self) -> float:
        """So far; the difference of two is what lies between them."""
        servers = sum(int(server.read_text().split()[0]) for server in self._servers)
        return time.thread_time() * 1000 + servers / 1_000_000
