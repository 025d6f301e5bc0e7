"""Events: a sentence for each entry of a timeline."""

from collections.abc import Mapping
from typing import Any

from flask import g
from flask_babel import LazyString, gettext, lazy_gettext, ngettext

from leadcapture.dashboard.words.details import changes_of, merged_sentence, parted_sentence
from leadcapture.dashboard.words.reasons import TASK
from leadcapture.dashboard.words.terms import CALL, CLOSED_REASON, LETTER, STATUS, of, step_of
from leadcapture.database import db
from leadcapture.leads import tags
from leadcapture.models import TimelineEntry


def happened(entry: TimelineEntry) -> str:
    """The sentence for an entry of the timeline; an unknown kind stands for itself."""
    facts = entry.facts
    match entry.kind:
        case "requested":
            return str(_REQUESTED.get(str(facts.get("channel")), _FORM))
        case "request_held":
            return str(gettext("A request was held"))
        case "status_changed":
            return _moved(facts)
        case "call_logged":
            outcome = of(CALL, str(facts.get("outcome", "")))
            return str(gettext("Call: %(outcome)s", outcome=outcome)) + _cancelled(facts)
        case "wrote":
            return str(gettext("Wrote to the person")) + _cancelled(facts)
        case "met":
            return str(gettext("Met the person")) + _cancelled(facts)
        case "task_done":
            return str(gettext("Done: %(task)s", task=of(TASK, str(facts.get("task", "")))))
        case "task_added":
            return str(gettext("Task for %(name)s", name=facts.get("to", "")))
        case "assigned_to":
            return _assigned(facts)
        case "tag_added":
            return str(gettext("Tagged “%(tag)s”", tag=_tag(facts)))
        case "tag_removed":
            return str(gettext("Tag “%(tag)s” removed", tag=_tag(facts)))
        case "details_changed":
            return changes_of(facts)
        case "merged":
            return merged_sentence(facts)
        case "merge_undone":
            return parted_sentence(facts)
        case "told_apart":
            return str(gettext("Not the same person as %(name)s", name=facts.get("name", "")))
        case "perhaps_same":
            return str(gettext("Perhaps the same person as %(name)s", name=facts.get("name", "")))
        case "act_undone":
            return _undone(facts)
        case "answered":
            return str(gettext("Answered by email")) + _cancelled(facts)
        case "letter_skipped" | "letter_paused" | "letter_resumed" | "letter_hastened":
            return _letter(entry.kind, facts)
        case "letter_tried_again" | "letter_arrived" | "letter_ended":
            return _stuck_letter(entry.kind, facts)
        case "follow_ups_cancelled":
            return str(gettext("Cancelled the follow-ups")) + _cancelled(facts)
    return of(_HAPPENED, entry.kind)


_FORM = lazy_gettext("Asked for information")
_REQUESTED: Mapping[str, LazyString] = {
    "phone": lazy_gettext("Asked by telephone"),
    "walk_in": lazy_gettext("Came by and asked"),
    "event": lazy_gettext("Asked at an event"),
    "missed_call": lazy_gettext("Called, and nobody answered"),
    "chat": lazy_gettext("Wrote in the chat"),
}
_HAPPENED: Mapping[str, LazyString] = {
    "request_released": lazy_gettext("Released the held request"),
    "request_discarded": lazy_gettext("Discarded the held request"),
    "request_held_again": lazy_gettext("Took back that the request was discarded"),
    "letter_unskipped": lazy_gettext("Took back that a letter was skipped"),
    "letter_unpaused": lazy_gettext("Took back that a letter was paused"),
    "address_confirmed": lazy_gettext("Confirmed their email address"),
    "address_given": lazy_gettext("Took down their address"),
    "packet_link_asked": lazy_gettext("Asked for a new link to the packet"),
    "packet_sent_again": lazy_gettext("Sent the packet again"),
    "unsubscribed": lazy_gettext("Asked for no more follow-ups"),
    "refused_all": lazy_gettext("Withdrew everything, or never asked: no letter goes there"),
    "complained": lazy_gettext(
        "Marked a letter of ours as spam, says their mail provider; they get no more mail from us"
    ),
    "called_again": lazy_gettext("Called again, and nobody answered"),
    "wrote_again": lazy_gettext("Wrote again in the chat"),
    "letter_delayed": lazy_gettext(
        "A letter is held up on its way; the mail server goes on trying"
    ),
    "task_reopened": lazy_gettext("Reopened a task"),
    "resubscribed": lazy_gettext("Asked for follow-ups again"),
    "note_added": lazy_gettext("Note"),
    "assigned": lazy_gettext("Took over the lead"),
    "letter_settled": lazy_gettext("Dealt with a letter that was stuck"),
    "letter_unsettled": lazy_gettext("Took back that a stuck letter was dealt with"),
    "letter_held_again": lazy_gettext("Took back that a letter is never sent: it is held again"),
}


