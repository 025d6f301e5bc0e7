"""The application factory."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from flask import Flask

from leadcapture import (
    accounts,
    dashboard,
    errors,
    health,
    languages,
    limits,
    mailbox,
    metrics,
    public,
    web,
)
from leadcapture.database import apply_rules, db, engine_options
from leadcapture.settings import Settings
from leadcapture.vault import Vault

MAX_BODY_BYTES = 64 * 1024


def create_app(settings: Settings, clock: Callable[[], datetime] = web.utc_now) -> Flask:
    """The application, built from its settings and the clock it shall go by."""
    app = Flask(__name__, template_folder=str(web.templates_folder()))
    app.config.update(_flask_config(settings))
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    vault = Vault(settings.seal_keys, settings.seal_key_id, settings.hash_key)
    app.extensions["leadcapture"] = web.House(settings, vault, clock)
    db.init_app(app)
    with app.app_context():
        apply_rules(db.engine)
    web.register(app)
    for room in (languages, errors, limits, health, metrics, public, accounts, dashboard):
        room.register(app)
    if settings.mailbox_dir is not None:
        mailbox.register(app)
    return app


def _flask_config(settings: Settings) -> dict[str, Any]:
    return {
        "SECRET_KEY": settings.secret_key,
        "SECRET_KEY_FALLBACKS": list(settings.secret_key_fallbacks),
        "SQLALCHEMY_DATABASE_URI": settings.database_url,
        "SQLALCHEMY_ENGINE_OPTIONS": engine_options(settings.database_url),
        "MAX_CONTENT_LENGTH": MAX_BODY_BYTES,
        "MAX_FORM_MEMORY_SIZE": MAX_BODY_BYTES,
        "MAX_FORM_PARTS": 1000,
        "SESSION_COOKIE_NAME": "__Host-staff" if settings.is_https else "staff",
        "SESSION_COOKIE_SECURE": settings.is_https,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "PERMANENT_SESSION_LIFETIME": timedelta(hours=12),
        "SEND_FILE_MAX_AGE_DEFAULT": 31536000,
    }
