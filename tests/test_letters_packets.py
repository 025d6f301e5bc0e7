"""Packets as PDF, and the texts on record."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader
from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.database import open_engine, open_session
from leadcapture.letters import publish_shipped
from leadcapture.letters.guard import health_words_in
from leadcapture.letters.manuscript import LANGUAGES, PACKET, SHELF, Manuscript, finish
from leadcapture.letters.packet_pdf import neutral_filename, typeset
from leadcapture.letters.shipped import BlockedPhrase, publish, shipped_texts
from leadcapture.models import LetterVersion
from leadcapture.settings import Clinic

NOW = datetime(2026, 3, 2, 16, 4, tzinfo=UTC)
PACKETS = [
    (topic, language, finish(source, PACKET, language))
    for kind, topic, language, source in shipped_texts()
    if kind == PACKET
]


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    engine = open_engine(f"sqlite:///{tmp_path / 'letters.db'}")
    LetterVersion.metadata.create_all(engine, [LetterVersion.metadata.tables["letter_version"]])
    with open_session(engine) as opened:
        yield opened
    engine.dispose()


def a_packet(body: str) -> Manuscript:
    return Manuscript(1, "s", "", "A title", "A summary", body, "## Fixed\n\nThe fixed block.")


def words_of(pdf: bytes) -> str:
    pages = PdfReader(io.BytesIO(pdf)).pages
    return " ".join(" ".join(page.extract_text() for page in pages).split())


class TestPdf:
    @pytest.mark.parametrize(("topic", "language", "text"), PACKETS)
    def test_a_packet_is_tagged_in_its_language_with_a_neutral_title(
        self, topic: str, language: str, text: str
    ) -> None:
        """PR-12; ISO 14289-1"""
        pdf = typeset(Manuscript.read(text), language, Clinic())
        reader = PdfReader(io.BytesIO(pdf))
        root: Any = reader.root_object
        assert root["/MarkInfo"]["/Marked"]
        assert "/StructTreeRoot" in root
        assert str(root["/Lang"]).startswith(language)
        assert root["/ViewerPreferences"]["/DisplayDocTitle"]
        metadata = root["/Metadata"].get_data()
        assert b"pdfuaid:part" in metadata
        assert health_words_in(metadata.decode()) == []
        assert reader.metadata and health_words_in(str(reader.metadata)) == []
        assert (
            reader.metadata.title
            == {
                "en": "Information packet",
                "es": "Paquete informativo",
            }[language]
        )
        assert 2 <= len(reader.pages) <= 4
        assert len(pdf) < 150_000

    @pytest.mark.parametrize(("topic", "language", "text"), PACKETS)
    def test_a_packet_ends_with_the_disclaimer_and_who_we_are(
        self, topic: str, language: str, text: str
    ) -> None:
        """PR-13"""
        words = words_of(typeset(Manuscript.read(text), language, Clinic()))
        assert "FDA" in words and Clinic().postal_address in words and Clinic().phone in words
        assert "{{" not in words

    def test_the_same_words_are_the_same_bytes(self) -> None:
        """MD-03"""
        packet = Manuscript.read(PACKETS[0][2])
        assert typeset(packet, "en", Clinic()) == typeset(packet, "en", Clinic())

    @pytest.mark.parametrize(
        "typed",
        ["#panic()", "$x$", "@label", "<label>", "#sys.inputs", "a #link(1)[b]", "~ // /* */",
         "\\u{41}", "= no heading", "+ no list", "`raw`", "#read('/etc/passwd')", '"; #eval("1")'],
    )  # fmt: skip
    def test_words_are_never_read_as_typst(self, typed: str) -> None:
        """WS-07"""
        words = words_of(typeset(a_packet(f"Before {typed} after."), "en", Clinic(name="A #b $c$")))
        assert "Before" in words and "after." in words
        assert "A #b $c$" in words
        assert typed[:2].strip('"\\') in words

    def test_file_names_say_nothing(self) -> None:
        """PR-12"""
        assert neutral_filename("en") == "information-packet.pdf"
        assert [neutral_filename("es", n, of=2) for n in range(2)] == [
            "paquete-informativo-1.pdf",
            "paquete-informativo-2.pdf",
        ]


class TestRecord:
    def test_shipped_texts_go_on_record_once(self, session: Session) -> None:
        made = publish_shipped(session, NOW, Clinic())
        session.commit()
        assert len(made) == len(list(shipped_texts()))
        assert publish_shipped(session, NOW, Clinic()) == []
        for version in session.scalars(select(LetterVersion)):
            assert version.number == 1 and version.created_at == NOW
            assert (version.pdf is not None) == (version.kind == PACKET)
            assert version.subject and len(version.sha256) == 64

    def test_a_changed_text_is_a_new_version_and_the_old_one_stays(self, session: Session) -> None:
        publish_shipped(session, NOW, Clinic())
        text = next(t for k, _, lang, t in shipped_texts() if (k, lang) == ("packet_letter", "en"))
        changed = finish(text.replace("Thank you", "Many thanks"), "packet_letter", "en")
        version = publish(session, NOW, Clinic(), "packet_letter", "", "en", changed)
        assert version and version.number == 2
        # A restart does not bring the shipped text back over what staff wrote.
        assert publish_shipped(session, NOW, Clinic()) == []
        kept = session.scalars(
            select(LetterVersion.number).where(
                LetterVersion.kind == "packet_letter",
                LetterVersion.topic == "",
                LetterVersion.language == "en",
            )
        )
        assert sorted(kept) == [1, 2]

    def test_a_moved_clinic_has_its_packets_typeset_again(self, session: Session) -> None:
        publish_shipped(session, NOW, Clinic())
        made = publish_shipped(session, NOW, Clinic(phone="(305) 555-0100"))
        assert {version.kind for version in made} == {PACKET}
        assert len(made) == 4 * len(LANGUAGES)
        assert made[0].pdf and "(305) 555-0100" in words_of(made[0].pdf)

    def test_a_claim_in_one_text_keeps_all_of_them_back(
        self, session: Session, tmp_path: Path
    ) -> None:
        """PR-13"""
        folder = tmp_path / "shelf" / "packet_letter"
        folder.mkdir(parents=True)
        good = (SHELF / "packet_letter/en.md").read_text("utf-8")
        (folder / "en.md").write_text(good, "utf-8")
        (folder / "es.md").write_text(good.replace("Thank you", "A miracle"), "utf-8")
        with pytest.raises(BlockedPhrase):
            publish_shipped(session, NOW, Clinic(), tmp_path / "shelf")
        assert session.scalars(select(LetterVersion)).all() == []
