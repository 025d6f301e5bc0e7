"""Details: what staff correct of a person or choose when two become one, in words."""

from collections.abc import Mapping, Sequence
from typing import Any

from flask_babel import LazyString, gettext, lazy_gettext, ngettext

from leadcapture.dashboard.names import country_name, language_name, telephone
from leadcapture.dashboard.words.terms import CONTACT_BY, CONTACT_TIME, of

FIELD: Mapping[str, LazyString] = {
    "full_name": lazy_gettext("Name"),
    "email": lazy_gettext("Email"),
    "phone_typed": lazy_gettext("Telephone"),
    "country": lazy_gettext("Country"),
    "language": lazy_gettext("Language"),
    "time_zone": lazy_gettext("Time zone"),
    "contact_by": lazy_gettext("How to be reached"),
    "contact_time": lazy_gettext("When to be reached"),
}

CHOICE: Mapping[str, LazyString] = {
    "name": lazy_gettext("Name"),
    "telephone": lazy_gettext("Telephone"),
    "wish": lazy_gettext("Wish"),
    "language": lazy_gettext("Language"),
    "country": lazy_gettext("Country"),
    "time_zone": lazy_gettext("Time zone"),
    "status": lazy_gettext("Status"),
    "owner": lazy_gettext("Owner"),
}


def field_value(name: str, value: str) -> str:
    """A detail as people read it; a dash where there is none."""
    if not value:
        return "–"
    match name:
        case "phone_typed":
            return telephone(value) if value.startswith("+") else value
        case "country":
            return country_name(value)
        case "time_zone":
            return value.rpartition("/")[2].replace("_", " ")
        case "language":
            return language_name(value)
        case "contact_by":
            return of(CONTACT_BY, value)
        case "contact_time":
            return of(CONTACT_TIME, value)
    return value


def merged_sentence(facts: Mapping[str, Any]) -> str:
    """That another lead went into this one, and what that stopped."""
    sentence = str(gettext("Merged with the lead of %(name)s", name=facts.get("name", "")))
    number = facts.get("follow_ups_cancelled", 0)
    if not number:
        return sentence
    told = ngettext("%(num)d follow-up cancelled", "%(num)d follow-ups cancelled", number)
    return f"{sentence} ({told})"


def parted_sentence(facts: Mapping[str, Any]) -> str:
    """That two leads were parted, and which letters go on because of it."""
    sentence = str(gettext("Undid the merge with %(name)s", name=facts.get("name", "")))
    number = facts.get("follow_ups_again", 0)
    if not number:
        return sentence
    told = ngettext(
        "%(num)d follow-up goes out after all", "%(num)d follow-ups go out after all", number
    )
    return f"{sentence} ({told})"


def changes_of(facts: Mapping[str, Any]) -> str:
    """What was corrected: ``Corrected: Name (“Jnaet” → “Janet”)``."""
    told = [_change(*line) for line in facts.get("changes", ()) if line]
    return str(gettext("Corrected: %(changes)s", changes=", ".join(told)))


def _change(name: str, *values: str) -> str:
    label = of(FIELD, name)
    if len(values) != 2:
        # A word about somebody's health stood there.
        return label
    before, after = (field_value(name, value) for value in values)
    return str(gettext("%(field)s (“%(old)s” → “%(new)s”)", field=label, old=before, new=after))


def saved(facts: Mapping[str, Any]) -> str:
    """What the message says that confirms a correction, with what becomes of letters."""
    names: Sequence[str] = facts.get("fields", ())
    fields = ", ".join(of(FIELD, name) for name in names)
    sentences = [str(gettext("Saved: %(fields)s.", fields=fields))]
    moved, stopped = facts.get("letters_moved", 0), facts.get("letters_stopped", 0)
    if moved:
        sentences.append(
            str(
                ngettext(
                    "%(num)d letter to come goes to the new address.",
                    "%(num)d letters to come go to the new address.",
                    moved,
                )
            )
        )
    if stopped:
        sentences.append(
            str(
                ngettext(
                    "%(num)d letter that was on its way to the old one is not sent any more; "
                    "look at the timeline whether to send the packet again.",
                    "%(num)d letters that were on their way to the old one are not sent any more; "
                    "look at the timeline whether to send the packet again.",
                    stopped,
                )
            )
        )
    return " ".join(sentences)
