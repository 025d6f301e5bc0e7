"""The claims guard: words that no letter may say, in either language, and words it may not show."""

import re
import unicodedata
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """A phrase that may not be said, where it stands in the text, and why."""

    phrase: str
    start: int
    end: int
    reason: str


# Patterns meet the text in lower case, without accents, emphasis marks or invisible
# characters. Both languages are always checked: an English claim in a Spanish letter is a
# claim. Staff can be stopped by a harmless sentence; a claim must not get through.
_FDA = r"(?:the\s+)?(?:u\.?\s?s\.?\s+)?(?:fda|food and drug administration)"
_FDA_ES = r"(?:la\s+)?(?:fda|administracion de alimentos y medicamentos)"
_CARE = r"(?:standard|conventional|usual|traditional|regular|established|your|any|other|all)"
_ATENCION = r"(?:tratamiento|atencion|terapia|cuidado|medicina|medicamento|medicacion)"

_REASONS: dict[str, tuple[str, ...]] = {
    "nobody can promise a cure": (
        r"cur(?:e|es|ed|ing|able|ative)",
        r"cur(?:a|as|ar|an|ado|ada|ados|adas|acion|aciones|ativ[oa]s?|amos|ara|aran|arse|arle)",
    ),
    "nobody can promise that a disease goes back": (
        r"revers(?:e|es|ed|ing|al|als|ible)",
        r"rev(?:ert|iert)\w*",
        r"reversion(?:es)?",
    ),
    "no result can be promised": (
        r"guarant(?:ee|ees|eed|eeing|y)",
        r"garanti(?:a|as|z\w+)",
    ),
    "no result is certain": (
        r"(?:100|a hundred|one hundred)\s?(?:%|percent|per cent)",
        r"(?:cien|ciento)\s+por\s+cien(?:to)?|100\s+por\s+cien(?:to)?",
    ),
    "no treatment is a wonder": (r"miracles?|miraculous\w*", r"milagr\w+"),
    "every treatment has risks": (
        r"(?:no|zero|without|free\s+of|free\s+from)\s+(?:any\s+|known\s+|serious\s+)?(?:side|adverse)[\s-]+effects?",
        r"side[\s-]effect[\s-]free",
        r"risk[\s-]free|(?:completely|totally|perfectly|entirely|absolutely)\s+safe",
        r"(?:sin|ningun|cero|libres?\s+de|no\s+tienen?)\s+(?:ningun\s+)?efectos?\s+(?:secundari|advers|colateral)\w+",
        r"(?:sin|cero)\s+(?:ningun\s+)?riesgos?|(?:totalmente|completamente)\s+segur[oa]s?",
    ),
    "the FDA has not approved these treatments": (
        r"fda[\s-]+(?:approv|register|clear|certif|authori[sz])\w*",
        rf"(?:approved|registered|cleared|certified|authori[sz]ed)\s+(?:by|with)\s+{_FDA}",
        rf"{_FDA}\s+(?:has\s+|have\s+)?(?:approve|approves|approved|cleared|registered|authori[sz]ed)",
        rf"(?:aprobad|registrad|autorizad|certificad|avalad)[oa]s?\s+(?:por|ante|en)\s+{_FDA_ES}",
        rf"(?:aprobacion|registro|autorizacion|aval)\s+de\s+{_FDA_ES}",
        rf"{_FDA_ES}\s+(?:ha\s+)?(?:aprobo|aprueba|aprobado|registro|autorizo|autorizado|autoriza)",
    ),
    "the evidence is early: nothing is proven": (
        r"proven",
        r"(?:clinica|cientifica|medica)(?:mente)?\s+(?:comprobad|probad|demostrad)[oa]s?",
        r"(?:eficacia|efectividad|resultados?)\s+(?:comprobad|probad|demostrad)[oa]s?",
    ),
    "no comparison with standard care has been shown": (
        rf"(?:better|safer|stronger|superior|more\s+effective)\s+(?:than|to)\s+(?:the\s+)?{_CARE}\s+"
        r"(?:medical\s+)?(?:care|treatment|therap|medicine|medication|drug|option)\w*",
        rf"(?:mejor(?:es)?|superior(?:es)?|mas\s+(?:eficaz|eficaces|efectiv[oa]s?|segur[oa]s?))\s+"
        rf"(?:que|a|al)\s+(?:(?:el|la|los|las|su|sus|cualquier|otros|otras)\s+)?{_ATENCION}\w*",
    ),
    "success rates need recorded evidence": (
        r"success(?:ful)?\s+rates?|rates?\s+of\s+success",
        r"\d+\s?(?:%|percent)\s+of\s+(?:our\s+|the\s+|all\s+)?patients",
        r"\d+\s+(?:out\s+of|in|of)\s+\d+\s+patients",
        r"(?:tasas?|indices?|porcentajes?)\s+de\s+exito",
        r"\d+\s?(?:%|por\s+ciento)\s+de\s+(?:los\s+|las\s+|nuestr[oa]s\s+)?pacientes",
        r"\d+\s+de\s+cada\s+\d+\s+pacientes",
    ),
    "a trial register lists studies, it proves nothing": (
        r"clinical\s?trials\.gov|nct\d{8}",
        r"registered\s+(?:clinical\s+)?(?:trial|stud)\w*",
        r"(?:ensayo|estudio)s?\s+(?:clinicos?\s+)?registrados?",
    ),
    "a testimonial is not a typical result": (
        r"testimonials?|success\s+stor(?:y|ies)|(?:our\s+)?patients\s+(?:say|tell\s+us|report\s+that)",
        r"testimonios?|historias?\s+de\s+exito|nuestros\s+pacientes\s+(?:dicen|cuentan)",
    ),
}
_BLOCKED = [
    (re.compile(rf"(?<!\w)(?:{pattern})(?!\w)"), reason)
    for reason, patterns in _REASONS.items()
    for pattern in patterns
]

