"""Words: what staff read for each word that the rooms below keep in the database."""

from collections.abc import Mapping

from flask_babel import LazyString, gettext, lazy_gettext, ngettext

from leadcapture.models import Message, MessageKind, TimelineEntry

STATUS: Mapping[str, LazyString] = {
    "held": lazy_gettext("Held"),
    "new": lazy_gettext("New"),
    "contacted": lazy_gettext("Contacted"),
    "booked": lazy_gettext("Booked"),
    "patient": lazy_gettext("Patient"),
    "closed": lazy_gettext("Closed"),
}

CLOSED_REASON: Mapping[str, LazyString] = {
    "unknown_kind": lazy_gettext(
        "A newer version of this service wrote it, and this one does not know it. It can go out "
        "when the newer version runs again."
    ),
    "not_interested": lazy_gettext("Not interested"),
    "not_a_candidate": lazy_gettext("Not a candidate"),
    "cost": lazy_gettext("Cost"),
    "treated_elsewhere": lazy_gettext("Treated elsewhere"),
    "unreachable": lazy_gettext("Cannot be reached"),
    "not_a_person": lazy_gettext("Not a person"),
    "other": lazy_gettext("Other"),
}

CONDITION: Mapping[str, LazyString] = {
    "autoimmune": lazy_gettext("Autoimmune"),
    "osteoarthritis": lazy_gettext("Osteoarthritis and joints"),
    "athletes": lazy_gettext("Athletes' recovery"),
    "other": lazy_gettext("Something else"),
    "not_sure": lazy_gettext("Not sure"),
}

CALL: Mapping[str, LazyString] = {
    "reached": lazy_gettext("Reached"),
    "left_message": lazy_gettext("Left a message"),
    "no_answer": lazy_gettext("No answer"),
}

CHANNEL: Mapping[str, LazyString] = {
    "web": lazy_gettext("Form"),
    "embed": lazy_gettext("Form on another page"),
    "api": lazy_gettext("Another site"),
    "mail": lazy_gettext("Email"),
    "phone": lazy_gettext("Telephone"),
}

CONTACT_BY: Mapping[str, LazyString] = {
    "phone": lazy_gettext("wants a call"),
    "email": lazy_gettext("wants an email"),
    "whatsapp": lazy_gettext("wants a WhatsApp message"),
    "text": lazy_gettext("wants a text message"),
}

CONTACT_TIME: Mapping[str, LazyString] = {
    "morning": lazy_gettext("in the morning"),
    "afternoon": lazy_gettext("in the afternoon"),
    "evening": lazy_gettext("in the evening"),
    "any": lazy_gettext("at any time"),
}

CONSENT: Mapping[str, LazyString] = {
    "health": lazy_gettext("Health answers, by ordinary email"),
    "follow_ups": lazy_gettext("Follow-up letters"),
}

LETTER: Mapping[str, LazyString] = {
    "packet": lazy_gettext("Packet"),
    "packet_link": lazy_gettext("Link to the packet"),
    "follow_up": lazy_gettext("Follow-up"),
    "staff_alert": lazy_gettext("Alert to staff"),
}

MESSAGE_STATE: Mapping[str, LazyString] = {
    "queued": lazy_gettext("Will be sent"),
    "claimed": lazy_gettext("Being sent"),
    "sending": lazy_gettext("Being sent"),
    "sent": lazy_gettext("Sent"),
    "failed": lazy_gettext("Failed"),
    "uncertain": lazy_gettext("Uncertain"),
    "held": lazy_gettext("Held"),
    "cancelled": lazy_gettext("Cancelled"),
    "suppressed": lazy_gettext("Not sent"),
    "expired": lazy_gettext("Came too late"),
    "bounced": lazy_gettext("Came back"),
}

PACKET_NOTE: Mapping[str, LazyString] = {
    "suppressed": lazy_gettext("No packet was sent: this address gets no mail from us."),
    "sent_today": lazy_gettext("No packet was sent: one went to this address today."),
    "sent_often": lazy_gettext("No packet was sent: this address got several this month."),
}

