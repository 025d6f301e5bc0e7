"""The audit: a row for each change of state whoever makes it, chained so that no change hides."""

import random
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from hypothesis import HealthCheck, given
from hypothesis import settings as choices
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, func, select, text, update
from sqlalchemy.orm import Session

from leadcapture.database import open_session
from leadcapture.models import AuditEntry, Gate, Lead, Message, MessageState, Task
from leadcapture.outbox import audit, gates
from leadcapture.outbox.audit import GENESIS, Fault, Flaw, Head, Keeper
from leadcapture.settings import Settings
from tests.clock import TUESDAY_MORNING, Clock
from tests.load import in_parallel
from tests.people import a_lead, a_message, a_staff_member
from tests.proofs.tampering import KINDS, tamper
from tests.served import run_command, service_environ
from tests.visitors import Visitor

KEY = audit.chain_key(bytes(range(32, 64)))


def steps(session: Session, message: Message) -> list[tuple[str | None, str | None]]:
    rows = session.execute(
        select(AuditEntry.from_state, AuditEntry.to_state)
        .where(AuditEntry.message_id == message.id)
        .order_by(AuditEntry.id)
    )
    return [(row.from_state, row.to_state) for row in rows]


def a_chain(session: Session, length: int) -> list[Head]:
    """So many sealed entries; the head after each."""
    for number in range(length):
        audit.record(session, number % 3, "lead_viewed", f"lead-{number}", TUESDAY_MORNING)
    session.flush()
    while audit.seal(session, KEY):
        pass
    session.commit()
    rows = session.execute(
        select(AuditEntry.position, AuditEntry.hash).order_by(AuditEntry.position)
    )
    return [Head(row.position, row.hash) for row in rows]


class TestRowForEachChange:
    def test_a_message_that_leaves_has_its_whole_way_on_record(
        self, session: Session, send_due: Callable[[], int]
    ) -> None:
        """I10."""
        message = a_message(session, kind="packet")
        send_due()
        assert steps(session, message) == [
            (None, "queued"),
            ("queued", "claimed"),
            ("claimed", "sending"),
            ("sending", "sent"),
        ]

    def test_a_person_with_a_database_shell_leaves_a_row_too(self, session: Session) -> None:
        message = a_message(session)
        session.execute(text("UPDATE message SET state = 'cancelled', reason = 'by hand'"))
        session.execute(text("DELETE FROM message"))
        assert steps(session, message) == [
            (None, "queued"),
            ("queued", "cancelled"),
            ("cancelled", "deleted"),
        ]
        session.commit()
        assert audit.seal(session, KEY) == 3

    def test_a_change_that_is_rolled_back_leaves_none(self, session: Session) -> None:
        message = a_message(session)
        session.commit()
        message.state = MessageState.CANCELLED
        session.flush()
        session.rollback()
        assert steps(session, message) == [(None, "queued")]

    def test_a_change_that_leaves_the_state_as_it_is_makes_no_row(self, session: Session) -> None:
        message = a_message(session)
        session.execute(update(Message).values(state="queued", reason="quiet_hours"))
        assert steps(session, message) == [(None, "queued")]


