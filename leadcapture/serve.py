"""The web server: gunicorn with threads, set so that deploys and slow clients do no harm."""

import gc
from collections.abc import Callable
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication


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


def serve(make_app: Callable[[], Flask], bind: str, workers: int, threads: int) -> None:
    """Serve until SIGTERM; a request that was begun is finished."""
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
