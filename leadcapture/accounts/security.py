"""Security: Flask-Security as we want it, CSRF on every staff page, guessing slowed down."""

from datetime import timedelta
from typing import Any

from flask import Flask, abort, g, redirect, request, session, url_for
from flask.typing import ResponseValue
from flask_security import LoginForm, Security, SQLAlchemyUserDatastore
from flask_wtf import CSRFProtect
from flask_wtf.csrf import generate_csrf

from leadcapture import web
from leadcapture.accounts.passwords import SHORTEST, Rules
from leadcapture.database import db
from leadcapture.limits import client_network, seconds_to_wait
from leadcapture.models import Role, Staff

STAFF_ROOMS = ("security", "accounts", "dashboard")

_WANTED = "wanted"


class SignInForm(LoginForm):
    """Address and password. Nobody is remembered, and no address says where to go next."""

    remember = None


def register(app: Flask) -> None:
    """Set the extensions up; whatever registers routes later is guarded too."""
    app.config.update(_CONFIG)
    csrf = CSRFProtect(app)
    # Macros look here for the token of their forms, of which a page may have a hundred.
    app.jinja_env.globals["csrf_token"] = _page_token
    if "public" in app.blueprints:
        # The patient's form has a signed token of its own that outlives a session.
        csrf.exempt(app.blueprints["public"])
    before = list(app.before_request_funcs.setdefault(None, []))
    guard = Security(
        app,
        SQLAlchemyUserDatastore(db, Staff, Role),
        login_form=SignInForm,
        password_util_cls=Rules,
    )
    _keep_to_staff(app, before)
    guard.want_json(lambda _request: False)
    guard.unauthn_handler(_ask_to_sign_in)
    guard.unauthz_handler(_refuse)
    app.before_request(_slow_guessing)
    app.before_request(_refuse_next)


def _page_token() -> str:
    if "page_token" not in g:
        g.page_token = generate_csrf()
    return str(g.page_token)


def _keep_to_staff(app: Flask, before: list[Any]) -> None:
    """Move the hooks that came since to the staff's pages: patients are never identified.

    A page of a room that is not named here has no identity, so whatever asks for a role refuses.
    """
    hooks = app.before_request_funcs
    for hook in [hook for hook in hooks[None] if hook not in before]:
        hooks[None].remove(hook)
        for room in STAFF_ROOMS:
            hooks.setdefault(room, []).append(hook)


def pop_wanted_page() -> str | None:
    """The staff page that a person asked for before signing in, once."""
    wanted = session.pop(_WANTED, None)
    return url_for(wanted[0], **wanted[1]) if wanted else None


def may_guess(whose: str) -> bool:
    """Count one try at a password; False where these were too many."""
    return not seconds_to_wait("sign-in", web.settings().sign_in_limit, whose)


_CONFIG: dict[str, Any] = {
    "SECURITY_LOGIN_URL": "/sign-in",
    "SECURITY_LOGOUT_URL": "/sign-out",
    "SECURITY_LOGOUT_METHODS": ["POST"],
    "SECURITY_POST_LOGIN_VIEW": "accounts.arrival",
    "SECURITY_POST_LOGOUT_VIEW": "security.login",
    "SECURITY_LOGIN_USER_TEMPLATE": "accounts/sign_in.html",
    # More than OWASP's minimum of m=19456, t=2, and still 32 MB for a try.
    "SECURITY_PASSWORD_HASH": "argon2",
    "SECURITY_PASSWORD_SCHEMES": ["argon2"],
    "SECURITY_PASSWORD_SINGLE_HASH": True,
    "SECURITY_PASSWORD_HASH_PASSLIB_OPTIONS": {
        "argon2__type": "ID",
        "argon2__memory_cost": 32_768,
        "argon2__time_cost": 3,
        "argon2__parallelism": 1,
    },
    "SECURITY_PASSWORD_LENGTH_MIN": SHORTEST,
    "SECURITY_RETURN_GENERIC_RESPONSES": True,
    "SECURITY_API_ENABLED_METHODS": ["session"],
    "SECURITY_EMAIL_VALIDATOR_ARGS": {"check_deliverability": False},
    "SECURITY_FLASH_MESSAGES": False,
    "SECURITY_FRESHNESS": timedelta(minutes=-1),
    "SECURITY_STATIC_FOLDER": None,
    "SECURITY_CLI_USERS_NAME": None,
    "SECURITY_CLI_ROLES_NAME": None,
    "SESSION_PROTECTION": "strong",
    # The session ends the token; a page left open over lunch must still post.
    "WTF_CSRF_TIME_LIMIT": None,
}


def _ask_to_sign_in(_mechanisms: list[str], headers: dict[str, str] | None) -> ResponseValue:
    # The place to return to is kept in the signed session, never taken from the address.
    if request.method == "GET" and request.blueprint == "dashboard":
        session[_WANTED] = [request.endpoint, request.view_args or {}]
    return redirect(url_for("security.login"), 303)


def _refuse(_function: str, _roles: list[str] | None) -> ResponseValue:
    abort(403)


def _slow_guessing() -> None:
    if request.endpoint != "security.login" or request.method != "POST":
        return
    if not may_guess(client_network()):
        abort(429)


def _refuse_next() -> None:
    if request.blueprint == "security" and request.values.get("next"):
        abort(400)