class TestChain:
    def test_positions_run_from_one_without_gaps(self, session: Session) -> None:
        heads = a_chain(session, 1_203)
        assert [head.position for head in heads] == list(range(1, 1_204))
        assert audit.verify(session, KEY) == (heads[-1], None)

    def test_it_goes_on_from_where_it_ended(self, session: Session) -> None:
        a_chain(session, 3)
        assert len(a_chain(session, 4)) == 7
        assert audit.verify(session, KEY)[1] is None

    def test_it_holds_from_any_checkpoint_and_in_stretches(self, session: Session) -> None:
        heads = a_chain(session, 30)
        assert audit.verify(session, KEY, heads[11], 5) == (heads[16], None)
        assert audit.verify(session, KEY, heads[-1]) == (heads[-1], None)

    def test_another_key_verifies_nothing(self, session: Session) -> None:
        a_chain(session, 3)
        found = audit.verify(session, audit.chain_key(b"another" * 5))
        assert found == (GENESIS, Fault(1, Flaw.ALTERED))

    def test_several_sealers_at_once_make_one_chain(self, engine: Engine, session: Session) -> None:
        for number in range(200):
            audit.record(session, 1, "lead_viewed", str(number), TUESDAY_MORNING)
        session.commit()

        def seal() -> None:
            for _ in range(30):
                with open_session(engine) as own:
                    audit.seal(own, KEY, 7)
                    own.commit()

        in_parallel([seal] * 4)
        # Whoever finds another at it leaves it to that one.
        while audit.seal(session, KEY):
            pass
        end, fault = audit.verify(session, KEY)
        assert (end.position, fault) == (200, None)

    @pytest.mark.parametrize("kind", KINDS)
    @choices(
        max_examples=8,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(seed=st.integers(0, 2**32))
    def test_a_tampering_is_found_at_its_very_row(
        self, session: Session, kind: str, seed: int
    ) -> None:
        """PR-10 (short form): ``python -m tests.proofs --only audit_tampered`` does a thousand."""
        chance = random.Random(seed)
        if not session.scalar(select(AuditEntry.id).limit(1)):
            a_chain(session, 40)
        expected = tamper(session, kind, 40, chance)
        _, fault = audit.verify(session, KEY)
        assert fault is not None
        assert fault.position == expected
        session.rollback()

    def test_entries_cut_off_the_end_are_missed_by_a_head_kept_outside(
        self, session: Session
    ) -> None:
        """PR-10: truncation."""
        heads = a_chain(session, 10)
        session.execute(delete(AuditEntry).where(AuditEntry.position > 7))
        assert audit.verify(session, KEY)[1] is None
        assert audit.verify_kept(session, heads[-1]) == Fault(10, Flaw.CUT_OFF)
        assert audit.verify_kept(session, heads[6]) is None

    def test_an_end_that_was_altered_and_sealed_anew_is_found_too(self, session: Session) -> None:
        heads = a_chain(session, 10)
        session.execute(
            update(AuditEntry)
            .where(AuditEntry.position > 8)
            .values(position=None, hash=None, subject="nothing to see")
        )
        session.flush()
        assert audit.seal(session, KEY) == 2
        assert audit.verify(session, KEY)[1] is None
        assert audit.verify_kept(session, heads[-1]) == Fault(10, Flaw.CUT_OFF)


class TestKeeper:
    @pytest.fixture
    def keeper(self, settings: Settings) -> Keeper:
        return Keeper(settings.hash_key, settings.data_dir)

    def test_it_raises_one_task_where_the_chain_breaks_and_clears_it(
        self, session: Session, keeper: Keeper, clock: Clock
    ) -> None:
        """OP-01, PR-10."""
        a_chain(session, 20)
        keeper.verify_audit(session, clock())
        session.commit()
        session.execute(update(AuditEntry).where(AuditEntry.position == 5).values(subject="lead-0"))
        session.commit()
        for _ in range(2):
            keeper.verify_audit(session, clock())
            session.commit()
        task = session.scalars(select(Task).where(Task.kind == "audit_broken")).one()
        assert (task.dedupe_key, task.done_at) == ("audit_broken:5", None)
        session.execute(update(AuditEntry).where(AuditEntry.position == 5).values(subject="lead-4"))
        session.commit()
        keeper.verify_audit(session, clock())
        session.commit()
        session.refresh(task)
        assert task.done_at == clock()

    def test_it_keeps_the_head_in_the_data_folder_and_misses_what_is_cut_off(
        self, session: Session, keeper: Keeper, settings: Settings, clock: Clock
    ) -> None:
        heads = a_chain(session, 9)
        keeper.verify_audit(session, clock())
        session.commit()
        assert audit.read_head(settings.data_dir) == heads[-1]
        session.execute(delete(AuditEntry).where(AuditEntry.position == 9))
        session.commit()
        # As after a restart, too: what is kept is not in memory alone.
        for one in (keeper, Keeper(settings.hash_key, settings.data_dir)):
            one.verify_audit(session, clock())
            session.commit()
        task = session.scalars(select(Task).where(Task.kind == "audit_broken")).one()
        assert (task.dedupe_key, task.done_at) == ("audit_broken:9", None)
        assert audit.read_head(settings.data_dir) == heads[-1]


class TestCommand:
    def environ(self, settings: Settings) -> dict[str, str]:
        return service_environ(
            settings.data_dir, settings.database_url, port=8000, smtp_port=settings.relay.port
        )

    def test_it_says_that_all_is_whole_and_shows_the_head(
        self, session: Session, settings: Settings
    ) -> None:
        heads = a_chain(session, 12)
        said = run_command(["ledger", "verify"], self.environ(settings))
        assert "12 entries" in said
        assert f"12 {heads[-1].hash}" in said
        assert "10 invariants" in run_command(["ledger", "check"], self.environ(settings))

    def test_it_ends_with_one_and_the_place_where_it_breaks(
        self, session: Session, settings: Settings
    ) -> None:
        heads = a_chain(session, 12)
        kept = ["--head", "12", heads[-1].hash]
        session.execute(delete(AuditEntry).where(AuditEntry.position == 12))
        session.commit()
        done = subprocess.run(
            [sys.executable, "-m", "leadcapture", "ledger", "verify", *kept],
            env=self.environ(settings),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 1
        assert "entry 12" in done.stdout
        session.execute(text("DELETE FROM audit WHERE position = 4"))
        session.commit()
        done = subprocess.run(
            [sys.executable, "-m", "leadcapture", "ledger", "verify"],
            env=self.environ(settings),
            capture_output=True,
            text=True,
        )
        assert (done.returncode, "entry 4 is missing" in done.stdout) == (1, True)


def test_what_staff_do_is_on_record_and_never_what_they_read(
    app: Flask, client: Visitor, session: Session
) -> None:
    """PR-09 (its start): who, what, which lead, when."""
    with app.app_context():
        rosa = a_staff_member(session)
    lead = a_lead(session)
    session.add(Gate(name=gates.QUEUE, reason="auth_535", since=TUESDAY_MORNING, closed_until=None))
    session.commit()
    client.enter(rosa)
    client.page(f"/desk/leads/{lead.ref}")
    client.send(client.page("/desk/"), "/desk/mail/opening")
    session.expire_all()
    entries = session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
    assert [(entry.act, entry.actor_id, entry.subject) for entry in entries] == [
        ("lead_viewed", rosa.id, lead.ref),
        ("gate_opened", rosa.id, "queue"),
    ]
    assert {entry.reason for entry in entries} == {""}


def test_a_page_that_refreshes_itself_is_one_view_an_hour(
    app: Flask, client: Visitor, session: Session, clock: Clock
) -> None:
    """PR-09, AB-09: saying so hides nothing, because the first view is on record in any case."""
    with app.app_context():
        rosa = a_staff_member(session)
    lead, other = a_lead(session), a_lead(session)
    session.commit()
    client.enter(rosa)

    def views(of: Lead) -> int:
        session.expire_all()
        known = select(func.count()).where(AuditEntry.subject == of.ref)
        return session.scalar(known) or 0

    def refresh(of: Lead) -> None:
        headers = {"X-Live": "1"}
        assert client.get(f"/desk/leads/{of.ref}", headers=headers).status_code == 200

    for _ in range(3):
        refresh(lead)
    assert views(lead) == 1
    client.page(f"/desk/leads/{lead.ref}")
    assert views(lead) == 2
    refresh(other)
    assert views(other) == 1
    for _ in range(5):
        clock.advance(timedelta(minutes=13))
        client.page("/desk/")
        refresh(lead)
    assert views(lead) == 3
