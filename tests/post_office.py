"""The post office of the tests: a real SMTP server on loopback that can do all that goes wrong.

    office.at("rcpt").reply(450, "4.2.0", "try later", times=1)
    office.at("dot").hang_up(taking=True)
    office.at("rcpt", to="full@example.org").refuse("5.2.2")

``office.letters`` are those that it took responsibility for: the dot came and it meant 250,
whether or not the sender ever heard so.
"""

import base64
import contextlib
import hashlib
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import cached_property
from typing import Literal

from tests.waiting import until

PhaseName = Literal[
    "connect", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "body", "dot", "rset", "quit"
]


@dataclass(frozen=True)
class Letter:
    """One letter that the office took responsibility for.

    ``wire`` is what came after DATA, stuffed dots and all, without the final dot.
    """

    sender: str
    recipients: tuple[str, ...]
    wire: bytes
    taken_at: datetime
    taken_monotonic: float
    connection: int
    over_tls: bool

    @cached_property
    def content(self) -> bytes:
        """The letter itself, its dots unstuffed (RFC 5321 §4.5.2)."""
        stuffed = b"\r\n" + self.wire
        return stuffed.replace(b"\r\n.", b"\r\n")[2:]

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @cached_property
    def mail(self) -> EmailMessage:
        return message_from_bytes(self.content, policy=policy.default)

    @property
    def message_id(self) -> str:
        return str(self.mail["Message-ID"])

    @property
    def subject(self) -> str:
        return str(self.mail["Subject"])

    @property
    def text(self) -> str:
        part = self.mail.get_body(("plain",))
        return str(part.get_content()) if part else ""

    @property
    def html(self) -> str:
        part = self.mail.get_body(("html",))
        return str(part.get_content()) if part else ""

    @property
    def attachments(self) -> list[EmailMessage]:
        return [part for part in self.mail.iter_attachments() if isinstance(part, EmailMessage)]


@dataclass
class Act:
    """What the office does at one phase, in place of accepting."""

    phase: str
    answer: bytes | None = None
    stall: float = 0.0
    hang_up: bool = False
    reset: bool = False
    taking: bool = False
    to: str = ""
    times: int | None = None

    def fits(self, phase: str, recipients: list[str]) -> bool:
        return (
            self.phase == phase
            and self.times != 0
            and (not self.to or any(self.to in recipient for recipient in recipients))
        )


