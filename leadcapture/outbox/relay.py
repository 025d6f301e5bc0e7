"""The SMTP session with the relay: the only place that speaks SMTP."""

import contextlib
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

from leadcapture import settings
from leadcapture.letters import Letter, plain_address
from leadcapture.outbox.replies import Phase, Reply, read_reply

COMMAND_TIMEOUT = 60.0
# A connection that is only being made cannot be broken off, and a stop ends in 30 s (SC-09).
OPENING_TIMEOUT = 20.0
READY_FOR = 1.0
# RFC 5321 §4.5.3.2.6: the final reply may take ten minutes, and leaving earlier doubles mail.
DOT_TIMEOUT = 600.0


# The first digit of what each step hopes for.
_WANTED = {Phase.MAIL: 2, Phase.RCPT: 2, Phase.DATA: 3}


class Refused(Exception):
    """The relay did not take the letter; ``reply`` says at which phase and how.

    It never carries the relay's words nor another exception: both may hold the address.
    """

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"{reply.phase} {reply.code or 'lost'} {reply.enhanced}")
        self.reply = reply


class _Client(smtplib.SMTP):
    """smtplib's client, whose body and final dot go separately.

    ``opened`` hears of the socket before the first byte, so that another thread can break off.
    """

    def __init__(self, opened: Callable[[socket.socket], None], *where: Any, **how: Any) -> None:
        self._opened = opened
        super().__init__(*where, **how)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        line: socket.socket = super()._get_socket(host, port, timeout)  # type: ignore[misc]
        self._opened(line)
        return line

    def say(self, *commands: str) -> None:
        """Send these commands in one breath."""
        self.send("".join(f"{command}\r\n" for command in commands))

    def send_letter(self, letter: Letter) -> None:
        """Send all of it, up to but without the final dot."""
        self.send(dot_stuffed(letter.words))
        for piece in letter.attached:
            # No line of these begins with a dot, and the last one is ended.
            self.send(piece)

    def send_dot(self) -> tuple[int, bytes]:
        self.send(b".\r\n")
        return self.getreply()


class _TlsClient(_Client, smtplib.SMTP_SSL):
    """The same from the first byte under TLS."""


