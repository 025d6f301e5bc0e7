"""The service runs as processes: it starts, sends, and stops cleanly."""

import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.models import Heartbeat
from tests import people
from tests.people import a_message, a_request
from tests.post_office import PostOffice
from tests.served import Process, a_service, answers, free_port, service_environ
from tests.waiting import until

TREE = Path(__file__).parent.parent


def test_the_service_answers_sends_and_stops_on_sigterm(
    database_url: str, session: Session, office: PostOffice, tmp_path: Path
) -> None:
    """SC-09: nothing is left running, and the web processes send nothing."""
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


# Longer than a scheduler needs to send what is due, by far: it looks twice a second.
NOTHING_COMES_WITHIN = 3.0


# Which threads a web process has hangs on no database.
@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
@pytest.mark.parametrize("options", [[], ["--preload"]])
def test_no_web_process_schedules_anything(
    database_url: str, session: Session, office: PostOffice, tmp_path: Path, options: list[str]
) -> None:
    """SC-03: gunicorn with four workers, loaded before they part or by each of them."""
    a_message(session, a_request(session).lead, kind="packet")
    session.commit()
    with a_service(tmp_path, database_url, office.port) as service:
        # gunicorn's own socket for commands would have a thread; our server has none of it.
        options = [*options, "--no-control-socket", "-b", f"127.0.0.1:{service.port}"]
        words = ["gunicorn", "-w", "4", *options, "wsgi:app"]
        web = Process(words, service.environ, tmp_path / "gunicorn.log", TREE).start()
        service.processes.append(web)
        until(
            lambda: len(web.children()) == 4 and answers(service.port),
            within=60,
            what=f"four workers: {web.log[-2000:]}",
        )
        # Nobody can be asked for the fourth alone; they have all loaded the service by then.
        threading.Event().wait(NOTHING_COMES_WITHIN)
        threads = [process.num_threads() for process in (psutil.Process(web.pid), *web.children())]
        assert threads == [1] * 5
        assert office.letters == []
        assert session.scalars(select(Heartbeat.job)).all() == []
        assert web.stop() == 0


def test_flask_runs_no_service_in_debug(tmp_path: Path) -> None:
    """SC-03, OP-03: ``flask run --debug`` starts neither pages nor a scheduler; it says why."""
    environ = service_environ(tmp_path, "sqlite:///x", port=free_port(), smtp_port=25)
    ran = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "wsgi", "run", "--debug", "--port", "0"],
        cwd=TREE,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode != 0
    assert "LEADCAPTURE_DEBUG: must be off" in ran.stderr
    assert "Running on" not in ran.stdout + ran.stderr


def test_a_killed_worker_is_replaced(database_url: str, office: PostOffice, tmp_path: Path) -> None:
    with a_service(tmp_path, database_url, office.port) as service:
        web = service.start_web()
        before = {child.pid for child in web.children()}
        assert web.kill_children() == len(before)
        until(lambda: answers(service.port), what="a new worker")
        until(lambda: not before & {child.pid for child in web.children()}, what="the dead to go")
        assert web.children()
        assert web.stop() == 0
