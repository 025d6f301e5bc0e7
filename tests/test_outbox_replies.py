"""What the relay's answers mean (MD-05, MD-06)."""

from datetime import timedelta

import pytest

from leadcapture.outbox.replies import Phase, Reply, Verdict, back_off, judge, read_reply

V, P = Verdict, Phase

TABLE = [
    # phase, code, enhanced, what follows: the outbox's table, cell by cell
    (P.CONNECT, None, "", V.RELAY_DOWN),
    (P.CONNECT, 421, "4.3.2", V.RELAY_DOWN),
    (P.CONNECT, 450, "", V.RELAY_DOWN),
    (P.CONNECT, 554, "5.7.1", V.HOLD_QUEUE),
    (P.CONNECT, 554, "tls", V.HOLD_QUEUE),
    (P.CONNECT, -1, "", V.RELAY_DOWN),
    (P.AUTH, None, "", V.RELAY_DOWN),
    (P.AUTH, -1, "", V.RELAY_DOWN),
    (P.AUTH, 454, "4.7.0", V.RELAY_DOWN),
    (P.AUTH, 535, "5.7.8", V.HOLD_QUEUE),
    (P.AUTH, 530, "5.7.0", V.HOLD_QUEUE),
    (P.MAIL, None, "", V.BACK_OFF),
    (P.MAIL, 451, "4.3.0", V.BACK_OFF),
    (P.MAIL, 421, "4.7.0", V.BACK_OFF),
    (P.MAIL, 550, "5.7.1", V.HOLD_QUEUE),
    (P.MAIL, 552, "5.3.4", V.HOLD_QUEUE),
    (P.RCPT, None, "", V.BACK_OFF),
    (P.RCPT, 450, "4.2.0", V.BACK_OFF),
    (P.RCPT, 451, "4.7.1", V.BACK_OFF),
    (P.RCPT, 421, "4.7.0", V.BACK_OFF),
    (P.RCPT, 452, "4.2.2", V.MAILBOX_FULL),
    (P.RCPT, 450, "4.2.2", V.MAILBOX_FULL),
    (P.RCPT, 552, "5.2.2", V.MAILBOX_FULL),
    (P.RCPT, 550, "5.2.2", V.MAILBOX_FULL),
    (P.RCPT, 550, "5.1.1", V.FAILED_AND_SUPPRESS),
    (P.RCPT, 550, "5.1.2", V.FAILED_AND_SUPPRESS),
    (P.RCPT, 550, "5.1.10", V.FAILED_AND_SUPPRESS),
    (P.RCPT, 550, "5.2.1", V.FAILED_AND_SUPPRESS),
    (P.RCPT, 550, "5.7.1", V.POLICY),
    (P.RCPT, 554, "5.7.26", V.POLICY),
    (P.RCPT, 550, "", V.FAILED),
    (P.RCPT, 553, "5.4.4", V.FAILED),
    (P.DATA, None, "", V.BACK_OFF),
    (P.DATA, 451, "4.3.0", V.BACK_OFF),
    (P.DATA, 554, "5.5.1", V.FAILED),
    (P.BODY, None, "", V.BACK_OFF),
    (P.DOT, None, "", V.UNCERTAIN),
    (P.DOT, 250, "2.0.0", V.SENT),
    (P.DOT, 451, "4.3.0", V.BACK_OFF),
    (P.DOT, 452, "4.3.1", V.BACK_OFF),
    (P.DOT, 554, "5.6.0", V.FAILED),
    (P.DOT, 550, "5.7.1", V.FAILED),
    (P.MAIL, 503, "5.5.1", V.HOLD_QUEUE),
    (P.RCPT, 503, "5.5.1", V.BACK_OFF),
    (P.RCPT, 501, "5.1.3", V.FAILED_AND_SUPPRESS),
    (P.RCPT, 504, "5.5.2", V.FAILED),
    (P.DATA, 502, "5.5.1", V.BACK_OFF),
    (P.DOT, 500, "", V.UNCERTAIN),
    (P.DOT, 503, "5.5.1", V.UNCERTAIN),
    (P.DOT, 354, "", V.UNCERTAIN),
    (P.DOT, -1, "", V.UNCERTAIN),
    (P.RCPT, 999, "", V.NONSENSE),
    (P.DATA, 250, "", V.NONSENSE),
]


@pytest.mark.parametrize(("phase", "code", "enhanced", "verdict"), TABLE)
def test_each_cell_of_the_reply_table(
    phase: Phase, code: int | None, enhanced: str, verdict: Verdict
) -> None:
    """MD-06."""
    assert judge(Reply(phase, code, enhanced)) is verdict


def test_a_bare_refusal_with_policy_words_suppresses_nobody() -> None:
    """MD-06: the mailbox may well exist; it is our standing that was refused."""
    reply = read_reply(Phase.RCPT, 550, b"blocked, see our policy")
    assert judge(reply) is Verdict.POLICY


def test_a_reply_is_kept_without_its_words() -> None:
    reply = read_reply(Phase.RCPT, 550, b"5.1.1 <janet@example.com> unknown")
    assert reply == Reply(Phase.RCPT, 550, "5.1.1", policy_words=False)


def test_the_waits_grow_threefold_to_four_hours_and_are_spread() -> None:
    """MD-05."""
    minutes = [1, 3, 9, 27, 81, 240, 240]
    for attempt, expected in enumerate(minutes, start=1):
        waits = [back_off(attempt, Phase.DOT) / timedelta(minutes=1) for _ in range(200)]
        assert min(waits) >= 0.8 * expected
        assert max(waits) <= 1.2 * expected
        assert max(waits) - min(waits) > 0.1 * expected


def test_a_greylisted_recipient_is_left_alone_for_five_minutes() -> None:
    """`leadcapture.outbox`: RCPT other, first retry ≥ 5 min."""
    assert min(back_off(1, Phase.RCPT) for _ in range(200)) >= timedelta(minutes=5)
