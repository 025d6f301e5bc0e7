"""Pages speak English and Spanish: chosen by link, else by the browser; and every word of both."""

import ast
import gettext
import re
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.pofile import read_po

import leadcapture
from leadcapture.intake.consent_texts import TEXTS, current_text, find_text, text_read_aloud
from leadcapture.models import ConsentKind
from leadcapture.web import templates_folder
from tests.visitors import Visitor

PACKAGE = Path(leadcapture.__file__).parent
SPANISH = PACKAGE / "translations" / "es" / "LC_MESSAGES" / "messages.po"


@pytest.mark.parametrize(
    ("path", "accepted", "language"),
    [
        ("/", "", "en"),
        ("/", "es-MX,es;q=0.9,en;q=0.5", "es"),
        ("/", "fr,de;q=0.8", "en"),
        ("/", "fr,es;q=0.3", "es"),
        ("/", ";;q=x,,*", "en"),
        ("/en", "es", "en"),
        ("/es", "en", "es"),
        ("/?lang=es", "en", "es"),
        ("/?lang=xx", "es", "es"),
    ],
)
def test_the_language_is_chosen_by_link_else_by_the_browser(
    client: Visitor, path: str, accepted: str, language: str
) -> None:
    """AX-09."""
    page = client.page(path, headers={"Accept-Language": accepted})

    assert page.language == language
    assert page.form_element("").get("action") == f"/{language}"


def test_one_link_changes_the_language(client: Visitor) -> None:
    spanish = client.page(client.page("/en").link("Español"))

    assert spanish.language == "es"
    assert spanish.heading == "Pida su paquete informativo"
    assert client.page(spanish.link("English")).language == "en"


def test_an_error_keeps_the_language_of_the_page(client: Visitor) -> None:
    response = client.post("/es", data={}, headers={"Accept-Language": "en"})

    assert '<html lang="es"' in response.text


@pytest.fixture(scope="module")
def words() -> Catalog:
    """Every word of ours that can be translated, as it stands in code and templates now."""
    methods = [("**.py", "python"), ("**.html", "jinja2")]
    keywords = {**DEFAULT_KEYWORDS, "lazy_gettext": None}
    catalog = Catalog()
    for folder in (PACKAGE, templates_folder()):
        for _file, _line, text, _comments, _context in extract_from_dir(
            folder, methods, keywords=keywords
        ):
            catalog.add(text)
    return catalog


@pytest.fixture(scope="module")
def spanish() -> Catalog:
    with SPANISH.open("rb") as file:
        return read_po(file, locale="es")


def test_no_word_stands_where_it_is_not_found() -> None:
    """Inside an f-string, where those who look for words to translate do not look."""
    hidden = [
        f"{file.name}:{call.lineno}"
        for file in PACKAGE.rglob("*.py")
        for string in ast.walk(ast.parse(file.read_text()))
        if isinstance(string, ast.JoinedStr)
        for call in ast.walk(string)
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") in ("_", *DEFAULT_KEYWORDS)
    ]
    assert not hidden


def test_every_word_has_its_spanish(words: Catalog, spanish: Catalog) -> None:
    untranslated = []
    for message in words:
        if not message.id:
            continue
        found = spanish.get(message.id)
        strings = found.string if found else ""
        if not strings or (isinstance(strings, tuple) and not all(strings)):
            untranslated.append(message.id)

    assert not untranslated
    assert not [message.id for message in spanish if message.id and message.fuzzy]


def test_no_spanish_is_left_over(words: Catalog, spanish: Catalog) -> None:
    assert not [message.id for message in spanish if message.id and message.id not in words]


def test_placeholders_are_the_same_in_both_languages(spanish: Catalog) -> None:
    def names(text: str) -> set[str]:
        return set(re.findall(r"%\((\w+)\)", text))

    for message in spanish:
        if isinstance(message.id, str) and message.id:
            assert names(message.id) == names(str(message.string)), message.id
        elif isinstance(message.id, tuple):
            assert all(names(text) == names(message.id[1]) for text in message.string or ()), (
                message.id
            )


def test_spanish_has_its_own_quotation_marks(spanish: Catalog) -> None:
    """«So», on all pages alike."""
    said = [str(message.string) for message in spanish if message.id]
    assert not [text for text in said if set(text) & set("“”")]


def test_a_number_of_four_signs_reads_alike_in_both_languages(client: Visitor) -> None:
    assert "Up to 5000 characters" in client.page("/en").text
    assert "Hasta 5000 caracteres" in client.page("/es").text


def test_the_compiled_words_are_those_of_the_source(spanish: Catalog) -> None:
    with SPANISH.with_suffix(".mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)

    for message in spanish:
        if isinstance(message.id, str) and message.id:
            assert compiled.gettext(message.id) == message.string


def test_each_consent_stands_in_both_languages_and_never_changes() -> None:
    """PR-03: a text that people agreed to keeps its words; a new wording is a new version."""
    hashes = {(text.version, text.language): text.sha256[:12] for text in TEXTS}

    assert hashes == {
        ("health-1", "en"): "019c6c2722e3",
        ("health-1", "es"): "cf8305379334",
        ("follow-ups-1", "en"): "17e60b3e90bf",
        ("follow-ups-1", "es"): "8af62ec4ec10",
        ("health-aloud-1", "en"): "03ae10c7541e",
        ("health-aloud-1", "es"): "212d83d32dc7",
    }
    for kind in ConsentKind:
        for language in ("en", "es"):
            text = current_text(kind, language)
            assert find_text(kind, text.version, language) is text


def test_the_health_consent_tells_the_risk_of_ordinary_mail() -> None:
    """PR-03."""
    assert "not encrypted" in current_text(ConsentKind.HEALTH, "en").text
    assert "no va cifrado" in current_text(ConsentKind.HEALTH, "es").text
    assert "not encrypted" in text_read_aloud("en").text
    assert "no va cifrado" in text_read_aloud("es").text
