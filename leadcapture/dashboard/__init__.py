"""Pages for staff: who waits, the list, a lead, and what is done with it."""

from flask import Flask

from leadcapture.dashboard import (
    decisions,
    inbound_page,
    lead_acts,
    lead_list,
    lead_page,
    names,
    now_page,
    outbox_release,
    settings_hours,
    settings_team,
    times,
    words,
)
from leadcapture.dashboard.blueprint import blueprint

__all__ = [
    "decisions",
    "inbound_page",
    "lead_acts",
    "lead_list",
    "lead_page",
    "now_page",
    "outbox_release",
    "register",
    "settings_hours",
    "settings_team",
]


def register(app: Flask) -> None:
    """Hang the pages under ``/desk``, with the filters and words that they use."""
    app.jinja_env.filters.update(times.FILTERS | names.FILTERS)
    app.jinja_env.globals["words"] = words
    app.register_blueprint(blueprint)
