"""What the ledger must say of each submission, read from the database."""

from collections import Counter
from dataclasses import dataclass, field

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from leadcapture.database import reading
from leadcapture.models import Consent, ConsentKind, Lead, Message, MessageKind, Request

QUEUED = "queued-"
"""How the token begins of a request that a proof queued itself, which nobody posted."""


@dataclass
class Ledger:
    """Counts of what was kept; ``faults`` names each submission that breaks I1 or I2."""

    requests: int = 0
    leads: int = 0
    packets: int = 0
    faults: list[str] = field(default_factory=list)


def read_ledger(engine: Engine, accepted: dict[str, str], posted: set[str]) -> Ledger:
    """Check submissions: ``accepted`` maps the token ids that were answered to their receipts,
    ``posted`` holds all that were ever sent. What a proof `QUEUED` itself is left out.
    """
    with reading(), Session(engine) as session:
        rows = session.execute(
            select(Request.token, Request.receipt, Request.id, Request.packet_note, Request.lead_id)
            .join(Lead, Lead.id == Request.lead_id)
            .where(~Request.token.startswith(QUEUED))
        ).all()
        packets = _count(session, Message.request_id, Message.kind == MessageKind.PACKET)
        consents = _count(session, Consent.request_id, Consent.kind == ConsentKind.HEALTH)
        ledger = Ledger(
            requests=len(rows),
            leads=len({row.lead_id for row in rows}),
            packets=sum(packets[row.id] for row in rows),
        )
        asked = select(Request.id).where(Request.lead_id == Lead.id).exists()
        strays = session.scalar(select(func.count()).select_from(Lead).where(~asked))
    kept = Counter(row.token for row in rows)
    receipts = {row.token: row.receipt for row in rows}
    for token, receipt in accepted.items():
        if kept[token] != 1:
            ledger.faults.append(f"I1: {token} was accepted and kept {kept[token]} times")
        elif receipts[token] != receipt:
            ledger.faults.append(f"I1: {token} holds a receipt that is not its own")
    for row in rows:
        if row.token not in posted:
            ledger.faults.append(f"I1: {row.token} was never posted")
        if packets[row.id] + bool(row.packet_note) != 1:
            ledger.faults.append(f"I2: {row.token} has {packets[row.id]} packets")
        if consents[row.id] != 1:
            ledger.faults.append(f"{row.token} has {consents[row.id]} consents to health data")
    if strays:
        ledger.faults.append(f"{strays} leads without any request")
    if ledger.leads != ledger.requests:
        ledger.faults.append(f"{ledger.requests} people became {ledger.leads} leads")
    return ledger


def _count(session: Session, by: object, where: object) -> Counter[int]:
    rows = session.execute(
        select(by, func.count()).where(where).group_by(by)  # type: ignore[call-overload]
    )
    return Counter(dict(rows.all()))
