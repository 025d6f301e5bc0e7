"""What we write, before it is a message: names, greetings, claims, shipped texts."""

import re
from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadcapture.letters.greeting import first_name, greeting, is_greeting
from leadcapture.letters.guard import findings, health_words, health_words_in
from leadcapture.letters.mail_html import render
from leadcapture.letters.manuscript import (
    LANGUAGES,
    PACKET,
    BadManuscript,
    Manuscript,
    finish,
    fixed_block,
)
from leadcapture.letters.markdown import read_markdown
from leadcapture.letters.placeholders import (
    NAMES,
    MissingValue,
    UnknownPlaceholder,
    UnsafeLink,
    names_in,
    substitute,
    unknown_names,
)
from leadcapture.letters.shipped import (
    BlockedPhrase,
    OutsPatient,
    check,
    shipped_texts,
)

SHIPPED = [
    (kind, topic, language, finish(source, kind, language))
    for kind, topic, language, source in shipped_texts()
]
LETTERS = [text for text in SHIPPED if text[0] != PACKET]

POLYGLOTS = (
    "{{7*7}}", "${7*7}", "<%= 7*7 %>", "#{7*7}", "{{config}}", "{{ self.__init__ }}",
    "{% for x in y %}", "{{''.__class__.__mro__}}", "{{ clinic_phone }}", "${{<%[%'\"}}%\\",
    "{{request|attr('application')}}", "*{7*7}", "@(7*7)", "{{= 7*7}}", "#set($x=7*7)",
    "{php}echo 7;{/php}", "[[7*7]]", "{{{{stop_link}}}}", "%(clinic_name)s", "{clinic_name}",
)  # fmt: skip


def a_letter(body: str = "Hello.", subject: str = "A letter", preview: str = "") -> str:
    """A finished follow-up in English."""
    source = f"---\nlayout: 1\nsubject: {subject}\npreview: {preview}\n---\n\n{body}"
    return finish(source, "follow_up", "en")


class TestPlaceholders:
    def test_there_are_at_most_twelve_names(self) -> None:
        """WS-07"""
        assert len(NAMES) <= 12

    def test_a_name_becomes_its_value_with_or_without_spaces(self) -> None:
        values = {"receipt": "K7QM", "greeting": "Hello,"}
        assert substitute("{{ greeting }} {{receipt}}", values) == "Hello, K7QM"

    @pytest.mark.parametrize("polyglot", POLYGLOTS)
    def test_a_value_is_never_read_again(self, polyglot: str) -> None:
        """WS-07"""
        values = {"first_name": polyglot, "clinic_phone": "555"}
        assert substitute("{{ first_name }}", values) == polyglot

    @given(st.text(alphabet="{}%$#<>@*[]() 7.'\"\\_abcx\n", max_size=40))
    def test_text_without_a_placeholder_is_literal(self, text: str) -> None:
        """WS-07"""
        if not names_in(text):
            assert substitute(text, {}) == text

    def test_an_unknown_name_is_refused(self) -> None:
        """WS-07"""
        assert unknown_names("{{ greeting }} {{ diagnosis }} {{7*7}}") == ["diagnosis", "7*7"]
        with pytest.raises(UnknownPlaceholder):
            substitute("{{ diagnosis }}", {"diagnosis": "x"})
        with pytest.raises(UnknownPlaceholder):
            check(a_letter("{{ diagnosis }}"), "follow_up", "en")

    def test_a_packet_asks_for_nobody_in_particular(self) -> None:
        with pytest.raises(UnknownPlaceholder):
            check(SHIPPED[0][3].replace("## ", "## {{ greeting }} ", 1), PACKET, SHIPPED[0][2])

    def test_a_missing_value_is_never_an_empty_one(self) -> None:
        with pytest.raises(MissingValue):
            substitute("{{ greeting }}", {})

    @pytest.mark.parametrize(
        "link",
        ["javascript:alert(1)", "https://x.example/a b", 'https://x.example/"onclick=',
         "https://x.example/\r\nBcc: a@b", "//x.example", "https://", "data:text/html,x",
         "https://x.example/<b>", "https://user@evil.example/", "https://x.example/\u2028"],
    )  # fmt: skip
    def test_a_link_is_a_plain_web_address(self, link: str) -> None:
        with pytest.raises(UnsafeLink):
            substitute("{{ stop_link }}", {"stop_link": link})


