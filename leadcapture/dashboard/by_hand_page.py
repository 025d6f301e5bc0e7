"""By hand: the page on which a colleague takes down a call or a visit while somebody speaks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from sqlalchemy import select

from leadcapture import web
from leadcapture.accounts.access import EVERYONE, me, staff_only
from leadcapture.dashboard import on_record, words
from leadcapture.dashboard.blueprint import blueprint
from leadcapture.dashboard.names import telephone
from leadcapture.database import db, once_more
from leadcapture.errors import log_failure
from leadcapture.intake import addresses, by_hand, form_token, phones
from leadcapture.intake.consent_texts import text_read_aloud
from leadcapture.intake.submission import CONDITIONS
from leadcapture.intake.typed_text import clean_line, clean_text
from leadcapture.leads import sources
from leadcapture.leads.contact import LONGEST_NOTE
from leadcapture.leads.merged import standing_for
from leadcapture.leads.viewing import VIEWED
from leadcapture.models import Lead, Request, SourceRule
from leadcapture.outbox import audit

_LONGEST_NAME = 200
_SOMEBODY_ELSE = "somebody-else"


@dataclass(frozen=True)
class Typed:
    """The form as it was typed; ``person`` is a lead's reference, or that it is somebody else."""

    token: str = ""
    full_name: str = ""
    phone: str = ""
    email: str = ""
    email_looked_at: str = ""
    language: str = "en"
    note: str = ""
    conditions: Sequence[str] = ()
    agreed: bool = False
    packet: bool = False
    channel: str = by_hand.CHANNELS[0]
    heard: str = ""
    person: str = ""

    @classmethod
    def sent(cls) -> "Typed":
        """What came with this request; a choice that we do not offer is the usual one."""
        form = request.form
        language, channel = form.get("language"), form.get("channel")
        return cls(
            token=form.get("token", ""),
            full_name=clean_line(form.get("full_name", "")),
            phone=clean_line(form.get("phone", "")),
            email=clean_line(form.get("email", "")),
            email_looked_at=form.get("email_looked_at", ""),
            language=language if language in web.LANGUAGES else cls.language,
            note=clean_text(form.get("note", "")),
            conditions=tuple(one for one in CONDITIONS if one in form.getlist("conditions")),
            agreed="agreed" in form,
            packet="packet" in form,
            channel=channel if channel in by_hand.CHANNELS else cls.channel,
            heard=form.get("heard", ""),
            person=form.get("person", ""),
        )


@blueprint.get("/requests/new")
@staff_only(*EVERYONE)
def request_new() -> ResponseReturnValue:
    """The blank page; with ``?lead=`` a reference, for somebody whom we know."""
    known = _lead_at(request.args.get("lead", ""))
    if known is None:
        return _show(Typed())
    on_record.lead_opened(known)
    typed = Typed(
        full_name=known.full_name,
        phone=known.phone_typed or known.phone or "",
        language=known.language,
        person=known.ref,
    )
    return _show(typed, people=[known])


@blueprint.post("/requests")
@staff_only(*EVERYONE)
def requests() -> ResponseReturnValue:
    """Keep what was taken down; else the page again, whatever was typed still in it."""
    typed = Typed.sent()
    token = form_token.read(_keys(), typed.token)
    kept = by_hand.lead_of_token(db.session(), token.id) if token else None
    if kept is not None:
        # Pressed twice: who was taken down a moment ago must not be asked about now.
        return redirect(url_for("dashboard.lead", ref=kept.ref), 303)
    known = _lead_at(typed.person)
    problems, email = _problems(typed, known)
    people = _people(typed, known, email)
    if problems:
        _note_seen(people)
        return _show(typed, problems, people, HTTPStatus.UNPROCESSABLE_ENTITY)
    if people and known is None and typed.person != _SOMEBODY_ELSE:
        _note_seen(people)
        return _show(typed, people=people, status=HTTPStatus.CONFLICT)
    if token is None or token.is_expired(web.now()):
        problems = {"full_name": gettext("This page was open for very long. Press once more.")}
        return _show(replace(typed, token=""), problems, people, HTTPStatus.BAD_REQUEST)
    has_spoken = request.form.get("then") == "spoken"
    try:
        taken = once_more(lambda: _keep(typed, token.id, email, has_spoken))
    # Whatever it is that fails, the colleague keeps what they typed.
    except Exception as failure:
        log_failure(failure)
        db.session.rollback()
        problems = {"full_name": gettext("This could not be saved, and is our fault. Try again.")}
        return _show(typed, problems, (), HTTPStatus.SERVICE_UNAVAILABLE)
    flash(_told(typed, taken, has_spoken))
    return redirect(url_for("dashboard.lead", ref=taken.lead.ref), 303)


@blueprint.post("/requests/people")
@staff_only(*EVERYONE)
def request_people() -> ResponseReturnValue:
    """Whose the typed telephone is, as a part of the page; nothing where it is nobody's yet."""
    typed = Typed.sent()
    people = _people(typed, None, "")
    _note_seen(people)
    return render_template("dashboard/_people.html", **_who(typed, people)) if people else ""


def _keep(typed: Typed, token: str, email: str, has_spoken: bool) -> Request:
    # Rolled back first: the try before may have ended half-way. The token makes a repetition
    # the same request.
    db.session.rollback()
    taken = by_hand.TakenDown(
        token=token,
        full_name=typed.full_name or telephone(_phone(typed) or typed.phone) or email,
        email=email,
        email_typed=typed.email,
        phone_typed=typed.phone,
        language=typed.language,
        channel=typed.channel,
        conditions=tuple(typed.conditions),
        message=typed.note,
        agreed=typed.agreed,
        wants_packet=typed.packet,
        has_spoken=has_spoken,
        known=_lead_at(typed.person),
        is_somebody_new=typed.person == _SOMEBODY_ELSE,
        touch=_touch(typed),
    )
    kept = by_hand.take_down(db.session(), web.vault(), web.settings(), taken, me().id, web.now())
    db.session.commit()
    return kept


