"""Pages for staff: who waits, the list, a lead, and what is done with it."""

from flask import Flask

from leadcapture.dashboard import (
    bulk_acts,
    by_hand_page,
    calendar_feed,
    decisions,
    details_page,
    exports_page,
    figures_page,
    inbound_page,
    kept_page,
    keys,
    lead_acts,
    lead_letters,
    lead_list,
    lead_page,
    lead_tags,
    live,
    merging_page,
    names,
    now_page,
    outbox_release,
    own_language,
    pipeline_page,
    saved_views,
    settings_access,
    settings_hours,
    settings_packets,
    settings_services,
    settings_sources,
    settings_tags,
    settings_team,
    settings_texts,
    stuck_letters,
    task_acts,
    times,
    undoing,
    words,
)
from leadcapture.dashboard.blueprint import blueprint
from leadcapture.leads import letters_stuck

__all__ = [
    "bulk_acts",
    "by_hand_page",
    "calendar_feed",
    "decisions",
    "details_page",
    "exports_page",
    "figures_page",
    "inbound_page",
    "kept_page",
    "keys",
    "lead_acts",
    "lead_letters",
    "lead_list",
    "lead_page",
    "lead_tags",
    "live",
    "merging_page",
    "now_page",
    "outbox_release",
    "own_language",
    "pipeline_page",
    "register",
    "saved_views",
    "settings_access",
    "settings_hours",
    "settings_packets",
    "settings_services",
    "settings_sources",
    "settings_tags",
    "settings_team",
    "settings_texts",
    "stuck_letters",
    "task_acts",
    "undoing",
]


def register(app: Flask) -> None:
    """Hang the pages under ``/desk``, with the filters and words that they use."""
    app.jinja_env.filters.update(times.FILTERS | names.FILTERS)
    app.jinja_env.globals["words"] = words
    app.jinja_env.filters["version"] = live.version
    app.jinja_env.globals.update(
        following=live.following,
        others_at=live.others_at,
        key=keys.key,
        kbd=keys.kbd,
        keys_are_on=keys.are_on,
        may_end=letters_stuck.is_held,
        may_try_again=letters_stuck.may_try_again,
        may_have_arrived=letters_stuck.may_have_arrived,
    )
    app.register_blueprint(blueprint)
    app.register_blueprint(calendar_feed.feeds)