class TestGreeting:
    @pytest.mark.parametrize(
        ("full_name", "first"),
        [
            ("Janet Whitfield", "Janet"),
            ("  María José Ortiz", "María"),
            ("Anne-Marie O’Neill", "Anne-Marie"),
            ("D'Arcy Lewis", "D'Arcy"),
            ("Zoe\u0308 Kent", "Zoë"),
            ("משה כהן", "משה"),
            ("李 小龙", "李"),
        ],
    )
    def test_a_name_is_repeated(self, full_name: str, first: str) -> None:
        """AB-02"""
        assert first_name(full_name) == first

    @pytest.mark.parametrize(
        "full_name",
        ["", " ", "-", "'", "www evil", "http evil", "evil.example", "Bob2", "Bob, Smith",
         "Bob\nSmith", "Bob\u2028Smith", "Bob\x85Smith", "\u202eboB", "Bo\u200bb", "Bob <b>x</b>",
         "{{ stop_link }}", "=?utf-8?q?Bob=0ABcc:_evil@x.test?=", "B" * 31, "Bob call 555",
         "a" + "\u0301" * 9, "Dr. Bob", "Bob 😀", "Bob\tSmith", "Visit evil/x", "a@b"],
    )  # fmt: skip
    def test_anything_else_gives_a_greeting_without_a_name(self, full_name: str) -> None:
        """AB-02"""
        assert greeting(full_name, "en") == "Hello,"
        assert greeting(full_name, "es") == "Hola:"

    @given(st.text(max_size=60))
    def test_what_is_repeated_is_always_letters_marks_hyphen_apostrophe(self, name: str) -> None:
        """AB-02"""
        first = first_name(name)
        assert len(first) <= 30
        assert all(c.isalpha() or c in "-‐‑'’ʼ" or re.match(r"\w|[^\x00-\x7f]", c) for c in first)
        assert not re.search(r"[\x00-\x1f\x7f<>@:/.,;&{}=?]", first)
        assert is_greeting(greeting(name, "en"))
        assert is_greeting(greeting(name, "es"))

    @pytest.mark.parametrize("line", ["", "Hello", "Hello ,", "Hello Bob call 555,", "Hola, a@b:"])
    def test_what_we_never_write_is_no_greeting(self, line: str) -> None:
        """I9"""
        assert not is_greeting(line)

    def test_each_language_greets_in_its_own_way(self) -> None:
        assert greeting("Janet W", "en") == "Hello Janet,"
        assert greeting("Rosa W", "es") == "Hola, Rosa:"


