"""Every shipped letter through the spam filters of the distribution."""

from collections.abc import Iterator

import pytest

from leadcapture.database import open_engine, open_session
from tests.databases import SqliteFiles
from tests.proofs.honest_letters import (
    Posted,
    faults_of_opinion,
    faults_of_parts,
    opinions_of,
    posted_letters,
)

# What filters agree to call spam (spamassassin.apache.org/gtube).
GTUBE = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"


@pytest.fixture(scope="module")
def letters(
    sqlite_files: SqliteFiles, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Posted]]:
    """The letters do not depend on the kind of database that keeps their texts."""
    engine = open_engine(sqlite_files.new(tmp_path_factory.mktemp("letters")))
    with open_session(engine) as session:
        yield list(posted_letters(session))
    engine.dispose()


def test_every_shipped_letter_looks_honest_and_spam_does_not(letters: list[Posted]) -> None:
    """MD-21: SpamAssassin at most 2.0, rspamd "no action"; as a table:
    ``python -m tests.proofs --only honest_letters``.
    """
    head, _, _ = letters[0].content.partition(b"Subject:")
    spam = Posted("spam", head + b"Subject: test\r\n\r\n" + GTUBE + b"\r\n", "en")
    for name, opinions in opinions_of([*letters, spam]).items():
        *ours, of_spam = opinions
        for letter, opinion in zip(letters, ours, strict=True):
            assert list(faults_of_opinion(letter.name, name, opinion)) == []
        assert list(faults_of_opinion("spam", name, of_spam)), name


def test_both_parts_of_every_letter_say_the_same(letters: list[Posted]) -> None:
    """MD-21: nine words of ten, and nothing that is fetched."""
    assert len({letter.name for letter in letters}) == len(letters) >= 20
    for letter in letters:
        assert list(faults_of_parts(letter)) == []


def test_a_pixel_or_a_part_of_its_own_mind_is_told(letters: list[Posted]) -> None:
    letter = letters[0]
    pixel = letter.content.replace(b"</body>", b"<img src=3D'https://x.example/p.png'></body>")
    missing = letter.content.replace(b"text/html", b"text/x-other")
    for changed in (pixel, missing):
        assert changed != letter.content
        assert list(faults_of_parts(Posted("changed", changed, "en")))
