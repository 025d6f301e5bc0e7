"""Reports that mail systems write: delivery status (RFC 3464) and complaints (RFC 5965)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_string
from email.message import Message as Parsed

_STATUS = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})\b")
_WORD = re.compile(r"\s*([a-z-]+)", re.IGNORECASE)
_ADDRESS = re.compile(r"[^\s<>,;:\"()@]{1,64}@[A-Za-z0-9.-]{1,253}")
_LONGEST = 2_000


@dataclass(frozen=True)
class Delivery:
    """What a delivery report says. ``action`` is ``failed`` only where nobody got the mail.

    ``status`` is the first recipient's (RFC 3463), empty where it is none. Whether the report
    is about a mail of ours is not decided here: ``envid`` is only what it claims.
    """

    action: str
    status: str
    envid: str


@dataclass(frozen=True)
class Complaint:
    """What a feedback report says; ``senders`` are the envelope senders that it names."""

    is_abuse: bool
    feedback_ids: tuple[str, ...]
    senders: tuple[str, ...]


def delivery_of(parsed: Parsed) -> Delivery | None:
    """The delivery report that this mail is; None for anything else."""
    if not _is_report(parsed, "delivery-status"):
        return None
    blocks = [block for part in _parts(parsed, "message/delivery-status") for block in _below(part)]
    recipients = [block for block in blocks if block.get("Action")]
    if not recipients:
        return None
    actions = [_word(block, "Action") for block in recipients]
    # A list of ours or a neighbour's may have delivered to one and failed for another.
    action = actions[0] if len(set(actions)) == 1 else "mixed"
    found = _STATUS.match(_field(recipients[0], "Status"))
    envids = [_field(block, "Original-Envelope-Id") for block in blocks]
    return Delivery(action, found[1] if found else "", next(filter(None, envids), ""))


def complaint_of(parsed: Parsed) -> Complaint | None:
    """The complaint that this mail is; None for anything else."""
    if not _is_report(parsed, "feedback-report"):
        return None
    fields = [block for part in _parts(parsed, "message/feedback-report") for block in _below(part)]
    originals = list(_originals(parsed))
    return Complaint(
        is_abuse=any(_word(block, "Feedback-Type") == "abuse" for block in fields),
        feedback_ids=tuple(_field(original, "CFBL-Feedback-ID").lower() for original in originals),
        senders=(
            *(one for block in fields for one in _addresses(block, "Original-Mail-From")),
            *(one for original in originals for one in _addresses(original, "Return-Path")),
        ),
    )


def _is_report(parsed: Parsed, kind: str) -> bool:
    return (
        parsed.get_content_type() == "multipart/report"
        and str(parsed.get_param("report-type") or "").lower() == kind
        and parsed.is_multipart()
    )


def _parts(parsed: Parsed, kind: str) -> Iterator[Parsed]:
    """The report's own parts of this kind: what it brings back is not searched."""
    return (part for part in _below(parsed) if part.get_content_type() == kind)


def _below(parsed: Parsed) -> list[Parsed]:
    parts = parsed.get_payload()
    return [part for part in parts if isinstance(part, Parsed)] if isinstance(parts, list) else []


def _originals(parsed: Parsed) -> Iterator[Parsed]:
    """The mail that a report brings back, whole or its header only."""
    for part in _below(parsed):
        if part.get_content_type() == "message/rfc822":
            yield from _below(part)[:1]
        elif part.get_content_type() == "text/rfc822-headers":
            content = part.get_payload(decode=True)
            if isinstance(content, bytes):
                yield message_from_string(content[:100_000].decode("utf-8", "replace").lstrip())


def _field(block: Parsed, name: str) -> str:
    return str(block.get(name, ""))[:_LONGEST].strip()


def _word(block: Parsed, name: str) -> str:
    found = _WORD.match(_field(block, name))
    return found[1].lower() if found else ""


def _addresses(block: Parsed, name: str) -> list[str]:
    return [found.lower() for found in _ADDRESS.findall(_field(block, name))]
