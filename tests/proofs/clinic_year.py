"""A year of a clinic, as a list of things that happen to it at their times.

Drawn from a seed: who asks when and from where, who asks again, presses twice, mistypes the
address, confirms, unsubscribes, complains, is called, booked or closed.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.intake import addresses, packets
from leadcapture.intake.consent_texts import current_text
from leadcapture.intake.receive import receive
from leadcapture.intake.submission import CONDITIONS, Submission
from leadcapture.leads import contact, pipeline
from leadcapture.models import ConsentKind, Lead, LeadStatus, Message, MessageKind, SuppressionScope
from leadcapture.outbox import links, stops
from leadcapture.settings import Settings
from leadcapture.vault import Vault

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
ASKS_WITHIN = timedelta(days=330)
ZONES = (
    "America/New_York",
    "America/Detroit",
    "America/Chicago",
    "America/Denver",
    "America/Phoenix",
    "America/Los_Angeles",
    "America/Anchorage",
    "Pacific/Honolulu",
    "America/Adak",
    "America/Costa_Rica",
)
NO_SUCH_MAILBOX = "tampamial.example"


@dataclass(frozen=True)
class Happening:
    """Something that happens at ``at`` to patient ``patient``."""

    at: datetime
    patient: int
    what: str
    nonce: int = 0


def draw_year(count: int, chance: random.Random) -> list[Happening]:
    """What happens with so many patients, in order."""
    happenings: list[Happening] = []
    for patient in range(count):
        asked = NEW_YEAR + ASKS_WITHIN * chance.random()
        happenings.append(Happening(asked, patient, "asks"))
        happenings += _afterwards(patient, asked, chance)
    return sorted(happenings, key=lambda one: (one.at, one.patient, one.what))


def _afterwards(patient: int, asked: datetime, chance: random.Random) -> Iterator[Happening]:
    likely = (
        ("presses_twice", 0.10, timedelta(minutes=2)),
        ("asks_again", 0.20, timedelta(days=40)),
        ("asks_again", 0.10, timedelta(days=12)),
        ("confirms", 0.40, timedelta(days=2)),
        ("wants_link", 0.05, timedelta(days=35)),
        ("unsubscribes", 0.10, timedelta(days=30)),
        ("complains", 0.01, timedelta(days=30)),
        ("is_called", 0.30, timedelta(days=20)),
        ("is_booked", 0.10, timedelta(days=30)),
        ("is_closed", 0.10, timedelta(days=30)),
    )
    for number, (what, how_likely, within) in enumerate(likely):
        if chance.random() < how_likely:
            yield Happening(asked + within * chance.random(), patient, what, number)


@dataclass
class Clinic:
    """Does to the database what the pages do when something happens.

    ``order`` numbers everything in the order in which it was committed. What the outbox must
    heed is on record: ``accepted`` (token to receipt), ``stopped`` and ``cancelled``.
    """

    settings: Settings
    vault: Vault
    actor_id: int
    seed: int
    order: Callable[[], int]

    def __post_init__(self) -> None:
        self.accepted: dict[str, str] = {}
        self.stopped: list[tuple[int, str, SuppressionScope]] = []
        self.cancelled: list[tuple[int, int, datetime]] = []

    def meet(self, session: Session, happening: Happening) -> None:
        """Let it happen, in one transaction."""
        getattr(self, f"_{happening.what}")(session, happening)

    def _asks(self, session: Session, happening: Happening) -> None:
        self._receive(session, happening, nonce=0)

    def _presses_twice(self, session: Session, happening: Happening) -> None:
        self._receive(session, happening, nonce=0)

    def _asks_again(self, session: Session, happening: Happening) -> None:
        self._receive(session, happening, nonce=1 + happening.nonce)

    def _receive(self, session: Session, happening: Happening, nonce: int) -> None:
        submission = self._submission(happening.patient, nonce)
        received = receive(session, self.vault, self.settings, submission, happening.at)
        session.commit()
        known = self.accepted.setdefault(submission.token, received.receipt)
        assert known == received.receipt, "one token, two receipts"

    def _submission(self, patient: int, nonce: int) -> Submission:
        chance = random.Random(f"{self.seed} {patient}")
        language = chance.choice(("en", "es"))
        kinds = [ConsentKind.HEALTH] + [ConsentKind.FOLLOW_UPS] * (chance.random() < 0.85)
        domain = NO_SUCH_MAILBOX if chance.random() < 0.03 else "tampamail.example"
        local = f"patient{patient}"
        # The second spelling of a mailbox, by its tag and its capitals.
        spelled = f"Patient{patient}+again" if nonce and chance.random() < 0.5 else local
        return Submission(
            token=f"year-{patient}-{nonce}",
            full_name=chance.choice(("Janet Whitfield", "Bob <evil@x.test>", "Ñusta", "李 明")),
            email=f"{spelled}@{domain}",
            email_typed=f"{spelled}@{domain}",
            conditions=(chance.choice(CONDITIONS),),
            consents=tuple(current_text(kind, language).given() for kind in kinds),
            language=language,
            time_zone=chance.choice(ZONES),
            message="Please write to me.",
        )

    def _confirms(self, session: Session, happening: Happening) -> None:
        for lead in self._leads(session, happening):
            letter = select(Message.ref).where(
                Message.lead_id == lead.id, Message.kind == MessageKind.PACKET
            )
            if ref := session.scalar(letter.limit(1)):
                packets.confirm_address(session, ref, happening.at)

    def _wants_link(self, session: Session, happening: Happening) -> None:
        for lead in self._leads(session, happening):
            packet = select(Message.ref).where(
                Message.lead_id == lead.id, Message.kind == MessageKind.PACKET
            )
            for ref in session.scalars(packet.limit(1)).all():
                token = links.sign(self.settings.hash_key, "packet", ref)
                packets.issue_again(session, self.vault, self.settings, token, happening.at)

    def _unsubscribes(self, session: Session, happening: Happening) -> None:
        self._stop(session, happening, SuppressionScope.FOLLOW_UPS, "unsubscribed")

    def _complains(self, session: Session, happening: Happening) -> None:
        self._stop(session, happening, SuppressionScope.ALL, "complaint")

    def _stop(
        self, session: Session, happening: Happening, scope: SuppressionScope, why: str
    ) -> None:
        cap_hash = self.cap_hash(self._submission(happening.patient, 0).email)
        stops.suppress(session, cap_hash, scope, why, happening.at)
        session.commit()
        self.stopped.append((self.order(), cap_hash, scope))

    def _is_called(self, session: Session, happening: Happening) -> None:
        for lead in self._leads(session, happening):
            outcome = contact.CallOutcome.REACHED
            contact.log_call(session, self.vault, lead, self.actor_id, happening.at, outcome)
            self._answered(session, lead, happening)

    def _is_booked(self, session: Session, happening: Happening) -> None:
        self._move(session, happening, LeadStatus.BOOKED, "")

    def _is_closed(self, session: Session, happening: Happening) -> None:
        self._move(session, happening, LeadStatus.CLOSED, "cost")

    def _move(self, session: Session, happening: Happening, to: LeadStatus, why: str) -> None:
        for lead in self._leads(session, happening):
            if to in pipeline.moves_from(lead.status):
                pipeline.change_status(session, lead, to, self.actor_id, happening.at, why)
                self._answered(session, lead, happening)

    def _answered(self, session: Session, lead: Lead, happening: Happening) -> None:
        session.commit()
        self.cancelled.append((self.order(), lead.id, happening.at))

    def _leads(self, session: Session, happening: Happening) -> list[Lead]:
        cap_hash = self.cap_hash(self._submission(happening.patient, 0).email)
        return list(session.scalars(select(Lead).where(Lead.cap_hash == cap_hash)))

    def cap_hash(self, email: str) -> str:
        return self.vault.keyed_hash("address", addresses.cap_key(email))
