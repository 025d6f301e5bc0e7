"""The blank form, drawn ahead in each language; only the token in it is new for each visitor."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from flask import Flask

from leadcapture.intake import form_token
from leadcapture.languages import preferred_language
from leadcapture.remembered import FRESH_FOR
from leadcapture.web import LANGUAGES, House

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

HOLE = "@token@"


@dataclass(frozen=True)
class Page:
    """The page before and after the token, and the headers that it leaves with."""

    before: bytes
    after: bytes
    headers: tuple[tuple[str, str], ...]


class BlankForms:
    """Answers a plain GET of the form before Flask is asked: nothing in it needs a session,
    a database or a limit, and the hooks of the staff's rooms cost ten times the page.

    Whatever is not plain (a HEAD, a query, another host, a visitor from elsewhere) goes on to
    Flask, whose view draws the same page.
    """

    def __init__(self, app: Flask, draw: Callable[[str], str]) -> None:
        self._app = app
        self._draw = draw
        self._next: WSGIApplication = app.wsgi_app
        house: House = app.extensions["leadcapture"]
        self._house = house
        self._own_pages = house.settings.public_url + "/"
        self._languages = {"/": "", **{f"/{language}": language for language in LANGUAGES}}
        self._pages: dict[str, tuple[datetime, Page]] = {}

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        language = self._languages.get(environ.get("PATH_INFO", ""))
        if language is None or not self._is_plain(environ):
            return self._next(environ, start_response)
        language = language or preferred_language(environ.get("HTTP_ACCEPT_LANGUAGE", ""))
        page = self.page(language)
        start_response("200 OK", list(page.headers))
        return [self.fill(page)]

    def fill(self, page: Page) -> bytes:
        """The page with a new token in it."""
        token = form_token.issue(self._house.settings.secret_key, self._house.clock())
        return page.before + token.encode() + page.after

    def page(self, language: str) -> Page:
        """The page in this language, drawn anew when the clinic may have changed its words."""
        at = self._house.clock()
        drawn = self._pages.get(language)
        if drawn is None or abs(at - drawn[0]) > FRESH_FOR:
            drawn = self._pages[language] = (at, self._drawn(language))
        return drawn[1]

    def _is_plain(self, environ: dict[str, Any]) -> bool:
        referrer: str = environ.get("HTTP_REFERER", "")
        return (
            environ["REQUEST_METHOD"] == "GET"
            and not environ.get("QUERY_STRING")
            and environ.get("HTTP_HOST") == self._house.settings.public_host
            and (not referrer or referrer.startswith(self._own_pages))
        )

    def _drawn(self, language: str) -> Page:
        base_url = self._house.settings.public_url
        with self._app.test_request_context(f"/{language}", base_url=base_url):
            before, _hole, after = self._draw(language).partition(HOLE)
            response = self._app.response_class(before + after, mimetype="text/html")
            response.headers["Vary"] = "Accept-Language"
            response = self._app.process_response(response)
        page = Page(before.encode(), after.encode(), ())
        response.headers["Content-Length"] = str(len(self.fill(page)))
        return Page(page.before, page.after, tuple(response.headers))