class TestClaims:
    @pytest.mark.parametrize(
        "claim",
        ["We can cure lupus", "a lasting CURE", "c**ure**", "cu\u00adre", "It reverses MS",
         "We guarantee it", "guaranteed results", "100 % safe", "100% of people", "a miracle",
         "with no side effects", "without any side effects", "FDA approved", "FDA-registered lab",
         "approved by the FDA", "registered with the U.S. FDA", "the FDA has approved it",
         "clinically proven", "a proven therapy", "better than standard care",
         "superior to conventional treatment", "our success rate", "90% of patients improved",
         "9 out of 10 patients", "see ClinicalTrials.gov", "NCT01234567", "a registered trial",
         "testimonials", "risk-free", "not just a cure", "not a cure, a miracle",
         "no doubt it is risk-free", "cure\u200bs"],
    )  # fmt: skip
    def test_a_claim_is_found_in_english(self, claim: str) -> None:
        """PR-13"""
        assert findings(claim)

    @pytest.mark.parametrize(
        "claim",
        ["Curamos el lupus", "una cura", "la curación", "revierte la enfermedad", "garantizamos",
         "con garantía", "100 % seguro", "cien por ciento", "un milagro", "tratamiento milagroso",
         "sin efectos secundarios", "sin ningún efecto secundario", "aprobado por la FDA",
         "aprobada ante la FDA", "registro de la FDA", "la FDA aprobó", "clínicamente comprobado",
         "científicamente probada", "mejor que el tratamiento habitual", "tasa de éxito",
         "el 90 % de los pacientes", "9 de cada 10 pacientes", "ensayo clínico registrado",
         "testimonios", "historias de éxito", "sin riesgos", "no es solo una cura"],
    )  # fmt: skip
    def test_a_claim_is_found_in_spanish(self, claim: str) -> None:
        """PR-13"""
        assert findings(claim)

    @pytest.mark.parametrize(
        "sentence",
        ["It is not a cure.", "They are **not a cure**.", "There is no known cure.",
         "These treatments are not approved by the US FDA for these conditions.",
         "not approved by the U.S. Food and Drug Administration", "We cannot guarantee a result.",
         "This has not been proven.", "It is secure and accurate.", "The procedure is obscure.",
         "No es una cura.", "No están aprobados por la FDA de Estados Unidos.",
         "Nadie puede garantizar un resultado.", "la seguridad procurada", "una pregunta segura",
         "Ningún tratamiento está libre de riesgo.", "No treatment is risk-free.",
         "No hay tratamiento sin riesgos."],
    )  # fmt: skip
    def test_an_honest_sentence_passes(self, sentence: str) -> None:
        """PR-13"""
        assert findings(sentence) == []

    def test_a_finding_says_where_it_stands(self) -> None:
        text = "Qué bien: ga**rant**ía total, y también a cure."
        spans = [(found.start, found.end) for found in findings(text)]
        assert [text[start:end] for start, end in spans] == ["ga**rant**ía", "cure"]
        assert [found.phrase for found in findings(text)] == ["ga**rant**ía", "cure"]


