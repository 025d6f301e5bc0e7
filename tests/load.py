"""A lean HTTP/1.1 client for load: prepared requests over kept connections, from threads."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self
from urllib.parse import urlencode

from leadcapture.intake import form_token
from tests.people import typed_form

SECRET_KEY = "k" * 48


@dataclass(frozen=True)
class Answer:
    """Status, where it leads to, and the body."""

    status: int
    location: str
    body: bytes

    @property
    def receipt(self) -> str:
        """The receipt that a 303 to the thanks names; empty for any other answer."""
        return self.location.rpartition("/")[2] if self.status == 303 else ""


class Connection:
    """One kept connection; opened again after a loss. Raises OSError where an answer is lost."""

    def __init__(self, port: int, timeout: float = 30.0) -> None:
        self._port = port
        self._timeout = timeout
        self._socket: socket.socket | None = None
        self._read = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, request: bytes) -> Answer:
        """Send a prepared request, read its answer."""
        try:
            if self._socket is None:
                self._socket = socket.create_connection(("127.0.0.1", self._port), self._timeout)
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._read = b""
            self._socket.sendall(request)
            return self._answer()
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _answer(self) -> Answer:
        while b"\r\n\r\n" not in self._read:
            self._receive()
        head, _, self._read = self._read.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(b":") for line in lines[1:])
        }
        length = int(headers.get(b"content-length", b"0"))
        while len(self._read) < length:
            self._receive()
        body, self._read = self._read[:length], self._read[length:]
        if headers.get(b"connection", b"").lower() == b"close":
            self.close()
        return Answer(int(lines[0].split()[1]), headers.get(b"location", b"").decode(), body)

    def _receive(self) -> None:
        assert self._socket is not None
        piece = self._socket.recv(65536)
        if not piece:
            raise ConnectionResetError("the server hung up")
        self._read += piece


def get_request(port: int, path: str = "/en") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()


def post_request(port: int, fields: dict[str, object], path: str = "/en") -> bytes:
    """A posted form, as a browser sends it."""
    body = urlencode(fields, doseq=True).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Origin: http://127.0.0.1:{port}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def new_token(now: datetime | None = None) -> str:
    """A token as the form shows it, signed with the key of `tests.served`."""
    return form_token.issue(SECRET_KEY, now or datetime.now(UTC))


def form_posts(port: int, count: int, tag: str) -> list[bytes]:
    """That many filled-in forms, each of another person with a token of its own."""
    return [
        post_request(
            port,
            typed_form(
                new_token(),
                email=f"{tag}.{number}@tampamail.example",
                full_name=f"Janet {tag} {number}",
            ),
        )
        for number in range(count)
    ]


@dataclass
class Run:
    """What came of a load: seconds, each answer's status, each answer's seconds."""

    seconds: float = 0.0
    statuses: dict[int, int] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def ask_all(port: int, requests: Iterable[bytes], threads: int = 8) -> Run:
    """Ask everything as fast as ``threads`` connections can, each waiting for its answer."""
    run, lock = Run(), threading.Lock()
    waiting = iter(requests)

    def work() -> None:
        with Connection(port) as connection:
            while (request := _next(waiting, lock)) is not None:
                began = time.perf_counter()
                status = connection.ask(request).status
                took = time.perf_counter() - began
                with lock:
                    run.statuses[status] = run.statuses.get(status, 0) + 1
                    run.latencies.append(took)

    began = time.perf_counter()
    in_parallel([work] * threads)
    run.seconds = time.perf_counter() - began
    return run


def in_parallel(works: Iterable[Callable[[], None]]) -> None:
    """Run each in a thread of its own; the first exception is raised when all have ended."""
    failures: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=guarded, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


@contextlib.contextmanager
def in_background(work: Callable[[], None], every: float) -> Iterator[None]:
    """Within: do this again and again, so many seconds apart."""
    done = threading.Event()

    def again() -> None:
        while not done.wait(every):
            work()

    thread = threading.Thread(target=again, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _next(requests: Iterator[bytes], lock: threading.Lock) -> bytes | None:
    with lock:
        return next(requests, None)