HELD_REQUEST: Mapping[str, LazyString] = {
    "honeypot": lazy_gettext("Looks like a robot: it filled in a field that people cannot see."),
    "too_fast": lazy_gettext("Looks like a robot: the form was sent within seconds."),
    "links": lazy_gettext("Looks like advertising: the message is full of links."),
    "rate": lazy_gettext("Many requests came from this place at once."),
    "captcha": lazy_gettext("The puzzle was not solved."),
}

TASK: Mapping[str, LazyString] = {
    "letter_failed": lazy_gettext("A letter could not be delivered"),
    "letter_uncertain": lazy_gettext("A letter may or may not have arrived"),
    "letter_held": lazy_gettext("A letter is held"),
    "letter_expired": lazy_gettext("A packet came too late to be sent"),
    "letter_late": lazy_gettext("A letter has been delayed for hours"),
    "queue_held": lazy_gettext(
        "Our mail server refuses us, and all mail waits. Have the mail settings put right, then "
        "let the mail flow again above."
    ),
    "content_refused": lazy_gettext(
        "Our mail server refused what a letter says. Ask your technician to look at the letter "
        "and the mail server before the packet is sent again."
    ),
    "scheduler_silent": lazy_gettext(
        "No mail has been sent for a while: the sender does not answer. Ask your technician to "
        "restart the service. This closes itself when it runs again."
    ),
    "audit_broken": lazy_gettext(
        "The audit record was changed from outside. Ask your technician to run “leadcapture "
        "ledger verify” and to keep a copy of the database as it is."
    ),
    "sweep_i1": lazy_gettext(
        "A request belongs to nobody's record. Ask your technician to run “leadcapture ledger "
        "check”."
    ),
    "sweep_i2": lazy_gettext(
        "A person asked for a packet and none was written for them. Open the lead and send the "
        "packet."
    ),
    "sweep_i3": lazy_gettext(
        "A letter has stood half-way for too long, or changed after it was settled. Open the lead "
        "and ask whether it arrived before sending anything again."
    ),
    "sweep_i4": lazy_gettext(
        "A letter counts as sent, but no mail server is on record as having taken it. Open the "
        "lead and ask whether it arrived."
    ),
    "sweep_i5": lazy_gettext(
        "A letter may have gone out more often than it should. Open the lead and excuse us if the "
        "person mentions it; send nothing again."
    ),
    "sweep_i6": lazy_gettext(
        "What is on record of a letter is not what was sent. Open the lead; ask your technician "
        "before sending it again."
    ),
    "sweep_i7": lazy_gettext(
        "A letter left after it had been stopped. Open the lead and write to nobody there before "
        "a colleague has looked at it."
    ),
    "sweep_i8": lazy_gettext(
        "A letter was addressed to somebody other than the lead. Open the lead and tell whoever "
        "is responsible for privacy."
    ),
    "sweep_i9": lazy_gettext(
        "A letter's header holds signs that do not belong there. Ask your technician before "
        "sending it again."
    ),
    "sweep_i10": lazy_gettext(
        "The record of what happened to letters has a gap. Ask your technician to run “leadcapture "
        "ledger check”."
    ),
    "call_back": lazy_gettext("Call back"),
    "response_due": lazy_gettext("The time for a first answer is running out: call"),
    "response_late": lazy_gettext("The time for a first answer has passed: call now"),
    "response_next": lazy_gettext(
        "Nobody has answered in time, so this came to the next person: call now"
    ),
    "letter_bounced": lazy_gettext("A letter came back"),
    "answer": lazy_gettext("A person answered a letter: read it and call or write to them"),
    "mail_from_stranger": lazy_gettext("Mail from somebody we do not know"),
    "mail_unreadable": lazy_gettext(
        "A mail could not be read. Open it in the mailbox, in the folder leadcapture/set-aside."
    ),
}