# The honest sentences that need a blocked word. Each is a whole negation: the blocked word
# must lie inside it, so that "not just a cure" or "not a cure, a miracle" stay blocked.
_HONEST = [
    re.compile(rf"(?<!\w)(?:{pattern})(?!\w)")
    for pattern in (
        r"(?:not|never|isn['’]t|aren['’]t)\s+(?:a\s+)?(?:known\s+|proven\s+)?cures?",
        r"(?:is|there\s+is|have)\s+no\s+(?:known\s+)?cure",
        r"(?:do|does|will|can)(?:\s+not|not)\s+cure",
        r"(?:not|nor|never|neither)\s+(?:been\s+)?(?:approved|registered|cleared|authori[sz]ed)\s+"
        rf"(?:by|with)\s+{_FDA}",
        rf"{_FDA}\s+has\s+not\s+(?:approved|cleared|registered|authori[sz]ed)",
        r"(?:cannot|can\s+not|can['’]t|do\s+not|does\s+not|nobody\s+can|no\s+one\s+can)\s+guarantee",
        r"(?:is|are|be|gives?|make|makes)\s+no\s+guarantees?",
        r"(?:not|never)\s+(?:yet\s+)?(?:been\s+)?(?:clinically\s+|scientifically\s+)?proven",
        rf"not\s+(?:been\s+)?(?:shown|known)\s+to\s+be\s+(?:better|safer|more\s+effective)\s+than\s+{_CARE}\s+"
        r"(?:care|treatments?|therapy|medicines?)",
        r"(?:no\s+(?:treatment|procedure|therapy|medicine)\s+is|(?:is|are)\s+not)\s+"
        r"(?:risk[\s-]free|(?:completely|entirely|totally)\s+safe|100\s?%|"
        r"(?:without|free\s+of)\s+(?:any\s+)?(?:side|adverse)\s+effects?)",
        r"(?:no\s+hay|no\s+existe)\s+(?:ningun\s+)?(?:tratamiento|procedimiento)s?\s+"
        r"(?:sin\s+riesgos?|sin\s+efectos?\s+(?:secundari|advers)\w+|totalmente\s+segur[oa]s?)",
        r"no\s+(?:es|son|sea|sean)\s+(?:una?\s+)?curas?",
        r"no\s+(?:se\s+)?(?:cura|curan|hay\s+cura|existe\s+cura|tiene\s+cura)",
        rf"no\s+(?:esta|estan|ha\s+sido|han\s+sido)\s+(?:aprobad|registrad|autorizad)[oa]s?\s+(?:por|ante)\s+{_FDA_ES}",
        rf"{_FDA_ES}\s+no\s+(?:ha\s+)?(?:aprobado|aprueba|autorizado)",
        r"(?:no\s+(?:podemos|puede|pueden|se\s+puede)|nadie\s+puede)\s+garantizar(?:lo|le)?",
        r"no\s+(?:hay|existe|damos|tiene)\s+(?:ninguna\s+)?garantias?",
        r"no\s+(?:esta|estan|ha\s+sido|han\s+sido)\s+(?:clinica|cientifica)mente\s+(?:comprobad|probad|demostrad)[oa]s?",
    )
]

