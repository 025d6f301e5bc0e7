"""DD-03: kill -9 between the commit and the reply, aimed: the visitor tries again, and is known.

strace holds each reply of the web worker for a moment before the kernel sees it. When it is a
receipt that is about to leave, the commit is done and the visitor has heard nothing: then the
worker dies.
"""

import os
import signal
import threading
from collections import Counter
from pathlib import Path

import psutil
from sqlalchemy import Engine, func, select

from leadcapture.database import open_session, reading
from leadcapture.intake import form_token
from leadcapture.models import Message, MessageKind, MessageState, Request
from tests.both import Place
from tests.load import SECRET_KEY, Answer, Connection, in_parallel, new_token, post_request
from tests.people import typed_form
from tests.proofs.finding import Finding
from tests.proofs.ledger import read_ledger
from tests.served import Process, a_service
from tests.strace import traced
from tests.waiting import until

HELD_MICROSECONDS = 150_000
TRIES_AGAIN = 3


def answer_lost(place: Place, quick: bool, seed: int) -> Finding:
    """The worker dies between commit and reply; each retry gets the one receipt there is."""
    return prove_answer_lost(place, 2 if quick else 30)


def prove_answer_lost(place: Place, visitors: int) -> Finding:
    """So many visitors lose their worker between commit and reply, and then try three times."""
    accepted: dict[str, str] = {}
    faults: list[str] = []
    known = 0
    with a_service(place.folder, place.url, place.office.port) as service:
        web = service.start_web(workers=1, threads=4)
        for number in range(visitors):
            token = new_token()
            read = form_token.read([SECRET_KEY], token)
            assert read is not None
            fields = typed_form(token, email=f"patient.{number}@tampamail.example")
            request = post_request(service.port, fields)
            heard = _die_at_the_reply(web, service.port, request, place.folder / f"calls-{number}")
            receipt = _kept_receipt(place.engine, read.id)
            if heard is not None or not receipt:
                faults.append(f"visitor {number} heard {heard}, and {receipt or 'nothing'} is kept")
                continue
            told = _try_again(service.port, request)
            known += told.count(receipt)
            if set(told) != {receipt}:
                faults.append(f"visitor {number} was told {set(told)} of {receipt}")
            accepted[read.id] = receipt
        service.start_scheduler()
        until(lambda: _all_left(place.engine), within=60, what="the packets")
    ledger = read_ledger(place.engine, accepted, set(accepted))
    copies = Counter(letter.message_id for letter in place.office.letters)
    faults += ledger.faults
    faults += [f"{mail_id} left {times} times" for mail_id, times in copies.items() if times > 1]
    sentence = (
        f"{len(accepted)} of {visitors} workers killed between commit and reply; "
        f"{known} retries told the receipt that was kept, {ledger.leads} leads, "
        f"{ledger.packets} packets"
    )
    return Finding(sentence, faults)


def _die_at_the_reply(web: Process, port: int, request: bytes, log: Path) -> Answer | None:
    """Post, and kill the worker when its 303 is about to leave; what the visitor heard."""
    worker = _worker(web)
    heard: list[Answer] = []

    def visit() -> None:
        try:
            with Connection(port) as connection:
                heard.append(connection.ask(request))
        except OSError:
            return

    held = f"inject=sendto:delay_enter={HELD_MICROSECONDS}"
    with traced([worker.pid], log, "-e", "trace=sendto", "-e", held):
        visitor = threading.Thread(target=visit)
        visitor.start()
        until(lambda: b'"HTTP/1.1 303' in log.read_bytes(), within=30, what="a reply")
        os.kill(worker.pid, signal.SIGKILL)
        visitor.join(30)
    until(lambda: not worker.is_running(), what="the worker's end")
    return heard[0] if heard else None


def _worker(web: Process) -> psutil.Process:
    """The one worker, once the master has put one in the place of the last."""
    until(lambda: any(_is_alive(one) for one in web.children()), within=30, what="a worker")
    return next(one for one in web.children() if _is_alive(one))


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _kept_receipt(engine: Engine, token: str) -> str | None:
    with reading(), open_session(engine) as session:
        return session.scalar(select(Request.receipt).where(Request.token == token))


def _try_again(port: int, request: bytes) -> list[str]:
    """Post the same form again, some times at once; the receipts."""
    told: list[str] = []

    def post() -> None:
        def is_answered() -> bool:
            try:
                with Connection(port) as connection:
                    told.append(connection.ask(request).receipt)
            except OSError:
                return False
            return True

        until(is_answered, within=30, what="another worker")

    in_parallel([post] * TRIES_AGAIN)
    return told


def _all_left(engine: Engine) -> bool:
    waiting = select(func.count()).where(
        Message.kind == MessageKind.PACKET, Message.state != MessageState.SENT
    )
    with reading(), open_session(engine) as session:
        return session.scalar(waiting) == 0
