"""No header and no recipient comes from what somebody typed (MD-19, MD-20)."""

import os
import subprocess
import sys
import sysconfig
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime, formataddr
from itertools import islice
from pathlib import Path

import pytest

from leadcapture.letters import Envelope, UnsafeHeader, interpreter_is_safe
from leadcapture.letters.compose import plain_address
from leadcapture.letters.mail_html import Written
from leadcapture.letters.self_test import composes_safely
from leadcapture.outbox.relay import RelaySession
from leadcapture.settings import Relay
from tests.hostile import letters_of, try_words
from tests.post_office import PostOffice

HOUSE = Path(__file__).parent.parent
TRIED = 1_000
ON_THE_WIRE = 300


def test_hostile_words_change_no_header() -> None:
    """MD-19: the headers that are read back are exactly those that were meant.

    Five thousand, and under CPython 3.12.1 and 3.13.2: ``tests.proofs --only interpreters``.
    """
    letters, faults = try_words(seed=19, count=TRIED)
    assert faults == []
    assert letters == TRIED


def test_each_letter_of_them_has_one_recipient_on_the_wire(office: PostOffice) -> None:
    """MD-19, MD-20: one RCPT, one letter, whatever its words are."""
    relay = RelaySession(Relay("127.0.0.1", office.port, security="none"), "clinic.test")
    sent = []
    for recipient, letter in islice(letters_of(seed=20), ON_THE_WIRE):
        plain = plain_address(recipient)
        assert relay.send("hello@clinic.test", plain, letter, lambda: True)
        sent.append((plain, letter))
    relay.quit()
    assert [(one.recipients, one.content) for one in office.letters] == [
        ((plain,), letter) for plain, letter in sent
    ]
    said = [phase for phase, _ in office.heard]
    assert said.count("rcpt") == said.count("mail") == said.count("data") == ON_THE_WIRE


def test_this_interpreter_is_safe() -> None:
    """WS-17, MD-19."""
    assert interpreter_is_safe()


def test_the_distributions_python_writes_letters_too() -> None:
    """WS-17, MD-19: what an operator installs on is Debian's Python, which need not be ours."""
    theirs = Path("/usr/bin/python3")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    if f"python{version}" not in theirs.resolve().name:
        theirs = Path(sys.executable)
    parts = [str(HOUSE), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    done = subprocess.run(
        [theirs, "-c", "from leadcapture.letters import *; print(interpreter_is_safe())"],
        env={"PYTHONPATH": os.pathsep.join(parts)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("True\n", "")


def writes_nothing(envelope: Envelope, words: Written) -> bytes:
    raise UnsafeHeader("refused")


def naive(envelope: Envelope, words: Written) -> bytes:
    """A letter as many programs write it: what was typed, between the header's name and CRLF."""
    headers = (
        ("From", formataddr((envelope.sender_name, envelope.sender))),
        ("To", envelope.recipient),
        ("Subject", words.subject),
        ("Date", format_datetime(envelope.date)),
        ("Message-ID", envelope.message_id),
        ("Reply-To", envelope.reply_to),
        ("Auto-Submitted", "auto-generated"),
        ("Content-Language", "en"),
        ("MIME-Version", "1.0"),
        ("Content-Type", "text/plain"),
    )
    text = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"{text}\r\nHello.\r\n".encode("utf-8", "replace")


def by_the_package(envelope: Envelope, words: Written) -> bytes:
    """A letter as Python's own package writes it, refusals of its own included."""
    letter = EmailMessage(policy=policy.SMTP)
    try:
        letter["From"] = formataddr((envelope.sender_name, envelope.sender))
        letter["To"] = envelope.recipient
        letter["Subject"] = words.subject
        letter["Date"] = envelope.date
        letter["Message-ID"] = envelope.message_id
        letter["Reply-To"] = envelope.reply_to
        letter["Auto-Submitted"] = "auto-generated"
        letter["Content-Language"] = "en"
        letter["MIME-Version"] = "1.0"
        letter["Content-Type"] = "text/plain"
        return letter.as_bytes()
    except Exception:
        raise UnsafeHeader("refused") from None


@pytest.mark.parametrize("write", [naive, by_the_package, writes_nothing])
def test_the_self_test_finds_what_writes_carelessly_or_not_at_all(write: object) -> None:
    assert not composes_safely(write)  # type: ignore[arg-type]
