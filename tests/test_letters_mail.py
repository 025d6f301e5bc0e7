"""A letter as bytes: headers, parts, the same on every try."""

import email
import hashlib
import re
from collections import Counter
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadcapture.letters import Envelope, Letter, NotAnAddress, UnsafeHeader, write_letter
from leadcapture.letters.compose import (
    Attachment,
    NeedsSmtpUtf8,
    compose,
    display_name,
    plain_address,
)
from leadcapture.letters.greeting import greeting
from leadcapture.letters.guard import health_words_in
from leadcapture.letters.mail_html import Written, render
from leadcapture.letters.manuscript import PACKET, finish
from leadcapture.letters.shipped import shipped_texts
from leadcapture.models import LetterVersion

LETTERS = [
    LetterVersion(
        kind=kind,
        topic=topic,
        language=language,
        number=1,
        text=finish(source, kind, language),
        sha256=f"{kind}{topic}{language}",
    )
    for kind, topic, language, source in shipped_texts()
    if kind != PACKET
]
VALUES = {
    "greeting": "Hello Janet,",
    "clinic_name": "Cellebration Wellness",
    "clinic_phone": "(858) 258-5090",
    "postal_address": "Avenida Escazú, Building 202, Suite 401, Escazú, San José, Costa Rica",
    "packet_link": "https://clinic.example/packet/q9Xr?a=1&b=2",
    "stop_link": "https://clinic.example/stop/q9Xr",
    "preferences_link": "https://clinic.example/preferences/q9Xr",
    "lead_link": "https://clinic.example/desk/leads/K7QM",
    "receipt": "K7QM-4XW2",
    "received_at": "10:04",
    "language": "English",
}
HOSTILE = [
    "Bob\r\nBcc: evil@x.test", "Bob\nBcc: evil@x.test", "Bob\rBcc: evil@x.test",
    "Bob\x85Bcc: evil@x.test", "Bob\u2028Bcc: evil@x.test", "Bob\u2029x", "Bob\x0bx", "Bob\x0cx",
    "Bob\x00", "=?utf-8?q?Bob=0ABcc:_evil@x.test?=", "=?utf-8?b?Qm9iCkJjYzogZXZpbEB4LnRlc3Q=?=",
    "=?utf-8?q?Bob?= =?utf-8?q?=0D=0ABcc:_evil@x.test?=", "<@a,@b:evil@x.test>", "B <evil@x.test>",
    '"Bob" <evil@x.test>, x', "evil@x.test, other@x.test", "(comment) Bob", "Bob;", "group: a@b;",
    "Bob\\", 'Bob"', "\u202eevil", "Bob\r\n\r\nbody", "\r\n.\r\n", " Bob", "Bob ",
]  # fmt: skip
PIECES = st.sampled_from(
    [*HOSTILE, "\r", "\n", "\x85", "\u2028", "=?utf-8?q?", "?=", "=0A", "<", ">"]
)
hostile_text = st.lists(PIECES | st.text(max_size=8), max_size=4).map("".join)


def an_envelope(**changes: object) -> Envelope:
    """From the clinic to Janet."""
    usual: dict[str, object] = {
        "sender": "info@clinic.example",
        "sender_name": "Cellebration Wellness",
        "recipient": "janet@mail.example",
        "message_id": "<1.K7QM@clinic.example>",
        "date": datetime(2026, 3, 2, 16, 4, tzinfo=UTC),
        "reply_to": "care@clinic.example",
        "unsubscribe_url": VALUES["stop_link"],
    }
    return Envelope(**(usual | changes))  # type: ignore[arg-type]


def some_words(
    subject: str = "A letter", text: str = "Hello.\n", html: str = "<p>Hello.</p>"
) -> Written:
    return Written("en", subject, text, html)


def read(message: bytes | Letter) -> EmailMessage:
    found = email.message_from_bytes(bytes(message), policy=policy.default)
    assert isinstance(found, EmailMessage)
    return found


