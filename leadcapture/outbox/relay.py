"""The SMTP session with the relay: the only place that speaks SMTP."""

import contextlib
import smtplib
import socket
import ssl
from collections.abc import Callable

from leadcapture import settings
from leadcapture.outbox.replies import Phase, Reply, read_reply

COMMAND_TIMEOUT = 60.0
# RFC 5321 §4.5.3.2.6: the final reply may take ten minutes, and leaving earlier doubles mail.
DOT_TIMEOUT = 600.0


class Refused(Exception):
    """The relay did not take the letter; ``reply`` says at which phase and how.

    It never carries the relay's words nor another exception: both may hold the address.
    """

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"{reply.phase} {reply.code or 'lost'} {reply.enhanced}")
        self.reply = reply


class _Client(smtplib.SMTP):
    """smtplib's client, whose body and final dot go separately."""

    def send_data(self, stuffed: bytes) -> None:
        self.send(stuffed)

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

    def send(self, sender: str, recipient: str, letter: bytes, intent: Callable[[], bool]) -> bool:
        """Send one letter; True once the relay answered 250 to the dot.

        ``intent`` is called between body and dot and must commit; where it answers False, the
        connection closes without a dot, which makes the relay drop the letter, and the result
        is False. Raises `Refused` for every other end.
        """
        client = self._client if self._is_alive() else None
        if client is None:
            client = self._open()
        # A phase of our own: the exception's class does not tell on which side of the dot it was.
        phase = Phase.MAIL
        try:
            self._expect(Phase.MAIL, client.mail(sender))
            phase = Phase.RCPT
            self._expect(Phase.RCPT, client.rcpt(recipient))
            phase = Phase.DATA
            self._expect(Phase.DATA, client.docmd("DATA"), wanted=3)
            phase = Phase.BODY
            client.send_data(dot_stuffed(letter))
            if not intent():
                self.close()
                return False
            phase = Phase.DOT
            _socket(client).settimeout(self._dot_timeout)
            code, text = client.send_dot()
            if code // 100 != 2:
                raise Refused(read_reply(Phase.DOT, code, text))
        except Refused as refused:
            self._settle(refused.reply)
            raise
        except (OSError, smtplib.SMTPException, ValueError):
            self.close()
            raise Refused(Reply(phase)) from None
        except BaseException:
            # The intent could not be written. What was begun must end without its dot.
            self.close()
            raise
        _socket(client).settimeout(self._timeout)
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

    def _is_alive(self) -> bool:
        if self._client is None:
            return False
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
            raise Refused(Reply(phase, 554, "tls" if phase is Phase.CONNECT else "auth")) from None
        except (OSError, smtplib.SMTPException, ValueError):
            _close(client)
            raise Refused(Reply(phase)) from None
        except Refused:
            _close(client)
            raise
        _socket(client).setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client = client
        return client

    def _connect(self) -> _Client:
        relay = self._relay
        if relay.security == "tls":
            return _TlsClient(
                relay.host,
                relay.port,
                local_hostname=self._helo,
                timeout=self._timeout,
                context=self._tls(),
            )
        return _Client(relay.host, relay.port, local_hostname=self._helo, timeout=self._timeout)

    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self._relay.ca_file or None)

    def _expect(self, phase: Phase, answer: tuple[int, bytes], wanted: int = 2) -> None:
        code, text = answer
        if code // 100 != wanted:
            raise Refused(read_reply(phase, code, text))

    def _settle(self, reply: Reply) -> None:
        # 421 says that the relay is closing; after other refusals RSET clears the table.
        if reply.code == 421 or reply.phase in (Phase.BODY, Phase.DOT):
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
