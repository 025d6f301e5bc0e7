"""Mail as the world sends it to us: bounces, complaints, answers, vacation replies, forgeries."""

import random
import secrets
from collections.abc import Callable

from leadcapture.models import Message
from leadcapture.outbox import envelope, links
from leadcapture.settings import Settings

BOUNCES = "bounces@clinic.example"


def verp(settings: Settings, message: Message) -> str:
    """The address that the bounces of this message come to."""
    return envelope.envelope_of(settings, message).sender


def mail(headers: dict[str, str], body: str) -> bytes:
    """A mail of these headers; CRLF, a Message-ID and a Date of its own unless given."""
    facts = {
        "Message-ID": f"<{secrets.token_hex(8)}@mail.example>",
        "Date": "Tue, 03 Mar 2026 15:10:00 +0000",
        "MIME-Version": "1.0",
    } | headers
    lines = [f"{name}: {value}" for name, value in facts.items() if value]
    text = "\n".join([*lines, "", body]).replace("\r\n", "\n")
    return text.replace("\n", "\r\n").encode()


def bounce(
    to: str,
    message: Message,
    *,
    action: str = "failed",
    status: str = "5.1.1",
    envid: str = "",
    reporter: str = "postfix",
    original: str = "",
) -> bytes:
    """A delivery report (RFC 3464) as Postfix, Exchange, Gmail or Exim words it."""
    said = {
        "postfix": ("Mail Delivery System <MAILER-DAEMON@mx.example>", "Undelivered Mail Returned"),
        "exchange": ("Microsoft Outlook <postmaster@corp.example>", "Undeliverable: A word"),
        "gmail": ("Mail Delivery Subsystem <mailer-daemon@googlemail.example>", "Failure"),
        "exim": ("Mail Delivery System <Mailer-Daemon@exim.example>", "Mail delivery failed"),
    }
    sender, subject = said[reporter]
    claimed = f"Original-Envelope-Id: {envid}\n" if envid else ""
    body = f"""--b1
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you that your message could not be delivered.
<{message.recipient}>: 550 {status} no such user

--b1
Content-Type: message/delivery-status

{claimed}Reporting-MTA: dns; mx.example
Arrival-Date: Tue, 3 Mar 2026 15:09:00 +0000

Final-Recipient: rfc822; {message.recipient}
Action: {action}
Status: {status}
Diagnostic-Code: smtp; 550 {status} no such user

--b1
Content-Type: text/rfc822-headers

{original or f"From: hello@clinic.example{chr(10)}Message-ID: {message.mail_id}"}

--b1--
"""
    return mail(
        {
            "Return-Path": "<>",
            "Delivered-To": to,
            "From": sender,
            "To": to,
            "Subject": subject,
            "Auto-Submitted": "auto-replied",
            "Content-Type": 'multipart/report; report-type=delivery-status; boundary="b1"',
        },
        body,
    )


def complaint(to: str, *, original: str, kind: str = "abuse", fields: str = "") -> bytes:
    """A feedback report (RFC 5965) about the mail whose header is ``original``."""
    body = f"""--b2
Content-Type: text/plain

This is an abuse report.

--b2
Content-Type: message/feedback-report

Feedback-Type: {kind}
User-Agent: SomeProvider/1.0
Version: 1
{fields}
--b2
Content-Type: message/rfc822

{original}

Hello.
--b2--
"""
    return mail(
        {
            "From": "feedback@provider.example",
            "To": to,
            "Subject": "complaint about message",
            "Content-Type": 'multipart/report; report-type="feedback-report"; boundary="b2"',
        },
        body,
    )


def answer(sender: str, text: str, message: Message | None = None, **headers: str) -> bytes:
    """What a person writes, in a thread with ``message`` where one is given."""
    facts = {
        "Return-Path": f"<{sender}>",
        "From": sender,
        "To": "hello@clinic.example",
        "Subject": "Re: A word from the clinic",
        "In-Reply-To": message.mail_id if message else "",
        "References": message.mail_id if message else "",
        "Content-Type": "text/plain; charset=utf-8",
    }
    return mail(facts | {name.replace("_", "-"): value for name, value in headers.items()}, text)