def a_packet(content: bytes = b"%PDF-1.7 packet", sha256: str = "") -> LetterVersion:
    sha256 = sha256 or hashlib.sha256(content).hexdigest()
    return LetterVersion(id=7, kind=PACKET, language="en", sha256=sha256, pdf=content)


NAMES = [
    "From", "To", "Subject", "Date", "Message-ID", "Reply-To", "Auto-Submitted",
    "List-Unsubscribe", "List-Unsubscribe-Post", "Content-Language", "MIME-Version",
    "Content-Type",
]  # fmt: skip


class TestHeaders:
    def test_every_letter_has_exactly_these(self) -> None:
        """MD-13, MD-14, MD-19"""
        message = read(compose(an_envelope(), some_words()))
        assert message.keys() == NAMES
        assert message["Auto-Submitted"] == "auto-generated"
        assert message["List-Unsubscribe"] == f"<{VALUES['stop_link']}>"
        assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert message["From"] == "Cellebration Wellness <info@clinic.example>"
        assert message["To"] == "janet@mail.example"

    def test_without_a_link_there_is_nothing_to_unsubscribe(self) -> None:
        message = read(compose(an_envelope(unsubscribe_url="", reply_to=""), some_words()))
        assert message.keys() == [n for n in NAMES if not n.startswith(("List-", "Reply"))]

    @settings(max_examples=300, deadline=None)
    @given(hostile_text, hostile_text, hostile_text)
    def test_nothing_that_is_typed_adds_or_changes_a_header(
        self, name: str, address: str, subject: str
    ) -> None:
        """MD-19: it is written as intended, or refused."""
        for envelope, words in (
            (an_envelope(sender_name=name), some_words()),
            (an_envelope(recipient=address), some_words()),
            (an_envelope(), some_words(subject=subject)),
            (an_envelope(reply_to=address, message_id=f"<{subject}@x>"), some_words()),
        ):
            try:
                message = compose(envelope, words)
            except (UnsafeHeader, NotAnAddress):
                continue
            for rules in (policy.default, policy.compat32):
                header = email.message_from_bytes(bytes(message), policy=rules)
                assert header.keys() in (NAMES, [n for n in NAMES if n != "Reply-To"])
            assert read(message)["Subject"] == words.subject
            assert [a.addr_spec for a in read(message)["To"].addresses] == [
                plain_address(envelope.recipient)
            ]

    @pytest.mark.parametrize("typed", HOSTILE)
    def test_a_hostile_name_reaches_a_letter_only_through_the_greeting(self, typed: str) -> None:
        """MD-19, AB-02"""
        for letter in LETTERS:
            values = VALUES | {"greeting": greeting(typed, letter.language)}
            message = bytes(write_letter(letter, [], values, an_envelope()))
            assert read(message).keys() == NAMES
            assert b"evil" not in message

    @pytest.mark.parametrize("typed", HOSTILE)
    def test_a_hostile_sender_name_is_filtered_to_plain_words(self, typed: str) -> None:
        """MD-19"""
        assert re.fullmatch(r"[\w &'.,-]*", display_name(typed))
        sender = read(compose(an_envelope(sender_name=typed), some_words()))["From"]
        assert [a.addr_spec for a in sender.addresses] == ["info@clinic.example"]

    @pytest.mark.parametrize(
        "subject",
        ["La información que nos pidió", "¿Le llegó todo?", "a =?b?= c", "ñ" * 180, "日本 🌿"],
    )
    def test_a_subject_in_any_language_is_read_as_it_was_written(self, subject: str) -> None:
        message = compose(an_envelope(), some_words(subject=subject))
        assert read(message)["Subject"] == subject
        head = message.partition(b"\r\n\r\n")[0]
        assert max(map(len, head.split(b"\r\n"))) <= 100

    def test_the_clinic_may_have_an_accent_in_its_name(self) -> None:
        message = read(compose(an_envelope(sender_name="Clínica Bienestar & Cía."), some_words()))
        assert message["From"].addresses[0].display_name == "Clínica Bienestar & Cía."


