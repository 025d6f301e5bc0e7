"""What arrives, checked and normalised, before it is written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from leadcapture.intake import addresses
from leadcapture.models import ConsentKind


@dataclass(frozen=True)
class GivenConsent:
    """A consent as it was given: which words, in which version and language."""

    kind: ConsentKind
    text_version: str
    text_sha256: str
    language: str


@dataclass(frozen=True)
class Submission:
    """One filled-in form. ``token`` makes it idempotent: the same token is the same request.

    ``email`` is normalised, ``phone`` E.164 or None where it could not be read;
    ``conditions`` are topics of `CONDITIONS`. ``held_reason`` is what screening suspects,
    empty where it suspects nothing. ``touch`` holds the first and last touch.

    What came by another way than a form may lack an ``email``: then ``person_key`` says whose it
    is (`addresses.phone_key`, `addresses.nobody_key`). ``no_packet`` is the word why no packet
    goes out because of it, ``recorded_by`` the id of the colleague who took it down.
    """

    token: str
    full_name: str
    email: str
    email_typed: str
    conditions: tuple[str, ...]
    consents: tuple[GivenConsent, ...]
    language: str
    time_zone: str = ""
    message: str = ""
    phone: str | None = None
    phone_typed: str = ""
    country: str = ""
    contact_by: str = ""
    contact_time: str = ""
    page: str = ""
    channel: str = "web"
    held_reason: str = ""
    touch: Mapping[str, Any] = field(default_factory=dict)
    person_key: str = ""
    no_packet: str = ""
    recorded_by: int | None = None

    @property
    def lead_key(self) -> str:
        """What its lead is found by."""
        return self.person_key or addresses.address_key(self.email)


@dataclass(frozen=True)
class Received:
    """What the visitor gets back; ``is_repeat`` where this token had been received before."""

    receipt: str
    is_repeat: bool


CONDITIONS = ("autoimmune", "osteoarthritis", "athletes", "other", "not_sure")
