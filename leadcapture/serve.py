"""The web server: gunicorn with threads, set so that deploys and slow clients do no harm."""

import gc
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.workers.gthread import TConn, ThreadWorker

from leadcapture.web import HEADERS

# Shorter than the ten seconds that a visitor's page waits: whoever stands behind those who stall
# is still answered in time.
HEARD_WITHIN = 5.0
LEFT_WITHIN = 1.0


class Worker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's worker with threads, whose threads and main loop wait for nobody for long.

    A request is heard within `HEARD_WITHIN` seconds, whole, or its connection reads as closed.
    gunicorn itself waits for ever: a handful of half-sent requests would take every thread.
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._heard_until: dict[TConn, float] = {}

    def handle(self, conn: TConn) -> Any:
        """Serve what comes on this connection; in a thread."""
        self._heard_until[conn] = time.monotonic() + HEARD_WITHIN
        try:
            stays = super().handle(conn)
        finally:
            del self._heard_until[conn]
        if not stays:
            _take_leave(conn.sock)
        return stays

    def murder_pending(self) -> None:
        """Once a second, in the main loop: end the hearing of whoever took too long.

        What is being answered goes on: only the way in is shut.
        """
        super().murder_pending()
        now = time.monotonic()
        for conn, until in self._heard_until.copy().items():
            if until < now:
                with suppress(OSError):
                    conn.sock.shutdown(socket.SHUT_RD)

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: Exception) -> None:
        """gunicorn's own page for what never reaches the application, with our headers (WS-02)."""
        super().handle_error(req, _WithHeaders(client), addr, exc)


class _WithHeaders:
    """A socket that puts our headers on the one answer that is sent by it."""

    def __init__(self, client: socket.socket) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def sendall(self, answer: bytes) -> None:
        head, gap, body = answer.partition(b"\r\n\r\n")
        ours = {**HEADERS, "Cache-Control": "no-store"}
        lines = "".join(f"\r\n{name}: {value}" for name, value in ours.items())
        self._client.sendall(head + lines.encode() + gap + body)


def _take_leave(client: socket.socket) -> None:
    """Say that no more comes, and give the other end a moment to have read it all (RFC 9112, 9.6).

    gunicorn would do so for two seconds in the main loop, where everybody waits for it.
    """
    deadline = time.monotonic() + LEFT_WITHIN
    with suppress(OSError):
        client.shutdown(socket.SHUT_WR)
        while (left := deadline - time.monotonic()) > 0:
            client.settimeout(left)
            if not client.recv(4096):
                break
    with suppress(OSError):
        client.shutdown(socket.SHUT_RD)


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
            "worker_class": Worker,
            "graceful_timeout": 25,
            "timeout": 60,
            "keepalive": 5,
            # No proxy tells us where we are mounted; whoever speaks from loopback could.
            "forwarder_headers": "",
            "accesslog": None,
            "loglevel": "warning",
            "control_socket_disable": True,
        },
    ).run()
