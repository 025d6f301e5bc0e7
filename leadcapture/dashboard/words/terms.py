"""Terms: one or two words for what the rooms below name by a word."""

from collections.abc import Mapping

from flask_babel import LazyString, gettext, lazy_gettext

from leadcapture.models import Message, MessageKind

STATUS: Mapping[str, LazyString] = {
    "held": lazy_gettext("Held"),
    "new": lazy_gettext("New"),
    "contacted": lazy_gettext("Contacted"),
    "booked": lazy_gettext("Booked"),
    "patient": lazy_gettext("Patient"),
    "closed": lazy_gettext("Closed"),
    "merged": lazy_gettext("Merged"),
}

CLOSED_REASON: Mapping[str, LazyString] = {
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
    "wrong_number": lazy_gettext("Wrong number"),
    "wrote": lazy_gettext("I wrote to them"),
    "met": lazy_gettext("Met them"),
}

CHANNEL: Mapping[str, LazyString] = {
    "web": lazy_gettext("Form"),
    "embed": lazy_gettext("Form on another page"),
    "api": lazy_gettext("Another site"),
    "mail": lazy_gettext("Email"),
    "phone": lazy_gettext("Telephone"),
    "walk_in": lazy_gettext("Walk-in"),
    "event": lazy_gettext("Event"),
    "missed_call": lazy_gettext("Missed call"),
    "chat": lazy_gettext("Chat"),
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
    "no_address": lazy_gettext("No packet was sent: there is no address."),
    "not_asked": lazy_gettext("No packet was sent: nobody has asked for it."),
}


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


def letter_name(letter: Message) -> str:
    """What a letter is: ``Follow-up · day 3``."""
    name = of(LETTER, letter.kind)
    return f"{name} · {step_of(letter.step)}" if letter.step else name


def purpose(letter: Message) -> str:
    """Why a letter that is still to come will be sent."""
    if letter.kind == MessageKind.FOLLOW_UP:
        return str(gettext("They agreed to follow-ups. Speaking with them cancels it."))
    return str(gettext("They asked for it."))


def occasion(letter: Message) -> str:
    """Why a letter that has left was sent."""
    if letter.kind == MessageKind.FOLLOW_UP:
        return str(gettext("They agreed to follow-ups, and nobody had spoken with them."))
    return str(gettext("They asked for it."))
