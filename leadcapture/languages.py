"""Languages: which one a page speaks, and what every template knows of the clinic and of it."""

from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import Any

from babel.support import NullTranslations
from flask import Flask, current_app, g, request, url_for
from flask_babel import Babel, Domain, get_locale, get_translations, refresh
from flask_login import current_user
from markupsafe import Markup
from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from leadcapture.web import LANGUAGES, settings

DEFAULT = "en"

_WORDS = "leadcapture.words"

_FORM = "public.request_form"
_FORM_POST = "public.receive_request"


class Catalogues(Domain):  # type: ignore[misc]
    """The catalogues of our languages, each found by its code alone.

    A page asks for its catalogue with every word, and flask_babel would spell out the locale's
    whole name each time.
    """

    def __init__(self, domain: str) -> None:
        super().__init__(domain=domain)
        self._by_language: dict[str, NullTranslations] = {}

    def get_translations(self) -> NullTranslations:
        """The catalogue of the language spoken here; an empty one outside of any page."""
        locale = get_locale()
        language = locale.language if locale else ""
        if language not in self._by_language:
            self._by_language[language] = super().get_translations()
        return self._by_language[language]


class Words(dict[str, Markup]):
    """Words of the templates in one language, each looked up once.

    Jinja's own way to a word leads through four calls and makes it anew each time; a page of the
    desk has some hundreds of them.
    """

    def __init__(self, catalogue: NullTranslations) -> None:
        self.catalogue = catalogue

    def __missing__(self, word: str) -> Markup:
        # A template's word is a format even where nothing is put into it: "%%" is one sign.
        told = self[word] = self.told(word, {})
        return told

    def told(self, word: str, variables: Mapping[str, Any]) -> Markup:
        """The word with its variables, these escaped."""
        # Words of ours, from the catalogue.
        return Markup(self.catalogue.ugettext(word)) % variables  # noqa: S704


class OurBabel(Babel):  # type: ignore[misc]
    """flask_babel with our catalogues."""

    @cached_property
    def domain_instance(self) -> Catalogues:
        """The domain that every word of a page is looked up in."""
        return Catalogues(self.domain)


def register(app: Flask) -> None:
    """Let pages be translated, and tell templates who we are."""
    OurBabel(app, default_locale=DEFAULT, locale_selector=page_language)
    app.jinja_env.install_gettext_callables(  # type: ignore[attr-defined]
        lambda word: _spoken().catalogue.ugettext(word),
        lambda one, many, number: _spoken().catalogue.ungettext(one, many, number),
        newstyle=True,
    )
    app.jinja_env.globals.update(_=_told, gettext=_told)
    app.extensions[_WORDS] = {}
    app.context_processor(_known_to_templates)


def speak(language: str) -> str:
    """Make the rest of this request speak ``language``, if we do; what is spoken then."""
    if language in LANGUAGES:
        g.language = language
        g.pop("for_language", None)
        refresh()
    return page_language()


def found_for_language() -> dict[str, Any]:
    """What was found once for the language of this page; another language begins anew."""
    found: dict[str, Any] | None = g.get("for_language")
    if found is None:
        found = g.for_language = {}
    return found


def _told(word: str, **variables: Any) -> Markup:
    words = _spoken()
    return words.told(word, variables) if variables else words[word]


def _spoken() -> Words:
    """The words of the language that the page being made speaks."""
    found = found_for_language()
    if _WORDS not in found:
        kept: dict[NullTranslations, Words] = current_app.extensions[_WORDS]
        catalogue = get_translations()
        if catalogue not in kept:
            kept[catalogue] = Words(catalogue)
        found[_WORDS] = kept[catalogue]
    words: Words = found[_WORDS]
    return words


def page_language() -> str:
    """The page's language: chosen by link, else the staff member's, else the browser's."""
    if "language" in g:
        return str(g.language)
    chosen = (request.view_args or {}).get("language") or request.args.get("lang", "")
    return next(
        (language for language in (chosen, _of_staff()) if language in LANGUAGES),
        preferred_language(request.headers.get("Accept-Language", "")),
    )


@lru_cache(maxsize=512)
def preferred_language(accepted: str) -> str:
    """The language of ours that an Accept-Language header (RFC 9110, 12.5.4) asks for most."""
    languages = parse_accept_header(accepted[:200], LanguageAccept)
    return languages.best_match(list(LANGUAGES)) or DEFAULT


def _of_staff() -> str:
    # Pages for patients never look for a session: they would set a cookie to keep it. A mistyped
    # address belongs to no blueprint, but its beginning tells whose it is.
    if request.blueprint in (None, "public") and not request.path.startswith("/desk/"):
        return ""
    return str(getattr(current_user, "language", ""))


def _known_to_templates() -> dict[str, Any]:
    return {
        "clinic": settings().clinic,
        "locale": page_language(),
        "language_links": _links(),
    }


def _links() -> list[dict[str, Any]]:
    """This page in each language; none where the page is an answer that no link can repeat."""
    rule = request.url_rule
    if rule is not None and "GET" not in (rule.methods or ()) and request.endpoint != _FORM_POST:
        return []
    spoken = page_language()
    return [
        {"code": code, "name": name, "href": _same_page(code), "is_current": code == spoken}
        for code, name in LANGUAGES.items()
    ]


def _same_page(language: str) -> str:
    # The address as it was asked for could lead elsewhere ("//evil.example"): it is never used.
    if request.endpoint in (None, "static", _FORM, _FORM_POST):
        return url_for(_FORM, language=language)
    return url_for(request.endpoint, **{**(request.view_args or {}), "lang": language})
