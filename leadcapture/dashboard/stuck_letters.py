"""Letters that stand still: tried again, known to have arrived, or ended, from Now or a lead."""

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
from leadcapture.database import db
from leadcapture.leads import letters_stuck
from leadcapture.leads.letters_ahead import Answer
from leadcapture.models import Message, MessageState

_ACTS = {
    "": letters_stuck.settle,
    "arrived": letters_stuck.note_arrival,
    "never": letters_stuck.end,
}


@blueprint.post("/letters/<ref>/release")
@staff_only(*EVERYONE)
def letter_release(ref: str) -> ResponseReturnValue:
    """Have a held letter tried again, with the password once more (AU-11)."""
    message = _find(ref)
    try:
        is_mine = is_password_of_mine(request.form.get("password", ""))
    except GuessedTooOften:
        abort(429)
    if not is_mine:
        return _ask_password_again(message)
    answer = letters_stuck.try_again(db.session(), message, me().id, web.now())
    db.session.commit()
    name = words.letter_name(message)
    if answer.is_done:
        flash(gettext("%(letter)s is tried again within a minute.", letter=name))
    elif answer.refused:
        why = words.why(answer.refused)
        flash(gettext("Not tried again: %(letter)s. %(why)s", letter=name, why=why))
    else:
        flash(_too_late(message))
    return _back(message)


@blueprint.post("/letters/<ref>/settlement")
@staff_only(*EVERYONE)
def letter_settlement(ref: str) -> ResponseReturnValue:
    """Say that a letter arrived, that it is never to be sent, or that it is dealt with."""
    message = _find(ref)
    word = request.form.get("act", "")
    if word == "back":
        return _take_back(message)
    if word not in _ACTS:
        abort(400)
    answer = _ACTS[word](db.session(), message, me().id, web.now())
    db.session.commit()
    can_undo = answer.is_done and letters_stuck.may_be_taken_back(message)
    flash(
        _told(word, message, answer), f"message undo-stuck {message.ref}" if can_undo else "message"
    )
    return _back(message)


def _take_back(message: Message) -> ResponseReturnValue:
    """Take back that a letter was ended or dealt with: it stands still again, and goes nowhere."""
    facts = (me().id, web.now())
    again = letters_stuck.take_back(db.session(), web.vault(), web.settings(), message, *facts)
    db.session.commit()
    name = words.letter_name(message)
    if not again:
        flash(gettext("Not undone: %(letter)s stays as it is.", letter=name))
    elif message.state is MessageState.CANCELLED:
        flash(gettext("Undone: %(letter)s is held as before and not sent by itself.", letter=name))
    else:
        flash(gettext("Undone: %(letter)s waits for a decision again.", letter=name))
    return _back(message)


def _find(ref: str) -> Message:
    message = db.session.scalar(select(Message).where(Message.ref == ref))
    if message is None:
        abort(404)
    return message


def _told(word: str, message: Message, answer: Answer) -> str:
    name = words.letter_name(message)
    if not answer.is_done:
        return _too_late(message)
    if word == "arrived":
        return str(gettext("Noted: %(letter)s arrived. It is not sent again.", letter=name))
    if message.state == "cancelled":
        return str(gettext("%(letter)s is never sent.", letter=name))
    return str(gettext("Settled."))


def _too_late(message: Message) -> str:
    state = words.of(words.MESSAGE_STATE, message.state).lower()
    name = words.letter_name(message)
    return str(
        gettext(
            "Nothing was changed, because somebody was quicker. %(letter)s now: %(state)s.",
            letter=name,
            state=state,
        )
    )


def _ask_password_again(message: Message) -> ResponseReturnValue:
    sentence = gettext("That is not your password, so the letter stays held.")
    if message.lead is not None and request.form.get("back") == "lead":
        return show_lead(message.lead, Problem(sentence, f"password-{message.ref}"))
    flash(sentence)
    return _back(message)


def _back(message: Message) -> ResponseReturnValue:
    if message.lead is not None and request.form.get("back") == "lead":
        return redirect(url_for("dashboard.lead", ref=message.lead.ref), 303)
    return redirect(url_for("dashboard.now"), 303)
