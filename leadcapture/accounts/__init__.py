"""Who may sign in, and what each role may see."""

from flask import Flask

from leadcapture.accounts import idle, leaving, pages, security


def register(app: Flask) -> None:
    """Guard the application, then open its doors: sign-in, sign-out, the invitation's page."""
    idle.register(app)
    leaving.register(app)
    security.register(app)
    pages.register(app)