class TestAddresses:
    @pytest.mark.parametrize(
        ("typed", "plain"),
        [
            ("janet+news@mail.example", "janet+news@mail.example"),
            ("O'Neill@Mail.Example", "O'Neill@Mail.Example"),
            ("rosa@correo.españa.example", "rosa@correo.xn--espaa-rta.example"),
        ],
    )
    def test_a_plain_address_is_carried_as_it_is(self, typed: str, plain: str) -> None:
        assert plain_address(typed) == plain

    @pytest.mark.parametrize(
        "typed",
        ["", "janet", "@x.example", "janet@", "a@b@c", "<a@x.example>", "a@x.example,b@x.example",
         "a b@x.example", '"a b"@x.example', "@a,@b:c@x.example", "a@x.example\r\n", "a@x.example ",
         "a\n@x.example", "a@x..example", "a..b@x.example", ".a@x.example", "a@-x.example",
         "=?utf-8?q?a?=@x.example", "a@[127.0.0.1]", "a@x.example\u2028", "a(b)@x.example",
         "a" * 65 + "@x.example", "a@" + "x" * 64 + ".example", "a%40b@c@x", *HOSTILE],
    )  # fmt: skip
    def test_anything_else_is_refused_without_being_quoted(self, typed: str) -> None:
        """MD-19"""
        with pytest.raises(NotAnAddress) as refusal:
            plain_address(typed)
        assert len(typed) < 4 or typed not in str(refusal.value)

    def test_a_name_that_is_not_ascii_has_its_own_refusal(self) -> None:
        with pytest.raises(NeedsSmtpUtf8):
            plain_address("josé@x.example")


class TestParts:
    @settings(max_examples=200, deadline=None)
    @given(st.text(max_size=300), st.binary(max_size=300))
    def test_what_is_read_back_is_what_was_written(self, text: str, content: bytes) -> None:
        """MD-20"""
        text = text.encode("utf-8", "replace").decode()
        message = compose(
            an_envelope(), some_words(text=text, html=text), [Attachment.of("a.pdf", content)]
        )
        assert not re.search(rb"\r(?!\n)|(?<!\r)\n", message)
        assert max(map(len, message.split(b"\r\n"))) <= 998
        assert message.isascii() and b"\0" not in message
        lines = re.sub(r"\r\n|\r|\n", "\n", text)
        plain, html, attached = list(read(message).walk())[2:]
        for part in (plain, html):
            payload = part.get_payload(decode=True)
            assert isinstance(payload, bytes)
            assert payload.decode().replace("\r\n", "\n") == lines
        assert attached.get_payload(decode=True) == content

    def test_a_boundary_in_the_text_ends_no_part(self) -> None:
        """MD-20"""
        first = compose(an_envelope(), some_words())
        boundary = re.search(rb'boundary="([^"]+)"', first)
        assert boundary
        text = f"--{boundary[1].decode()}--\r\nMore."
        parts = list(read(compose(an_envelope(), some_words(text=text))).walk())
        assert len(parts) == 3

    def test_the_same_letter_is_the_same_bytes(self) -> None:
        """MD-03"""
        for letter in LETTERS:
            copies = {
                write_letter(letter, [a_packet()], VALUES, an_envelope()).sha256 for _ in range(5)
            }
            assert len(copies) == 1

    def test_packets_are_attached_under_names_that_say_nothing(self) -> None:
        """PR-12"""
        packets = [a_packet(b"one"), a_packet(b"two")]
        english, spanish = LETTERS_OF["packet_letter", "en"], LETTERS_OF["packet_letter", "es"]
        one = read(write_letter(english, packets[:1], VALUES, an_envelope()))
        two = read(write_letter(spanish, packets, VALUES, an_envelope()))
        assert [part.get_filename() for part in one.iter_attachments()] == [
            "information-packet.pdf"
        ]
        assert [part.get_filename() for part in two.iter_attachments()] == [
            "paquete-informativo-1.pdf",
            "paquete-informativo-2.pdf",
        ]
        assert [part.get_content() for part in two.iter_attachments()] == [b"one", b"two"]

    def test_a_packet_is_encoded_once_in_a_process(self) -> None:
        letter = LETTERS_OF["packet_letter", "en"]
        first = write_letter(letter, [a_packet(b"one", "once")], VALUES, an_envelope())
        unread = LetterVersion(id=7, kind=PACKET, language="en", sha256="once", pdf=None)
        assert write_letter(letter, [unread], VALUES, an_envelope()) == first

    def test_a_file_name_with_a_header_in_it_is_refused(self) -> None:
        with pytest.raises(UnsafeHeader):
            compose(an_envelope(), some_words(), [Attachment.of('a"\r\nX: y.pdf', b"")])


