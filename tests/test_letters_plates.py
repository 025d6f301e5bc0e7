"""A text cast once and struck for each message reads as one that was written for it alone."""

import html
import quopri
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadcapture.letters import plates
from leadcapture.letters.placeholders import MissingValue, UnknownPlaceholder, substitute

WORDS = st.text(st.sampled_from("ab=é日.\t <\n"), max_size=160)
NAMES = st.sampled_from(("{{ greeting }}", "{{clinic_name}}", ""))


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(WORDS, NAMES), max_size=6), WORDS, WORDS)
def test_what_is_struck_reads_as_what_is_written(
    pieces: list[tuple[str, str]], greeting: str, clinic: str
) -> None:
    """MD-20: no bare CR or LF, no line longer than a mail may have, the words as they were."""
    text = "".join(words + name for words, name in pieces)
    values = {"greeting": greeting, "clinic_name": clinic}
    struck = plates.cast(text).struck(values, html.escape)
    wanted = substitute(text, values, html.escape) + "\n"
    assert quopri.decodestring(struck).decode() == wanted.replace("\n", "\r\n")
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", struck)
    # 76 (RFC 2045 §6.7), and one more where binascii ends a full line with a white space.
    assert max(map(len, struck.split(b"\r\n"))) <= 77
    assert plates.cast(text).struck(values, html.escape) == struck


@pytest.mark.parametrize("length", range(70, 82))
@pytest.mark.parametrize("last", ["a", "é", " ", "="])
def test_a_full_line_before_a_value_grows_no_longer(length: int, last: str) -> None:
    """RFC 2045 §6.7: the soft line break before a value is counted too."""
    struck = plates.cast("a" * length + last + "{{ greeting }}").struck({"greeting": "Hello"})
    assert max(map(len, struck.split(b"\r\n"))) <= 76
    assert quopri.decodestring(struck) == ("a" * length + last + "Hello\r\n").encode()


def test_a_value_is_never_read_again_and_none_is_missing() -> None:
    plate = plates.cast("{{ greeting }}")
    assert plate.struck({"greeting": "{{ receipt }}"}) == b"{{ receipt }}=\r\n\r\n"
    with pytest.raises(MissingValue):
        plate.struck({})
    with pytest.raises(UnknownPlaceholder):
        plates.cast("{{ secret }}").struck({"secret": "x"})
