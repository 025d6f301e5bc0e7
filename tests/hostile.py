"""Hostile words in every place of a letter, and what a letter that they make must look like.

Runs under any Python that has the standard library alone beside the composing code.
"""

import random
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email import message_from_bytes, policy
from itertools import islice

from leadcapture.letters.compose import (
    Envelope,
    NotAnAddress,
    UnsafeHeader,
    compose,
    plain_address,
)
from leadcapture.letters.greeting import greeting
from leadcapture.letters.mail_html import Written
from leadcapture.letters.self_test import HOSTILE

COUNT = 5_000
NAMES = [
    *("From", "To", "Subject", "Date", "Message-ID", "Reply-To", "Auto-Submitted"),
    *("Content-Language", "MIME-Version", "Content-Type"),
]
PIECES = (
    *HOSTILE,
    *("\r", "\n", "\r\n", "\x85", "\u2028", "\u2029", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e"),
    *("\x00", "\x7f", "\ufeff", "\u202e", "\u200b", "\ud800", "=?utf-8?q?", "=?utf-8?b?", "?="),
    *("=0A", "=0D=0A", "Bcc: evil@x.test", "RCPT TO:<evil@x.test>", "<", ">", ",", ";", ":", '"'),
    *("\\", "(", ")", "@", ".", "%0a", "&#10;", "Janet", "Ñusta", "李", "a" * 80, " ", "\t"),
    *("janet@mail.test", "\r\n.\r\n", "\n.\r\n", "\r.\r", "MAIL FROM:<evil@x.test>"),
)


def hostile_words(seed: int) -> Iterator[tuple[str, str, str]]:
    """Names, addresses and subjects as nobody's grandmother types them."""
    chance = random.Random(seed)

    def word() -> str:
        return "".join(chance.choices(PIECES, k=chance.randint(1, 4)))

    for _ in range(COUNT):
        yield word(), word(), word()


def an_envelope(sender_name: str = "Clinic", recipient: str = "janet@mail.test") -> Envelope:
    return Envelope(
        sender="hello@clinic.test",
        sender_name=sender_name,
        recipient=recipient,
        message_id="<1@clinic.test>",
        date=datetime(2026, 3, 2, 16, 4, tzinfo=UTC),
        reply_to="hello@clinic.test",
    )


def some_words(subject: str = "A letter", text: str = "Hello.\n") -> Written:
    return Written("en", subject, text, "<p>Hello.</p>")


def letters_of(seed: int) -> Iterator[tuple[str, bytes]]:
    """What comes of them, each in one place: the recipient that was meant, and the letter."""
    for number, (name, address, subject) in enumerate(hostile_words(seed)):
        envelope, words = (
            (an_envelope(sender_name=name), some_words()),
            (an_envelope(recipient=address), some_words()),
            (an_envelope(), some_words(subject=subject)),
            (an_envelope(), some_words(text=greeting(name, "en") + "\n")),
        )[number % 4]
        try:
            yield envelope.recipient, compose(envelope, words)
        except (UnsafeHeader, NotAnAddress):
            continue


def header_lines(letter: bytes) -> list[str]:
    """The names of the headers as a reader of plain lines finds them (RFC 5322, 2.2)."""
    lines = letter.partition(b"\r\n\r\n")[0].split(b"\r\n")
    return [
        line.partition(b":")[0].decode("latin-1")
        for line in lines
        if not line.startswith((b" ", b"\t"))
    ]


def fault_of(recipient: str, letter: bytes) -> str:
    """What is wrong with a letter's header (MD-19); empty where it is exactly what was meant."""
    if header_lines(letter) != NAMES:
        return "its lines are others"
    for rules in (policy.compat32, policy.default):
        if message_from_bytes(letter, policy=rules).keys() != NAMES:
            return "it is read back as others"
    read = message_from_bytes(letter, policy=policy.default)
    if [one.addr_spec for one in read["To"].addresses] != [plain_address(recipient)]:
        return "it goes to somebody else"
    if [one.addr_spec for one in read["From"].addresses] != ["hello@clinic.test"]:
        return "it comes from somebody else"
    return "a bare CR or LF" if re.search(rb"\r(?!\n)|(?<!\r)\n", letter) else ""


def try_words(seed: int, count: int = COUNT) -> tuple[int, list[str]]:
    """Write so many letters of hostile words: how many were not refused, and the faults."""
    letters = list(islice(letters_of(seed), count))
    return len(letters), [fault for one in letters if (fault := fault_of(*one))]