class TestHonestMail:
    @pytest.mark.parametrize("letter", LETTERS, ids=lambda v: f"{v.kind}-{v.topic}-{v.language}")
    def test_text_and_html_say_the_same_and_nothing_is_fetched(self, letter: LetterVersion) -> None:
        """MD-21"""
        message = read(write_letter(letter, [], VALUES, an_envelope()))
        text_part = message.get_body(("plain",))
        html_part = message.get_body(("html",))
        assert text_part and html_part
        page = Page(html_part.get_content())
        links = {value for value in VALUES.values() if value.startswith("https")}
        text = text_part.get_content()
        for link in links:
            text = text.replace(link, "")
        said, shown = (Counter(re.findall(r"\w+", words)) for words in (text, page.words))
        assert (said & shown).total() >= 0.9 * max(said.total(), shown.total())
        assert page.language == letter.language == message["Content-Language"]
        assert set(page.links) <= links
        assert not page.fetched
        assert not re.search(r"url\(|@import|<img|<script|<link|cid:", html_part.get_content())

    @pytest.mark.parametrize("letter", LETTERS, ids=lambda v: f"{v.kind}-{v.topic}-{v.language}")
    def test_no_header_and_no_line_of_a_letter_names_a_condition(
        self, letter: LetterVersion
    ) -> None:
        """PR-12"""
        message = read(write_letter(letter, [a_packet()], VALUES, an_envelope()))
        for part in message.walk():
            assert health_words_in(" ".join(f"{k} {v}" for k, v in part.items())) == []

    def test_a_value_is_inert_in_the_html(self) -> None:
        """WS-07, AB-02"""
        values = VALUES | {"greeting": "<img src=x> & {{ clinic_phone }} [a](b)"}
        written = render(LETTERS_OF["packet_letter", "en"].text, "en").filled(values)
        assert "&lt;img src=x&gt; &amp; {{ clinic_phone }} [a](b)" in written.html
        assert "<img src=x> & {{ clinic_phone }} [a](b)" in written.text

    def test_the_preview_stands_once_and_is_hidden(self) -> None:
        page = render(LETTERS_OF["packet_letter", "en"].text, "en").html
        assert page.count("Your packet is attached") == 1
        assert re.search(r'display:none[^"]*">Your packet is attached', page)


LETTERS_OF = {
    (letter.kind, letter.language): letter for letter in LETTERS if letter.topic != "linked"
}


class Page(HTMLParser):
    """What a reader sees of a mail, and what a mail program would fetch."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.language = ""
        self._seen: list[str] = []
        self._hidden = 0
        self.feed(page)

    @property
    def words(self) -> str:
        return " ".join(self._seen)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "html":
            self.language = values["lang"]
        self.links += [values["href"]] if "href" in values else []
        self.fetched += [values[name] for name in ("src", "background") if name in values]
        if tag in ("head", "style") or "display:none" in values.get("style", ""):
            self._hidden += 1

    def handle_endtag(self, tag: str) -> None:
        if tag in ("head", "style") or (tag == "div" and self._hidden):
            self._hidden -= 1

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._seen.append(data)
