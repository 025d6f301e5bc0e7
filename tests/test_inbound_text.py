"""The words of a mail: what its writer wrote, and nothing else."""

import random
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadcapture.intake.inbound.mail import Unreadable, read_mail
from leadcapture.intake.inbound.text import html_to_text, is_stop, own_words
from tests.incoming import mail

OUTLOOK = (
    "Yes, Tuesday.\n\n________________________________\nFrom: Clinic <hello@clinic.example>\n"
    "Sent: Tuesday, March 3, 2026 10:00 AM\nTo: Janet\nSubject: A word\n\nWe are here.\n"
)


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("Yes.\n\nOn Tue, Mar 3, 2026 at 10:00 AM Clinic <a@b.example> wrote:\n> We\n", "Yes."),
        ("Yes.\n\nOn Tue, Mar 3, 2026 at 10:00 AM Clinic\n<a@b.example> wrote:\n\n> We\n", "Yes."),
        ("Sí.\n\nEl mar, 3 mar 2026 a las 10:00, Clinic (<a@b.example>) escribió:\n> A\n", "Sí."),
        ("Sí.\r\n\r\nDe: Clinic\r\nEnviado: martes\r\nPara: Ana\r\n\r\nHola", "Sí."),
        ("Yes.\n-----Original Message-----\nWe are here.", "Yes."),
        (OUTLOOK, "Yes, Tuesday."),
        ("> We are here.\n\nI know.", "I know."),
        ("> One?\nYes.\n> Two?\nNo.", "Yes.\nNo."),
        ("> only quoted", "> only quoted"),
        ("On Monday I wrote to you.", "On Monday I wrote to you."),
        ("a\x00b\x1b[31m\u202ec", "a b [31m c"),
        ("", ""),
    ],
)
def test_the_quoted_letter_is_cut_and_no_word_of_theirs(text: str, own: str) -> None:
    assert own_words(text) == own


@given(st.text(max_size=400))
def test_no_text_breaks_the_cut_or_grows(text: str) -> None:
    own = own_words(text)
    assert len(own) <= len(text)
    assert "\x00" not in own
    own.encode()


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One</p><p>Two</p>", "One\nTwo"),
        ("a<br>b &amp; c", "a\nb & c"),
        ("<style>p{}</style><title>x</title>Hi<script>x()</script>", "Hi"),
        ("<blockquote>old <b>words</b></blockquote>new", "> old words\nnew"),
        ("<a href='https://evil.example'>here</a>", "here"),
        ("<p", ""),
    ],
)
def test_html_becomes_what_a_reader_sees(html: str, text: str) -> None:
    assert html_to_text(html) == text


@pytest.mark.parametrize(
    ("subject", "text", "stops"),
    [
        ("Re: A word", "Stop.", True),
        ("STOP", "", True),
        ("RE: Fwd: unsubscribe", "Kind regards", True),
        ("Re: A word", "¡BAJA!", True),
        ("Re: A word", "please remove me\n--\nJanet", True),
        ("Re: A word", "The pain will not stop", False),
        ("Re: stopping by", "When may I stop by?", False),
        ("Re: A word", "", False),
        ("Re: A word", "alto costo", False),
    ],
)
def test_a_stop_word_counts_alone_only(subject: str, text: str, stops: bool) -> None:
    assert is_stop(subject, text) is stops


@given(st.binary(max_size=2_000))
def test_no_bytes_break_the_reader(content: bytes) -> None:
    """Each mail is read or said to be unreadable; nothing else ever comes out."""
    with suppress(Unreadable):
        read_mail(content).text.encode()


def test_no_spoilt_report_breaks_the_reader() -> None:
    """Two thousand bounces with a byte changed, cut off, or a piece repeated."""
    chance = random.Random(5)
    whole = mail(
        {
            "From": "MAILER-DAEMON@mx.example",
            "Content-Type": "multipart/report; report-type=delivery-status; boundary=b",
        },
        "--b\nContent-Type: message/delivery-status\n\nOriginal-Envelope-Id: x\n\n"
        "Action: failed\nStatus: 5.1.1\n\n--b\nContent-Type: text/rfc822-headers\n\nA: b\n--b--\n",
    )
    for _ in range(2_000):
        at, end = sorted((chance.randrange(len(whole)), chance.randrange(len(whole))))
        spoilt = chance.choice(
            [
                whole[:at] + bytes([chance.randrange(256)]) + whole[at + 1 :],
                whole[:at],
                whole[:at] + whole[end:],
                whole[:end] + whole[at:],
            ]
        )
        with suppress(Unreadable):
            read_mail(spoilt)


@pytest.mark.parametrize(
    "headers",
    [
        {"Subject": "=?nonsense?b?xx?="},
        {"Subject": "=?utf-8?b?\x00?="},
        {"From": "<<<>>>, @@"},
        {"Content-Type": "text/plain; charset=klingon"},
        {"Content-Type": "text/plain; charset*0*=x"},
        {"Content-Transfer-Encoding": "base64"},
        {"Message-ID": "no brackets"},
    ],
)
def test_odd_headers_are_read_as_far_as_they_go(headers: dict[str, str]) -> None:
    assert read_mail(mail({"From": "a@b.example"} | headers, "Hello")).delivery is None
