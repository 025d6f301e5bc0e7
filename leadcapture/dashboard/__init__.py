"""Pages for staff: who waits, the list, a lead, and what is done with it."""

from flask import Flask

from leadcapture.dashboard import (
    decisions,
    lead_acts,
    lead_list,
    lead_page,
    names,
    now_page,
    times,
    words,
)
from leadcapture.dashboard.blueprint import blueprint

__all__ = ["decisions", "lead_acts", "lead_list", "lead_page", "now_page", "register"]


def register(app: Flask) -> None:
    """Hang the pages under ``/desk``, with the filters and words that they use."""
    app.jinja_env.filters.update(times.FILTERS | names.FILTERS)
    app.jinja_env.globals["words"] = words
    app.register_blueprint(blueprint)
