"""A letter's words as mail: subject, text and HTML, made once a version, filled once a message."""

import hashlib
import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from string import Template

import mrml

from leadcapture.letters.manuscript import Manuscript, layout
from leadcapture.letters.markdown import Block, Inline, read_markdown
from leadcapture.letters.placeholders import (
    LINK_NAMES,
    UnknownPlaceholder,
    UnsafeLink,
    substitute,
    unknown_names,
)

_PLACEHOLDER = re.compile(r"\{\{[ \t]*(\w+)[ \t]*\}\}")
_LINK_WORDS = re.compile(r"(.+):\n\{\{ \w+_link \}\}")


@dataclass(frozen=True)
class Written:
    """A letter's words in one language: with placeholders still in them, or filled."""

    language: str
    subject: str
    text: str
    html: str

    def filled(self, values: Mapping[str, str]) -> "Written":
        """The same letter for one person; values are inert in the HTML and never read again."""
        return Written(
            language=self.language,
            subject=substitute(self.subject, values),
            text=substitute(self.text, values),
            html=substitute(self.html, values, html.escape),
        )


@lru_cache(maxsize=256)
def render(text: str, language: str) -> Written:
    """A kept text (see ``manuscript``) as mail, its placeholders still in place.

    Raises ``UnknownPlaceholder``, and ``UnsafeLink`` for a link that is not a placeholder.
    """
    if unknown := unknown_names(text):
        raise UnknownPlaceholder(", ".join(unknown))
    letter = Manuscript.read(text)
    # Neither Markdown nor MJML may touch a placeholder: within them it is a plain word.
    stand_in = f"zq{hashlib.sha256(text.encode()).hexdigest()[:12]}x"
    body = read_markdown(_PLACEHOLDER.sub(rf"{stand_in}\1", letter.body))
    foot = read_markdown(_PLACEHOLDER.sub(rf"{stand_in}\1", letter.fixed))
    medium = _Medium(stand_in)
    mjml = Template(layout(f"letter-{letter.layout}.mjml")).substitute(
        language=language,
        title=html.escape(letter.subject),
        preview=html.escape(letter.preview),
        body="".join(medium.section(block) for block in body),
        foot="".join(medium.section(block, small=True) for block in foot),
    )
    options = mrml.RenderOptions(disable_comments=True, fonts={})
    page = mrml.to_html(mjml, render_options=options).content
    text_part = f"{medium.plain(body)}\n\n-- \n{medium.plain(foot)}\n"
    return Written(
        language=language,
        subject=letter.subject,
        text=medium.restore(text_part),
        html=medium.restore(page),
    )


def first_screen(written: Written, preview: str) -> str:
    """What somebody beside the reader would see: the top of the letter and its links (PR-12)."""
    links = "\n".join(_LINK_WORDS.findall(written.text))
    return f"{written.subject}\n{preview}\n{written.text[:700]}\n{links}"


@dataclass(frozen=True)
class _Medium:
    """Draws blocks as MJML and as plain text."""

    stand_in: str

    def restore(self, drawn: str) -> str:
        """The placeholders put back where their stand-ins are."""
        return re.sub(rf"{self.stand_in}(\w+)", r"{{ \1 }}", drawn)

    def section(self, block: Block, small: bool = False) -> str:
        """One block as MJML; a link alone in the body is a button."""
        if (link := block.only_link) and not small:
            return f'<mj-button href="{self._target(link)}">{self._html(link.inside)}</mj-button>'
        kind = ' mj-class="foot" css-class="foot"' if small else ""
        return f"<mj-text{kind}>{self._element(block)}</mj-text>"

    def plain(self, blocks: tuple[Block, ...]) -> str:
        """Blocks as text that reads well without any markup."""
        return "\n\n".join(self._plain_block(block) for block in blocks)

    def _element(self, block: Block) -> str:
        if block.kind == "paragraph":
            return f"<p>{self._html(block.line)}</p>"
        if block.kind == "heading":
            return f"<h2>{self._html(block.line)}</h2>"
        inside = "".join(self._element(piece) for piece in block.blocks)
        tag = {"quote": "blockquote", "bullets": "ul", "numbers": "ol", "item": "li"}[block.kind]
        return f"<{tag}>{inside}</{tag}>"

    def _html(self, line: tuple[Inline, ...]) -> str:
        drawn = ""
        for piece in line:
            if piece.kind == "text":
                drawn += html.escape(piece.text)
            elif piece.kind == "break":
                drawn += "<br />"
            elif piece.kind == "link":
                drawn += f'<a href="{self._target(piece)}">{self._html(piece.inside)}</a>'
            else:
                drawn += f"<{piece.kind}>{self._html(piece.inside)}</{piece.kind}>"
        return drawn

    def _target(self, link: Inline) -> str:
        if link.target.removeprefix(self.stand_in) not in LINK_NAMES:
            raise UnsafeLink("a letter links only to {{ …_link }}")
        return link.target

    def _plain_block(self, block: Block) -> str:
        if block.kind in ("bullets", "numbers"):
            marks = [
                "- " if block.kind == "bullets" else f"{number}. "
                for number in range(1, len(block.blocks) + 1)
            ]
            return "\n".join(
                mark + self.plain(item.blocks).replace("\n", "\n" + " " * len(mark))
                for mark, item in zip(marks, block.blocks, strict=True)
            )
        if block.blocks:
            return self.plain(block.blocks)
        return self._plain_line(block.line)

    def _plain_line(self, line: tuple[Inline, ...]) -> str:
        drawn = ""
        for piece in line:
            if piece.kind == "break":
                drawn += "\n"
            elif piece.kind == "link":
                drawn += f"{self._plain_line(piece.inside)}:\n{self._target(piece)}"
            else:
                drawn += piece.text + self._plain_line(piece.inside)
        return drawn