def _problems(typed: Typed, known: Lead | None) -> tuple[dict[str, str], str]:
    """What is wrong, by field, and the address in its normalised form where it has one."""
    problems = {}
    if len(typed.full_name) > _LONGEST_NAME:
        problems["full_name"] = gettext("Please shorten the name to 200 characters.")
    if len(typed.phone) > phones.LONGEST:
        problems["phone"] = gettext("Please shorten this to 60 characters.")
    elif not typed.phone and not typed.email and not (known and known.email):
        problems["phone"] = gettext("Give a telephone or an address, or nobody can answer them.")
    email, wrong = _read_address(typed, known)
    if wrong:
        problems["email"] = wrong
    elif typed.packet and not email and not (known and known.email):
        problems["email"] = gettext("Ask for an address, or do not send the packet.")
    if typed.packet and not typed.agreed:
        problems["agreed"] = gettext("Read this to them first: the packet tells of their health.")
    elif typed.conditions and not typed.agreed:
        problems["agreed"] = gettext(
            "Read this to them first: without it, nothing of their health is kept."
        )
    if len(typed.note) > LONGEST_NOTE:
        problems["note"] = gettext(
            "A note has %(longest)s characters at most; this one has %(length)s.",
            longest=LONGEST_NOTE,
            length=len(typed.note),
        )
    return problems, email


def _read_address(typed: Typed, known: Lead | None) -> tuple[str, str]:
    """The address, normalised, and what is wrong with it; both empty where none was typed."""
    if not typed.email:
        return "", ""
    try:
        email = addresses.read_address(typed.email)
    except addresses.BadAddress:
        return "", gettext("Please check the address; it should look like name@example.com.")
    if known and known.email and addresses.address_key(email) != known.address_key:
        return "", gettext(
            "%(address)s is on record for them. Leave this empty to write there.",
            address=known.email,
        )
    guess = addresses.likely_meant(email)
    if guess is not None and typed.email_looked_at != typed.email:
        return "", gettext("Did you mean %(address)s? If not, press once more.", address=guess)
    return email, ""


def _people(typed: Typed, known: Lead | None, email: str) -> Sequence[Lead]:
    """Whom this may be: those with the same telephone, none where the address says who it is."""
    if known is not None:
        return (known,)
    if email and by_hand.person_at(db.session(), email) is not None:
        return ()
    return by_hand.people_with(db.session(), _phone(typed))


def _note_seen(people: Sequence[Lead]) -> None:
    """That a colleague is shown these is on record before they are (PR-09)."""
    for lead in people:
        audit.record(db.session(), me().id, VIEWED, lead.ref, web.now())
    db.session.commit()


def _phone(typed: Typed) -> str | None:
    return phones.read_phone(typed.phone) if typed.phone else None


def _touch(typed: Typed) -> dict[str, Any]:
    """Where they heard of us, as a visit would tell it, so that the rule names it."""
    rule = next((one for one in _ways() if one.ref == typed.heard), None)
    return {"first": _visit(rule.conditions)} if rule else {}


def _ways() -> list[SourceRule]:
    """The clinic's names of sources that a person can say: those that tell of a visit."""
    rules = sources.read_rules(db.session())
    return [rule for rule in rules if _visit(rule.conditions) and "channel" not in rule.conditions]


def _visit(conditions: Mapping[str, str]) -> dict[str, str]:
    return {field: word for field, word in conditions.items() if field != "channel"}


def _lead_at(ref: str) -> Lead | None:
    if not ref:
        return None
    found = db.session.scalar(select(Lead).where(Lead.ref == ref.replace("\0", "")))
    return standing_for(db.session(), found) if found else None


def _keys() -> tuple[str, ...]:
    return (web.settings().secret_key, *web.settings().secret_key_fallbacks)


def _told(typed: Typed, taken: Request, has_spoken: bool) -> str:
    name, address = taken.lead.full_name, taken.lead.email
    if has_spoken:
        kept = gettext("Saved. You have spoken with %(name)s.", name=name)
    else:
        kept = gettext("Saved. %(name)s waits for a call.", name=name)
    told = gettext("The packet is on its way to %(address)s.", address=address)
    if taken.packet_note:
        told = words.of(words.PACKET_NOTE, taken.packet_note)
    return f"{kept} {told}" if typed.packet else kept


def _who(typed: Typed, people: Sequence[Lead]) -> dict[str, Any]:
    """What the part of the page about known people is made of."""
    asks = bool(people) and not typed.person
    return {
        "typed": typed,
        "people": people,
        "asks_who": asks,
        "somebody_else": _SOMEBODY_ELSE,
    }


def _show(
    typed: Typed,
    problems: Mapping[str, str] | None = None,
    people: Sequence[Lead] = (),
    status: HTTPStatus = HTTPStatus.OK,
) -> ResponseReturnValue:
    if form_token.read(_keys(), typed.token) is None:
        typed = replace(typed, token=form_token.issue(web.settings().secret_key, web.now()))
    page = render_template(
        "dashboard/by_hand.html",
        problems=problems or {},
        **_who(typed, people),
        must_choose=status is HTTPStatus.CONFLICT,
        languages=web.LANGUAGES,
        conditions=CONDITIONS,
        aloud={language: text_read_aloud(language).text for language in web.LANGUAGES},
        channels=by_hand.CHANNELS,
        ways=_ways(),
        longest_note=LONGEST_NOTE,
    )
    return page, status
