"""The web server: gunicorn with threads, set so that deploys and slow clients do no harm."""

import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter


class _Server(BaseApplication):  # type: ignore[misc]
    def __init__(self, make_app: Callable[[], Flask], options: dict[str, Any]) -> None:
        self._make_app = make_app
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        app = self._make_app()
        # What the application is made of stays until the end: no collection need look at it.
        gc.collect()
        gc.freeze()
        return app

    def run(self) -> None:
        arbiter = Arbiter(self)
        # What SIGUSR2 starts, which inherits the socket. gunicorn's own guess, a path and not a
        # module, would find our rooms before the packages that are called like them.
        successor = [sys.executable, "-P", "-m", "leadcapture", *sys.argv[1:]]
        arbiter.START_CTX = {0: sys.executable, "args": successor, "cwd": str(Path.cwd())}
        arbiter.run()


def serve(make_app: Callable[[], Flask], bind: str, workers: int, threads: int) -> None:
    """Serve until SIGTERM; a request that was begun is finished.

    SIGUSR2 starts a successor, of the release that is installed by then, on the same socket: once
    it serves, SIGTERM to the old one ends a deploy that refused nobody.
    """
    _Server(
        make_app,
        {
            "bind": bind,
            "workers": workers,
            "threads": threads,
            "worker_class": "gthread",
            "graceful_timeout": 25,
            "timeout": 60,
            "keepalive": 5,
            "accesslog": None,
            "loglevel": "warning",
            "control_socket_disable": True,
        },
    ).run()