_REASON: Mapping[str, LazyString] = {
    "restored_copy": lazy_gettext("This database may be a restored or cloned copy."),
    "nonsense": lazy_gettext("The mail server answered several times with nothing sensible."),
    "doubt_twice": lazy_gettext(
        "Twice the line broke just as the mail server took the letter. It may have arrived; "
        "ask before sending it again."
    ),
    "no_answer_after_dot": lazy_gettext(
        "The line broke just as the mail server took the letter. It may have arrived; within "
        "half an hour this settles itself or comes back to you."
    ),
    "cannot_be_written": lazy_gettext(
        "The letter could not be put together. Send the packet again; if it is held again, "
        "write or call in person."
    ),
    "differs_from_first_copy": lazy_gettext(
        "A second copy would have differed from the first, so it was kept back."
    ),
    "bounced": lazy_gettext("The letter came back: the mailbox does not take it."),
    "released": lazy_gettext("A colleague let it go out."),
    "assumed_sent": lazy_gettext("The line broke at the end; we count it as sent."),
    "resent_after_doubt": lazy_gettext("Sent again, because the first copy was in doubt."),
    "worker_lost": lazy_gettext("The sender stopped half-way; it is sent again."),
    "relay_down": lazy_gettext("Our mail server is out of reach; it is tried again."),
    "hold_queue": lazy_gettext("Our mail server refuses us; all mail waits."),
    "connect_no_tls": lazy_gettext(
        "Our mail server offers no encryption, so nothing was handed to it. Ask your technician."
    ),
    "connect_tls": lazy_gettext(
        "Our mail server's certificate is not valid, so nothing was handed to it. Ask your "
        "technician."
    ),
    "auth_no_auth": lazy_gettext(
        "Our mail server offers no sign-in, so nothing was handed to it. Ask your technician."
    ),
    "quiet_hours": lazy_gettext("Waits for daytime where the patient is."),
    "too_late": lazy_gettext("It could not be sent before it stopped being useful."),
    "complained": lazy_gettext(
        "The person's mail provider says that they called a letter of ours unwanted. They get no "
        "mail from us any more; call only if they had asked for it."
    ),
    "evidence_relay_log": lazy_gettext(
        "The line broke at the end, but our mail server's log shows that it took the letter."
    ),
    "evidence_report": lazy_gettext("The line broke at the end, but a report shows that it left."),
    "evidence_answer": lazy_gettext(
        "The line broke at the end, but the person answered the letter: it arrived."
    ),
    "evidence_complaint": lazy_gettext(
        "The line broke at the end, but the person's mail provider has the letter: it arrived."
    ),
    "unsubscribed": lazy_gettext("This address asked for no more mail."),
    "no_such_address": lazy_gettext("This address does not exist."),
    "consent_withdrawn": lazy_gettext("The person no longer agrees to follow-ups."),
    "erased": lazy_gettext("The person's record was erased."),
    "contacted": lazy_gettext("Somebody has spoken with the person."),
    "answered": lazy_gettext("The person answered."),
    "staff_cancelled": lazy_gettext("A colleague cancelled it."),
    "status_contacted": lazy_gettext("Somebody has spoken with the person."),
    "status_booked": lazy_gettext("A consultation is booked."),
    "status_patient": lazy_gettext("The person is a patient now."),
    "status_closed": lazy_gettext("The lead was closed."),
    "capped_daily": lazy_gettext("One follow-up a day is the most that an address gets."),
    "capped_monthly": lazy_gettext("Five follow-ups a month are the most that an address gets."),
    "capped_unconfirmed": lazy_gettext("Nobody has confirmed this address; three letters are all."),
}

_REFUSED: Mapping[str, LazyString] = {
    "connect": lazy_gettext("Our mail server did not let us in."),
    "auth": lazy_gettext("Our mail server did not accept our password."),
    "mail": lazy_gettext("Our mail server does not let us send from our address."),
    "rcpt": lazy_gettext("The mail server refuses this recipient."),
    "data": lazy_gettext("The mail server refused the letter."),
    "returned": lazy_gettext("The letter came back. Call the person, or ask for another address."),
    "body": lazy_gettext("The line broke while the letter was sent."),
    "dot": lazy_gettext("The mail server refused the letter."),
}

_REFUSED_BY_STATUS: Mapping[str, LazyString] = {
    "5.1": lazy_gettext("This address does not exist, says its mail server."),
    "5.2.1": lazy_gettext("This mailbox is closed, says its mail server."),
    "5.2.2": lazy_gettext("The recipient's mailbox is full."),
    "4.2.2": lazy_gettext("The recipient's mailbox is full."),
    "5.7": lazy_gettext("The recipient's mail server refuses letters like ours."),
}


