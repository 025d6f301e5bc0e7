"""The service runs as processes: it starts, sends, and stops cleanly."""

from pathlib import Path

import psutil
import pytest
from sqlalchemy.orm import Session

from tests import people
from tests.people import a_message, a_request
from tests.post_office import PostOffice
from tests.served import a_service, answers
from tests.waiting import until


def test_the_service_answers_sends_and_stops_on_sigterm(
    database_url: str, session: Session, office: PostOffice, tmp_path: Path
) -> None:
    """SC-03, SC-09: nothing is left running, and the web processes send nothing."""
    a_message(session, a_request(session).lead, kind="packet")
    session.commit()
    with a_service(tmp_path, database_url, office.port) as service:
        web = service.start_web()
        until(lambda: len(web.children()) >= 2, what="both web workers")
        assert office.letters == []
        scheduler = service.start_scheduler()
        office.wait_for(1)
        until(lambda: answers(service.port, "/readyz"), what="readiness")
        pids = [web.pid, scheduler.pid, *(child.pid for child in web.children())]
        assert web.stop() == 0
        assert scheduler.stop() == 0
        assert not [pid for pid in pids if psutil.pid_exists(pid)]
        for word in people.PATIENT_WORDS:
            assert word not in web.log + scheduler.log
    assert len(office.letters) == 1


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_a_killed_worker_is_replaced(database_url: str, office: PostOffice, tmp_path: Path) -> None:
    with a_service(tmp_path, database_url, office.port) as service:
        web = service.start_web()
        before = {child.pid for child in web.children()}
        assert web.kill_children() == len(before)
        until(lambda: answers(service.port), what="a new worker")
        until(lambda: not before & {child.pid for child in web.children()}, what="the dead to go")
        assert web.children()
        assert web.stop() == 0