class TestShippedTexts:
    def test_every_text_exists_in_each_language_with_the_same_placeholders(self) -> None:
        kinds = sorted((kind, topic, language) for kind, topic, language, _ in SHIPPED)
        for _, group in groupby(kinds, key=lambda text: text[:2]):
            assert tuple(language for _, _, language in group) == LANGUAGES
        asked = {text[:3]: sorted(names_in(text[3])) for text in SHIPPED}
        for kind, topic, _, _ in SHIPPED:
            assert asked[kind, topic, "en"] == asked[kind, topic, "es"]

    def test_every_text_that_the_service_sends_is_there(self) -> None:
        assert {text[:2] for text in SHIPPED} == {
            *((PACKET, topic) for topic in ("autoimmune", "osteoarthritis", "athletes", "general")),
            *(("follow_up", day) for day in ("day-3", "day-10", "day-24")),
            *((kind, "") for kind in ("packet_letter", "packet_link")),
            ("packet_letter", "linked"),
            *(
                (kind, "")
                for kind in (
                    *("staff_alert", "staff_uncertain", "staff_answer"),
                    *("staff_due", "staff_late"),
                    *("staff_task", "staff_cover", "staff_watched"),
                )
            ),
        }

    @pytest.mark.parametrize("text", SHIPPED, ids=lambda text: "-".join(text[:3]))
    def test_every_text_may_go_out(self, text: tuple[str, str, str, str]) -> None:
        """PR-12, PR-13"""
        check(text[3], text[0], text[2])

    @pytest.mark.parametrize("text", LETTERS, ids=lambda text: "-".join(text[:3]))
    def test_no_letter_has_a_health_word_anywhere(self, text: tuple[str, str, str, str]) -> None:
        """PR-12"""
        written = render(text[3], text[2])
        visible = re.sub(r"<style.*?</style>|<[^>]+>", " ", written.html, flags=re.DOTALL)
        for shown in (written.subject, written.text, visible):
            assert health_words_in(shown) == []

    def test_a_staff_alert_says_nothing_about_the_person(self) -> None:
        for kind, _, _, text in SHIPPED:
            if kind.startswith("staff_"):
                assert "first_name" not in names_in(text)
                # What greets who stands in is the name of the colleague who is away.
                assert kind == "staff_cover" or "greeting" not in names_in(text)

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_the_disclaimer_says_what_it_must(self, language: str) -> None:
        """PR-13"""
        said = fixed_block(PACKET, language).casefold()
        wanted = {
            "en": ("not approved by the us fda", "does not oversee", "investigational",
                   "infection, tumors and blindness", "not medical advice",
                   "do not stop any treatment", "your own doctor", "stop our letters"),
            "es": ("no están aprobados por la fda", "no supervisa", "investigación",
                   "la infección, los tumores y la ceguera", "no es consejo médico",
                   "no suspenda ningún tratamiento", "su propio médico", "dejar de recibir"),
        }  # fmt: skip
        assert [words for words in wanted[language] if words not in said] == []
        assert {"clinic_name", "postal_address", "clinic_phone"} <= set(names_in(said))

    def test_every_letter_to_a_patient_says_who_we_are_and_how_to_stop(self) -> None:
        for kind, _, _, text in LETTERS:
            if not kind.startswith("staff_"):
                foot = set(names_in(Manuscript.read(text).fixed))
                assert {"clinic_name", "postal_address", "clinic_phone", "stop_link"} <= foot

    def test_the_fixed_block_cannot_be_edited_away(self) -> None:
        """PR-13"""
        kind, _, language, text = SHIPPED[0]
        edited = text.replace(fixed_block(kind, language)[-40:], "")
        with pytest.raises(BadManuscript):
            check(edited, kind, language)
        assert finish(edited, kind, language) == text

    def test_a_claim_keeps_a_text_back(self) -> None:
        """PR-13"""
        with pytest.raises(BlockedPhrase) as refusal:
            check(a_letter("We guarantee that it helps."), "follow_up", "en")
        assert [found.phrase for found in refusal.value.findings] == ["guarantee"]

    @pytest.mark.parametrize(
        "text",
        [a_letter(subject="Your arthritis packet"), a_letter(preview="About your lupus"),
         a_letter("Your joints matter to us."),
         a_letter("Hello.\n\n" + "word " * 400 + "\n\n[Your Crohn’s packet]({{ packet_link }})")],
    )  # fmt: skip
    def test_a_health_word_in_view_keeps_a_letter_back(self, text: str) -> None:
        """PR-12"""
        with pytest.raises(OutsPatient):
            check(text, "follow_up", "en")

    @pytest.mark.parametrize(
        "link",
        ["[x](https://evil.example/)", "[x](javascript:alert)", "[x]({{ receipt }})",
         "[x](https://evil.example/{{ stop_link }})"],
    )  # fmt: skip
    def test_a_letter_links_only_to_what_it_is_given(self, link: str) -> None:
        try:
            page = render(a_letter(link), "en").html
        except UnsafeLink:
            return
        assert set(re.findall(r'href="([^"]*)"', page)) == {"{{ stop_link }}"}

    def test_front_matter_that_cannot_be_read_is_refused(self) -> None:
        for text in (
            "",
            "no front matter",
            "---\nsubject: x\n---\n",
            "---\nlayout: 1\nBcc: x\n---\n",
        ):
            with pytest.raises(BadManuscript):
                Manuscript.read(text)

    def test_health_words_cover_the_conditions_that_people_ask_about(self) -> None:
        for condition in ("rheumatoid arthritis", "lupus", "multiple sclerosis", "psoriasis",
                          "Crohn's", "bowel", "osteoarthritis", "joints", "athletes",
                          "autoimmune", "stem cells", "artritis", "esclerosis", "artrosis",
                          "articulaciones", "deportistas", "autoinmune"):  # fmt: skip
            assert health_words_in(condition), condition
        assert all(health_words(language) for language in LANGUAGES)


@settings(max_examples=150)
@given(st.text(max_size=200))
def test_markdown_keeps_html_as_characters(text: str) -> None:
    """WS-07"""
    for block in read_markdown(f"<script>{text}"):
        assert block.kind in {"paragraph", "heading", "bullets", "numbers", "quote"}
