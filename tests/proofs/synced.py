"""DD-02: what is acknowledged was synced to the disk before, counted at the real web server.

On SQLite the kernel is watched: before each receipt leaves, the worker has synced the log of the
database. On PostgreSQL the server counts the syncs of its log; with them switched off it must
count few, or the counter would prove nothing.
"""

import re
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Engine, text

from tests.both import Place
from tests.load import Connection, form_posts
from tests.proofs.finding import Finding
from tests.served import Process, a_service
from tests.strace import traced
from tests.waiting import until

# A backend tells of what it counted when it has been idle for ten seconds, at the latest.
TOLD_WITHIN = 20.0
_SYNC = re.compile(r"\bf(?:data)?sync\(\d+<[^>]*-wal>")
_REPLY = re.compile(r'\bsendto\(.*"HTTP/1\.1 303')


def synced(place: Place, quick: bool, seed: int) -> Finding:
    """At least one sync for each acknowledged POST."""
    return prove_synced(place, 20 if quick else 300, with_control=not quick)


def prove_synced(place: Place, count: int, with_control: bool) -> Finding:
    """``count`` posts one after the other; ``with_control``: then without syncs, on PostgreSQL."""
    with a_service(place.folder, place.url, place.office.port) as service:
        web = service.start_web(workers=1, threads=4)
        if place.kind == "sqlite":
            syncs = _watch_the_kernel(web, service.port, count, place.folder / "calls")
            least, total = min(syncs, default=0), sum(syncs)
            faults = [f"{syncs.count(0)} receipts left before any sync"] if least < 1 else []
            if len(syncs) != count:
                faults.append(f"{len(syncs)} receipts were seen to leave")
            told = f"{count} receipts, {total} syncs of the log before them, {least} at least"
            return Finding(told, faults)
        total = _count_at_the_server(place.engine, service.port, count, "synced")
        faults = [f"{total} syncs for {count} receipts"] if total < count else []
        told = f"{count} receipts, {total} syncs of the write-ahead log"
        if with_control:
            web.stop()
            _switch_off_syncs(place.engine)
            service.start_web(workers=1, threads=4)
            few = _count_at_the_server(place.engine, service.port, count, "control")
            told += f"; {few} with synchronous_commit off"
            if few >= count // 2:
                faults.append(f"with synchronous_commit off, {few} syncs are counted too")
    return Finding(told, faults)


def _watch_the_kernel(web: Process, port: int, count: int, log: Path) -> list[int]:
    """How many syncs came before each receipt, since the one before it."""
    workers = [worker.pid for worker in web.children()]
    with traced(workers, log, "-y", "-e", "trace=fsync,fdatasync,sendto"):
        _post_all(port, count, "synced")
    syncs, since = [], 0
    for line in log.read_text().splitlines():
        if _SYNC.search(line):
            since += 1
        elif _REPLY.search(line):
            syncs.append(since)
            since = 0
    return syncs


def _post_all(port: int, count: int, tag: str) -> None:
    with Connection(port) as connection:
        for request in form_posts(port, count, tag):
            answer = connection.ask(request)
            assert answer.status == 303, answer


def _count_at_the_server(engine: Engine, port: int, count: int, tag: str) -> int:
    before = _syncs(engine)
    _post_all(port, count, tag)
    # What is not told by then is told as it is.
    with suppress(AssertionError):
        until(lambda: _syncs(engine) - before >= count, within=TOLD_WITHIN, what="the syncs")
    return _syncs(engine) - before


def _syncs(engine: Engine) -> int:
    """Syncs of the write-ahead log so far, save those of checkpoints where that is told apart."""
    with engine.connect() as connection:
        counted = (
            "SELECT sum(fsyncs) FROM pg_stat_io "
            "WHERE object = 'wal' AND backend_type NOT IN ('checkpointer', 'startup')"
            if connection.dialect.server_version_info >= (18,)  # type: ignore[operator]
            else "SELECT wal_sync FROM pg_stat_wal"
        )
        return int(connection.scalar(text(counted)) or 0)


def _switch_off_syncs(engine: Engine) -> None:
    name = engine.url.database
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f'ALTER DATABASE "{name}" SET synchronous_commit = off'))
