"""A lead's details: staff correct a name, a telephone, an address, and how a person is reached."""

from collections.abc import Mapping
from dataclasses import dataclass

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import get_locale, gettext

from leadcapture import places, web
from leadcapture.accounts.access import EVERYONE, may_decide, me, staff_only
from leadcapture.dashboard import on_record, words
from leadcapture.dashboard.blueprint import blueprint
from leadcapture.dashboard.lead_page import find_lead
from leadcapture.dashboard.stale_page import ask_if_stale
from leadcapture.database import db
from leadcapture.intake import addresses, phones
from leadcapture.intake.typed_text import clean_line
from leadcapture.leads import details
from leadcapture.leads.details import Details
from leadcapture.leads.merged import standing_for
from leadcapture.models import Lead

_WAS = "was_"


@blueprint.get("/leads/<ref>/details")
@staff_only(*EVERYONE)
def details_page(ref: str) -> ResponseReturnValue:
    """The form, with the details as they stand; that they were read is on record."""
    lead = find_lead(ref)
    on_record.lead_opened(lead)
    stands = _words(lead)
    return _show(lead, stands, stands)


@blueprint.post("/leads/<ref>/details")
@staff_only(*EVERYONE)
def details_change(ref: str) -> ResponseReturnValue:
    """Save what was changed in the form, and nothing that was left as it stood."""
    lead = find_lead(ref)
    form = _read(lead)
    changed = [name for name in details.NAMES if form.typed[name] != form.was[name]]
    if form.problems:
        return _show(lead, form.typed, form.was, form.problems)
    read = [
        (words.of(words.FIELD, name), words.field_value(name, form.typed[name])) for name in changed
    ]
    if asked := ask_if_stale(lead, *read):
        return asked
    wanted = _wanted(lead, form.typed, changed)
    try:
        change = details.change(
            db.session(), web.vault(), web.settings(), lead, wanted, me().id, web.now()
        )
    except details.AddressTaken as taken:
        holder = standing_for(db.session(), taken.holder)
        db.session.rollback()
        problems = {"email": _whose(holder, lead)}
        return _show(lead, form.typed, form.was, problems, holder if holder != lead else None)
    db.session.commit()
    done = change.act.ref if change else None
    return redirect(url_for("dashboard.lead", ref=lead.ref, done=done), 303)


@dataclass(frozen=True)
class _Form:
    """The fields as typed and as the form showed them, and what is wrong with them."""

    typed: Mapping[str, str]
    was: Mapping[str, str]
    problems: Mapping[str, str]


def _words(lead: Lead) -> dict[str, str]:
    return {name: str(getattr(lead, name)) for name in details.NAMES}


def _read(lead: Lead) -> _Form:
    stands = _words(lead)
    typed = {name: clean_line(request.form.get(name, stands[name])) for name in stands}
    was = {name: clean_line(request.form.get(_WAS + name, stands[name])) for name in stands}
    problems: dict[str, str] = {}
    if not typed["full_name"]:
        problems["full_name"] = gettext("Say who this is.")
    elif len(typed["full_name"]) > details.LONGEST_NAME:
        problems["full_name"] = gettext("Please shorten the name to 200 characters.")
    if typed["email"] != was["email"] and not _is_address(typed["email"]):
        problems["email"] = gettext(
            "This cannot be an email address. It looks like name@example.com."
        )
    if len(typed["phone_typed"]) > phones.LONGEST:
        problems["phone_typed"] = gettext("Please shorten the telephone to 60 characters.")
    for name in ("language", "country", "time_zone", "contact_by", "contact_time"):
        if typed[name] != was[name] and not _is_offered(name, typed[name]):
            problems[name] = gettext("Choose one from the list.")
    return _Form(typed, was, problems)


def _is_address(typed: str) -> bool:
    try:
        addresses.read_address(typed)
    except addresses.BadAddress:
        return False
    return True


def _is_offered(name: str, word: str) -> bool:
    match name:
        case "language":
            return word in web.LANGUAGES
        case "country":
            return word in ("", *dict(_countries()))
        case "time_zone":
            return places.is_zone(word)
        case "contact_by":
            return word in ("", *words.CONTACT_BY)
    return word in ("", *words.CONTACT_TIME)


def _wanted(lead: Lead, typed: Mapping[str, str], changed: list[str]) -> Details:
    """The lead's details with what was changed: the rest stays, whoever wrote it meanwhile."""
    stands = details.details_of(lead)
    values = {name: getattr(stands, name) for name in details.NAMES}
    values |= {name: typed[name] for name in changed}
    keys = {"address_key": stands.address_key, "cap_hash": stands.cap_hash}
    if "email" in changed:
        email = addresses.read_address(values["email"])
        values["email"] = email
        keys["address_key"] = addresses.address_key(email)
        keys["cap_hash"] = web.vault().keyed_hash("address", addresses.cap_key(email))
    phone = stands.phone
    if {"phone_typed", "country"} & set(changed):
        phone = phones.read_phone(values["phone_typed"], values["country"])
    return Details(**values, **keys, phone=phone)


def _whose(holder: Lead, lead: Lead) -> str:
    if holder == lead:
        return str(
            gettext(
                "This address leads here already: its lead was merged with this one. To write to "
                "it, undo the merge and let the other address stay."
            )
        )
    return str(gettext("%(name)s has this address already.", name=holder.full_name))


def _countries(chosen: str = "") -> list[tuple[str, str]]:
    listed = places.every_country(str(get_locale() or "en"))
    return listed if chosen in ("", *dict(listed)) else [*listed, (chosen, chosen)]


def _show(
    lead: Lead,
    typed: Mapping[str, str],
    was: Mapping[str, str],
    problems: Mapping[str, str] | None = None,
    holder: Lead | None = None,
) -> ResponseReturnValue:
    zones = list(places.time_zones())
    known = {zone for _group, named in zones for zone, _name in named}
    page = render_template(
        "dashboard/details.html",
        lead=lead,
        typed=typed,
        was=was,
        problems=problems or {},
        holder=holder,
        may_merge=may_decide(),
        languages=web.LANGUAGES,
        countries=_countries(typed["country"]),
        zones=zones,
        other_zone=typed["time_zone"] if typed["time_zone"] not in known else "",
        longest_name=details.LONGEST_NAME,
        longest_phone=phones.LONGEST,
        longest_email=addresses.LONGEST,
    )
    return page, 422 if problems else 200
