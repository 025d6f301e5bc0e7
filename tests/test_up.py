"""The supervisor of `leadcapture up`."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
from sqlalchemy import text

from leadcapture.database import open_engine
from tests.served import free_port
from tests.waiting import until


def test_up_ends_a_scheduler_that_is_alive_and_silent_and_starts_another(tmp_path: Path) -> None:
    """SC-05, with a scheduler that was stopped by SIGSTOP, and times made short."""
    port = free_port()
    program = (
        "import sys; from leadcapture import up;"
        "up.ASKED_EVERY, up.TICKS_WITHIN = 0.5, 8.0;"
        "from leadcapture.cli import main; main(sys.argv[1:])"
    )
    environ = {
        name: value for name, value in os.environ.items() if not name.startswith("LEADCAPTURE_")
    } | {"LEADCAPTURE_DATA_DIR": str(tmp_path / "data")}
    log = (tmp_path / "up.log").open("ab")
    running = subprocess.Popen(
        [sys.executable, "-c", program, "up", "--port", str(port)],
        env=environ,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        database = f"sqlite:///{tmp_path / 'data' / 'leadcapture.sqlite3'}"
        first = until(lambda: scheduler_of(running.pid), within=60, what="a scheduler")
        assert first is not None
        until(lambda: beaten(database), within=60, what="its first heartbeat")
        first.send_signal(signal.SIGSTOP)
        age_heartbeats(database)
        assert "silent" not in (tmp_path / "up.log").read_text()
        until(
            lambda: scheduler_of(running.pid) not in (None, first),
            within=60,
            what="another scheduler",
        )
        assert "scheduler is silent" in (tmp_path / "up.log").read_text()
    finally:
        running.terminate()
        running.wait(60)
        log.close()


def test_up_with_a_relay_does_not_start_as_the_demo_clinic(tmp_path: Path) -> None:
    """OP-03: there it would write to patients in the name of a clinic that is none."""
    environ = {
        name: value for name, value in os.environ.items() if not name.startswith("LEADCAPTURE_")
    } | {
        "LEADCAPTURE_DATA_DIR": str(tmp_path / "data"),
        "LEADCAPTURE_SMTP_HOST": "127.0.0.1",
        "LEADCAPTURE_SMTP_SECURITY": "none",
    }
    ended = subprocess.run(
        [sys.executable, "-m", "leadcapture", "up", "--port", str(free_port())],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 2
    for name in ("MAIL_FROM", "STAFF_ALERTS_TO", "CLINIC_NAME", "CLINIC_PHONE", "CLINIC_ADDRESS"):
        assert f"LEADCAPTURE_{name}:" in ended.stderr
    assert not (tmp_path / "data" / "leadcapture.sqlite3").exists()


def scheduler_of(pid: int) -> psutil.Process | None:
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(pid).children():
            if child.cmdline()[-1:] == ["scheduler"] and child.status() != psutil.STATUS_ZOMBIE:
                return child
    return None


def beaten(url: str) -> bool:
    engine = open_engine(url)
    with engine.connect() as connection:
        found = connection.scalar(text("SELECT count(*) FROM heartbeat WHERE job = 'upkeep'"))
    engine.dispose()
    return bool(found)


def age_heartbeats(url: str) -> None:
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE heartbeat SET at = datetime(at, '-10 minutes') || '.000000'")
        )
    engine.dispose()
