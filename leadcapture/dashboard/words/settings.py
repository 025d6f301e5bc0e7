"""Settings: what staff read for roles, for ways in, and on the record of what was changed."""

from collections.abc import Callable, Mapping
from datetime import date

from flask_babel import LazyString, format_date, get_locale, gettext, lazy_gettext

from leadcapture.dashboard.words.terms import CHANNEL

ROLE: Mapping[str, LazyString] = {
    "admin": lazy_gettext("Administrator"),
    "coordinator": lazy_gettext("Coordinator"),
    "front_desk": lazy_gettext("Front desk"),
}

ROLE_MEANS: Mapping[str, LazyString] = {
    "admin": lazy_gettext("Does all that coordinators do, and changes these settings."),
    "coordinator": lazy_gettext("Reads what patients wrote about their health, and decides."),
    "front_desk": lazy_gettext(
        "Sees who to call and when; reads nothing that patients wrote about their health."
    ),
}

WAY: Mapping[str, LazyString | str] = {
    "channel": lazy_gettext("Way in"),
    "utm_source": "utm_source",
    "utm_medium": "utm_medium",
    "utm_campaign": "utm_campaign",
    "referrer": lazy_gettext("Site they came from"),
}

TAG_COLOR: Mapping[str, LazyString] = {
    "plain": lazy_gettext("grey"),
    "accent": lazy_gettext("teal"),
    "waiting": lazy_gettext("amber"),
    "late": lazy_gettext("red"),
    "done": lazy_gettext("green"),
    "held": lazy_gettext("violet"),
}

NOTICE: Mapping[str, LazyString] = {
    "call": lazy_gettext("missed calls"),
    "chat": lazy_gettext("chats"),
}

FORM_PART: Mapping[str, LazyString] = {
    "headline": lazy_gettext("Headline of the form"),
    "intro": lazy_gettext("Words under the headline"),
    "thanks": lazy_gettext("Headline of the thanks"),
    "next": lazy_gettext("What happens next"),
}

_FIELD: Mapping[str, LazyString] = {
    "target": lazy_gettext("First answer within"),
    "warn": lazy_gettext("Warn the owner"),
    "next": lazy_gettext("Then ask the next person"),
    "holidays": lazy_gettext("Holidays on which the clinic is closed"),
    "takes_requests": lazy_gettext("Gets new requests in turn"),
    "languages": lazy_gettext("Speaks with patients in"),
    "back_on": lazy_gettext("Out of office, back on"),
    "cover": lazy_gettext("Who stands in"),
    "role": lazy_gettext("Role"),
    "account": lazy_gettext("Account"),
    "invitation": lazy_gettext("Invitation"),
    "name": lazy_gettext("Name"),
    "conditions": lazy_gettext("What it asks for"),
    "place": lazy_gettext("Tried as number"),
    "version": lazy_gettext("Version in use"),
    "color": lazy_gettext("Colour"),
    "offered": lazy_gettext("Offered"),
    "address": lazy_gettext("It writes from"),
    "kind": lazy_gettext("Its mails tell of"),
    "language": lazy_gettext("People are answered in"),
    "way": lazy_gettext("It reaches people"),
}

_VALUE: Mapping[str, LazyString] = {
    "yes": lazy_gettext("yes"),
    "no": lazy_gettext("no"),
    "closed": lazy_gettext("closed"),
    "open": lazy_gettext("open"),
    "withdrawn": lazy_gettext("withdrawn"),
    "en": lazy_gettext("English"),
    "es": lazy_gettext("Spanish"),
    "attached": lazy_gettext("attached, and behind its link"),
    "linked": lazy_gettext("behind its link alone"),
    **ROLE,
    **TAG_COLOR,
    **NOTICE,
}


def setting_name(field: str) -> str:
    """What a field of the record is called: ``Wednesday`` for ``day-2``."""
    kind, _, rest = field.partition("-")
    if kind in _OF_MANY and rest:
        return _OF_MANY[kind](rest)
    return str(_FIELD[field]) if field in _FIELD else field


def setting_value(field: str, value: str) -> str:
    """What was set, in words; a dash where nothing was."""
    if not value:
        return "–"
    if field in ("target", "warn", "next") or field.startswith("target-"):
        return str(gettext("%(minutes)s min", minutes=value))
    if field == "back_on":
        return _date(value)
    return str(_VALUE[value]) if value in _VALUE else value


def _weekday(number: str) -> str:
    return str(get_locale().days["stand-alone"]["wide"][int(number)]).capitalize()


def _date(day: str) -> str:
    return str(format_date(date.fromisoformat(day), "medium", rebase=False))


def _channel(name: str) -> str:
    return str(gettext("First answer: %(channel)s", channel=CHANNEL.get(name, name)))


_OF_MANY: Mapping[str, Callable[[str], str]] = {
    "day": _weekday,
    "date": _date,
    "target": _channel,
}
