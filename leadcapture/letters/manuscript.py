"""A text as it is kept: front matter, what staff may edit, and the block that nobody may."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

# A built wheel carries the templates inside the package; a checkout has them beside it.
_PACKAGE = Path(__file__).resolve().parent.parent
SHELF = next(
    (
        shelf
        for shelf in (_PACKAGE / "templates/letters", _PACKAGE.parent / "templates/letters")
        if shelf.is_dir()
    ),
    _PACKAGE / "templates/letters",
)

LANGUAGES = ("en", "es")
PACKET = "packet"
LONGEST_SUBJECT = 150

_RULE = "---"
_FIXED_MARK = "<!-- fixed: what follows is the same in every text of this kind -->"
_FIELDS = ("layout", "subject", "preview", "title", "summary")
_FIXED_BLOCKS = {
    PACKET: "packet",
    "staff_alert": "staff",
    "staff_uncertain": "staff",
    "staff_answer": "staff",
    "staff_due": "staff",
    "staff_late": "staff",
    "staff_task": "staff",
    "staff_cover": "staff",
    "staff_watched": "staff",
}


class BadManuscript(ValueError):
    """A text whose front matter cannot be read, or that lacks a field its kind needs."""


@dataclass(frozen=True)
class Manuscript:
    """One text, taken apart. ``body`` and ``fixed`` are Markdown with placeholders.

    ``layout`` numbers the design it is set in: a design that has been used is never changed,
    so that a letter retried after an upgrade is still the same letter.
    """

    layout: int
    subject: str
    preview: str
    title: str
    summary: str
    body: str
    fixed: str

    @classmethod
    def read(cls, text: str) -> "Manuscript":
        """Take a text apart; raises ``BadManuscript``."""
        head, rule, rest = text.removeprefix(_RULE + "\n").partition(f"\n{_RULE}\n")
        if not text.startswith(_RULE + "\n") or not rule:
            raise BadManuscript("the text does not begin with its front matter")
        fields = dict.fromkeys(_FIELDS, "")
        for line in head.split("\n"):
            name, colon, value = line.partition(":")
            if not colon or name not in fields:
                raise BadManuscript(f"unknown line in the front matter: {line[:40]!r}")
            fields[name] = value.strip()
        if not fields["subject"] or not fields["layout"].isdigit():
            raise BadManuscript("the front matter needs a subject and a layout number")
        if len(fields["subject"]) > LONGEST_SUBJECT or not fields["subject"].isprintable():
            raise BadManuscript("the subject is one line of at most 150 characters")
        body, _, fixed = rest.partition(_FIXED_MARK)
        return cls(
            layout=int(fields["layout"]),
            subject=fields["subject"],
            preview=fields["preview"],
            title=fields["title"],
            summary=fields["summary"],
            body=body.strip(),
            fixed=fixed.strip(),
        )


def finish(source: str, kind: str, language: str) -> str:
    """The text as it is kept: the source with the fixed block of its kind at its end.

    Whatever fixed block the source came with is replaced, so that it cannot be edited away.
    """
    own, _, _ = source.replace("\r\n", "\n").partition(_FIXED_MARK)
    return f"{own.strip()}\n\n{_FIXED_MARK}\n\n{fixed_block(kind, language)}\n"


@cache
def fixed_block(kind: str, language: str) -> str:
    """What every text of this kind must say: the packet's disclaimer, a letter's foot."""
    name = _FIXED_BLOCKS.get(kind, "patient")
    return (SHELF / "fixed" / f"{name}.{language}.md").read_text("utf-8").strip()


@cache
def layout(name: str) -> str:
    """The design with this name (``letter-1.mjml``, ``packet-1.typ``)."""
    return (SHELF / "layout" / name).read_text("utf-8")
