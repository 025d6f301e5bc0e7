"""What each answer of the relay means: one table."""

import enum
import random
import re
from dataclasses import dataclass
from datetime import timedelta


class Phase(enum.StrEnum):
    """How far a send had come. The dot's byte is the border between safe and uncertain."""

    CONNECT = "connect"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    BODY = "body"
    DOT = "dot"


class Verdict(enum.StrEnum):
    SENT = "sent"
    BACK_OFF = "back_off"
    FAILED = "failed"
    FAILED_AND_SUPPRESS = "failed_and_suppress"
    MAILBOX_FULL = "mailbox_full"
    POLICY = "policy"
    RELAY_DOWN = "relay_down"
    HOLD_QUEUE = "hold_queue"
    UNCERTAIN = "uncertain"
    NONSENSE = "nonsense"


@dataclass(frozen=True)
class Reply:
    """One answer: its code, or None where the connection was lost or silent; RFC 3463 status."""

    phase: Phase
    code: int | None = None
    enhanced: str = ""
    policy_words: bool = False

    @property
    def asks_domain_for_calm(self) -> bool:
        """True for 421 and 4.7.x about a recipient or a letter.

        Earlier than RCPT no recipient is known: there it is the relay that speaks for itself.
        """
        return self.phase in (Phase.RCPT, Phase.DATA, Phase.DOT) and (
            self.code == 421 or ((self.code or 0) // 100 == 4 and self.enhanced.startswith("4.7."))
        )

    @property
    def is_about_the_talk(self) -> bool:
        """True for an unknown, unsupported or misplaced command (RFC 5321 §4.2.2).

        The line broke in the middle of one, or something between us meddles; it says nothing of
        the letter. 501 and 504 may be about the address, and are the letter's.
        """
        return self.code in (500, 502, 503)

    @property
    def says_relay_closes(self) -> bool:
        """True for 421 to MAIL FROM: the relay shuts, whatever the letter (RFC 5321 §3.8)."""
        return self.phase is Phase.MAIL and self.code == 421


_BEFORE_LETTERS = (Phase.CONNECT, Phase.AUTH)
_POLICY_WORDS = re.compile(
    rb"spam|block|polic|reputation|blacklist|denylist|not authori|dmarc|spf|dkim", re.IGNORECASE
)
_ENHANCED = re.compile(rb"^\s*([245]\.\d{1,3}\.\d{1,3})\b")


def read_reply(phase: Phase, code: int, text: bytes) -> Reply:
    """The reply without its words: they may repeat the address (RFC 5321 §4.2, RFC 3463)."""
    found = _ENHANCED.match(text)
    return Reply(phase, code, found[1].decode() if found else "", bool(_POLICY_WORDS.search(text)))


def judge(reply: Reply) -> Verdict:
    """What follows from a reply: the outbox's table, row by row."""
    if reply.code is None:
        return _judge_loss(reply.phase)
    kind = reply.code // 100
    if kind == 2 and reply.phase is Phase.DOT:
        return Verdict.SENT
    if kind == 4:
        return _judge_transient(reply)
    if reply.phase is Phase.DOT and (kind != 5 or reply.is_about_the_talk):
        # It says nothing of the letter, which the relay may have by now.
        return Verdict.UNCERTAIN
    if kind == 5:
        return _judge_permanent(reply)
    # What greets us with nonsense is no relay: that is no letter's fault.
    return Verdict.RELAY_DOWN if reply.phase in _BEFORE_LETTERS else Verdict.NONSENSE


def _judge_loss(phase: Phase) -> Verdict:
    if phase in _BEFORE_LETTERS:
        return Verdict.RELAY_DOWN
    return Verdict.UNCERTAIN if phase is Phase.DOT else Verdict.BACK_OFF


def _judge_transient(reply: Reply) -> Verdict:
    if reply.phase in _BEFORE_LETTERS:
        return Verdict.RELAY_DOWN
    if reply.phase is Phase.RCPT and (reply.code == 452 or reply.enhanced in ("4.2.2", "4.5.2")):
        return Verdict.MAILBOX_FULL
    return Verdict.BACK_OFF


def _judge_permanent(reply: Reply) -> Verdict:
    # The relay refuses us, not this letter: failing letters for it would lose them.
    if reply.phase in (Phase.CONNECT, Phase.AUTH, Phase.MAIL):
        return Verdict.HOLD_QUEUE
    if reply.is_about_the_talk:
        return Verdict.BACK_OFF
    if reply.phase is Phase.RCPT:
        if reply.enhanced.startswith("5.1.") or reply.enhanced == "5.2.1":
            return Verdict.FAILED_AND_SUPPRESS
        if reply.enhanced == "5.2.2" or reply.code == 552:
            return Verdict.MAILBOX_FULL
        if reply.enhanced.startswith("5.7.") or (not reply.enhanced and reply.policy_words):
            return Verdict.POLICY
    return Verdict.FAILED


def back_off(attempt: int, phase: Phase) -> timedelta:
    """How long to wait after try ``attempt`` (1 is the first): 1, 3, 9, 27, 81 min, then 4 h.

    Each is spread by ±20 %. A deferral at RCPT waits 5 minutes at least (greylisting).
    """
    base = min(timedelta(hours=4), timedelta(minutes=1) * int(3 ** min(attempt - 1, 10)))
    if phase is Phase.RCPT:
        base = max(base, timedelta(minutes=6, seconds=15))
    return base * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, guards nothing