# What must not be seen over a patient's shoulder: the clinic's condition list and what
# gives it away. Stems, in lower case and without accents.
_HEALTH_WORDS = {
    "en": (
        "autoimmune", "immune", "rheumat", "arthrit", "lupus", "multiple sclerosis", "psoria",
        "crohn", "colitis", "bowel", "osteoarth", "joint", "knee", "hip", "cartilage", "athlet",
        "injur", "stem cell", "mesenchym", "regenerative", "infusion", "disease", "disorder",
        "diagnos", "condition", "chronic", "pain", "inflammat", "symptom", "illness",
    ),
    "es": (
        "autoinmun", "inmun", "reuma", "artritis", "lupus", "esclerosis", "psoria", "crohn",
        "colitis", "intestin", "osteoartr", "artrosis", "articula", "rodilla", "cadera",
        "cartilago", "atlet", "deportist", "lesion", "celula", "mesenquim", "regenerativ",
        "infusion", "enfermedad", "trastorno", "diagnost", "padecimiento", "cronic", "dolor",
        "inflam", "sintoma",
    ),
}  # fmt: skip


def findings(text: str) -> list[Finding]:
    """Every blocked phrase in a text of either language, in order; positions are the text's own."""
    plain, places = _simplify(text)
    honest = [match.span() for pattern in _HONEST for match in pattern.finditer(plain)]
    found: dict[tuple[int, int], Finding] = {}
    for pattern, reason in _BLOCKED:
        for match in pattern.finditer(plain):
            if any(start <= match.start() and match.end() <= end for start, end in honest):
                continue
            start, end = places[match.start()], places[match.end() - 1] + 1
            found.setdefault((start, end), Finding(text[start:end], start, end, reason))
    return [found[span] for span in sorted(found)]


def health_words(language: str) -> tuple[str, ...]:
    """The beginnings of words that would tell a bystander why the reader wrote to us."""
    return _HEALTH_WORDS[language]


def health_words_in(text: str) -> list[str]:
    """The health words of either language that a text shows (PR-12)."""
    plain, _ = _simplify(text)
    words = {word for words in _HEALTH_WORDS.values() for word in words}
    return sorted(word for word in words if re.search(rf"(?<!\w){re.escape(word)}", plain))


def _simplify(text: str) -> tuple[str, list[int]]:
    """The text as the patterns meet it, and for each character its place in the original."""
    plain: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        if character in "*_`\\":
            continue
        for piece in unicodedata.normalize("NFKD", character).casefold():
            if unicodedata.category(piece) not in ("Mn", "Cf"):
                plain.append(piece)
                places.append(place)
    return "".join(plain), places