def _letter(kind: str, facts: Mapping[str, object]) -> str:
    letter = _name(facts)
    match kind:
        case "letter_skipped":
            return str(gettext("Skipped: %(letter)s", letter=letter))
        case "letter_paused":
            return str(gettext("Paused: %(letter)s", letter=letter))
        case "letter_resumed":
            return str(gettext("Resumed: %(letter)s", letter=letter))
    return str(gettext("Sent early: %(letter)s", letter=letter))


def _name(facts: Mapping[str, object]) -> str:
    step = step_of(str(facts.get("step", "")))
    return of(LETTER, str(facts.get("letter", ""))) + (f" · {step}" if step else "")


def _stuck_letter(kind: str, facts: Mapping[str, object]) -> str:
    letter = _name(facts)
    match kind:
        case "letter_tried_again":
            return str(gettext("Had it tried again: %(letter)s", letter=letter))
        case "letter_arrived":
            return str(gettext("Knows that it arrived: %(letter)s", letter=letter))
    return str(gettext("Ended it: %(letter)s", letter=letter))


def _assigned(facts: Mapping[str, object]) -> str:
    name = str(facts.get("to", ""))
    match facts.get("why"):
        case "round":
            return str(gettext("Assigned to %(name)s, whose turn it was", name=name))
        case "out":
            return str(gettext("Handed over to %(name)s, because the owner is out", name=name))
    return str(gettext("Assigned to %(name)s", name=name))


def _moved(facts: Mapping[str, object]) -> str:
    status = of(STATUS, str(facts.get("to", "")))
    reason = str(facts.get("reason", ""))
    sentence = str(gettext("Moved to %(status)s", status=status))
    if reason:
        sentence += f": {of(CLOSED_REASON, reason).lower()}"
    return sentence + _cancelled(facts)


def _undone(facts: Mapping[str, object]) -> str:
    status = of(STATUS, str(facts.get("back_to", "")))
    if facts.get("act") == "contact":
        return str(gettext("Took back what was logged: back to %(status)s", status=status))
    if facts.get("act") != "move":
        return str(gettext("Undid the last change"))
    return str(gettext("Undid the move: back to %(status)s", status=status))


def _cancelled(facts: Mapping[str, object]) -> str:
    number = facts.get("follow_ups_cancelled", 0)
    if not isinstance(number, int) or number == 0:
        return ""
    told = ngettext("%(num)d follow-up cancelled", "%(num)d follow-ups cancelled", number)
    return f" ({told})"


def _tag(facts: Mapping[str, Any]) -> str:
    """The tag's name of today; entries of an earlier release have the name of then."""
    if "tag_ref" not in facts:
        return str(facts.get("tag", ""))
    if "tag_names" not in g:
        g.tag_names = tags.names(db.session())
    return str(g.tag_names.get(facts["tag_ref"], "…"))
