"""Languages: which one a page speaks, and what every template knows of the clinic and of it."""

from functools import cached_property, lru_cache
from typing import Any

from babel.support import NullTranslations
from flask import Flask, g, request, url_for
from flask_babel import Babel, Domain, get_locale, get_translations, refresh
from flask_login import current_user
from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from leadcapture.web import LANGUAGES, settings

DEFAULT = "en"

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
        lambda word: _spoken().ugettext(word),
        lambda one, many, number: _spoken().ungettext(one, many, number),
        newstyle=True,
    )
    app.context_processor(_known_to_templates)


def speak(language: str) -> str:
    """Make the rest of this request speak ``language``, if we do; what is spoken then."""
    if language in LANGUAGES:
        g.language = language
        g.pop("catalogue", None)
        refresh()
    return page_language()


def _spoken() -> NullTranslations:
    """The catalogue of the page that is being made: a page of the desk has 250 words."""
    catalogue: NullTranslations | None = g.get("catalogue")
    if catalogue is None:
        catalogue = g.catalogue = get_translations()
    return catalogue


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
    # Pages for patients never look for a session: they would set a cookie to keep it.
    if request.blueprint in (None, "public"):
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
