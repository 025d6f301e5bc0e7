"""The words of a mail: its text, or its HTML as text, without the original that it quotes."""

import re
import unicodedata
from email.message import Message as Parsed
from html import unescape

import nh3

LONGEST = 20_000
_LONGEST_HTML = 100_000

_INVISIBLE = {"script", "style", "title", "template", "svg"}
_LINES = {
    *("p", "div", "br", "hr", "pre", "blockquote", "h1", "h2", "h3", "h4"),
    *("ul", "ol", "li", "table", "tr", "td", "th"),
}
_TAG = re.compile(r"(</?[a-z0-9]+>)")
_CONTROLS = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u2028\\u2029\\u202a-\\u202e\\u2066-\\u2069]"
)

# "On … wrote:", in one line or two, in the languages of ours and of our neighbours' programs.
_ATTRIBUTION = re.compile(
    r"^[ \t>]*(On|El|Em|Le|Am|Il)\b[^\n]{5,200}(\n[^\n]{0,150})?"
    r"\b(wrote|escribió|escreveu|a écrit|schrieb|ha scritto)\s*:[ \t]*$",
    re.MULTILINE,
)
_ORIGINAL = re.compile(
    r"^[ \t]*(-{2,}\s*(Original Message|Mensaje original|Forwarded message|Mensaje reenviado)"
    r"\s*-{2,}|_{20,})[ \t]*$"
    r"|^[ \t]*\**(From|De):\**[^\n]+\n(\**(Sent|Date|Enviado|Enviado el|Fecha):\**[^\n]+\n)",
    re.MULTILINE | re.IGNORECASE,
)
_SIGNATURE = re.compile(
    r"^(-- ?|Sent from my [^\n]{1,60}|Enviado desde (mi|Outlook)[^\n]{0,60}"
    r"|Get Outlook for [^\n]{1,40}|Sent from (Yahoo|Outlook|Mail)[^\n]{0,60})$",
    re.MULTILINE | re.IGNORECASE,
)
_STOP_WORDS = frozenset(
    {
        *("stop", "stop please", "please stop", "stop it", "unsubscribe", "unsubscribe me"),
        *("please unsubscribe", "please unsubscribe me", "remove", "remove me", "opt out"),
        *("please remove me", "optout", "no more emails", "no more mail", "stop emails"),
        *("stop emailing me", "take me off your list", "baja", "dar de baja", "darme de baja"),
        *("deme de baja", "denme de baja", "baja por favor", "por favor darme de baja"),
        *("alto", "parar", "pare", "paren", "no mas correos", "no mas cartas", "desuscribir"),
        *("desuscribirme", "cancelar suscripcion", "cancelar la suscripcion", "basta"),
        *("detener", "quitarme de la lista", "eliminarme de la lista", "no mas mensajes"),
    }
)
_REPLY_MARK = re.compile(r"^((re|rv|fw|fwd|aw|res|r)\s*:\s*)+", re.IGNORECASE)


def body_of(parsed: Parsed) -> str:
    """The mail's own text: its first plain part that says anything, else its first HTML part."""
    plain, html = "", ""
    for part in parsed.walk():
        kind = part.get_content_type()
        if part.is_multipart() or part.get_content_disposition() == "attachment":
            continue
        if kind == "text/plain" and not plain.strip():
            plain = _decoded(part)
        elif kind == "text/html" and not html:
            html = html_to_text(_decoded(part))
    return plain if plain.strip() else html


def own_words(text: str) -> str:
    """What the writer wrote: without quoted lines and below a quoted original nothing.

    Where nothing would be left, everything is: somebody may have answered between the lines.
    At most 20,000 characters.
    """
    text = _printable(text[: LONGEST * 5])
    found = _ORIGINAL.search(text)
    above = text[: found.start()] if found and text[: found.start()].strip() else text
    above = _ATTRIBUTION.sub("", above)
    kept = [line.rstrip() for line in above.split("\n") if not line.lstrip().startswith(">")]
    own = re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()
    return (own or text.strip())[:LONGEST]


def all_words(text: str) -> str:
    """All of the text, quoted or not; at most 20,000 characters."""
    return _printable(text[: LONGEST * 5]).strip()[:LONGEST]


def is_stop(subject: str, text: str) -> bool:
    """True where a word that asks for no more letters stands alone, in subject or text."""
    return _is_stop_word(_REPLY_MARK.sub("", subject)) or is_only_stop(text)


def is_only_stop(text: str) -> bool:
    """True where the text says nothing else, a telephone's signature aside."""
    found = _SIGNATURE.search(text)
    return _is_stop_word(text[: found.start()] if found else text)


def html_to_text(html: str) -> str:
    """What a reader would see of this HTML; what it quotes begins with ``>`` as in plain mail."""
    # ammonia first: Python's own parser takes minutes over hostile HTML of this size.
    clean = nh3.clean(
        html[:_LONGEST_HTML], tags=_LINES, attributes={}, clean_content_tags=_INVISIBLE
    )
    lines, quoted = [""], 0
    for piece in _TAG.split(clean):
        if not piece.startswith("<"):
            words = re.sub(r"\s+", " ", unescape(piece))
            is_first = quoted and words.strip() and not lines[-1]
            lines[-1] += "> " + words if is_first else words
            continue
        if lines[-1]:
            lines.append("")
        if "blockquote" in piece:
            quoted += -1 if piece.startswith("</") else 1
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.strip() for line in lines)).strip()


def _printable(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROLS.sub(" ", text).encode("utf-8", "replace").decode()


def _decoded(part: Parsed) -> str:
    content = part.get_payload(decode=True)
    if not isinstance(content, bytes):
        return ""
    try:
        return content.decode(part.get_content_charset() or "utf-8", "replace")
    except LookupError:
        return content.decode("utf-8", "replace")


def _is_stop_word(text: str) -> bool:
    plain = unicodedata.normalize("NFKD", text[:200].casefold())
    words = re.findall(r"[a-z]+", "".join(c for c in plain if not unicodedata.combining(c)))
    return len(text) < 200 and " ".join(words) in _STOP_WORDS
