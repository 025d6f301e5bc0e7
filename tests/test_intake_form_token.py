"""The form's token: signed, stateless, good for a day and more."""

import base64
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from leadcapture.intake import form_token

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
KEY = "the key of this test, thirty-two characters"


def test_a_token_says_when_it_was_made_and_has_an_id_of_128_bits() -> None:
    token = form_token.read([KEY], form_token.issue(KEY, NOW))

    assert token is not None
    assert len(bytes.fromhex(token.id)) == 16
    assert token.age(NOW + timedelta(seconds=4)) == timedelta(seconds=4)


def test_two_tokens_are_never_the_same_request() -> None:
    tokens = {form_token.issue(KEY, NOW) for _ in range(100)}
    ids = {token.id for made in tokens if (token := form_token.read([KEY], made))}

    assert len(ids) == 100


def test_a_form_left_open_for_eight_hours_still_submits() -> None:
    """AX-07."""
    token = form_token.read([KEY], form_token.issue(KEY, NOW))

    assert token is not None
    assert not token.is_expired(NOW + timedelta(hours=8))
    assert not token.is_expired(NOW + timedelta(hours=24))
    assert token.is_expired(NOW + form_token.VALID_FOR + timedelta(seconds=1))


def test_a_token_from_the_future_is_not_believed() -> None:
    token = form_token.read([KEY], form_token.issue(KEY, NOW + timedelta(days=1)))

    assert token is not None
    assert token.is_expired(NOW)


def test_a_token_survives_the_change_of_the_key_while_the_old_key_is_known() -> None:
    """OP-04."""
    made = form_token.issue("an older key", NOW)

    assert form_token.read([KEY, "an older key"], made) is not None
    assert form_token.read([KEY], made) is None


@given(st.text(max_size=200))
def test_nothing_but_a_token_of_ours_is_a_token(typed: str) -> None:
    """AB-07, WS-03."""
    assert form_token.read([KEY], typed) is None


@given(position=st.integers(0, 45), bit=st.integers(0, 7))
def test_one_changed_bit_makes_a_token_worthless(position: int, bit: int) -> None:
    """AB-07."""
    raw = bytearray(base64.urlsafe_b64decode(form_token.issue(KEY, NOW)))
    raw[position] ^= 1 << bit

    assert form_token.read([KEY], base64.urlsafe_b64encode(bytes(raw)).decode()) is None
