"""The outbox's table of states as this proof knows it: which moves there are, and what they change.

Written down a second time on purpose: the service's own code is what is on trial.
"""

from dataclasses import dataclass
from datetime import datetime

from leadcapture.models import Message

FINAL = frozenset({"sent", "failed", "cancelled", "suppressed", "expired", "bounced"})
LEASED = frozenset({"claimed", "sending"})

# From, to: by how much fence, attempts and doubts may change.
_SAME = ((0, 0, 0),)
_CLAIM = ((1, 1, 0),)
# A letter that is refused at its claim was claimed in the same transaction; a stop is not.
_STOP_OR_CLAIM = (*_SAME, *_CLAIM)
_NO_ATTEMPT = ((0, -1, 0),)
MOVES: dict[tuple[str, str], tuple[tuple[int, int, int], ...]] = {
    ("queued", "queued"): ((1, 0, 0),),
    ("queued", "claimed"): _CLAIM,
    ("queued", "held"): _CLAIM,
    ("queued", "expired"): _STOP_OR_CLAIM,
    ("queued", "suppressed"): _STOP_OR_CLAIM,
    ("queued", "cancelled"): _STOP_OR_CLAIM,
    ("claimed", "queued"): _SAME + _NO_ATTEMPT,
    ("claimed", "sending"): _SAME,
    ("claimed", "failed"): _SAME,
    ("claimed", "held"): _SAME,
    ("claimed", "expired"): _SAME,
    ("claimed", "suppressed"): _SAME,
    ("claimed", "cancelled"): _SAME,
    ("sending", "sent"): _SAME,
    ("sending", "queued"): _SAME,
    ("sending", "failed"): _SAME,
    ("sending", "held"): _SAME,
    ("sending", "uncertain"): ((0, 0, 1),),
    ("uncertain", "sent"): _SAME,
    ("uncertain", "queued"): _SAME,
    ("uncertain", "held"): _SAME,
    ("held", "suppressed"): _SAME,
    ("held", "cancelled"): _SAME,
    ("held", "sent"): _SAME,
    ("sent", "bounced"): _SAME,
}


@dataclass(frozen=True)
class Standing:
    """What of a message the table speaks about."""

    state: str
    fence: int
    attempts: int
    doubts: int
    lease_until: datetime | None
    reason: str
    sha256: str | None
    mail_id: str
    mail_date: datetime | None

    @classmethod
    def of(cls, message: Message) -> "Standing":
        return cls(
            message.state.value,
            message.fence,
            message.attempts,
            message.doubts,
            message.lease_until,
            message.reason,
            message.sha256,
            message.mail_id,
            message.mail_date,
        )


def fault_of_move(before: Standing, after: Standing) -> str:
    """What is wrong with this one step of a message; empty where nothing is."""
    if before == after:
        return ""
    told = f"{before.state} -> {after.state}"
    if after.mail_id != before.mail_id or before.mail_date not in (None, after.mail_date):
        return f"{told}: another identity (I6)"
    if before.sha256 not in (None, after.sha256):
        return f"{told}: another letter (I6)"
    if after.state in LEASED and after.lease_until is None:
        return f"{told}: without a lease"
    if (before.state, after.state) == ("held", "sent") and before.doubts == 0:
        return f"{told}: without a doubt, it cannot have left"
    change = (
        after.fence - before.fence,
        after.attempts - before.attempts,
        after.doubts - before.doubts,
    )
    if (before.state, after.state) == ("held", "queued"):
        # A person's release: the attempts are counted afresh, the doubts are not forgotten.
        return "" if (change[0], after.attempts, change[2]) == (0, 0, 0) else f"{told}: {change}"
    if change not in MOVES.get((before.state, after.state), ()):
        return f"{told}: no such move, fence, attempts, doubts change by {change}"
    return ""
