"""Bulk acts: what is done to the chosen leads, and the message that confirms it."""

from collections.abc import Sequence
from dataclasses import dataclass

from flask import flash, redirect, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext, ngettext
from sqlalchemy import select

from leadcapture import web
from leadcapture.accounts.access import EVERYONE, me, staff_only
from leadcapture.dashboard import words
from leadcapture.dashboard.blueprint import blueprint
from leadcapture.dashboard.list_words import Shown, asker, read_query
from leadcapture.database import db
from leadcapture.leads import bulk, listing, tags
from leadcapture.leads.bulk import Act, Wish
from leadcapture.leads.filters import LISTED, ME
from leadcapture.leads.pipeline import ClosedReason
from leadcapture.models import BulkAct, Lead, LeadStatus, Staff

_TOLD = 20
SAID_AT_ONCE = (Act.CONTACT, Act.STOP)
"""What these came to is said by the sentence that bears their undo."""
_TOLD_BY_LIST = (Act.ASSIGN, Act.MOVE, Act.TAG, Act.UNTAG, Act.EDIT)


@dataclass(frozen=True)
class Done:
    """The message after an act: a sentence, whom it did not reach and why, and if undo is there.

    ``then`` is where the act can go on, where more leads may match; ``again`` is the act.
    """

    ref: str
    sentence: str
    refused: Sequence[tuple[Lead, str]]
    not_told: int
    can_undo: bool
    then: str = ""
    again: str = ""


@blueprint.post("/leads/acts")
@staff_only(*EVERYONE)
def acts() -> ResponseReturnValue:
    """Do one thing to the leads that were chosen, or to all of the filter, 500 at a time."""
    shown = read_query(request.form.get("list", ""))
    typed = request.form.get("act", "")
    wish = read_wish(typed)
    refs = request.form.getlist("lead")
    of_all = request.form.get("which") == "all"
    if wish is None:
        return _ask_again(shown, gettext("Choose what to do with them."))
    if not refs and not of_all:
        return _ask_again(shown, gettext("Choose the leads first: tick their rows."))
    if not of_all:
        act = bulk.carry_out(
            db.session(), bulk.leads_by_ref(db.session(), refs), wish, me().id, web.now()
        )
        db.session.commit()
        if len(set(refs)) > bulk.MOST:
            flash(gettext("%(most)s at once are the most: tick the others anew.", most=bulk.MOST))
        return redirect(shown.href(done=act.ref), 303)
    key = listing.read_key(request.form.get("from", ""))
    chosen = bulk.leads_of_filter(db.session(), shown.filters, asker(), shown.order, key)
    act = bulk.carry_out(db.session(), chosen.leads, wish, me().id, web.now())
    db.session.commit()
    more = {"then": str(chosen.then), "again": typed} if chosen.then else {}
    return redirect(shown.href(done=act.ref, **more), 303)


def read_wish(typed: str) -> Wish | None:
    """The act that a form names, such as ``move:closed:cost`` or ``assign:me``; else None."""
    name, _, rest = typed.replace("\0", "").partition(":")
    if name == Act.ASSIGN:
        return _assign(rest)
    if name == Act.MOVE:
        return _move(rest)
    if name in (Act.TAG, Act.UNTAG):
        tag = tags.find_tag(db.session(), rest)
        return Wish(Act(name), tag=tag) if tag else None
    return None


def done() -> Done | None:
    """What the address says was just done, where it is the reader's own last act."""
    ref = request.args.get("done", "")
    act = bulk.last_act(db.session(), ref, me().id) if ref.isascii() and ref else None
    if act is None or act.act not in _TOLD_BY_LIST:
        return None
    told = act.refused[:_TOLD]
    named = db.session.scalars(select(Lead).where(Lead.ref.in_([line[0] for line in told])))
    leads = {lead.ref: lead for lead in named}
    return Done(
        ref=act.ref,
        sentence=undone_sentence(act) if act.undone_at else _done_sentence(act),
        refused=[(leads[line[0]], _why(line)) for line in told if line[0] in leads],
        not_told=len(act.refused) - len(told),
        can_undo=act.undone_at is None and bool(act.changed),
        then=request.args.get("then", "") if act.undone_at is None else "",
        again=request.args.get("again", ""),
    )


def undone_sentence(act: BulkAct) -> str:
    """That an act was undone: for how many leads, and what became of their letters."""
    restored = act.facts.get("restored", 0)
    sentence = ngettext(
        "Undone: %(num)d lead stands as before.", "Undone: %(num)d leads stand as before.", restored
    )
    sentences = [str(sentence)]
    if again := act.facts.get("again", 0):
        sentences.append(
            ngettext(
                "%(num)d follow-up goes out after all.",
                "%(num)d follow-ups go out after all.",
                again,
            )
        )
    if letters := act.facts.get("letters", 0):
        sentences.append(
            ngettext(
                "%(num)d follow-up stays cancelled.", "%(num)d follow-ups stay cancelled.", letters
            )
        )
    return " ".join(sentences)


def _ask_again(shown: Shown, problem: str) -> ResponseReturnValue:
    # Here, because the list shows what this module tells.
    from leadcapture.dashboard.lead_list import show_list

    return show_list(shown, problem, chosen=tuple(request.form.getlist("lead")))


def _assign(word: str) -> Wish | None:
    if word == ME:
        return Wish(Act.ASSIGN, person=me())
    person = db.session.scalar(select(Staff).where(Staff.email == word, Staff.active))
    return Wish(Act.ASSIGN, person=person) if person else None


def _move(rest: str) -> Wish | None:
    word, _, reason = rest.partition(":")
    if word not in LISTED:
        return None
    status = LeadStatus(word)
    if status is not LeadStatus.CLOSED:
        return Wish(Act.MOVE, status=status)
    return Wish(Act.MOVE, status=status, reason=reason) if reason in set(ClosedReason) else None


def _done_sentence(act: BulkAct) -> str:
    number = len(act.changed)
    if not number:
        return str(gettext("Nothing was changed."))
    name = act.facts.get("name", "")
    match act.act:
        case Act.ASSIGN:
            return str(
                ngettext(
                    "%(num)d lead belongs to %(name)s now.",
                    "%(num)d leads belong to %(name)s now.",
                    number,
                    name=name,
                )
            )
        case Act.MOVE:
            status = words.of(words.STATUS, act.facts["status"])
            return str(
                ngettext(
                    "%(num)d lead is now: %(status)s.",
                    "%(num)d leads are now: %(status)s.",
                    number,
                    status=status,
                )
            )
        case Act.EDIT:
            return words.saved(act.facts)
        case Act.TAG:
            return str(
                ngettext(
                    "%(num)d lead carries “%(name)s” now.",
                    "%(num)d leads carry “%(name)s” now.",
                    number,
                    name=name,
                )
            )
    return str(
        ngettext(
            "“%(name)s” was taken from %(num)d lead.",
            "“%(name)s” was taken from %(num)d leads.",
            number,
            name=name,
        )
    )


def _why(line: Sequence[str]) -> str:
    if line[1] == "no_move":
        status = words.of(words.STATUS, line[2])
        return str(gettext("stands at “%(status)s” and cannot go there", status=status))
    if line[1] == "taken":
        return str(gettext("has another address now, because another lead has the old one"))
    if line[1] == "changed":
        return str(gettext("somebody has changed it since, so it was left alone"))
    return str(gettext("stood so already"))
