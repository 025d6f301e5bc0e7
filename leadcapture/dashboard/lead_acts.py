"""What staff do with a lead: each act is one form, one transaction, one sentence back."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from flask import abort, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, ngettext

from leadcapture import web
from leadcapture.accounts.access import EVERYONE, me, staff_only
from leadcapture.dashboard import words
from leadcapture.dashboard.blueprint import blueprint
from leadcapture.dashboard.lead_page import Problem, find_lead, show_lead
from leadcapture.dashboard.stale_page import ask_if_stale
from leadcapture.dashboard.times import exact
from leadcapture.database import db
from leadcapture.intake import packets
from leadcapture.leads import bulk, contact, letters_again, mentions, pipeline, tasks
from leadcapture.models import Lead, LeadStatus

_CALL_BACK = "call_back"
_FARTHEST_CALL = timedelta(days=366)


@blueprint.post("/leads/<ref>/status")
@staff_only(*EVERYONE)
def status(ref: str) -> ResponseReturnValue:
    """Move the lead along the pipeline."""
    lead = find_lead(ref)
    word = request.form.get("status", "")
    if word not in set(LeadStatus):
        return show_lead(lead, Problem(gettext("Choose where the lead goes."), "move-status"))
    # What stands in the field counts only where the lead is closed.
    reason = request.form.get("reason", "") if word == LeadStatus.CLOSED else ""
    asked = ask_if_stale(
        lead,
        (gettext("Move to"), words.of(words.STATUS, word)),
        (gettext("Reason"), words.of(words.CLOSED_REASON, reason)),
    )
    # A move that became impossible is explained; there is nothing to decide.
    if asked and word in pipeline.moves_from(lead.status):
        return asked
    wish = bulk.Wish(bulk.Act.MOVE, status=LeadStatus(word), reason=reason)
    leads = bulk.leads_by_ref(db.session(), [lead.ref])
    try:
        act = bulk.carry_out(db.session(), leads, wish, me().id, web.now())
    except pipeline.MoveRefused:
        act = None
    if act is None or not act.changed:
        db.session.rollback()
        return show_lead(lead, _why_refused(lead, word))
    db.session.commit()
    return redirect(url_for("dashboard.lead", ref=lead.ref, done=act.ref), 303)


@blueprint.post("/leads/<ref>/calls")
@staff_only(*EVERYONE)
def calls(ref: str) -> ResponseReturnValue:
    """Log a call, or how else a person of the clinic answered."""
    lead = _writable(ref)
    word, note = request.form.get("outcome", ""), _typed_note()
    if word not in {_CALL_BACK, *contact.CallOutcome, *contact.Meeting}:
        return _call_again(lead, gettext("Choose how the call went."), "call-note")
    if len(note) > contact.LONGEST_NOTE:
        return _call_again(lead, _too_long(note, "call-note").sentence, "call-note")
    at, back_at, task = web.now(), None, ""
    # A time beside any button is meant, and Enter in its field presses the first of them.
    if word == _CALL_BACK or request.form.get("call_back_at"):
        back_at = _call_back_at(at)
        if back_at is None:
            return _call_again(lead, _no_time_to_come(), "call-back-at")
        task = tasks.add_call_back(db.session(), lead, me().id, back_at, at).ref
    before, held = bulk.how_it_stands(lead), letters_again.why_held(db.session(), [lead.id])
    told, mentioned = _log(lead, word, note, at)
    act = bulk.keep_contact(db.session(), lead, before, held, me().id, at, task)
    sentences = [told, _remembered_sentence(back_at), *mentioned]
    db.session.commit()
    flash(" ".join(filter(None, sentences)), f"message undo {act.ref}")
    return _back(lead)


@blueprint.post("/leads/<ref>/notes")
@staff_only(*EVERYONE)
def notes(ref: str) -> ResponseReturnValue:
    """Add a note."""
    lead, note = find_lead(ref), _typed_note()
    if not note:
        return show_lead(lead, Problem(gettext("Write the note first."), "note"))
    if len(note) > contact.LONGEST_NOTE:
        return show_lead(lead, _too_long(note, "note"))
    mentioned = contact.add_note(db.session(), web.vault(), lead, me().id, web.now(), note)
    told = words.mentioned(mentioned)
    db.session.commit()
    flash(" ".join([gettext("The note is kept."), *told]))
    return _back(lead)


@blueprint.post("/leads/<ref>/owner")
@staff_only(*EVERYONE)
def owner(ref: str) -> ResponseReturnValue:
    """Assign the lead to whoever presses."""
    lead = find_lead(ref)
    if asked := ask_if_stale(lead, (gettext("Owner"), me().name)):
        return asked
    before, undo = lead.owner_id, ""
    if contact.assign(db.session(), lead, me().id, me().id, web.now()):
        act = bulk.keep_assignment(db.session(), lead, before, me(), me().id, web.now())
        undo = f" undo {act.ref}"
    db.session.commit()
    flash(gettext("%(name)s is yours.", name=lead.full_name), f"message{undo}")
    return _back(lead)


@blueprint.post("/leads/<ref>/packet")
@staff_only(*EVERYONE)
def packet(ref: str) -> ResponseReturnValue:
    """Send the packet again."""
    lead = _writable(ref)
    if not packets.may_send(db.session(), lead):
        return show_lead(lead, Problem(_why_no_packet(lead), "letters-title"))
    packets.send_again(db.session(), web.vault(), web.settings(), lead, me().id, web.now())
    db.session.commit()
    flash(gettext("The packet is on its way to %(address)s.", address=lead.email))
    return _back(lead)


@blueprint.post("/leads/<ref>/follow-ups/cancellation")
@staff_only(*EVERYONE)
def follow_ups(ref: str) -> ResponseReturnValue:
    """Cancel the follow-ups that have not left."""
    lead, now, undo = find_lead(ref), web.now(), ""
    held = letters_again.why_held(db.session(), [lead.id])
    cancelled = contact.cancel_follow_ups(db.session(), lead, me().id, now)
    if cancelled:
        undo = f" undo {bulk.keep_stop(db.session(), lead, held, me().id, now).ref}"
    db.session.commit()
    told = _cancelled_sentence(cancelled) or gettext("There was no follow-up left to cancel.")
    flash(told, f"message{undo}")
    return _back(lead)


def _why_no_packet(lead: Lead) -> str:
    if not lead.email:
        return str(gettext("The packet can go out when there is an address."))
    return str(gettext("The packet can go out when they have agreed to it."))


def _writable(ref: str) -> Lead:
    lead = find_lead(ref)
    if lead.status is LeadStatus.HELD:
        # Nothing is done with a held lead before a person has let its request in.
        abort(409)
    return lead


def _log(lead: Lead, word: str, note: str, now: datetime) -> tuple[str, list[str]]:
    """Record what was pressed; the sentence that says so, and those of whom its note mentions."""
    session, vault = db.session(), web.vault()
    if word in set(contact.Meeting):
        meeting = contact.Meeting(word)
        logged = contact.log_meeting(session, vault, lead, me().id, now, meeting, note)
        return _meeting_sentence(lead, meeting, logged.cancelled), _mentioned(logged.mentioned)
    # Who asks to be called back has been spoken with.
    outcome = contact.CallOutcome.REACHED if word == _CALL_BACK else contact.CallOutcome(word)
    logged = contact.log_call(session, vault, lead, me().id, now, outcome, note)
    return _call_sentence(lead, outcome, logged.cancelled), _mentioned(logged.mentioned)


def _mentioned(whom: mentions.Mentioned) -> list[str]:
    """Whom a note beside something else mentions; nothing where it names nobody."""
    told = words.mentioned(whom)
    return [gettext("The note is kept."), *told] if told else []


def _no_time_to_come() -> str:
    return str(gettext("Say when they want to be called back: a day and a time to come."))


def _remembered_sentence(back_at: datetime | None) -> str:
    if back_at is None:
        return ""
    return str(gettext("You are to call back: %(when)s.", when=exact(back_at)))


def _call_again(lead: Lead, sentence: str, field: str) -> ResponseReturnValue:
    typed_at = request.form.get("call_back_at", "")
    return show_lead(lead, Problem(sentence, field, _typed_note(), typed_at))


def _call_back_at(now: datetime) -> datetime | None:
    """The typed time, on the clinic's clock, in UTC; None for what is no time to come."""
    zone = ZoneInfo(web.settings().clinic.time_zone)
    try:
        typed = datetime.fromisoformat(request.form.get("call_back_at", ""))
        at = typed.replace(tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return at if now < at < now + _FARTHEST_CALL else None


def _typed_note() -> str:
    return request.form.get("note", "").replace("\0", "").replace("\r\n", "\n").strip()


def _back(lead: Lead) -> ResponseReturnValue:
    if request.form.get("back") == "now":
        return redirect(url_for("dashboard.now"), 303)
    return redirect(url_for("dashboard.lead", ref=lead.ref), 303)


def _too_long(note: str, field: str) -> Problem:
    sentence = gettext(
        "A note has %(longest)s characters at most; this one has %(length)s.",
        longest=contact.LONGEST_NOTE,
        length=len(note),
    )
    return Problem(sentence, field, note)


def _why_refused(lead: Lead, word: str) -> Problem:
    if word == LeadStatus.CLOSED and LeadStatus.CLOSED in pipeline.moves_from(lead.status):
        return Problem(gettext("Say why the lead is closed."), "move-reason", word)
    sentence = gettext(
        "The lead stands at “%(status)s” now and cannot go to “%(wanted)s” from there. "
        "A colleague may have moved it.",
        status=words.of(words.STATUS, lead.status),
        wanted=words.of(words.STATUS, word),
    )
    return Problem(sentence, "move-status")


def _call_sentence(lead: Lead, outcome: contact.CallOutcome, cancelled: int) -> str:
    if outcome is not contact.CallOutcome.REACHED:
        return str(gettext("Logged. %(name)s still waits for a person.", name=lead.full_name))
    logged = gettext("Logged: you reached %(name)s.", name=lead.full_name)
    return f"{logged} {_cancelled_sentence(cancelled)}".strip()


def _meeting_sentence(lead: Lead, meeting: contact.Meeting, cancelled: int) -> str:
    if meeting is contact.Meeting.WROTE:
        logged = gettext("Logged: you wrote to %(name)s.", name=lead.full_name)
    else:
        logged = gettext("Logged: you met %(name)s.", name=lead.full_name)
    return f"{logged} {_cancelled_sentence(cancelled)}".strip()


def _cancelled_sentence(cancelled: int) -> str:
    if not cancelled:
        return ""
    return str(
        ngettext("%(num)d follow-up is cancelled.", "%(num)d follow-ups are cancelled.", cancelled)
    )
