"""Letters to come: each is skipped, paused, resumed or sent now, from the lead's page."""

from flask import abort, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from sqlalchemy import select

from leadcapture import web
from leadcapture.accounts.access import EVERYONE, me, staff_only
from leadcapture.accounts.step_up import GuessedTooOften, is_password_of_mine
from leadcapture.dashboard import words
from leadcapture.dashboard.blueprint import blueprint
from leadcapture.dashboard.lead_page import Problem, show_lead
from leadcapture.dashboard.times import exact
from leadcapture.database import db
from leadcapture.leads import letters_ahead
from leadcapture.leads.letters_ahead import Answer
from leadcapture.models import LeadStatus, Message, MessageKind
from leadcapture.outbox import gates

_ACTS = {
    "skip": letters_ahead.skip,
    "pause": letters_ahead.pause,
    "resume": letters_ahead.resume,
    "now": letters_ahead.send_now,
}


@blueprint.post("/letters/<ref>/plan")
@staff_only(*EVERYONE)
def letter_plan(ref: str) -> ResponseReturnValue:
    """Skip, pause, resume or send now; what was paused goes on with the password again."""
    letter = _find(ref)
    word = request.form.get("act", "")
    if word == "unskip":
        return _unskip(letter)
    if word == "unpause":
        return _unpause(letter)
    if word not in _ACTS:
        abort(400)
    lets_go = word in ("resume", "now") and letters_ahead.is_paused(letter)
    if lets_go and (problem := _check_password(letter)):
        assert letter.lead is not None
        return show_lead(letter.lead, problem)
    answer = _ACTS[word](db.session(), letter, me().id, web.now())
    db.session.commit()
    flash(_told(word, letter, answer), f"message{_undo(word, letter, answer)}")
    return _back(letter)


def _undo(word: str, letter: Message, answer: Answer) -> str:
    """What the message bears whose act can be taken back."""
    if answer.is_done and word == "pause":
        return f" undo-pause {letter.ref}"
    if answer.is_done and word == "skip" and letter.kind == MessageKind.FOLLOW_UP:
        return f" undo-letter {letter.ref}"
    return ""


def _unskip(letter: Message) -> ResponseReturnValue:
    """Take back that a follow-up was skipped: a new one goes out on its day."""
    facts = (me().id, web.now())
    again = letters_ahead.unskip(db.session(), web.vault(), web.settings(), letter, *facts)
    db.session.commit()
    name = words.letter_name(letter)
    if again:
        flash(gettext("Undone: %(letter)s goes out on its day after all.", letter=name))
    else:
        flash(gettext("Not undone: %(letter)s may no longer go out.", letter=name))
    return _back(letter)


def _unpause(letter: Message) -> ResponseReturnValue:
    """Take back that a letter was paused a moment ago."""
    answer = letters_ahead.unpause(db.session(), letter, me().id, web.now())
    db.session.commit()
    name = words.letter_name(letter)
    if answer.is_done:
        leaving = f"{_leaving(letter, answer, name)} {_all_mail_waits()}".strip()
        flash(gettext("Undone: %(told)s", told=leaving))
    elif letters_ahead.is_paused(letter):
        flash(
            gettext("Not undone: %(letter)s stays paused until somebody resumes it.", letter=name)
        )
    else:
        flash(gettext("Not undone: %(letter)s is not paused any more.", letter=name))
    return _back(letter)


def _back(letter: Message) -> ResponseReturnValue:
    return redirect(url_for("dashboard.lead", ref=letter.lead.ref if letter.lead else ""), 303)


def _find(ref: str) -> Message:
    letter = db.session.scalar(select(Message).where(Message.ref == ref))
    if letter is None or letter.lead is None or letter.kind == MessageKind.STAFF_ALERT:
        abort(404)
    if letter.lead.status is LeadStatus.HELD:
        abort(409)
    return letter


def _check_password(letter: Message) -> Problem | None:
    try:
        if is_password_of_mine(request.form.get("password", "")):
            return None
    except GuessedTooOften:
        abort(429)
    sentence = gettext("That is not your password, so the letter stays paused.")
    return Problem(sentence, f"password-{letter.ref}")


def _told(word: str, letter: Message, answer: Answer) -> str:
    name = words.letter_name(letter)
    if answer.refused:
        why = words.why(answer.refused)
        return str(gettext("Not sent now: %(letter)s. %(why)s", letter=name, why=why))
    if not answer.is_done:
        return _too_late(letter, name)
    if word == "skip":
        return str(gettext("Skipped: %(letter)s. It is never sent.", letter=name))
    if word == "pause":
        return str(gettext("Paused: %(letter)s. It waits until somebody resumes it.", letter=name))
    return f"{_leaving(letter, answer, name)} {_all_mail_waits()}".strip()


def _too_late(letter: Message, name: str) -> str:
    if letters_ahead.is_ahead(letter):
        return str(gettext("Nothing was changed: %(letter)s is just leaving.", letter=name))
    state = words.of(words.MESSAGE_STATE, letter.state).lower()
    return str(gettext("Nothing was changed: %(letter)s is %(state)s.", letter=name, state=state))


def _leaving(letter: Message, answer: Answer, name: str) -> str:
    if answer.leaves_at is None or answer.leaves_at <= web.now():
        return str(gettext("%(letter)s leaves within a minute.", letter=name))
    when = exact(answer.leaves_at, letter.time_zone)
    if letter.reason == "quiet_hours":
        return str(
            gettext(
                "It is night where they are: %(letter)s leaves %(when)s.", letter=name, when=when
            )
        )
    return str(gettext("%(letter)s leaves %(when)s.", letter=name, when=when))


def _all_mail_waits() -> str:
    if gates.closed_gate(db.session(), web.now()) is None:
        return ""
    return str(gettext("All mail waits at the moment; the first page says why."))
