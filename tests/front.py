"""A proxy in front of the service, as a visitor's browser may meet one."""

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

BAD_GATEWAY = b"<!doctype html><title>502</title><main><h1>502 Bad Gateway</h1></main>"
STALLS_AT_MOST = 60.0


class Front:
    """Hands requests on. ``fails`` are methods and beginnings of paths, such as ``POST /en``,
    that it answers itself with a page of its own; ``stalls`` those whose answer it keeps to
    itself, after the service did all that was asked, until `let_go`.
    """

    def __init__(self, behind: "WSGIApplication") -> None:
        self._behind = behind
        self._go = threading.Event()
        self.fails: tuple[str, ...] = ()
        self.stalls: tuple[str, ...] = ()
        self.stalled: list[str] = []

    def let_go(self) -> None:
        self.fails = self.stalls = ()
        self._go.set()

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        asked = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
        if asked.startswith(self.fails):
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start_response("502 Bad Gateway", [("Content-Type", "text/html")])
            return [BAD_GATEWAY]
        answer = self._behind(environ, start_response)
        if asked.startswith(self.stalls):
            self.stalled.append(asked)
            self._go.wait(STALLS_AT_MOST)
        return answer