class RelaySession:
    """One connection, kept open and used for letter after letter. Not for several threads."""

    def __init__(
        self,
        relay: settings.Relay,
        helo: str,
        *,
        timeout: float = COMMAND_TIMEOUT,
        dot_timeout: float = DOT_TIMEOUT,
    ) -> None:
        self._relay = relay
        self._helo = helo
        self._timeout = timeout
        self._dot_timeout = dot_timeout
        self._client: _Client | None = None
        self._line: socket.socket | None = None
        self._lock = threading.Lock()
        # A phase of our own: the exception's class does not tell on which side of the dot it was.
        self._phase = Phase.CONNECT
        self._is_past_intent = False
        self._ready_until = 0.0
        self.is_abandoned = False

    def abandon(self) -> None:
        """Break off whatever has not reached its intent; safe from another thread.

        A letter past it keeps its line and waits for its reply, so that no doubt arises. After
        this nothing more is sent.
        """
        with self._lock:
            self.is_abandoned = True
            if self._line is not None and not self._is_past_intent:
                with contextlib.suppress(OSError):
                    self._line.shutdown(socket.SHUT_RDWR)

    def send(
        self,
        sender: str,
        recipient: str,
        letter: Letter | bytes,
        intent: Callable[[], bool],
        envid: str = "",
    ) -> bool:
        """Send one letter; True once the relay answered 250 to the dot.

        Where the relay offers DSN (RFC 3461), ``envid`` asks for reports that repeat it and
        bring back the letter's header only.

        ``intent`` is called between body and dot and must commit; where it answers False, the
        connection closes without a dot, which makes the relay drop the letter, and the result
        is False. Raises `Refused` for every other end.
        """
        client = self._client if self._is_alive() else None
        if client is None:
            client = self._open()
        try:
            self._agree(client, sender, recipient, envid)
            self._phase = Phase.BODY
            client.send_letter(letter if isinstance(letter, Letter) else Letter(letter))
            self._pass_intent()
            if not intent():
                self.close()
                return False
            self._phase = Phase.DOT
            _socket(client).settimeout(self._dot_timeout)
            code, text = client.send_dot()
            if code // 100 != 2:
                raise Refused(read_reply(Phase.DOT, code, text))
        except Refused as refused:
            self._settle(refused.reply)
            raise
        except (OSError, smtplib.SMTPException, ValueError):
            self.close()
            raise Refused(Reply(self._phase)) from None
        except BaseException:
            # The intent could not be written. What was begun must end without its dot.
            self.close()
            raise
        finally:
            self._is_past_intent = False
        _socket(client).settimeout(self._timeout)
        self._ready_until = time.monotonic() + READY_FOR
        return True

    def close(self) -> None:
        """Close without ceremony: what has no dot is dropped by the relay."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def quit(self) -> None:
        """Say goodbye where the relay still listens."""
        if self._client is not None:
            with contextlib.suppress(OSError, smtplib.SMTPException):
                _socket(self._client).settimeout(2)
                self._client.quit()
            self.close()

    def _agree(self, client: _Client, sender: str, recipient: str, envid: str) -> None:
        """MAIL, RCPT and DATA up to 354: in one breath where the relay offers that (RFC 2920)."""
        has_reports = bool(envid) and client.has_extn("dsn")
        mail = f"MAIL FROM:<{plain_address(sender)}>"
        rcpt = f"RCPT TO:<{plain_address(recipient)}>"
        steps = {
            Phase.MAIL: f"{mail} RET=HDRS ENVID={envid}" if has_reports else mail,
            Phase.RCPT: f"{rcpt} NOTIFY=FAILURE,DELAY" if has_reports else rcpt,
            Phase.DATA: "DATA",
        }
        if client.has_extn("pipelining"):
            self._phase = Phase.MAIL
            client.say(*steps.values())
            self._hear_all(client)
            return
        for self._phase, command in steps.items():
            client.say(command)
            self._expect(self._phase, client.getreply(), wanted=_WANTED[self._phase])

    def _hear_all(self, client: _Client) -> None:
        """Hear the replies to what was said in one breath; the first refusal is the one."""
        refused: Refused | None = None
        for phase, wanted in _WANTED.items():
            try:
                self._phase = phase if refused is None else self._phase
                reply = client.getreply()
                self._expect(phase, reply, wanted)
            except Refused as first:
                refused = refused or first
            except (OSError, smtplib.SMTPException):
                if refused is None:
                    raise
                break
        if refused is not None:
            if reply[0] == 354:
                # It waits for a letter to nobody. Only a dot would end it, so we leave.
                self.close()
            raise refused

    def _pass_intent(self) -> None:
        """From here on `abandon` leaves the line alone. Raises `Refused` where it came before."""
        with self._lock:
            if self.is_abandoned:
                raise Refused(Reply(Phase.BODY))
            self._is_past_intent = True

    def _note_line(self, line: socket.socket) -> None:
        with self._lock:
            self._line = line
            if self.is_abandoned:
                raise OSError("abandoned")

    def _is_alive(self) -> bool:
        if self._client is None:
            return False
        # Right after a letter was taken there is nothing to clear, and the line is there.
        ready_until, self._ready_until = self._ready_until, 0.0
        if time.monotonic() < ready_until:
            return True
        try:
            code, _ = self._client.rset()
        except (OSError, smtplib.SMTPException):
            code = 0
        if code != 250:
            self.close()
        return code == 250

    def _open(self) -> _Client:
        phase = Phase.CONNECT
        client: _Client | None = None
        try:
            client = self._connect()
            self._expect(phase, client.ehlo())
            if self._relay.security == "starttls":
                # Without a context, starttls would verify nothing.
                self._expect(phase, client.starttls(context=self._tls()))
                self._note_line(_socket(client))
                self._expect(phase, client.ehlo())
            phase = Phase.AUTH
            if self._relay.user:
                client.login(self._relay.user, self._relay.password)
        except smtplib.SMTPResponseException as error:
            code = error.smtp_code
            text = error.smtp_error
            _close(client)
            raise Refused(
                read_reply(phase, code, text if isinstance(text, bytes) else text.encode())
            ) from None
        except ssl.SSLCertVerificationError:
            _close(client)
            raise Refused(Reply(Phase.CONNECT, 554, "tls")) from None
        except smtplib.SMTPNotSupportedError:
            # STARTTLS or AUTH is not offered: someone strips it, or the relay is set up wrongly.
            _close(client)
            missing = "no_tls" if phase is Phase.CONNECT else "no_auth"
            raise Refused(Reply(phase, 554, missing)) from None
        except (OSError, smtplib.SMTPException, ValueError) as error:
            _close(client)
            # This very class, and none derived from it, says that we share no way to sign in.
            is_ours = phase is Phase.AUTH and type(error) is smtplib.SMTPException
            raise Refused(Reply(phase, 554, "no_auth") if is_ours else Reply(phase)) from None
        except Refused:
            _close(client)
            raise
        _socket(client).settimeout(self._timeout)
        _socket(client).setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client = client
        return client

    def _connect(self) -> _Client:
        relay = self._relay
        timeout = min(self._timeout, OPENING_TIMEOUT)
        where = (self._note_line, relay.host, relay.port, self._helo)
        if relay.security == "tls":
            return _TlsClient(*where, timeout=timeout, context=self._tls())
        return _Client(*where, timeout=timeout)

    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self._relay.ca_file or None)

    def _expect(self, phase: Phase, answer: tuple[int, bytes], wanted: int = 2) -> None:
        code, text = answer
        if code // 100 != wanted:
            raise Refused(read_reply(phase, code, text))

    def _settle(self, reply: Reply) -> None:
        # 421 says that the relay is closing, and who did not understand may have heard half of it;
        # after other refusals RSET clears the table.
        if reply.code == 421 or reply.is_about_the_talk or reply.phase in (Phase.BODY, Phase.DOT):
            self.close()


def dot_stuffed(letter: bytes) -> bytes:
    """The body as it goes over the wire, up to but without the final dot (RFC 5321 §4.5.2)."""
    stuffed = letter.replace(b"\r\n.", b"\r\n..")
    if stuffed.startswith(b"."):
        stuffed = b"." + stuffed
    return stuffed if stuffed.endswith(b"\r\n") else stuffed + b"\r\n"


def _socket(client: smtplib.SMTP) -> socket.socket:
    if client.sock is None:
        raise smtplib.SMTPServerDisconnected("not connected")
    return client.sock


def _close(client: smtplib.SMTP | None) -> None:
    if client is not None:
        client.close()
