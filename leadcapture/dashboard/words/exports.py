"""Exports: the words for a file's columns and for how far it is."""

from collections.abc import Mapping

from flask_babel import LazyString, lazy_gettext

EXPORT_STATE: Mapping[str, LazyString] = {
    "asked": lazy_gettext("waits for approval"),
    "queued": lazy_gettext("is being written"),
    "ready": lazy_gettext("ready"),
    "taken": lazy_gettext("downloaded"),
    "cancelled": lazy_gettext("cancelled"),
    "gone": lazy_gettext("deleted after a day"),
}

EXPORT_COLUMN: Mapping[str, LazyString] = {
    "reference": lazy_gettext("Reference"),
    "name": lazy_gettext("Name"),
    "email": lazy_gettext("Email address"),
    "telephone": lazy_gettext("Telephone"),
    "country": lazy_gettext("Country"),
    "language": lazy_gettext("Language"),
    "time_zone": lazy_gettext("Time zone"),
    "status": lazy_gettext("Status"),
    "closed_reason": lazy_gettext("Why closed"),
    "owner": lazy_gettext("Owner"),
    "source": lazy_gettext("Source"),
    "first_asked": lazy_gettext("First asked"),
    "last_asked": lazy_gettext("Last asked"),
    "waiting_since": lazy_gettext("Waits since"),
    "conditions": lazy_gettext("Conditions (health)"),
    "message": lazy_gettext("Message (health)"),
}
