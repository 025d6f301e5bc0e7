"""Telephone numbers as people type them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadcapture.intake.phones import guess_zone, read_phone


@pytest.mark.parametrize(
    ("typed", "country", "number"),
    [
        ("(305) 555-0100", "", "+13055550100"),
        ("305.555.0100", "US", "+13055550100"),
        ("8888 1234", "CR", "+50688881234"),
        ("8888 1234", "", "+50688881234"),
        ("+44 20 7946 0000", "", "+442079460000"),
        ("+44 20 7946 0000", "US", "+442079460000"),
        ("020 7946 0000", "GB", "+442079460000"),
        ("+1 858 258 5090", "CR", "+18582585090"),
    ],
)
def test_a_number_is_read_as_its_owner_writes_it(typed: str, country: str, number: str) -> None:
    assert read_phone(typed, country) == number


@pytest.mark.parametrize("typed", ["", "ask my sister", "555", "+999 123", "\u0663\u0660\u0665"])
def test_a_number_that_cannot_be_told_is_no_number_and_no_error(typed: str) -> None:
    assert read_phone(typed, "US") is None


@given(st.text(max_size=80), st.sampled_from(["", "US", "CR", "ZZ", "??"]))
def test_whatever_is_typed_never_fails(typed: str, country: str) -> None:
    """WS-12."""
    number = read_phone(typed, country)
    assert number is None or number.startswith("+")
    guess_zone(number, country)


@pytest.mark.parametrize(
    ("number", "country", "zone"),
    [
        ("+13055550100", "", "America/New_York"),
        ("+18582585090", "", "America/Los_Angeles"),
        ("+50688881234", "US", "America/Costa_Rica"),
        ("+50522251234", "", "America/Managua"),
        ("+442079460000", "", "Europe/London"),
        (None, "CR", "America/Costa_Rica"),
        (None, "NI", "America/Managua"),
        (None, "US", "America/New_York"),
        (None, "ES", "Europe/Madrid"),
        (None, "", ""),
        (None, "ZZ", ""),
    ],
)
def test_number_and_country_suggest_a_time_zone(
    number: str | None, country: str, zone: str
) -> None:
    """SC-06 hangs on it: letters keep to the patient's own hours."""
    assert guess_zone(number, country) == zone
