"""A packet as a tagged, accessible PDF: the same bytes for the same words, on any machine."""

import json

import typst

from leadcapture.letters.manuscript import Manuscript, layout
from leadcapture.letters.markdown import as_plain, read_markdown
from leadcapture.letters.placeholders import substitute
from leadcapture.settings import Clinic

_WORDS = {
    "en": {"title": "Information packet", "page": "Page", "of": "of", "call": "Call us:"},
    "es": {"title": "Paquete informativo", "page": "Página", "of": "de", "call": "Llámenos:"},
}
# A packet is typeset once, for everybody: it may only say who we are.
PACKET_NAMES = frozenset({"clinic_name", "clinic_phone", "postal_address"})

_FILENAMES = {"en": "information-packet", "es": "paquete-informativo"}


def typeset(packet: Manuscript, language: str, clinic: Clinic) -> bytes:
    """The packet as PDF/UA-1 (ISO 14289-1), its metadata neutral (PR-12)."""
    values = {
        "clinic_name": clinic.name,
        "clinic_phone": clinic.phone,
        "postal_address": clinic.postal_address,
    }
    # The words travel as JSON and are never read as Typst: there is nothing to escape.
    content = {
        "language": language,
        "words": _WORDS[language],
        "clinic": values,
        "title": substitute(packet.title, values),
        "summary": substitute(packet.summary, values),
        "body": as_plain(read_markdown(substitute(packet.body, values, _literally))),
        "fixed": as_plain(read_markdown(substitute(packet.fixed, values, _literally))),
    }
    # Only the fonts inside Typst: another machine's fonts would give other bytes.
    compiler = typst.Compiler(
        layout(f"packet-{packet.layout}.typ").encode(), ignore_system_fonts=True
    )
    pdf = compiler.compile(
        format="pdf",
        pdf_standards="ua-1",
        sys_inputs={"content": json.dumps(content)},
        timestamp=0,
    )
    if not isinstance(pdf, bytes):
        raise TypeError("typst gave no PDF")
    return pdf


def neutral_filename(language: str, position: int = 0, of: int = 1) -> str:
    """A file name that says nothing about the reader's health: numbered where there are several."""
    return f"{_FILENAMES[language]}{f'-{position + 1}' if of > 1 else ''}.pdf"


def _literally(value: str) -> str:
    """The value with Markdown's own characters made literal."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]()<>#+-.!|~&" else c for c in value)
