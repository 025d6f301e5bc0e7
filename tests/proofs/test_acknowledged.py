"""The short form of the proof that what was acknowledged is kept."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from leadcapture.models import Lead, Message, MessageKind
from tests.both import Place
from tests.load import Connection, in_parallel, new_token, post_request
from tests.people import typed_form
from tests.post_office import PostOffice
from tests.proofs.acknowledged import prove_acknowledged
from tests.proofs.answer_lost import prove_answer_lost
from tests.proofs.synced import prove_synced
from tests.served import a_service


def test_a_hundred_acknowledged_posts_survive_kills(
    database_url: str, engine: Engine, office: PostOffice, tmp_path: Path
) -> None:
    """MD-01, I1, I2; the whole thousand: ``python -m tests.proofs --only acknowledged``."""
    with a_service(tmp_path, database_url, office.port) as service:
        outcome = prove_acknowledged(service, engine, 100, seed=1)
    assert outcome.acknowledged >= 100
    assert outcome.kills > 0
    assert outcome.ledger.faults == []


@pytest.fixture
def place(
    database_kind: str, database_url: str, engine: Engine, office: PostOffice, tmp_path: Path
) -> Place:
    return Place(database_kind, database_url, engine, tmp_path, office)


@pytest.mark.usefixtures("syncing")
def test_a_receipt_leaves_after_a_sync(place: Place) -> None:
    """DD-02; more of them: ``python -m tests.proofs --only synced``."""
    assert prove_synced(place, 5, with_control=False).faults == []


def test_a_worker_that_dies_before_its_reply_has_kept_the_request(place: Place) -> None:
    """DD-03; more of them: ``python -m tests.proofs --only answer_lost``."""
    assert prove_answer_lost(place, 1).faults == []


def test_twenty_parallel_posts_of_one_form_are_one_request(
    database_url: str, session: Session, office: PostOffice, tmp_path: Path
) -> None:
    """DD-03"""
    receipts: list[str] = []
    with a_service(tmp_path, database_url, office.port) as service:
        service.start_web(workers=2, threads=10)
        request = post_request(service.port, typed_form(new_token()))

        def post() -> None:
            with Connection(service.port) as connection:
                answer = connection.ask(request)
                assert answer.status == 303
                receipts.append(answer.receipt)

        in_parallel([post] * 20)
    assert len(receipts) == 20
    assert len(set(receipts)) == 1
    packets = select(func.count()).where(Message.kind == MessageKind.PACKET)
    assert session.scalar(select(func.count()).select_from(Lead)) == 1
    assert session.scalar(packets) == 1
