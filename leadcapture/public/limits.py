"""How often one visitor may send the form."""

from ipaddress import IPv6Address, ip_address

from flask import Flask, current_app, request
from flask_limiter import Limiter, RateLimitExceeded

from leadcapture.counters import storage_uri
from leadcapture.web import settings

__all__ = ["RateLimitExceeded", "count_submission", "register"]

_KEY = "leadcapture.form_limit"


def register(app: Flask) -> None:
    """Start counting for this application."""
    with app.app_context():
        limit, folder = settings().form_limit, settings().data_dir
    # A counter that fails must not keep a patient out.
    limiter = Limiter(client_network, app=app, storage_uri=storage_uri(folder), swallow_errors=True)
    app.extensions[_KEY] = limiter.shared_limit(limit, scope="form")(_counted)


def count_submission() -> None:
    """Count one more form from this visitor; raises ``RateLimitExceeded``."""
    current_app.extensions[_KEY]()


def client_network() -> str:
    """The visitor's address; of IPv6 the /64 that one household holds."""
    address = request.remote_addr or ""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        return parsed.exploded[:19]
    return address


def _counted() -> None:
    """Nothing: the limiter counts by wrapping it."""
