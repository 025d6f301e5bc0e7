"""Mails of telephone and chat services, in the shapes that such services send and our own words."""

import base64
import quopri
from dataclasses import dataclass

from tests.incoming import mail

CALLS, CHATS = "notify@callservice.example", "noreply@chatservice.example"


@dataclass(frozen=True)
class Sample:
    """A mail, and what a person would read in it: E.164, name, address, and some of its words."""

    name: str
    content: bytes
    phone: str | None = None
    full_name: str = ""
    email: str = ""
    words: str = ""


def notice(
    subject: str, body: str, sender: str = CALLS, kind: str = "text/plain", how: str = "8bit"
) -> bytes:
    """A mail as such services send it: from a machine, to nobody in particular."""
    raw = body.encode()
    if how == "quoted-printable":
        body = quopri.encodestring(raw).decode()
    elif how == "base64":
        body = base64.encodebytes(raw).decode()
    return mail(
        {
            "Return-Path": "<>",
            "From": f'"The service" <{sender}>',
            "To": "hello@clinic.example",
            "Subject": subject,
            "Auto-Submitted": "auto-generated",
            "Precedence": "bulk",
            "Content-Type": f"{kind}; charset=utf-8",
            "Content-Transfer-Encoding": how,
        },
        body,
    )


_TABLE = """<html><head><style>td { color: #333 }</style></head><body><table>
<tr><td>From</td><td><b>John&nbsp;Smith</b> (305) 555-0100</td></tr>
<tr><td>To</td><td>(858) 258-5090 Ext. 101</td></tr>
<tr><td>Received</td><td>Tuesday, March 3, 2026 at 10:04 AM</td></tr>
<tr><td>Length</td><td>00:42</td></tr></table>
<p>&ldquo;Hi, this is about my quillwort, please call me.&rdquo;</p>
<p>Questions? Call our support at (888) 555-0199.</p></body></html>"""

CALL_SAMPLES = (
    Sample(
        "a plain missed call",
        notice(
            "Missed call from +1 305 555 0100",
            "You missed a call.\n\nCaller ID: WIRELESS CALLER\nPhone: +1 305-555-0100\n"
            "Called: (858) 258-5090\nDate: Tue, 3 Mar 2026 10:04:11 -0500\n",
        ),
        "+13055550100",
        words="You missed a call.",
    ),
    Sample(
        "a sentence with both numbers",
        notice(
            "Missed call to (858) 258-5090",
            "You have a missed call to (858) 258-5090 from (305) 555-0100 at 10:04 AM.",
        ),
        "+13055550100",
    ),
    Sample(
        "a voicemail in an HTML table",
        notice("New voice message", _TABLE, kind="text/html"),
        "+13055550100",
        "John Smith",
        words="quillwort",
    ),
    Sample(
        "quoted-printable, with the number on a line of its own",
        notice(
            "New Voicemail Message",
            "Hello,\n\nYou received a voicemail from\n(305) 555-0100\n\nTranscription: “Soy Ana — "
            "zebrafinch, por favor llámeme.” To listen, sign in to your account. Reply to this "
            "address and nobody reads it, because it is a machine's.\n",
            how="quoted-printable",
        ),
        "+13055550100",
        words="por favor llámeme",
    ),
    Sample(
        "the clinic's own number called a telephone too",
        notice("Missed call", "Phone: (858) 258-5090\nPhone: (305) 555-0100\n"),
        "+13055550100",
    ),
    Sample(
        "Spanish, Costa Rica",
        notice(
            "Llamada perdida de 8888-1234",
            "Tiene una llamada perdida.\n\nNúmero: 8888-1234\nNombre: José Núñez\n"
            "Fecha: 03/03/2026 09:04\nDuración: 20260303\n",
            how="base64",
        ),
        "+50688881234",
        "José Núñez",
    ),
    Sample(
        "lines that look like a quoted mail's header",
        notice(
            "Voicemail",
            "Mailbox 101 has a message.\nFrom: 305-555-0100\nDate: Tuesday\n\nPlease call me.",
        ),
        "+13055550100",
        words="Please call me.",
    ),
    Sample("a caller who hides", notice("Missed call from Anonymous", "Caller: Restricted")),
    Sample(
        "two callers in one mail",
        notice("2 missed calls", "From: (305) 555-0100\nFrom: (305) 555-0123\n"),
    ),
    Sample(
        "only the clinic's own number and a date",
        notice("Missed call", "Your line (858) 258-5090 rang on 20260303, ticket 8888 1234."),
    ),
)

CHAT_SAMPLES = (
    Sample(
        "an offline message",
        notice(
            "New message from John Smith",
            "A message was left while you were away.\n\nName: John Smith\n"
            "Email: John.Smith@mail.example\nPhone: (305) 555-0100\n"
            "Message: Is it safe with lupus?\n\n--\nSent by noreply@chatservice.example\n",
            CHATS,
        ),
        "+13055550100",
        "John Smith",
        "John.Smith@mail.example",
        "Is it safe with lupus?",
    ),
    Sample(
        "a transcript in HTML",
        notice(
            "Chat transcript",
            "<p><b>Visitor name:</b> María José<br><b>E-mail:</b> "
            "<a href='mailto:mj@correo.example'>mj@correo.example</a></p>"
            "<div>[10:01] María José: ¿Cuánto cuesta?</div><div>[10:02] Bot: One moment</div>",
            CHATS,
            "text/html",
        ),
        None,
        "María José",
        "mj@correo.example",
        "¿Cuánto cuesta?",
    ),
    Sample(
        "Spanish labels",
        notice(
            "Nuevo chat",
            "Nombre: Rosa Solís\nCorreo electrónico: rosa@correo.example\nTeléfono: 2255 0134\n",
            CHATS,
            how="quoted-printable",
        ),
        "+50622550134",
        "Rosa Solís",
        "rosa@correo.example",
    ),
    Sample(
        "nobody left an address",
        notice("Chat transcript", "Visitor: V1234\n[10:01] Visitor: hello?\nEmail: none", CHATS),
        words="hello?",
    ),
)
