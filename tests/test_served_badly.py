"""The real web server and those who send half of something, or what is no request."""

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest

from leadcapture.web import HEADERS
from tests.databases import SqliteFiles
from tests.served import Service, a_service
from tests.waiting import until

# Two workers of eight threads have room for sixteen; the kernel shares them out as it likes.
OF_EACH = 7
# Nobody listens there: nothing that is asked here writes a letter.
NO_RELAY = 9


@pytest.fixture(scope="module")
def service(
    sqlite_files: SqliteFiles, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """One for all: it keeps nothing of what it is asked here, and each test ends its connections.

    What a socket sees hangs on no database; one kind is enough.
    """
    folder = tmp_path_factory.mktemp("served")
    with a_service(folder, sqlite_files.new(folder), NO_RELAY) as service:
        service.start_web()
        yield service


def ask(service: Service, request: str, *, within: float = 30.0) -> bytes:
    """Send this, the Host added, and read until the server closes."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=within) as line:
        line.sendall(with_host(service, request))
        return b"".join(iter(lambda: line.recv(65536), b""))


def with_host(service: Service, request: str) -> bytes:
    head, gap, rest = request.partition("\r\n")
    return f"{head}\r\nHost: 127.0.0.1:{service.port}{gap}{rest}".encode()


def get(path: str, *headers: str) -> str:
    return "\r\n".join([f"GET {path} HTTP/1.1", *headers, "Connection: close", "", ""])


def begin(service: Service, lines: contextlib.ExitStack, request: str) -> socket.socket:
    line = socket.create_connection(("127.0.0.1", service.port), timeout=30)
    lines.enter_context(line)
    line.sendall(with_host(service, request))
    return line


HALF_A_BODY = (
    "POST /en HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    "Content-Length: 1000\r\n\r\nfull_name=x"
)
HALF_A_CHUNK = HALF_A_BODY.replace(
    "Content-Length: 1000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n3e8\r\n"
)


HALVES = (HALF_A_BODY, HALF_A_CHUNK, "GET /en HTTP/1.1\r\nAccept: */*\r\n")


def test_whoever_sends_half_a_request_is_dropped_and_others_are_served(service: Service) -> None:
    """AB-06: all threads would listen to them for ever."""
    with contextlib.ExitStack() as lines:
        stalled = [begin(service, lines, half) for half in HALVES * OF_EACH]
        # In time all threads listen to them.
        pause = time.monotonic() + 1
        until(lambda: time.monotonic() > pause)
        began = time.monotonic()
        answer = ask(service, get("/en"))
        took = time.monotonic() - began
        # Each kind of them: whoever is listened to for ever reads nothing, and waits in vain.
        for line in stalled:
            while line.recv(65536):
                pass
    assert answer.startswith(b"HTTP/1.1 200")
    assert took < 15


def test_a_drop_at_a_time_is_no_request_either(service: Service) -> None:
    """What counts is when all of it was heard."""
    with contextlib.ExitStack() as lines:
        line = begin(service, lines, HALF_A_BODY)
        began = time.monotonic()

        def is_dropped() -> bool:
            line.settimeout(0.3)
            try:
                line.sendall(b"x")
                return line.recv(65536) == b""
            except TimeoutError:
                return False
            except OSError:
                return True

        until(is_dropped, within=12, what="the end of it")
        assert time.monotonic() - began < 10


def test_whoever_never_closes_keeps_nobody_waiting(service: Service) -> None:
    """AB-06: the answer is there, the connection stays open at their end."""
    with contextlib.ExitStack() as lines:
        for _ in range(12):
            begin(service, lines, get("/healthz"))
        began = time.monotonic()
        assert ask(service, get("/en")).startswith(b"HTTP/1.1 200")
        assert time.monotonic() - began < 4


def test_a_chunk_that_is_none_is_a_bad_request(service: Service) -> None:
    """WS-12: on every page that takes a form."""
    for path in ("/en", "/sign-in"):
        answer = ask(service, HALF_A_CHUNK.replace("3e8", "zz").replace("/en", path))
        assert answer.startswith(b"HTTP/1.1 400"), path


def test_a_header_does_not_move_our_pages(service: Service) -> None:
    """WS-04, WS-12: gunicorn believes SCRIPT_NAME from loopback."""
    assert ask(service, get("/", "SCRIPT_NAME: /x")).startswith(b"HTTP/1.1 200")
    moved = ask(service, get("/evil/nowhere", "SCRIPT_NAME: /evil"))
    assert moved.startswith(b"HTTP/1.1 404")
    assert b"/evil/static" not in moved
    assert ask(service, get("/nowhere", "PATH_INFO: /en")).startswith(b"HTTP/1.1 404")


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        ("nonsense\r\n\r\n", 400),
        (get("/" + "x" * 9000), 414),
        (get("/en", "Expect: miracles"), 417),
        (get("/en", *(f"X-{number}: y" for number in range(200))), 431),
    ],
)
def test_what_is_no_request_is_answered_with_our_headers(
    service: Service, request_text: str, status: int
) -> None:
    """WS-02."""
    head = ask(service, request_text).decode().partition("\r\n\r\n")[0].split("\r\n")

    assert head[0].startswith(f"HTTP/1.1 {status}")
    for name, value in HEADERS.items():
        assert f"{name}: {value}" in head
    assert "Cache-Control: no-store" in head
