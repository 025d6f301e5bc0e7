"""Pages for patients: the form, thanks, the packet, the way to stop letters."""

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from leadcapture.public import packet_page, request_page, stop_page, thanks_page
from leadcapture.public.blueprint import blueprint
from leadcapture.web import settings

__all__ = ["packet_page", "register", "request_page", "stop_page", "thanks_page"]


def register(app: Flask) -> None:
    """Open the pages for patients."""
    app.register_blueprint(blueprint)
    request_page.register(app)
    with app.app_context():
        proxies = settings().trusted_proxies
    if proxies:
        # Only the address is believed: the host is ours to say, and the link's scheme too.
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=0)  # type: ignore[method-assign]
