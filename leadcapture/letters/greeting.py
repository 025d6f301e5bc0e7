"""How a letter addresses a person whose name nobody has checked."""

import unicodedata

LONGEST = 30

_NAMED = {"en": "Hello {name},", "es": "Hola, {name}:"}
_STANDING_IN = {
    "en": "{name} is away, and you stand in.",
    "es": "{name} está fuera y usted suple.",
}
_NAMELESS = {"en": "Hello,", "es": "Hola:"}
_APOSTROPHES = "'’ʼ"
_HYPHENS = "-‐‑"


def first_name(full_name: str) -> str:
    """The first name, if the whole name is made of nothing but what names are made of; else "".

    Whoever fills in the form chooses where the letter goes, so the name is the one thing of
    theirs that a stranger could be made to read: no digit, dot, slash, control or symbol.
    """
    name = unicodedata.normalize("NFC", full_name).strip(" ")
    if len(name) > 200 or not all(map(_belongs_in_a_name, name)):
        return ""
    first = name.split(" ", 1)[0]
    letters = sum(unicodedata.category(character)[0] == "L" for character in first)
    # More marks than letters is a tower of accents, not a name.
    if not 1 <= len(first) <= LONGEST or len(first) > 2 * letters:
        return ""
    if not first[0].isalpha() or first.casefold().startswith(("www", "http")):
        return ""
    return first


def greeting(full_name: str, language: str) -> str:
    """The first line of a letter, with the first name where it is safe to repeat it."""
    name = first_name(full_name)
    return _NAMED[language].format(name=name) if name else _NAMELESS[language]


def standing_in(colleague: str, language: str) -> str:
    """The first line of a letter to who does for a colleague what is due."""
    return _STANDING_IN[language].format(name=colleague)


def is_greeting(line: str) -> bool:
    """True for what `greeting` writes, in whichever language: with a name that is safe or none."""
    if line in _NAMELESS.values():
        return True
    for form in _NAMED.values():
        before, after = form.split("{name}")
        if line.startswith(before) and line.endswith(after):
            name = line.removeprefix(before).removesuffix(after)
            return name != "" and first_name(name) == name
    return False


def _belongs_in_a_name(character: str) -> bool:
    if character == " " or character in _HYPHENS or character in _APOSTROPHES:
        return True
    return unicodedata.category(character)[0] in "LM"
