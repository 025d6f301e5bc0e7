"""Reasons: why something stands still or went wrong, each with one safe thing to do."""

from collections.abc import Mapping

from flask_babel import LazyString, gettext, lazy_gettext

from leadcapture.leads.watched import Watched

HELD_REQUEST: Mapping[str, LazyString] = {
    "honeypot": lazy_gettext("Looks like a robot: it filled in a field that people cannot see."),
    "too_fast": lazy_gettext("Looks like a robot: the form was sent within seconds."),
    "links": lazy_gettext("Looks like advertising: the message is full of links."),
    "other_address": lazy_gettext(
        "The same form came before with another address. Somebody who mended a slip, or a robot."
    ),
    "rate": lazy_gettext("Many requests came from this place at once."),
    "mail_unread": lazy_gettext(
        "A service told of a call or a chat, but not in a way that says whom to call. Open it and "
        "read what it wrote."
    ),
    "sender_unproven": lazy_gettext(
        "A mail bears the address of one of your services, but our mail server does not confirm "
        "that it came from there. Read it; release it only if it is real."
    ),
    "captcha": lazy_gettext("The puzzle was not solved."),
}

TASK: Mapping[str, LazyString] = {
    "letter_failed": lazy_gettext("A letter could not be delivered"),
    "letter_uncertain": lazy_gettext("A letter may or may not have arrived"),
    "letter_held": lazy_gettext("A letter is held"),
    "letter_expired": lazy_gettext(
        "A packet could not be sent for five days and was not sent since. Call the person, or "
        "send the packet again on their page."
    ),
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
    "leads_exported": lazy_gettext(
        "Leads were exported. Look at Reports → Exports who did it, and ask them if you did not "
        "expect it."
    ),
    "many_views": lazy_gettext(
        "A colleague opened more than 200 leads within an hour. Ask them what it was for; the "
        "audit record names them."
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
        "A letter may have gone out more often than it should. Open the lead and apologise if "
        "the person mentions it; send nothing again."
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
        "A letter's header contains characters that do not belong there. Ask your technician "
        "before sending it again."
    ),
    "sweep_i10": lazy_gettext(
        "The record of what happened to letters has a gap. Ask your technician to run “leadcapture "
        "ledger check”."
    ),
    "call_back": lazy_gettext("Call back"),
    "todo": lazy_gettext("Task"),
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

REASON: Mapping[str, LazyString] = {
    "unknown_kind": lazy_gettext(
        "A newer version of this service wrote it, and this one does not know it. When the "
        "newer version runs again, it can be tried again here."
    ),
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
        "A second copy would have differed from the first, so it was kept back. Ask "
        "whether the first arrived; if not, send the packet again."
    ),
    "bounced": lazy_gettext("The letter came back: the mailbox does not take it."),
    "released": lazy_gettext("A colleague let it go out."),
    "paused": lazy_gettext("A colleague keeps it back until somebody resumes it."),
    "assumed_sent": lazy_gettext("The line broke at the end; we count it as sent."),
    "resent_after_doubt": lazy_gettext("Sent again, because the first copy was in doubt."),
    "worker_lost": lazy_gettext("The sender stopped half-way; it is sent again."),
    "relay_down": lazy_gettext("Our mail server is out of reach; it is tried again."),
    "hold_queue": lazy_gettext("Our mail server refuses us; all mail waits."),
    "held_by_operator": lazy_gettext("Whoever runs the service stopped it by command."),
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
    "pace": lazy_gettext("Many letters go to this provider at once; it waits for its turn."),
    "quiet_hours": lazy_gettext("Waits for daytime where the patient is."),
    "too_late": lazy_gettext("It could not be sent before it stopped being useful."),
    "complained": lazy_gettext(
        "The person's mail provider says that they marked a letter of ours as spam. They get no"
        " more mail from us; call only if they had asked for a call."
    ),
    "evidence_relay_log": lazy_gettext(
        "The line broke at the end, but our mail server's log shows that it took the letter."
    ),
    "evidence_staff": lazy_gettext(
        "The line broke at the end, but a colleague knows that it arrived."
    ),
    "evidence_report": lazy_gettext("The line broke at the end, but a report shows that it left."),
    "evidence_answer": lazy_gettext(
        "The line broke at the end, but the person answered the letter: it arrived."
    ),
    "evidence_complaint": lazy_gettext(
        "The line broke at the end, but the person's mail provider has the letter: it arrived."
    ),
    "refused_all": lazy_gettext(
        "Whoever reads this address withdrew everything, or never asked. No letter goes there."
    ),
    "unsubscribed": lazy_gettext("This address asked for no more mail."),
    "no_such_address": lazy_gettext("This address does not exist."),
    "consent_withdrawn": lazy_gettext("The person no longer agrees to follow-ups."),
    "readdressed": lazy_gettext("It goes to the new address."),
    "address_changed": lazy_gettext(
        "The address was corrected after a copy had been tried at the old one. Send the packet "
        "again if it was that."
    ),
    "merged": lazy_gettext("Its lead was merged with another, which had follow-ups of its own."),
    "erased": lazy_gettext("The person's record was erased."),
    "contacted": lazy_gettext("Somebody has spoken with the person."),
    "wrote": lazy_gettext("Somebody of the clinic has written to the person."),
    "answered": lazy_gettext("The person answered."),
    "staff_cancelled": lazy_gettext("A colleague cancelled it."),
    "status_contacted": lazy_gettext("Somebody has spoken with the person."),
    "status_booked": lazy_gettext("A consultation is booked."),
    "status_patient": lazy_gettext("The person is a patient now."),
    "status_closed": lazy_gettext("The lead was closed."),
    "capped_daily": lazy_gettext("One follow-up a day is the most that an address gets."),
    "capped_monthly": lazy_gettext("Five follow-ups a month are the most that an address gets."),
    "packet_held": lazy_gettext("The packet itself was still held, so no reminder of it went out."),
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


def alert(kind: str, watched: Watched | None) -> str:
    """What an alert says: whom it is about and how many leads, where it is about a colleague."""
    if watched is None:
        return str(TASK.get(kind, kind))
    if kind == "leads_exported":
        return str(
            gettext(
                "%(name)s exported leads: %(count)s. Ask them if you did not expect it; Reports → "
                "Exports says which.",
                name=watched.name,
                count=f"{watched.leads:,}",
            )
        )
    return str(
        gettext(
            "%(name)s opened very many leads: %(leads)s, and %(pages)s pages of the list and the "
            "pipeline. Ask them what it was for.",
            name=watched.name,
            leads=f"{watched.leads:,}",
            pages=f"{watched.pages:,}",
        )
    )


def why(reason: str) -> str:
    """The sentence for a message's reason; empty for none, the bare word for an unknown one.

    A refusal is kept as its phase and its code or RFC 3463 status: ``rcpt_5.1.1``.
    """
    if not reason:
        return ""
    if reason in REASON:
        return str(REASON[reason])
    phase, _, answer = reason.partition("_")
    if phase not in _REFUSED:
        return str(gettext("Reason: %(reason)s.", reason=reason))
    for status, sentence in _REFUSED_BY_STATUS.items():
        if answer.startswith(status):
            return str(sentence)
    return str(_REFUSED[phase])
