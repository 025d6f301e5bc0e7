"""What we write: packets, letters, their versions, the claims guard, the bytes that leave."""

from leadcapture.letters.compose import Envelope, Letter, NotAnAddress, UnsafeHeader, plain_address
from leadcapture.letters.greeting import greeting
from leadcapture.letters.letter import put_together, write_letter, written_apart
from leadcapture.letters.self_test import interpreter_is_safe
from leadcapture.letters.shipped import publish_shipped

__all__ = [
    "Envelope",
    "Letter",
    "NotAnAddress",
    "UnsafeHeader",
    "greeting",
    "interpreter_is_safe",
    "plain_address",
    "publish_shipped",
    "put_together",
    "write_letter",
    "written_apart",
]