def vacation(to: str, message: Message, shape: str) -> bytes:
    """A reply that nobody wrote, as Sieve, Exchange, Gmail, or an old program sends it."""
    shapes: dict[str, dict[str, str]] = {
        "sieve": {"Auto_Submitted": "auto-replied (vacation)", "Subject": "Away"},
        "exchange": {
            "Auto_Submitted": "auto-generated",
            "Subject": "Automatic reply: A word from the clinic",
            "X_Auto_Response_Suppress": "All",
        },
        "gmail": {"Precedence": "bulk", "X_Autoreply": "yes", "Subject": "Out"},
        "old": {"Subject": "Out of Office: A word from the clinic"},
        "null": {"Return_Path": "<>", "Subject": "I am away"},
        "spanish": {"Subject": "Respuesta automática: Una palabra"},
        "list": {"Precedence": "list", "List_Id": "<patients.example>"},
    }
    facts = {"To": to, "Delivered_To": to} | shapes[shape]
    return answer(message.recipient, "I am out of the office until Monday. STOP", message, **facts)


VACATIONS = ("sieve", "exchange", "gmail", "old", "null", "spanish", "list")


def forgeries(
    chance: random.Random, settings: Settings, message: Message, count: int
) -> list[bytes]:
    """Mails that must change nothing: without proof, or with a proof that is none here."""
    shapes = _forgeries(chance, settings, message)
    return [shapes[number % len(shapes)]() for number in range(count)]


def _forgeries(
    chance: random.Random, settings: Settings, message: Message
) -> list[Callable[[], bytes]]:
    right = verp(settings, message)
    key, ref = settings.hash_key, message.ref

    def reporter() -> str:
        return chance.choice(["postfix", "exchange", "gmail", "exim"])

    def wrong_proof() -> str:
        """One letter or digit of the token is another."""
        token = envelope.sign(key, envelope.SENDER, ref)
        at = chance.randrange(len(token))
        other = chance.choice([c for c in "abcdefghijklmnopqrstuvwxyz234567" if c != token[at]])
        return token[:at] + other + token[at + 1 :]

    def address(token: str) -> str:
        return f"bounces+{token}@clinic.example"

    def other_purpose() -> str:
        return chance.choice(
            [
                envelope.sign(key, envelope.ENVID, ref),
                envelope.sign(key, envelope.COMPLAINT, ref),
                links.sign(key, "stop", message.cap_hash)[-48:],
                links.sign(key, "packet", ref),
            ]
        )

    def within_another() -> bytes:
        """A real report that somebody forwards, or wraps to hide that it is not theirs."""
        inner = bounce(right, message).decode()
        headers = {
            "From": "someone@mail.example",
            "To": BOUNCES,
            "Content-Type": "multipart/mixed; boundary=b9",
        }
        return mail(headers, f"--b9\nContent-Type: message/rfc822\n\n{inner}\n--b9--\n")

    def qmail() -> bytes:
        """A bounce without a report: a person could have typed it."""
        body = f"Hi. This is the qmail-send program at mx.example.\n<{message.recipient}>:\n5.1.1"
        headers = {"Return-Path": "<>", "From": "MAILER-DAEMON@mx.example", "To": BOUNCES}
        return mail(headers | {"Subject": "failure notice"}, body)

    def with_right_token_in_the_text() -> bytes:
        original = f"Return-Path: <{right}>\nMessage-ID: {message.mail_id}"
        return bounce(BOUNCES, message, reporter=reporter(), original=original)

    own = f"CFBL-Feedback-ID: {wrong_proof()}\nMessage-ID: {message.mail_id}"
    return [
        lambda: bounce(BOUNCES, message, reporter=reporter()),
        lambda: bounce(address(wrong_proof()), message, reporter=reporter()),
        lambda: bounce(BOUNCES, message, envid=wrong_proof(), reporter=reporter()),
        lambda: bounce(address(other_purpose()), message, reporter=reporter()),
        lambda: bounce(
            BOUNCES, message, envid=envelope.sign(key, envelope.SENDER, ref), reporter=reporter()
        ),
        lambda: bounce(address(right[8 : chance.randrange(20, 50)]), message),
        lambda: bounce(right.replace("clinic.example", "else.example"), message),
        lambda: bounce(
            address(envelope.sign(bytes(32), envelope.SENDER, ref)), message, reporter=reporter()
        ),
        qmail,
        within_another,
        with_right_token_in_the_text,
        lambda: vacation(BOUNCES, message, chance.choice(VACATIONS)),
        lambda: vacation(right, message, chance.choice(VACATIONS)),
        lambda: complaint(BOUNCES, original=own),
        lambda: complaint(BOUNCES, original=f"Message-ID: {message.mail_id}"),
        lambda: complaint(
            address(other_purpose()),
            original=f"CFBL-Feedback-ID: {envelope.sign(key, envelope.ENVID, ref)}",
        ),
        lambda: complaint(BOUNCES, original="Subject: x", fields=f"Original-Rcpt-To: {right}"),
    ]
