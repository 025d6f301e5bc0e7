"""MD-04: the window of doubt opens after a committed intent, and closes soon.

A relay that can be watched shows the order: while another transaction keeps the intent from its
commit, the whole body is there, the row is still claimed, and no dot comes. The window is then
measured from the intent's commit to the end of the outcome's, over many letters.
"""

import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, select

from leadcapture.database import open_session, reading
from leadcapture.letters import Letter
from leadcapture.models import Message, MessageKind, MessageState
from leadcapture.outbox.claims import SEND_LEASE
from leadcapture.outbox.dispatch import OUTCOME_WAITS, Dispatcher
from leadcapture.outbox.relay import DOT_TIMEOUT, RelaySession
from leadcapture.settings import Settings, load
from tests.both import Place
from tests.people import test_vault
from tests.proofs.finding import Finding
from tests.proofs.fleet import Outbox
from tests.served import service_environ
from tests.waiting import until

DOT = b"\r\n.\r\n"
# Long enough for a dot that does not wait for its intent.
NO_DOT_FOR = 0.4
COMMAND_TIMEOUT = 0.5
BOUND = 0.050


class WatchedRelay:
    """A relay for one letter: it waits before 354 and before its last reply until it is told."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.at_data, self.may_go_on, self.may_reply = (threading.Event() for _ in range(3))
        self.received = b""
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def has_dot(self) -> bool:
        return self.received.endswith(DOT)

    def close(self) -> None:
        self._listener.close()
        self._thread.join(10)

    def _serve(self) -> None:
        line, _ = self._listener.accept()
        line.settimeout(300)
        with line, line.makefile("rb") as reader:
            line.sendall(b"220 watched\r\n")
            while not reader.readline().upper().startswith(b"DATA"):
                line.sendall(b"250 ok\r\n")
            self.at_data.set()
            self.may_go_on.wait(60)
            line.sendall(b"354 go ahead\r\n")
            while not self.has_dot and (piece := line.recv(1 << 16)):
                self.received += piece
            self.may_reply.wait(300)
            line.sendall(b"250 taken\r\n")


class TimedRelay(RelaySession):
    """Notes when each intent was committed: from then on the dot may be under way."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.relay, "clinic.example")
        self.intended_at = 0.0

    def send(
        self,
        sender: str,
        recipient: str,
        letter: Letter | bytes,
        intent: Callable[[], bool],
        envid: str = "",
    ) -> bool:
        def noted() -> bool:
            declared = intent()
            self.intended_at = time.perf_counter()
            return declared

        return super().send(sender, recipient, letter, noted, envid)


def window(place: Place, quick: bool, seed: int) -> Finding:
    """The order body, intent, dot; the window's p50 and p99; the patience after the dot."""
    return prove_window(place, count=300 if quick else 3000, silence=2.0 if quick else 130.0)


def prove_window(place: Place, count: int, silence: float, bound: float = BOUND) -> Finding:
    """``silence`` is how long the sender waits for its last reply, ``bound`` the p99's; seconds."""
    settings = load(service_environ(place.folder, place.url, port=8000, smtp_port=9))
    outbox = Outbox(place.engine, settings)
    faults = _order_faults(place, outbox, silence)
    if not 600 <= DOT_TIMEOUT <= SEND_LEASE.total_seconds() - 2 * OUTCOME_WAITS:
        faults.append(f"after the dot it waits for {DOT_TIMEOUT:g} s, its lease is {SEND_LEASE}")
    windows = _measure(place, outbox, count)
    p50, p99 = (statistics.quantiles(windows, n=100)[at] for at in (49, 98))
    if p99 > bound:
        faults.append(f"the window's p99 is {p99 * 1000:.1f} ms")
    sentence = (
        f"body, intent, dot in this order; window p50 {p50 * 1000:.1f} ms, "
        f"p99 {p99 * 1000:.1f} ms over {count}; waited {silence:g} s for the reply"
    )
    return Finding(sentence, faults)


def _order_faults(place: Place, outbox: Outbox, silence: float) -> list[str]:
    relay = WatchedRelay()
    settings = load(service_environ(place.folder, place.url, port=8000, smtp_port=relay.port))
    outbox.queue(1, (MessageKind.PACKET,))
    # Its patience for commands is shorter than the silence after the dot.
    session = RelaySession(
        settings.relay, "clinic.example", timeout=max(COMMAND_TIMEOUT, silence / 3)
    )
    dispatcher = Dispatcher(place.engine, settings, test_vault, session)
    worker = threading.Thread(target=dispatcher.send_due, kwargs={"limit": 1})
    faults: list[str] = []
    worker.start()
    try:
        assert relay.at_data.wait(20), "no letter came"
        with _intent_blocked(place.engine):
            relay.may_go_on.set()
            until(lambda: len(relay.received) > 0, what="the body")
            threading.Event().wait(min(NO_DOT_FOR, silence / 3))
            body = len(relay.received)
            if relay.has_dot:
                faults.append("the dot came before the intent's commit")
            if (state := _state(place.engine)) != MessageState.CLAIMED:
                faults.append(f"the body is there and the row is {state}")
        until(lambda: relay.has_dot, what="the dot")
        if len(relay.received) - body != len(DOT) - 2:
            faults.append(f"{len(relay.received) - body} bytes came after the intent")
        if (state := _state(place.engine)) != MessageState.SENDING:
            faults.append(f"the dot is there and the row is {state}")
        threading.Event().wait(silence)
        if (state := _state(place.engine)) != MessageState.SENDING:
            faults.append(f"{silence:g} s after the dot, the row is {state}")
    finally:
        relay.may_go_on.set()
        relay.may_reply.set()
        worker.join(30)
        dispatcher.close()
        relay.close()
    if (state := _state(place.engine)) != MessageState.SENT:
        faults.append(f"the relay took it and the row is {state}")
    return faults


@contextmanager
def _intent_blocked(engine: Engine) -> Iterator[None]:
    """Within: another transaction holds what the intent must write."""
    with open_session(engine) as session:
        session.execute(select(Message.id).with_for_update())
        yield
        session.rollback()


def _state(engine: Engine) -> MessageState:
    with reading(), open_session(engine) as session:
        return session.scalars(select(Message.state).order_by(Message.id)).one()


def _measure(place: Place, outbox: Outbox, count: int) -> list[float]:
    """Seconds from each intent's commit until its outcome was committed; a little more."""
    settings = load(
        service_environ(place.folder, place.url, port=8000, smtp_port=place.office.port)
    )
    outbox.queue(count, (MessageKind.FOLLOW_UP,))
    relay = TimedRelay(settings)
    dispatcher = Dispatcher(place.engine, settings, test_vault, relay)
    windows = []
    # One at a time: what comes back has written its outcome, and claimed no other letter.
    while dispatcher.send_due(limit=1):
        windows.append(time.perf_counter() - relay.intended_at)
    dispatcher.close()
    assert len(windows) == count == len(place.office.letters), "not every letter left once"
    return windows
