"""The web servers side by side: each can serve the service and the floor."""

import argparse
import importlib.util
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from flask import Flask

from leadcapture.app import create_app
from leadcapture.serve import serve
from leadcapture.settings import load
from tests.benchmarks.floor import create_floor
from tests.served import STARTS_WITHIN, Process, answers
from tests.waiting import until

WORKERS, THREADS = 2, 8


def create_service() -> Flask:
    return create_app(load())


APPS: dict[str, Callable[[], Flask]] = {"service": create_service, "floor": create_floor}
SERVERS = ("gunicorn gthread", "granian", "waitress")


def installed() -> list[str]:
    """The servers that can be measured here."""
    return [name for name in SERVERS if importlib.util.find_spec(name.split()[0]) is not None]


@contextmanager
def serving(
    app: str, port: int, environ: Mapping[str, str], folder: Path, server: str = SERVERS[0]
) -> Iterator[Process]:
    """An application behind a server, from its first answer to its end."""
    words = ["tests.benchmarks.web_servers", app, server, str(port)]
    process = Process(words, environ, folder / f"{app}-{port}.log").start()
    try:
        until(lambda: not process.is_running() or answers(port), within=STARTS_WITHIN, what=server)
        assert process.is_running(), process.ended()
        yield process
    finally:
        if process.is_running():
            process.stop()


def run(app: str, server: str, port: int) -> None:
    """Serve until stopped: two workers of eight threads, or what comes nearest to them."""
    if server == "granian":
        _granian(app, port)
    elif server == "waitress":
        _waitress(app, port)
    else:
        serve(APPS[app], f"127.0.0.1:{port}", WORKERS, THREADS)


def _granian(app: str, port: int) -> None:
    from granian import Granian
    from granian.constants import Interfaces
    from granian.log import LogLevels

    Granian(
        f"tests.benchmarks.web_servers:create_{app}",
        address="127.0.0.1",
        port=port,
        interface=Interfaces.WSGI,
        workers=WORKERS,
        blocking_threads=THREADS,
        backpressure=128,
        factory=True,
        log_level=LogLevels.error,
    ).serve()


def _waitress(app: str, port: int) -> None:
    # One process: it has no workers.
    import waitress  # type: ignore[import-untyped]

    waitress.serve(APPS[app](), host="127.0.0.1", port=port, threads=WORKERS * THREADS)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("app", choices=sorted(APPS))
    parser.add_argument("server", choices=SERVERS)
    parser.add_argument("port", type=int)
    given = parser.parse_args()
    run(given.app, given.server, given.port)
