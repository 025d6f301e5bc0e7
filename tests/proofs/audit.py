"""PR-10: a thousand random tamperings with the audit, each found at its very row."""

import random

from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.models import AuditEntry
from leadcapture.outbox import audit
from tests.both import Place
from tests.clock import TUESDAY_MORNING
from tests.proofs.finding import Finding
from tests.proofs.tampering import KINDS, tamper

LENGTH = 200
_KEY = audit.chain_key(bytes(range(32, 64)))


def audit_tampered(place: Place, quick: bool, seed: int) -> Finding:
    """Edit, delete, insert and swap at random; cut the end off against a head kept outside."""
    chance = random.Random(seed)
    count = 100 if quick else 1000
    faults = []
    with Session(place.engine, expire_on_commit=False) as session:
        kept = _a_sealed_chain(session)
        for number in range(count):
            kind = chance.choice((*KINDS, "cut_off"))
            wanted, found = _tamper_and_look(session, kind, kept, chance)
            session.rollback()
            if wanted != found:
                faults.append(f"tampering {number}, {kind} at {wanted}: found at {found}")
        end, fault = audit.verify(session, _KEY)
        if fault is not None or end != kept:
            faults.append("the chain that nobody touched does not hold")
    return Finding(f"{count - len(faults)} of {count} found at their row", faults)


def _a_sealed_chain(session: Session) -> audit.Head:
    for number in range(LENGTH):
        audit.record(session, number % 5, "lead_viewed", f"lead-{number}", TUESDAY_MORNING)
    session.flush()
    while audit.seal(session, _KEY):
        pass
    session.commit()
    return audit.head(session)


def _tamper_and_look(
    session: Session, kind: str, kept: audit.Head, chance: random.Random
) -> tuple[int, int | None]:
    if kind == "cut_off":
        left = chance.randint(0, LENGTH - 1)
        for entry in session.scalars(select(AuditEntry).where(AuditEntry.position > left)):
            session.delete(entry)
        session.flush()
        fault = audit.verify(session, _KEY)[1] or audit.verify_kept(session, kept)
        return kept.position, fault.position if fault else None
    wanted = tamper(session, kind, LENGTH, chance)
    fault = audit.verify(session, _KEY)[1]
    return wanted, fault.position if fault else None
