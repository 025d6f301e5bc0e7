"""One letter for one person, from the versions it is made of to the bytes that leave."""

from collections.abc import Mapping, Sequence
from threading import Lock

from leadcapture.letters.compose import Attachment, Envelope, Letter, compose_letter, encode_content
from leadcapture.letters.mail_html import render
from leadcapture.letters.packet_pdf import neutral_filename
from leadcapture.models.letter import LetterVersion

_KEPT_PACKETS = 32
_encoded: dict[str, bytes] = {}
_encoding = Lock()


def write_letter(
    letter: LetterVersion,
    packets: Sequence[LetterVersion],
    values: Mapping[str, str],
    envelope: Envelope,
) -> Letter:
    """The letter with its packets attached: the same bytes for the same arguments (MD-03).

    Raises ``MissingValue``, ``UnsafeLink``, ``NotAnAddress`` or ``UnsafeHeader``; none of
    them quotes what it is about, so that no traceback carries a patient's address.
    """
    written = render(letter.text, letter.language)
    attachments = [
        Attachment(
            neutral_filename(letter.language, position, of=len(packets)),
            _encoded_packet(packet),
        )
        for position, packet in enumerate(packets)
    ]
    return compose_letter(envelope, written, attachments, values)


def written_apart(letter: Letter) -> list[str]:
    """What is the letter's own in it: its words, and what stands around each packet."""
    return [piece.decode("ascii") for piece in (letter.words, *letter.attached[::2])]


def put_together(own: Sequence[str], packets: Sequence[LetterVersion]) -> Letter:
    """The letter again from what `written_apart` gave, with its packets: the very same bytes."""
    words, *around = (piece.encode("ascii") for piece in own)
    attached: list[bytes] = []
    for before, packet in zip(around, packets, strict=False):
        attached += [before, _encoded_packet(packet)]
    return Letter(words, (*attached, *around[len(packets) :]))


def _encoded_packet(packet: LetterVersion) -> bytes:
    """The packet in base64. The deferred column is read only the first time in a process."""
    encoded = _encoded.get(packet.sha256)
    if encoded is None:
        if packet.pdf is None:
            raise ValueError(f"packet version {packet.id} has no PDF")
        encoded = encode_content(packet.pdf)
        with _encoding:
            while len(_encoded) >= _KEPT_PACKETS:
                _encoded.pop(next(iter(_encoded)))
            _encoded[packet.sha256] = encoded
    return encoded
