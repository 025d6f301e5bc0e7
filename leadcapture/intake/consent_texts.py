"""The words that people agree to: every version, in each language, kept for ever."""

import hashlib
from contextlib import suppress
from dataclasses import dataclass

from leadcapture.intake.submission import GivenConsent
from leadcapture.models import ConsentKind


@dataclass(frozen=True)
class ConsentText:
    """One version of one consent in one language. A text that was ever shown never changes."""

    kind: ConsentKind
    version: str
    language: str
    text: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    def given(self) -> GivenConsent:
        """The grant of exactly these words."""
        return GivenConsent(self.kind, self.version, self.sha256, self.language)


TEXTS = (
    ConsentText(
        ConsentKind.HEALTH,
        "health-1",
        "en",
        "I agree that the clinic keeps and uses what I write here, including what it says about "
        "my health, to answer my request. I know that the answer comes by ordinary email, which "
        "is not encrypted: someone else could read it on its way or in my mailbox. I can withdraw "
        "this at any time.",
    ),
    ConsentText(
        ConsentKind.HEALTH,
        "health-1",
        "es",
        "Acepto que la clínica guarde y use lo que escribo aquí, incluido lo que dice sobre mi "
        "salud, para responder a mi solicitud. Sé que la respuesta llega por correo electrónico "
        "común, que no va cifrado: otra persona podría leerla en el camino o en mi buzón. Puedo "
        "retirar este permiso cuando quiera.",
    ),
    ConsentText(
        ConsentKind.FOLLOW_UPS,
        "follow-ups-1",
        "en",
        "Please also send me up to three short letters over the next month to help me decide. "
        "Each one has a link that stops them. I get the packet either way.",
    ),
    ConsentText(
        ConsentKind.FOLLOW_UPS,
        "follow-ups-1",
        "es",
        "Envíenme también hasta tres cartas breves durante el próximo mes para ayudarme a "
        "decidir. Cada una trae un enlace para no recibir más. El paquete me llega de todos modos.",
    ),
    # Read aloud by a colleague, who notes the answer.
    ConsentText(
        ConsentKind.HEALTH,
        "health-aloud-1",
        "en",
        "May we keep what you tell us, including about your health, and use it to answer you? If "
        "we write to you, it is by ordinary email, which is not encrypted: someone else could "
        "read it on its way or in your mailbox. You can take this back at any time.",
    ),
    ConsentText(
        ConsentKind.HEALTH,
        "health-aloud-1",
        "es",
        "¿Podemos guardar lo que nos cuenta, también sobre su salud, y usarlo para responderle? Si "
        "le escribimos, es por correo electrónico común, que no va cifrado: otra persona podría "
        "leerlo en el camino o en su buzón. Puede retirar este permiso cuando quiera.",
    ),
)

_CURRENT = {ConsentKind.HEALTH: "health-1", ConsentKind.FOLLOW_UPS: "follow-ups-1"}
_ALOUD = "health-aloud-1"


def current_text(kind: ConsentKind, language: str) -> ConsentText:
    """The version that the form shows now."""
    return find_text(kind, _CURRENT[kind], language)


def shown_text(kind: ConsentKind, version: str, language: str) -> ConsentText:
    """The version that a form says it showed; the current one where no form ever showed such."""
    if version != _ALOUD:
        with suppress(LookupError):
            return find_text(kind, version, language)
    return current_text(kind, language)


def text_read_aloud(language: str) -> ConsentText:
    """What a colleague reads to a person on the telephone, about what they tell of their health."""
    return find_text(ConsentKind.HEALTH, _ALOUD, language)


def find_text(kind: ConsentKind, version: str, language: str) -> ConsentText:
    """The words of a version, as they were; raises ``LookupError`` where there is none."""
    for text in TEXTS:
        if (text.kind, text.version, text.language) == (kind, version, language):
            return text
    raise LookupError(f"no {kind} consent {version} in {language}")
