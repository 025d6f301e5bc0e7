"""The part of Markdown that our texts use, as a small tree that each medium draws itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token


@dataclass(frozen=True)
class Inline:
    """A run of words: ``text``, ``break``, or ``strong``, ``em``, ``link`` around others."""

    kind: str
    text: str = ""
    target: str = ""
    inside: tuple["Inline", ...] = ()

    @property
    def words(self) -> str:
        """The words alone."""
        if self.kind == "break":
            return " "
        return self.text + "".join(piece.words for piece in self.inside)


@dataclass(frozen=True)
class Block:
    """``heading`` with its level, ``paragraph``, ``quote``, ``bullets``, ``numbers``, ``item``."""

    kind: str
    level: int = 0
    line: tuple[Inline, ...] = ()
    blocks: tuple["Block", ...] = ()

    @property
    def only_link(self) -> Inline | None:
        """The link, if this is a paragraph of one link and nothing else."""
        if self.kind == "paragraph" and len(self.line) == 1 and self.line[0].kind == "link":
            return self.line[0]
        return None


def read_markdown(text: str) -> tuple[Block, ...]:
    """The blocks of a text. HTML, images, code and tables stay the characters they are."""
    tokens = iter(_parser().parse(text))
    return tuple(_blocks(tokens, closing=""))


def as_plain(value: tuple[Block, ...] | tuple[Inline, ...]) -> list[dict[str, Any]]:
    """The same tree as lists and dictionaries, for JSON."""
    return [
        {
            "kind": node.kind,
            "level": node.level,
            "line": as_plain(node.line),
            "blocks": as_plain(node.blocks),
        }
        if isinstance(node, Block)
        else {
            "kind": node.kind,
            "text": node.text,
            "target": node.target,
            "inside": as_plain(node.inside),
        }
        for node in value
    ]


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "typographer": True})
    return parser.enable("smartquotes").disable(
        ["html_block", "html_inline", "image", "code", "fence", "backticks", "hr", "autolink"]
    )


_CONTAINERS = {
    "blockquote_open": "quote",
    "bullet_list_open": "bullets",
    "ordered_list_open": "numbers",
    "list_item_open": "item",
}
_SPANS = {"strong_open": "strong", "em_open": "em", "link_open": "link"}


def _blocks(tokens: Iterator[Token], closing: str) -> Iterator[Block]:
    for token in tokens:
        if token.type == closing:
            return
        if token.type in _CONTAINERS:
            end = token.type.replace("_open", "_close")
            yield Block(_CONTAINERS[token.type], blocks=tuple(_blocks(tokens, end)))
        elif token.type in ("paragraph_open", "heading_open"):
            level = int(token.tag[1:]) if token.type == "heading_open" else 0
            line = tuple(_inlines(iter(next(tokens).children or ()), closing=""))
            yield Block("heading" if level else "paragraph", level=level, line=line)


def _inlines(tokens: Iterator[Token], closing: str) -> Iterator[Inline]:
    for token in tokens:
        if token.type == closing:
            return
        if token.type in _SPANS:
            end = token.type.replace("_open", "_close")
            inside = tuple(_inlines(tokens, end))
            target = str(token.attrs.get("href", ""))
            yield Inline(_SPANS[token.type], target=target, inside=inside)
        elif token.type == "hardbreak":
            yield Inline("break")
        elif token.type == "softbreak":
            yield Inline("text", text=" ")
        elif token.content:
            yield Inline("text", text=token.content)
