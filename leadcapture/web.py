"""What every page shares: the current settings, vault and time, headers, asset addresses."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from flask import Flask, Response, abort, current_app, request, url_for

from leadcapture import database
from leadcapture.readiness import Probe
from leadcapture.settings import Settings
from leadcapture.vault import Vault

PROBE = "leadcapture.probe"
_ADDRESSES = "leadcapture.addresses"
_ANY_REF = "-any-ref-"
_REF = re.compile(r"[A-Za-z0-9_-]+").fullmatch

LANGUAGES = {"en": "English", "es": "Español"}


@dataclass(frozen=True)
class House:
    """What the application was built with; pages ask for it through the functions below."""

    settings: Settings
    vault: Vault
    clock: Callable[[], datetime]


def utc_now() -> datetime:
    """The clock of a running service; tests pass their own."""
    return datetime.now(UTC)


def house() -> House:
    """The current application's house."""
    found: House = current_app.extensions["leadcapture"]
    return found


def settings() -> Settings:
    return house().settings


def vault() -> Vault:
    return house().vault


def probe() -> Probe:
    """What asks for this process whether all is ready, and notices where no scheduler runs."""
    found: Probe = current_app.extensions[PROBE]
    return found


def now() -> datetime:
    """The instant (aware UTC) that this request calls now."""
    return house().clock()


def asset(name: str) -> str:
    """The address of a static file, with a part of its hash so that it can be cached for ever."""
    return url_for("static", filename=name, v=_asset_hash(name))


def address(endpoint: str, **values: Any) -> str:
    """`flask.url_for` for templates, which remembers what it once built for another reference.

    A page of the desk has some two hundred addresses that differ in nothing else.
    """
    ref = values.get("ref", "")
    if len(values) != 1 or not _REF(str(ref)):
        return url_for(endpoint, **values)
    known: dict[tuple[str, str], str] = current_app.extensions[_ADDRESSES]
    key = (endpoint, request.script_root)
    if key not in known:
        known[key] = url_for(endpoint, ref=_ANY_REF)
    return known[key].replace(_ANY_REF, ref)


@cache
def _asset_hash(name: str) -> str:
    path = Path(__file__).parent / "static" / name
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


# Of every answer.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; frame-src 'self'; form-action 'self'; object-src 'none'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), browsing-topics=()",
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
}


def add_headers(response: Response) -> Response:
    """Put the strict headers (OWASP ASVS 5.0, V3.4) on whatever leaves, errors included."""
    given = {name.lower() for name, _value in response.headers}
    response.headers.extend(
        [(name, value) for name, value in HEADERS.items() if name.lower() not in given]
    )
    if request.endpoint == "static" and response.status_code == 200:
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    else:
        response.headers.setdefault("Cache-Control", "no-store")
    return response


def refuse_other_sites() -> tuple[str, int] | None:
    """Refuse a hostile Host and a write that another site's page started (Fetch Metadata)."""
    if request.host != settings().public_host and not _is_probe():
        return "This address is not served here.", 400
    if request.method in ("GET", "HEAD", "OPTIONS"):
        database.begin_reading()
        return None
    database.begin_reading(False)
    if _is_from_mail():
        return None
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        return "This form was sent from another site, so nothing was changed.", 403
    origin = request.headers.get("Origin")
    # "null" comes from pages whose privacy settings hide the origin; the token still decides.
    if origin not in (None, "null", settings().public_url):
        return "This form was sent from another site, so nothing was changed.", 403
    return None


def refuse_nul() -> None:
    """404 for an address with a NUL in it: PostgreSQL has no such text."""
    if "\0" in request.path:
        abort(404)


def _is_from_mail() -> bool:
    # One-click unsubscribe (RFC 8058) is posted by mail services, never by our own pages alone.
    return request.endpoint == "public.stop"


def _is_probe() -> bool:
    # A load balancer asks by address; the answer holds nothing but the state.
    return request.endpoint in ("health.alive", "health.ready", "metrics.show")


def templates_folder() -> Path:
    """The folder of templates: beside the package in a checkout, inside it in a wheel."""
    return beside_or_inside("templates")


def migrations_folder() -> Path:
    return beside_or_inside("migrations")


def beside_or_inside(name: str) -> Path:
    here = Path(__file__).resolve().parent
    inside = here / name
    return inside if inside.is_dir() else here.parent / name


def register(app: Flask) -> None:
    """Hook what is shared into the application."""
    app.before_request(refuse_other_sites)
    app.before_request(refuse_nul)
    # The thread serves others after this request, and some of them write.
    app.teardown_request(lambda _error: database.begin_reading(False))
    app.after_request(add_headers)
    app.extensions[_ADDRESSES] = {}
    app.jinja_env.globals.update(asset=asset, url_for=address)
