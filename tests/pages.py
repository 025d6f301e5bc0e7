"""A page as a browser would read it, for tests that look at it without one."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser

_EMPTY = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr")
)
_MAY_STAY_OPEN = frozenset(
    ("p", "li", "dt", "dd", "option", "tr", "td", "th", "thead", "tbody", "tfoot", "html")
)
_LABELLED = ("input", "select", "textarea")
_NEEDS_NO_LABEL = ("hidden", "submit", "button", "image", "reset")
_EVENTS = re.compile(r"on[a-z]+")


@dataclass
class Element:
    """One element: its name, attributes, the text in it, and where it stands."""

    name: str
    attributes: dict[str, str]
    parent: "Element | None" = None
    children: list["Element"] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join("".join(self.pieces).split())

    def get(self, name: str) -> str:
        return self.attributes.get(name, "")

    def find(self, name: str, /, **attributes: str) -> list["Element"]:
        """All elements below with this name and these attributes (``class_`` holds a word)."""
        return [
            element
            for element in self.all()
            if element is not self
            and name in ("", element.name)
            and all(element.has(key.rstrip("_"), value) for key, value in attributes.items())
        ]

    def has(self, key: str, value: str) -> bool:
        given = self.attributes.get(key)
        return given is not None and (value in given.split() if key == "class" else given == value)

    def all(self) -> list["Element"]:
        found = [self]
        for child in self.children:
            found += child.all()
        return found

    def is_within(self, name: str) -> bool:
        element = self.parent
        while element is not None:
            if element.name == name:
                return True
            element = element.parent
        return False


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("document", {})
        self.problems: list[str] = []
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if len({name for name, _ in attrs}) != len(attrs):
            self.problems.append(f"<{tag}> has an attribute twice")
        element = Element(tag, {name: value or "" for name, value in attrs}, self._open[-1])
        self._open[-1].children.append(element)
        # A word that may be broken there is one word.
        for opened in self._open if tag != "wbr" else ():
            opened.pieces.append(" ")
        if tag not in _EMPTY:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _EMPTY:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag in _EMPTY:
            return
        names = [element.name for element in self._open]
        if tag not in names:
            self.problems.append(f"</{tag}> closes nothing")
            return
        while self._open[-1].name != tag:
            left_open = self._open.pop()
            if left_open.name not in _MAY_STAY_OPEN:
                self.problems.append(f"<{left_open.name}> is not closed before </{tag}>")
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open[-1].name in ("script", "style"):
            self._open[-1].pieces.append(data)
            return
        for opened in self._open:
            opened.pieces.append(data)


class Page(Element):
    """A whole page. ``problems`` is what every page of ours must not have."""

    def __init__(self, markup: str) -> None:
        builder = _Builder()
        builder.feed(markup)
        builder.close()
        super().__init__("document", {}, None, builder.root.children, builder.root.pieces)
        self.markup = markup
        self._problems = builder.problems

    @property
    def is_whole(self) -> bool:
        """False for a fragment that another page takes in."""
        return "<html" in self.markup.lower()

    @property
    def title(self) -> str:
        titles = self.find("title")
        return titles[0].text if titles else ""

    @property
    def heading(self) -> str:
        headings = self.find("h1")
        return headings[0].text if headings else ""

    @property
    def language(self) -> str:
        return next((element.get("lang") for element in self.find("html")), "")

    @property
    def main_text(self) -> str:
        mains = self.find("main")
        return mains[0].text if mains else self.text

    @property
    def links(self) -> list[str]:
        return [element.get("href") for element in self.find("a") if element.get("href")]

    def link(self, text: str) -> str:
        """Where the link with these words in it goes."""
        for element in self.find("a"):
            if text in element.text:
                return element.get("href")
        raise AssertionError(f"no link says {text!r}: {[a.text for a in self.find('a')]}")

    def form(self, action: str = "") -> dict[str, list[str]]:
        """What a browser would post of the form whose action ends so, as it stands."""
        form = self.form_element(action)
        fields = fields_of(form.all())
        if form.get("id"):
            # What stands elsewhere and names the form is posted with it.
            for name, values in fields_of(self.find("", form=form.get("id"))).items():
                fields.setdefault(name, []).extend(values)
        return fields

    def form_element(self, action: str = "") -> Element:
        forms = [form for form in self.find("form") if form.get("action").endswith(action)]
        posts = [form for form in forms if form.get("method").lower() == "post"] or forms
        assert posts, f"no form goes to {action!r}"
        return posts[0]

    def problems(self) -> list[str]:
        """What breaks the house's rules for a page; empty where all is well."""
        found = list(self._problems)
        found += self._structure() if self.is_whole else []
        found += self._inline_code()
        found += self._references()
        found += self._unlabelled()
        found += self._empty_posts()
        return found

    def _structure(self) -> list[str]:
        found = []
        if not re.fullmatch(r"[a-z]{2}(-[A-Z]{2})?", self.language):
            found.append("<html> says no language")
        if len(self.find("h1")) != 1:
            found.append(f"{len(self.find('h1'))} <h1> in place of one")
        if not self.title:
            found.append("no <title>")
        if len(self.find("main")) != 1:
            found.append("not exactly one <main>")
        if not self.find("meta", name="viewport"):
            found.append("no viewport")
        return found

    def _inline_code(self) -> list[str]:
        found = []
        for element in self.all():
            kind = element.get("type")
            is_code = kind not in ("application/json", "application/ld+json")
            if element.name == "script" and is_code and not element.get("src"):
                found.append("an inline <script>")
            if element.name == "style" or "style" in element.attributes:
                found.append(f"an inline style on <{element.name}>")
            found += [
                f"{name} on <{element.name}>"
                for name in element.attributes
                if _EVENTS.fullmatch(name)
            ]
            target = (element.get("src") or element.get("href")).strip().lower()
            if target.startswith(("javascript:", "data:text")):
                found.append(f"a {target.split(':')[0]}: address on <{element.name}>")
            if element.name in ("script", "img", "link", "iframe", "source") and re.match(
                r"(https?:)?//", target
            ):
                found.append(f"<{element.name}> from elsewhere: {target}")
        return found

    def _references(self) -> list[str]:
        names = [element.get("id") for element in self.all() if element.get("id")]
        found = [f"the id {name!r} stands twice" for name in set(names) if names.count(name) > 1]
        if not self.is_whole:
            return found
        for element in self.all():
            for attribute in ("for", "aria-describedby", "aria-labelledby", "aria-controls"):
                for name in element.get(attribute).split():
                    if name not in names:
                        found.append(f'{attribute}="{name}" on <{element.name}> leads nowhere')
        return found

    def _unlabelled(self) -> list[str]:
        labelled = {label.get("for") for label in self.find("label")}
        found = []
        for element in self.all():
            if element.name not in _LABELLED or element.get("type") in _NEEDS_NO_LABEL:
                continue
            if element.get("id") in labelled or element.is_within("label"):
                continue
            if element.get("aria-label") or element.get("aria-labelledby"):
                continue
            found.append(f"<{element.name} name={element.get('name')!r}> has no label")
        return found

    def _empty_posts(self) -> list[str]:
        # Browsers of text alone send a form without any field by GET.
        return [
            f"the form to {form.get('action')} posts no field"
            for form in self.find("form")
            if form.get("method").lower() == "post" and not fields_of(form.all())
        ]


def fields_of(elements: Sequence[Element]) -> dict[str, list[str]]:
    """What a browser would post of these, untouched: names and values."""
    fields: dict[str, list[str]] = {}
    for element in elements:
        name, kind = element.get("name"), element.get("type")
        if not name or "disabled" in element.attributes:
            continue
        if element.name == "input" and kind not in ("submit", "button", "image", "file"):
            if kind not in ("checkbox", "radio"):
                fields.setdefault(name, []).append(element.get("value"))
            elif "checked" in element.attributes:
                fields.setdefault(name, []).append(element.get("value") or "on")
        elif element.name == "textarea":
            fields.setdefault(name, []).append("".join(element.pieces).removeprefix("\n"))
        elif element.name == "select":
            fields.setdefault(name, []).extend(_chosen(element))
    return fields


def _chosen(select: Element) -> list[str]:
    options = select.find("option")
    chosen = [option for option in options if "selected" in option.attributes]
    if not chosen and "multiple" not in select.attributes:
        chosen = options[:1]
    return [option.attributes.get("value", option.text) for option in chosen]