@dataclass
class Script:
    """Says what shall happen at one phase. ``times=None`` means from now on."""

    office: "PostOffice"
    phase: PhaseName
    to: str = ""

    def reply(
        self, code: int, enhanced: str = "", text: str = "as told", times: int | None = None
    ) -> None:
        """Answer with these words; at the dot, a 2xx takes the letter."""
        words = " ".join(word for word in (str(code), enhanced, text) if word)
        self._act(answer=words.encode() + b"\r\n", taking=code // 100 in (2, 3), times=times)

    def defer(self, enhanced: str = "4.3.0", times: int | None = None) -> None:
        self.reply(450, enhanced, "not now", times)

    def refuse(self, enhanced: str = "5.0.0", times: int | None = None) -> None:
        self.reply(550, enhanced, "not here", times)

    def say(self, nonsense: bytes, times: int | None = None, *, taking: bool = False) -> None:
        """Answer with bytes that are no reply; at the dot, ``taking`` keeps the letter."""
        self._act(answer=nonsense, taking=taking, times=times)

    def hang_up(
        self, times: int | None = None, *, taking: bool = False, reset: bool = False
    ) -> None:
        """Close without a reply; at the dot, ``taking`` keeps the letter. ``reset`` sends RST."""
        self._act(hang_up=True, taking=taking, reset=reset, times=times)

    def stall(
        self, seconds: float, times: int | None = None, *, then_hang_up: bool = False
    ) -> None:
        """Be silent for so long, then go on as ever (or hang up, not taking the letter)."""
        self._act(stall=seconds, hang_up=then_hang_up, taking=not then_hang_up, times=times)

    def accept(self, times: int | None = None) -> None:
        """Go on as ever, though a later rule says otherwise."""
        self._act(taking=True, times=times)

    def _act(
        self,
        answer: bytes | None = None,
        stall: float = 0.0,
        hang_up: bool = False,
        taking: bool = False,
        reset: bool = False,
        times: int | None = None,
    ) -> None:
        act = Act(self.phase, answer, stall, hang_up, reset, taking, self.to, times)
        with self.office._lock:
            self.office._acts.append(act)


@dataclass
class PostOffice:
    """A server on a free port of loopback, from ``start`` to ``stop``.

    ``tls`` makes it offer STARTTLS, or speak it from the first byte where ``tls_at_once``;
    ``passwords`` makes it offer AUTH. ``heard`` lists (phase, line) of all that was said to it.
    """

    tls: ssl.SSLContext | None = None
    passwords: dict[str, str] = field(default_factory=dict)
    tls_at_once: bool = False
    before_taking: Callable[[Letter], None] | None = None
    letters: list[Letter] = field(default_factory=list)
    heard: list[tuple[str, str]] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._acts: list[Act] = []
        self._open: set[socket.socket] = set()
        self._closing = threading.Event()
        self.port = 0

    def start(self, port: int = 0) -> "PostOffice":
        self._closing.clear()
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._listen, args=(self._listener,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Shut the door and drop whoever is inside."""
        self._closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            inside = list(self._open)
        for connection in inside:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def restart(self) -> None:
        """Open again at the same port."""
        self.start(self.port)

    def at(self, phase: PhaseName, to: str = "") -> Script:
        """Where to script; ``to`` narrows it to recipients (at mail, to none)."""
        return Script(self, phase, to)

    def behave(self) -> None:
        """Forget all that was scripted."""
        with self._lock:
            self._acts.clear()

    def letters_to(self, address: str) -> list[Letter]:
        return [letter for letter in self.letters if address in letter.recipients]

    def copies(self) -> Counter[str]:
        """How many copies of each Message-ID were taken."""
        return Counter(letter.message_id for letter in self.letters)

    def wait_for(self, count: int, within: float = 10.0) -> list[Letter]:
        until(
            lambda: len(self.letters) >= count,
            within=within,
            what=f"{count} letters ({len(self.letters)} came)",
        )
        return list(self.letters)

    def act_for(self, phase: str, recipients: list[str]) -> Act | None:
        """The first scripted act that fits, used up by one."""
        with self._lock:
            for act in self._acts:
                if act.fits(phase, recipients):
                    if act.times is not None:
                        act.times -= 1
                    return act
        return None

    def take(self, letter: Letter) -> None:
        if self.before_taking is not None:
            self.before_taking(letter)
        with self._lock:
            self.letters.append(letter)

    def _listen(self, listener: socket.socket) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                number = self.connections
                self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            _Counter(self, connection, number, self._closing).serve()
        except (OSError, _HungUp):
            pass
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()


class _HungUp(Exception):
    """The conversation is over."""


class _Counter:
    """One conversation over the counter."""

    def __init__(
        self,
        office: PostOffice,
        connection: socket.socket,
        number: int,
        closing: threading.Event,
    ) -> None:
        self._office = office
        self._connection = connection
        self._number = number
        self._closing = closing
        self._reader = connection.makefile("rb")
        self._over_tls = False
        self._sender = ""
        self._recipients: list[str] = []

    def serve(self) -> None:
        if self._office.tls and self._office.tls_at_once:
            self._secure(self._office.tls)
        self._answer("connect", b"220 post.test ESMTP\r\n")
        while line := self._reader.readline(4096):
            self._hear(line)

    def _hear(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        word, _, rest = text.partition(" ")
        phases = {"helo": "ehlo", "noop": "rset"}
        phase = phases.get(word.lower(), word.lower())
        self._office.heard.append((phase, text))
        answer = getattr(self, f"_at_{phase}", None)
        if answer is None:
            self._connection.sendall(b"502 5.5.1 what?\r\n")
            return
        answer(rest)

    def _at_ehlo(self, _rest: str) -> None:
        lines = ["post.test", "8BITMIME", "ENHANCEDSTATUSCODES", "SIZE 35882577"]
        if self._office.tls and not self._over_tls:
            lines.append("STARTTLS")
        if self._office.passwords:
            lines.append("AUTH PLAIN LOGIN")
        said = [f"250{'-' if n < len(lines) - 1 else ' '}{text}" for n, text in enumerate(lines)]
        self._answer("ehlo", ("\r\n".join(said) + "\r\n").encode())

    def _at_starttls(self, _rest: str) -> None:
        if not self._office.tls:
            self._connection.sendall(b"502 5.5.1 not offered\r\n")
            return
        if not self._answer("starttls", b"220 2.0.0 go ahead\r\n"):
            return
        self._secure(self._office.tls)

    def _secure(self, tls: ssl.SSLContext) -> None:
        self._reader.close()
        self._connection = tls.wrap_socket(self._connection, server_side=True)
        self._reader = self._connection.makefile("rb")
        self._over_tls = True

    def _at_auth(self, rest: str) -> None:
        method, _, initial = rest.partition(" ")
        if method.upper() != "PLAIN":
            self._connection.sendall(b"504 5.5.4 PLAIN only\r\n")
            return
        if not initial:
            self._connection.sendall(b"334 \r\n")
            initial = self._reader.readline().decode().strip()
        _, user, password = base64.b64decode(initial).decode().split("\0")
        if self._office.passwords.get(user) == password:
            self._answer("auth", b"235 2.7.0 welcome\r\n")
        else:
            self._answer("auth", b"535 5.7.8 not you\r\n")

    def _at_mail(self, rest: str) -> None:
        self._recipients = []
        if self._answer("mail", b"250 2.1.0 ok\r\n"):
            self._sender = _address(rest)

    def _at_rcpt(self, rest: str) -> None:
        address = _address(rest)
        if self._answer("rcpt", b"250 2.1.5 ok\r\n", [address]):
            self._recipients.append(address)

    def _at_data(self, _rest: str) -> None:
        if not self._recipients:
            self._connection.sendall(b"503 5.5.1 to whom?\r\n")
            return
        if not self._answer("data", b"354 go ahead\r\n"):
            return
        act = self._office.act_for("body", self._recipients)
        if act is not None:
            self._perform(act)
        self._take(self._read_body())

    def _at_rset(self, _rest: str) -> None:
        self._recipients = []
        self._answer("rset", b"250 2.0.0 ok\r\n")

    def _at_quit(self, _rest: str) -> None:
        self._answer("quit", b"221 2.0.0 bye\r\n")
        raise _HungUp

    def _read_body(self) -> bytes:
        lines: list[bytes] = []
        while True:
            line = self._reader.readline()
            if not line.endswith(b"\n"):
                # The sender left without its dot: nothing was taken (RFC 5321 §4.1.1.4).
                raise _HungUp
            # The dot on a line of its own, and its line before it ended as it should.
            if line == b".\r\n" and (not lines or lines[-1].endswith(b"\r\n")):
                return b"".join(lines)
            lines.append(line)

    def _take(self, wire: bytes) -> None:
        act = self._office.act_for("dot", self._recipients)
        letter = Letter(
            self._sender,
            tuple(self._recipients),
            wire,
            datetime.now(UTC),
            time.monotonic(),
            self._number,
            self._over_tls,
        )
        if act is None or act.taking:
            self._office.take(letter)
        self._recipients = []
        if act is not None and self._perform(act):
            return
        self._connection.sendall(b"250 2.0.0 taken\r\n")

    def _answer(self, phase: str, usual: bytes, recipients: list[str] | None = None) -> bool:
        """Say what is usual, or act as scripted; True where the usual went out or was good."""
        act = self._office.act_for(phase, recipients or self._recipients)
        if act is not None and self._perform(act):
            return act.taking
        self._connection.sendall(usual)
        return usual[:1] in b"23"

    def _perform(self, act: Act) -> bool:
        """Stall, hang up, or say what was scripted; True where an answer went out."""
        if act.stall:
            self._closing.wait(act.stall)
        if act.hang_up:
            self._leave(act.reset)
        if act.answer is None:
            return False
        self._connection.sendall(act.answer)
        # 421 announces that the door closes (RFC 5321 §3.8).
        if act.answer.startswith(b"421"):
            raise _HungUp
        return True

    def _leave(self, reset: bool) -> None:
        if reset:
            self._connection.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
        else:
            with contextlib.suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)
        raise _HungUp


def _address(rest: str) -> str:
    """The address between the angle brackets of MAIL FROM or RCPT TO."""
    return rest.partition("<")[2].partition(">")[0]


@contextmanager
def open_post_office(
    tls: ssl.SSLContext | None = None,
    passwords: dict[str, str] | None = None,
    tls_at_once: bool = False,
) -> Iterator[PostOffice]:
    """A post office for the length of a ``with``."""
    office = PostOffice(tls, passwords or {}, tls_at_once).start()
    try:
        yield office
    finally:
        office.stop()
