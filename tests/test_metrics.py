"""Metrics: the figures of the outbox for a Prometheus, and for nobody else."""

from datetime import timedelta
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import insert
from sqlalchemy.orm import Session

from leadcapture.models import Attempt, Heartbeat, MessageKind, MessageState, Screening
from leadcapture.outbox import gates
from leadcapture.outbox.alerts import raise_alert
from leadcapture.settings import Settings, SettingsError, load
from tests.clock import Clock
from tests.people import PATIENT_WORDS, a_lead, a_message, a_request
from tests.visitors import Visitor

TOKEN = "a-token-of-the-monitoring-alone"
Figures = dict[tuple[str, str], float]


def figures(client: Visitor, **choices: Any) -> Figures:
    """Each sample by its name and its labels' values, sorted by label."""
    answer = client.get("/metrics", **choices)
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain")
    return {
        (sample.name.removeprefix("leadcapture_"), "/".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_they_count_what_is_in_the_database(
    client: Visitor, session: Session, clock: Clock, settings: Settings
) -> None:
    """OP-01: another process counts the same."""
    lead = a_lead(session)
    a_request(session, lead)
    a_request(session, lead, screening=Screening.HELD)
    late = a_message(session, lead, due_at=clock() - timedelta(minutes=20))
    a_message(session, lead, kind=MessageKind.PACKET, state=MessageState.UNCERTAIN)
    a_message(session, lead, state=MessageState.SENT)
    for outcome in ("sent", "sent", "queued"):
        session.execute(
            insert(Attempt).values(
                message_id=late.id, fence=1, phase="dot", enhanced="", outcome=outcome, at=clock()
            )
        )
    session.add(Heartbeat(job="upkeep", at=clock() - timedelta(seconds=7), ok=True, error=""))
    gates.hold_queue(session, "auth_535", clock())
    raise_alert(session, "sweep_i4", late.ref, clock())
    (settings.data_dir / "backup-at").write_text((clock() - timedelta(hours=3)).isoformat() + "\n")
    found = figures(client)
    assert found["messages_open", "follow_up/queued"] == 1
    assert found["messages_open", "packet/uncertain"] == 1
    assert ("messages_open", "follow_up/sent") not in found
    assert found["oldest_due_seconds", ""] == 1200
    assert found["attempts_total", "sent"] == 2
    assert found["attempts_total", "queued"] == 1
    assert found["requests_total", "accepted"] == 1
    assert found["requests_total", "held"] == 1
    assert found["heartbeat_age_seconds", "upkeep"] == 7
    assert found["job_ok", "upkeep"] == 1
    assert found["gate_closed", "queue"] == 1
    assert found["ledger_violations", "I4"] == 1
    assert found["ledger_violations", "I10"] == 0
    assert found["audit_unsealed", ""] == 3
    assert found["audit_broken", ""] == 0
    assert found["backup_age_seconds", ""] == 3 * 3600


def test_they_hold_no_word_about_a_patient(client: Visitor, session: Session) -> None:
    message = a_message(session)
    a_request(session)
    raise_alert(session, "sweep_i4", message.ref, message.created_at)
    text = client.get("/metrics").text
    assert message.ref not in text
    assert not [word for word in PATIENT_WORDS if word.lower() in text.lower()]


def test_asking_again_at_once_asks_the_database_nothing(client: Visitor, session: Session) -> None:
    before = figures(client)
    a_message(session)
    assert figures(client) == before


class TestWhoMayAsk:
    def test_a_stranger_may_not(self, client: Visitor) -> None:
        answer = client.get("/metrics", environ_overrides={"REMOTE_ADDR": "192.0.2.7"})
        assert answer.status_code == 403

    @pytest.mark.parametrize("settings_changes", [{"metrics_token": TOKEN}])
    def test_whoever_has_the_token_may_from_anywhere(self, client: Visitor) -> None:
        far = {"REMOTE_ADDR": "192.0.2.7"}
        for token, status in (
            (f"Bearer {TOKEN}", 200),
            (f"Bearer {TOKEN}x", 403),
            ("Bearer ", 403),
            (TOKEN, 403),
            (f"Basic {TOKEN}", 403),
            ("Bearer é", 403),
        ):
            answer = client.get("/metrics", environ_overrides=far, headers={"Authorization": token})
            assert answer.status_code == status, token

    def test_without_a_token_set_an_empty_one_opens_nothing(self, client: Visitor) -> None:
        far = {"REMOTE_ADDR": "192.0.2.7"}
        answer = client.get("/metrics", environ_overrides=far, headers={"Authorization": "Bearer "})
        assert answer.status_code == 403

    @pytest.mark.parametrize(
        "headers",
        [
            {"X-Forwarded-For": "198.51.100.4"},
            {"Forwarded": "for=198.51.100.4"},
            {"Host": "info.clinic.example"},
        ],
        ids=["x-forwarded-for", "forwarded", "public host"],
    )
    def test_whoever_comes_by_a_proxy_on_this_machine_is_not_of_this_machine(
        self, client: Visitor, headers: dict[str, str]
    ) -> None:
        assert client.get("/metrics", headers=headers).status_code == 403

    def test_a_token_that_can_be_guessed_is_refused_at_the_start(self) -> None:
        with pytest.raises(SettingsError) as refused:
            load({"LEADCAPTURE_METRICS_TOKEN": "short"})
        assert any("METRICS_TOKEN" in problem for problem in refused.value.problems)
