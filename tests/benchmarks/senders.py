"""Those beside whom ours is measured: a plain loop, and Postfix's own source, into its sink."""

import contextlib
import smtplib
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage

from leadcapture.letters.mail_html import render
from tests.parts import find_part
from tests.people import LETTER_VALUES
from tests.served import free_port
from tests.waiting import until

SINK_TAKES = 256


@dataclass(frozen=True)
class Sample:
    """What everybody sends: the same words, and the same packet or none."""

    subject: str
    text: str
    html: str
    packet: bytes = b""

    @classmethod
    def of(cls, manuscript: str, packet: bytes = b"") -> "Sample":
        """The words of a letter of ours, filled in."""
        written = render(manuscript, "en").filled(LETTER_VALUES)
        return cls(written.subject, written.text, written.html, packet)

    def letter(self, number: int) -> EmailMessage:
        """One letter, built as everybody builds it first."""
        letter = EmailMessage()
        letter["From"], letter["To"] = "hello@clinic.example", f"n{number}@example.org"
        letter["Subject"], letter["Message-ID"] = self.subject, f"<{number}@clinic.example>"
        letter.set_content(self.text)
        letter.add_alternative(self.html, subtype="html")
        if self.packet:
            letter.add_attachment(self.packet, "application", "pdf", filename="packet.pdf")
        return letter

    @property
    def size(self) -> int:
        """Bytes on the wire."""
        return len(self.letter(0).as_bytes())


@contextmanager
def smtp_sink() -> Iterator[int]:
    """Postfix's sink on a port of loopback: it takes everything and keeps nothing."""
    port = free_port()
    sink = subprocess.Popen(
        [
            find_part("postfix", "smtp-sink"),
            *("-u", "nobody", f"inet:127.0.0.1:{port}", str(SINK_TAKES)),
        ],
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: _answers(port), within=10, what="the sink")
        yield port
    finally:
        sink.terminate()
        sink.wait(10)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), smtplib.SMTP("127.0.0.1", port, timeout=5):
        return True
    return False


def plain_loop(port: int, sample: Sample, warm: int, count: int) -> float:
    """Letters a second of the loop that everybody writes first: no database, one session."""
    with smtplib.SMTP("127.0.0.1", port) as relay:
        for number in range(warm):
            relay.send_message(sample.letter(number))
        began = time.perf_counter()
        for number in range(count):
            relay.send_message(sample.letter(number))
        return count / (time.perf_counter() - began)


def postfix_source(port: int, sample: Sample, count: int) -> float:
    """Messages a second of Postfix's source in one persistent session: the limit."""
    command = [find_part("postfix", "smtp-source"), "-d", "-s", "1"]
    began = time.perf_counter()
    subprocess.run(
        [*command, "-m", str(count), "-l", str(sample.size), f"inet:127.0.0.1:{port}"], check=True
    )
    return count / (time.perf_counter() - began)
