"""What is told to the relay about a letter, and the signature over it."""

import base64
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dkim as library
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from sqlalchemy.orm import Session

from leadcapture.letters import Letter
from leadcapture.letters.compose import Attachment, Envelope, compose_letter
from leadcapture.letters.mail_html import Written
from leadcapture.models import MessageKind
from leadcapture.outbox import dkim as our_dkim
from leadcapture.outbox import envelope
from leadcapture.outbox.dkim import body_hash
from leadcapture.outbox.queue import new_ref
from leadcapture.outbox.relay import RelaySession
from leadcapture.settings import Dkim, Relay, Settings, SettingsError, load
from tests.incoming import BOUNCES
from tests.people import a_lead, a_message, a_request
from tests.post_office import PostOffice
from tests.served import service_environ

SECRET = bytes(range(32))
SENT_AT = datetime(2025, 3, 3, 15, 0, tzinfo=UTC)
KEYS: dict[str, rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey] = {
    "rsa": rsa.generate_private_key(65537, 2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
}


@pytest.fixture(params=list(KEYS))
def dkim(request: pytest.FixtureRequest) -> Dkim:
    return Dkim("clinic.example", "s1", KEYS[str(request.param)])


@pytest.fixture
def settings_changes(request: pytest.FixtureRequest) -> dict[str, Any]:
    key = Dkim("clinic.example", "s1", KEYS["rsa"])
    return {"bounce_address": BOUNCES, "dkim": key}


def signed(letter: bytes, dkim: Dkim, at: datetime) -> bytes:
    return bytes(our_dkim.signed(Letter(letter), dkim, at))


def verifies(letter: bytes, dkim: Dkim) -> bool:
    """What dkimpy says, with the key that the DNS would show."""
    public = dkim.key.public_key()
    if isinstance(public, ed25519.Ed25519PublicKey):
        raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        record = b"v=DKIM1; k=ed25519; p=" + base64.b64encode(raw)
    else:
        der = public.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        record = b"v=DKIM1; k=rsa; p=" + base64.b64encode(der)
    return bool(library.verify(letter, dnsfunc=lambda name, timeout=5: record))


LETTER = (
    b'From: "Cellebration Wellness" <hello@clinic.example>\r\n'
    b"To: janet@tampamail.example\r\nSubject: =?utf-8?b?TGE=?=\r\n =?utf-8?b?IGNsw61uaWNh?=\r\n"
    b"Date: Mon, 03 Mar 2025 15:00:00 +0000\r\nMessage-ID: <a@clinic.example>\r\n"
    b"Reply-To: hello@clinic.example\r\nList-Unsubscribe: <https://clinic.example/stop/x>\r\n"
    b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: text/plain\r\n\r\nHello,  there \t\r\n\twe  are here.\r\n.\r\n\r\n\r\n"
)


class TestSignature:
    def test_it_verifies_and_is_the_same_every_time(self, dkim: Dkim) -> None:
        """MD-17, MD-03"""
        once = signed(LETTER, dkim, SENT_AT)
        assert verifies(once, dkim)
        assert signed(LETTER, dkim, SENT_AT) == once
        assert once.endswith(LETTER)
        assert max(map(len, once.partition(b"\r\n\r\n")[0].split(b"\r\n"))) <= 100

    def test_it_covers_what_matters(self, dkim: Dkim) -> None:
        """MD-17"""
        field = signed(LETTER, dkim, SENT_AT).partition(b"\r\nFrom")[0].decode()
        found = re.search(r"h=([^;]+);", field)
        assert found is not None
        names = re.sub(r"\s", "", found[1]).split(":")
        assert {
            *("From", "To", "Subject", "Date", "Message-ID", "Reply-To", "MIME-Version"),
            *("Content-Type", "List-Unsubscribe", "List-Unsubscribe-Post", "Auto-Submitted"),
        } <= set(names)
        assert names.count("From") == names.count("Subject") == 2

    def test_one_changed_byte_fails(self, dkim: Dkim) -> None:
        """MD-17: every tenth byte of header and body, save the white space that relaxes."""
        letter = signed(LETTER, dkim, SENT_AT)
        assert verifies(letter, dkim)
        start = len(letter) - len(LETTER)
        passed = []
        for at in range(start, len(letter) - 8, 10):
            if letter[at : at + 1].isspace() or letter[at - 1 : at + 2].count(b":"):
                continue
            changed = letter[:at] + bytes([letter[at] ^ 1]) + letter[at + 1 :]
            if verifies(changed, dkim):
                passed.append((at, letter[at - 5 : at + 5]))
        # A field's name may change its case, and nothing else.
        assert passed == []

    @pytest.mark.parametrize(
        "added",
        [
            b"From: evil@else.example\r\n",
            b"Subject: You have won\r\n",
            b"Reply-To: evil@else.example\r\n",
            b"Auto-Submitted: no\r\n",
            b"Content-Type: text/html\r\n",
        ],
    )
    def test_an_added_field_fails(self, dkim: Dkim, added: bytes) -> None:
        """MD-17: one more From, and what the letter did not have."""
        assert not verifies(added + signed(LETTER, dkim, SENT_AT), dkim)

    @pytest.mark.parametrize(
        "body", [b"", b"\r\n", b"\r\n\r\n", b"a", b"a\r\n\r\n", b" \r\n", b"a \r\n \r\n", b"\t a\t"]
    )
    def test_every_end_of_a_body_is_relaxed_as_others_do(self, dkim: Dkim, body: bytes) -> None:
        letter = LETTER.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + body
        assert verifies(signed(letter, dkim, SENT_AT), dkim)

    def test_a_letter_in_pieces_is_signed_as_a_whole(self, dkim: Dkim) -> None:
        """MD-17: what is attached is hashed as it stands, and that is its relaxed form."""
        headers = Envelope("a@clinic.example", "", "b@x.example", "<a@clinic.example>", SENT_AT)
        words = Written("en", "A letter", "Hello,  you \n.\n", "<p>Hello.</p>")
        packet = Attachment.of("a.pdf", bytes(range(256)) * 40)
        whole = compose_letter(headers, words, [packet])
        pieces = our_dkim.signed(whole, dkim, SENT_AT)
        assert pieces.attached == whole.attached != ()
        assert bytes(pieces) == signed(bytes(whole), dkim, SENT_AT)
        assert verifies(bytes(pieces), dkim)

    def test_half_a_megabyte_costs_one_look(self) -> None:
        body = base64.encodebytes(bytes(500_000)).replace(b"\n", b"\r\n")
        assert body_hash(body) == body_hash(b"" + body.replace(b"AAAA\r\n", b"AAAA \t \r\n"))


def test_a_letter_leaves_signed_in_its_own_envelope(
    session: Session, settings: Settings, send_due: Callable[[], int], office: PostOffice
) -> None:
    """MD-17, MD-11: what the relay got verifies, and its sender proves what it is about."""
    lead = a_lead(session)
    a_request(session, lead)
    message = a_message(session, lead, mail_date=SENT_AT)
    assert send_due() == 1
    [letter] = office.letters
    assert settings.dkim is not None
    assert verifies(letter.content, settings.dkim)
    assert letter.mail["CFBL-Address"] == f"{BOUNCES}; report=arf"
    assert letter.mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    token = envelope.token_of_sender(BOUNCES, letter.sender)
    assert envelope.verify(settings.hash_key, envelope.SENDER, token) == message.ref
    assert len(letter.sender.partition("@")[0]) <= 64


def test_all_our_mail_says_that_nobody_wrote_it(
    session: Session, send_due: Callable[[], int], office: PostOffice
) -> None:
    """MD-13"""
    for kind in MessageKind:
        lead = a_lead(session)
        a_request(session, lead)
        a_message(session, lead, kind=kind)
    send_due()
    assert len(office.letters) == len(MessageKind)
    assert {letter.mail["Auto-Submitted"] for letter in office.letters} == {"auto-generated"}


class TestDeliveryReports:
    def test_they_are_asked_for_where_the_relay_offers_them(self, office: PostOffice) -> None:
        """RFC 3461"""
        office.at("ehlo").say(b"250-post.test\r\n250-DSN\r\n250 8BITMIME\r\n")
        self.send(office, "abc")
        heard = [line for phase, line in office.heard if phase in ("mail", "rcpt")]
        assert heard[0].endswith("RET=HDRS ENVID=abc")
        assert heard[1].endswith("NOTIFY=FAILURE,DELAY")

    @pytest.mark.parametrize(("offer", "envid"), [(b"250 8BITMIME", "abc"), (b"250 DSN", "")])
    def test_else_they_are_not(self, office: PostOffice, offer: bytes, envid: str) -> None:
        office.at("ehlo").say(b"250-post.test\r\n" + offer + b"\r\n")
        self.send(office, envid)
        assert not [line for _, line in office.heard if "ENVID" in line or "NOTIFY" in line]

    @staticmethod
    def send(office: PostOffice, envid: str) -> None:
        relay = RelaySession(Relay("127.0.0.1", office.port, "none"), "clinic.example", timeout=5)
        assert relay.send("a@clinic.example", "b@x.example", LETTER, lambda: True, envid)
        relay.quit()


class TestToken:
    def test_it_opens_for_its_own_purpose_in_either_case(self) -> None:
        """AB-07"""
        ref = new_ref()
        token = envelope.sign(SECRET, envelope.SENDER, ref)
        assert re.fullmatch(r"[a-z2-7]{48}", token)
        for purpose in (envelope.SENDER, envelope.ENVID, envelope.COMPLAINT):
            found = envelope.verify(SECRET, purpose, token.upper())
            assert found == (ref if purpose == envelope.SENDER else None)
        assert envelope.verify(bytes(32), envelope.SENDER, token) is None

    @pytest.mark.parametrize(
        "address", ["bounces@clinic.example", "bounces+@clinic.example", "+@", ""]
    )
    def test_an_address_without_a_token_has_none(self, address: str) -> None:
        assert envelope.token_of_sender(BOUNCES, address) == ""
        assert envelope.verify(SECRET, envelope.SENDER, "") is None

    @pytest.mark.parametrize("ref", ["", "short", "x" * 23, "é" * 22])
    def test_only_a_reference_of_ours_is_signed(self, ref: str) -> None:
        with pytest.raises(ValueError, match="not a message's reference"):
            envelope.sign(SECRET, envelope.SENDER, ref)


class TestSettings:
    @pytest.fixture
    def environ(self, tmp_path: Path) -> dict[str, str]:
        return service_environ(tmp_path, "", port=8000, smtp_port=25)

    @pytest.fixture
    def key_file(self, tmp_path: Path) -> Path:
        path = tmp_path / "dkim.pem"
        path.write_bytes(pem(KEYS["rsa"]))
        path.chmod(0o600)
        return path

    def test_all_of_them_are_read(self, environ: dict[str, str], key_file: Path) -> None:
        settings = load(environ | given(key_file) | {"LEADCAPTURE_IMAP_HOST": "127.0.0.1"})
        assert settings.dkim is not None
        assert (settings.dkim.domain, settings.dkim.selector) == ("clinic.example", "s1")
        assert settings.bounce_address == BOUNCES
        assert settings.imap is not None
        assert (settings.imap.port, settings.imap.security) == (993, "tls")
        assert settings.imap.authserv_id == "mx.example"
        assert "correct horse" not in repr(settings)

    @pytest.mark.parametrize(
        ("changed", "named"),
        [
            ({"DKIM_SELECTOR": ""}, "DKIM_KEY_FILE: goes together"),
            ({"DKIM_DOMAIN": "clinic example"}, "DKIM_DOMAIN"),
            ({"BOUNCE_ADDRESS": "a-name-that-is-too-long@clinic.example"}, "BOUNCE_ADDRESS"),
            ({"BOUNCE_ADDRESS": "bounces+x@clinic.example"}, "BOUNCE_ADDRESS"),
            ({"IMAP_HOST": "imap.example", "IMAP_SECURITY": "none"}, "IMAP_SECURITY"),
            ({"IMAP_HOST": "imap.example", "IMAP_PASSWORD": ""}, "IMAP_USER"),
            (
                {"IMAP_HOST": "imap.example", "IMAP_AUTHSERV_ID": "mx.example; dkim=pass"},
                "IMAP_AUTHSERV_ID",
            ),
        ],
    )
    def test_a_bad_one_is_named(
        self, environ: dict[str, str], key_file: Path, changed: dict[str, str], named: str
    ) -> None:
        changed = {f"LEADCAPTURE_{name}": value for name, value in changed.items()}
        with pytest.raises(SettingsError, match=named):
            load(environ | given(key_file) | changed)

    def test_a_key_that_others_may_read_is_refused(
        self, environ: dict[str, str], key_file: Path
    ) -> None:
        key_file.chmod(0o644)
        with pytest.raises(SettingsError, match="can be read by others"):
            load(environ | given(key_file))

    def test_a_short_key_or_none_is_refused(self, environ: dict[str, str], key_file: Path) -> None:
        for content in (pem(rsa.generate_private_key(65537, 1024)), b"no key"):
            key_file.write_bytes(content)
            with pytest.raises(SettingsError, match="2048 bits"):
                load(environ | given(key_file))


def given(key_file: Path) -> dict[str, str]:
    return {
        "LEADCAPTURE_DKIM_KEY_FILE": str(key_file),
        "LEADCAPTURE_DKIM_DOMAIN": "clinic.example",
        "LEADCAPTURE_DKIM_SELECTOR": "s1",
        "LEADCAPTURE_BOUNCE_ADDRESS": BOUNCES,
        "LEADCAPTURE_IMAP_USER": "bounces",
        "LEADCAPTURE_IMAP_PASSWORD": "correct horse",
        "LEADCAPTURE_IMAP_AUTHSERV_ID": "mx.example",
    }


def pem(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