def why(reason: str) -> str:
    """The sentence for a message's reason; empty for none, the bare word for an unknown one.

    A refusal is kept as its phase and its code or RFC 3463 status: ``rcpt_5.1.1``.
    """
    if not reason:
        return ""
    if reason in _REASON:
        return str(_REASON[reason])
    phase, _, answer = reason.partition("_")
    if phase not in _REFUSED:
        return str(gettext("Reason: %(reason)s.", reason=reason))
    for status, sentence in _REFUSED_BY_STATUS.items():
        if answer.startswith(status):
            return str(sentence)
    return str(_REFUSED[phase])


def of(table: Mapping[str, LazyString], word: str) -> str:
    """The words for a word; an unknown one stands for itself, with spaces."""
    return str(table[word]) if word in table else word.replace("_", " ")


def step_of(step: str) -> str:
    """A follow-up's step: ``day 3`` for ``day-3``."""
    day = step.removeprefix("day-")
    return str(gettext("day %(day)s", day=day)) if day.isdigit() else step


def wish(contact_by: str, contact_time: str) -> str:
    """How and when the person asked to be reached, or nothing."""
    if contact_by:
        return " ".join((of(CONTACT_BY, contact_by), of(CONTACT_TIME, contact_time))).strip()
    if contact_time:
        return str(gettext("best reached %(time)s", time=of(CONTACT_TIME, contact_time)))
    return ""


def purpose(letter: Message) -> str:
    """Why a letter that is still to come will be sent."""
    if letter.kind == MessageKind.FOLLOW_UP:
        return str(gettext("They agreed to follow-ups. Speaking with them cancels it."))
    return str(gettext("They asked for it."))


def happened(entry: TimelineEntry) -> str:
    """The sentence for an entry of the timeline; an unknown kind stands for itself."""
    facts = entry.facts
    match entry.kind:
        case "requested":
            return str(gettext("Asked for information"))
        case "request_held":
            return str(gettext("A request was held"))
        case "status_changed":
            return _moved(facts)
        case "call_logged":
            outcome = of(CALL, str(facts.get("outcome", "")))
            return str(gettext("Call: %(outcome)s", outcome=outcome)) + _cancelled(facts)
        case "task_done":
            return str(gettext("Done: %(task)s", task=of(TASK, str(facts.get("task", "")))))
        case "assigned_to":
            return _assigned(facts)
        case "answered":
            return str(gettext("Answered by email")) + _cancelled(facts)
        case "follow_ups_cancelled":
            return str(gettext("Cancelled the follow-ups")) + _cancelled(facts)
    return of(_HAPPENED, entry.kind)


_HAPPENED: Mapping[str, LazyString] = {
    "request_released": lazy_gettext("Released the held request"),
    "request_discarded": lazy_gettext("Discarded the held request"),
    "address_confirmed": lazy_gettext("Confirmed the address"),
    "packet_link_asked": lazy_gettext("Asked for a new link to the packet"),
    "packet_sent_again": lazy_gettext("Sent the packet again"),
    "unsubscribed": lazy_gettext("Asked for no more follow-ups"),
    "complained": lazy_gettext(
        "Called a letter of ours unwanted, says their mail provider; they get no mail any more"
    ),
    "letter_delayed": lazy_gettext(
        "A letter is held up on its way; the mail server goes on trying"
    ),
    "resubscribed": lazy_gettext("Asked for follow-ups again"),
    "note_added": lazy_gettext("Note"),
    "assigned": lazy_gettext("Took over the lead"),
    "letter_settled": lazy_gettext("Settled a letter that stood still"),
}


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


def _cancelled(facts: Mapping[str, object]) -> str:
    number = facts.get("follow_ups_cancelled", 0)
    if not isinstance(number, int) or number == 0:
        return ""
    told = ngettext("%(num)d follow-up cancelled", "%(num)d follow-ups cancelled", number)
    return f" ({told})"
