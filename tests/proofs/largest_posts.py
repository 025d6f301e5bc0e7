"""Bounded input: two hundred people who post as much as they may, at once (WS-11)."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from urllib.parse import urlencode

from leadcapture.intake import form_token
from tests.both import Place
from tests.load import SECRET_KEY, Connection, ask_all, form_posts
from tests.people import typed_form
from tests.proofs.finding import Finding
from tests.served import Process, a_service

AT_ONCE = 200
LARGEST = 64 * 1024
MAY_GROW = 20 * 1024 * 1024
REFUSED_WITHIN = 0.1


def largest_posts(place: Place, quick: bool, seed: int) -> Finding:
    """WS-11: no worker grows by more than 20 MB, and what is larger is refused within 100 ms."""
    del seed
    return prove_largest_posts(place, 1 if quick else 5, AT_ONCE)


def prove_largest_posts(place: Place, rounds: int, at_once: int) -> Finding:
    """``rounds`` of so many posts at once."""
    with a_service(place.folder, place.url, place.office.port) as service:
        web = service.start_web(workers=2, threads=8)
        # What is loaded and cached once is no growth.
        ask_all(service.port, form_posts(service.port, 200, "warm"))
        ask_all(service.port, [_request(service.port, b"full_name=Rosa")] * 200)
        before = _resident(web)
        posts = [_post(service.port, number) for number in range(at_once)]
        statuses: set[int] = set()
        for _ in range(rounds):
            with ThreadPoolExecutor(at_once) as people:
                statuses |= set(people.map(lambda post: _ask(service.port, post), posts))
        after = _resident(web)
        grown = max(after[worker] - before.get(worker, 0) for worker in after)
        # The quickest of a few: a busy machine says nothing about us.
        took, refusal = min(_too_large(service.port) for _ in range(5))
    faults = []
    if statuses != {422}:
        faults.append(f"answers to the largest posts: {statuses}")
    if grown > MAY_GROW:
        faults.append(f"a worker grew by {grown / 2**20:.0f} MB")
    if refusal != 413 or took > REFUSED_WITHIN:
        faults.append(f"a body of 1 MB was answered {refusal} after {took * 1000:.0f} ms")
    sentence = (
        f"{rounds} × {at_once} posts of 64 KB at once: {grown / 2**20:+.1f} MB a worker; "
        f"1 MB: {refusal} after {took * 1000:.0f} ms"
    )
    return Finding(sentence, faults)


def _post(port: int, number: int) -> bytes:
    """A form of 64 KB whose message is far too long."""
    token = form_token.issue(SECRET_KEY, datetime.now(UTC))
    fields = typed_form(token, email=f"long{number}@example.com", message="")
    room = LARGEST - len(urlencode(fields, doseq=True))
    return _request(port, urlencode({**fields, "message": "x" * room}, doseq=True).encode())


def _request(port: int, body: bytes) -> bytes:
    head = (
        f"POST /en HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


def _ask(port: int, post: bytes) -> int:
    with Connection(port) as connection:
        return connection.ask(post).status


def _too_large(port: int) -> tuple[float, int]:
    """After how many seconds a megabyte is answered, and how."""
    request = _request(port, b"x" * (1024 * 1024))
    began = time.monotonic()
    with Connection(port) as connection:
        status = connection.ask(request).status
    return time.monotonic() - began, status


def _resident(web: Process) -> dict[int, int]:
    """Bytes of memory that each worker holds, by its process id."""
    return {worker.pid: worker.memory_info().rss for worker in web.children()}
