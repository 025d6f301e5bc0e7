"""A look at the relay: everything up to MAIL FROM, and no letter."""

import contextlib
import smtplib
import socket
import ssl
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from leadcapture.settings import Relay

_COMMAND_SECONDS = 4.0
_WHOLE_SECONDS = 15.0


@dataclass
class RelayLook:
    """How far it went. ``stage`` is the last one begun, ``failed`` what went wrong in it, if any.

    A failure is named by its reply code or its exception's class, never by the relay's words.
    """

    stage: str = "name"
    failed: str = ""
    addresses: list[str] = field(default_factory=list)
    greeting: str = ""
    offers: tuple[str, ...] = ()
    certificate_until: datetime | None = None
    signed_in: bool = False


def look_at_relay(relay: Relay, helo: str, sender: str) -> RelayLook:
    """Connect, secure, sign in, name the sender, take it back; 15 seconds at most."""
    look = RelayLook()
    try:
        _walk(look, relay, helo, sender)
    except ssl.SSLCertVerificationError as error:
        look.failed = f"certificate: {error.verify_message}"
    except smtplib.SMTPResponseException as error:
        look.failed = str(error.smtp_code)
    except smtplib.SMTPNotSupportedError:
        look.failed = "not offered"
    except (TimeoutError, smtplib.SMTPServerDisconnected):
        # smtplib tells a silent relay by the same class as one that leaves.
        look.failed = "no answer in time, or it hung up"
    except (OSError, smtplib.SMTPException, ValueError) as error:
        look.failed = type(error).__name__
    return look


def _walk(look: RelayLook, relay: Relay, helo: str, sender: str) -> None:
    deadline = time.monotonic() + _WHOLE_SECONDS
    found = socket.getaddrinfo(relay.host, relay.port, type=socket.SOCK_STREAM)
    look.addresses = sorted({str(place[4][0]) for place in found})
    look.stage = "connect"
    tls = ssl.create_default_context(cafile=relay.ca_file or None)
    client = (
        smtplib.SMTP_SSL(local_hostname=helo, timeout=_COMMAND_SECONDS, context=tls)
        if relay.security == "tls"
        else smtplib.SMTP(local_hostname=helo, timeout=_COMMAND_SECONDS)
    )
    # Without it, SMTP_SSL would have no name to compare the certificate with.
    client._host = relay.host  # type: ignore[attr-defined]
    with contextlib.closing(client):
        code, said = client.connect(relay.host, relay.port)
        look.greeting = said.decode("ascii", "replace")
        _expect(code, said)
        _begin(look, client, "ehlo", deadline)
        _expect(*client.ehlo())
        if relay.security == "starttls":
            _begin(look, client, "starttls", deadline)
            _expect(*client.starttls(context=tls))
            _expect(*client.ehlo())
        look.certificate_until = _certificate_end(client.sock)
        look.offers = tuple(sorted(client.esmtp_features))
        if relay.user:
            _begin(look, client, "auth", deadline)
            client.login(relay.user, relay.password)
            look.signed_in = True
        _begin(look, client, "mail", deadline)
        _expect(*client.mail(sender))
        _begin(look, client, "quit", deadline)
        client.rset()
        client.quit()


def _begin(look: RelayLook, client: smtplib.SMTP, stage: str, deadline: float) -> None:
    look.stage = stage
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    if client.sock is not None:
        client.sock.settimeout(min(_COMMAND_SECONDS, left))


def _expect(code: int, said: bytes) -> None:
    if code // 100 != 2:
        raise smtplib.SMTPResponseException(code, said)


def _certificate_end(sock: socket.socket | None) -> datetime | None:
    if not isinstance(sock, ssl.SSLSocket):
        return None
    until = (sock.getpeercert() or {}).get("notAfter")
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(until)), UTC) if until else None
