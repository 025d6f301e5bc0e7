"""The tests' client: it looks at every page that it fetches as a strict visitor would."""

from typing import Any

from flask import Flask, session
from flask.testing import FlaskClient
from flask_security import login_user
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from leadcapture.database import db
from leadcapture.models import Staff
from tests.pages import Page
from tests.people import PASSWORD

# A session is its browser's (flask-login's strong protection): whoever sends its cookie says this.
AGENT = "a visitor of ours"
_POLICY = ("default-src 'none'", "object-src 'none'", "base-uri 'none'", "frame-ancestors")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Visitor(FlaskClient):
    """Checks headers (WS-02) and markup of whatever comes back, whatever its status.

    Before each request the test's own session commits, after it what it knows is forgotten:
    no transaction of the test stands in the way, and what it reads next is fresh.
    """

    session: Session | None = None
    address: str = ""
    _seen: Page | None = None

    def open(self, *given: Any, **options: Any) -> TestResponse:
        if self.session is not None:
            self.session.commit()
        if given and isinstance(given[0], str):
            options.setdefault("base_url", self.address)
        response = super().open(*given, **options)
        if self.session is not None:
            self.session.expire_all()
        check_headers(response)
        # The words under a redirect are Werkzeug's, and no browser shows them.
        is_redirect = response.location is not None
        if response.mimetype == "text/html" and response.data and not is_redirect:
            self._seen = Page(response.text)
            problems = self._seen.problems()
            assert not problems, f"{response.request.path}: " + "; ".join(problems)
        return response

    def page(self, path: str, status: int = 200, **options: Any) -> Page:
        """Fetch a page, following redirects."""
        response = self.get(path, follow_redirects=True, **options)
        assert response.status_code == status, f"{path}: {response.status}\n{response.text[:2000]}"
        if self._seen is not None and self._seen.markup == response.text:
            return self._seen
        return Page(response.text)

    def send(self, page: Page, action: str = "", **typed: Any) -> TestResponse:
        """Send the page's form as a browser does, with what was ``typed``; None takes away."""
        form = page.form_element(action)
        fields: dict[str, Any] = {**page.form(action), **typed}
        fields = {name: value for name, value in fields.items() if value is not None}
        return self.post(form.get("action") or "/", data=fields)

    def enter(self, staff: Staff) -> None:
        """Sign this colleague in, as the service does once their password was right.

        To check a password costs what it should, a tenth of a second; whoever tests signing in
        sends the form.
        """
        if self.session is not None:
            self.session.commit()
        browser = {"base_url": self.address, "environ_base": self.environ_base}
        with (
            self.session_transaction(**browser) as kept,
            self.application.test_request_context(**browser),
        ):
            assert login_user(staff, authn_via=["password"])
            kept.update(session)


def check_headers(response: TestResponse) -> None:
    """The strict headers of WS-02 on this response."""
    headers, where = response.headers, response.request.path
    policy = headers.get("Content-Security-Policy", "")
    if not policy.startswith("sandbox"):
        for directive in _POLICY:
            assert directive in policy, f"{where}: the policy lacks {directive}"
        assert "unsafe" not in policy, f"{where}: the policy allows something unsafe"
    for name, value in _HEADERS.items():
        assert headers.get(name) == value, f"{where}: {name} is {headers.get(name)}"
    assert headers.get("Referrer-Policy"), f"{where}: no Referrer-Policy"
    age = headers.get("Strict-Transport-Security", "max-age=0").partition("max-age=")[2]
    assert int(age.partition(";")[0]) >= 31536000, f"{where}: HSTS for less than a year"
    assert headers.get("Cache-Control"), f"{where}: no Cache-Control"
    if where.startswith("/desk"):
        assert "no-store" in headers["Cache-Control"], f"{where}: staff pages are never kept"


def sign_in_for_cookie(app: Flask, address: str, email: str) -> tuple[str, str]:
    """The cookie of this staff member after signing in, and the token that their forms carry.

    It is good for requests of `AGENT`.
    """
    app.test_client_class = Visitor
    visitor = app.test_client()
    assert isinstance(visitor, Visitor)
    visitor.environ_base["HTTP_USER_AGENT"] = AGENT
    visitor.address = address
    visitor.send(visitor.page("/sign-in"), "/sign-in", email=email, password=PASSWORD)
    token = visitor.page("/desk/").form("/sign-out")["csrf_token"][0]
    cookie = visitor.get_cookie(app.config["SESSION_COOKIE_NAME"], domain="127.0.0.1")
    assert cookie is not None
    with app.app_context():
        db.engine.dispose()
    return f"{cookie.key}={cookie.value}", token
