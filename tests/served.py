"""The real service as processes on loopback, as an operator would run it."""

import base64
import contextlib
import http.client
import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.configured import CLINIC
from tests.people import test_keys
from tests.waiting import until

STARTS_WITHIN = 30.0
STOPS_WITHIN = 40.0
SERVES_AFTER = 3.0
# A service is compiled where it is installed, not at each of its starts.
_NOT_OURS = ("LEADCAPTURE_", "PYTHONDONTWRITEBYTECODE")


def free_port() -> int:
    """A port of loopback that nobody listens on.

    Below those that the system gives to outgoing connections: one of them may take such a
    port before our server does.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def service_environ(
    data_dir: Path, database_url: str, *, port: int, smtp_port: int, **more: str
) -> dict[str, str]:
    """The environment of a service on loopback: the tests' keys, no DNS, no waiting.

    ``more`` are settings without their prefix, such as ``FORM_LIMIT="5 per minute"``.
    """
    keys = ",".join(f"{name}:{base64.b64encode(key).decode()}" for name, key in test_keys.items())
    ours = {
        "DATA_DIR": str(data_dir),
        "DATABASE_URL": database_url,
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "SECRET_KEY": "k" * 48,
        "SEAL_KEYS": keys,
        "HASH_KEY": base64.b64encode(bytes(range(32, 64))).decode(),
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(smtp_port),
        "SMTP_SECURITY": "none",
        "MAIL_FROM": "hello@clinic.example",
        "REPLY_TO": "hello@clinic.example",
        "STAFF_ALERTS_TO": "desk@clinic.example",
        "CLINIC_NAME": CLINIC.name,
        "CLINIC_PHONE": CLINIC.phone,
        "CLINIC_PHONE_E164": CLINIC.phone_href.removeprefix("tel:"),
        "CLINIC_EMAIL": CLINIC.email,
        "CLINIC_ADDRESS": CLINIC.postal_address,
        "DNS_CHECK": "no",
        "FORM_MIN_SECONDS": "0",
        "FORM_LIMIT": "1000000 per minute",
        "SIGN_IN_LIMIT": "1000000 per minute",
        "DOMAIN_PACE": "0",
        "RELAY_PACE": "0",
    } | more
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(_NOT_OURS)
    }
    return inherited | {f"LEADCAPTURE_{name}": value for name, value in ours.items()}


@dataclass
class Process:
    """One ``leadcapture …`` process, its output in a file; of the code in ``tree``, else ours."""

    words: list[str]
    environ: Mapping[str, str]
    log_path: Path
    tree: Path | None = None
    _running: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> "Process":
        with self.log_path.open("ab") as log:
            self._running = subprocess.Popen(
                [sys.executable, "-m", *self.words],
                env=dict(self.environ),
                cwd=self.tree,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    @property
    def pid(self) -> int:
        assert self._running is not None
        return self._running.pid

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def ended(self) -> str:
        """How it ended, for whoever did not expect that."""
        status = self._running.poll() if self._running else None
        return f"{self.words} ended with {status}:\n{self.log[-3000:]}"

    def is_running(self) -> bool:
        return self._running is not None and self._running.poll() is None

    def children(self) -> list[psutil.Process]:
        """The processes below: the workers of a web server."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self.pid).children(recursive=True)
        return []

    def kill_children(self) -> int:
        """kill -9 each worker; how many there were."""
        workers = self.children()
        for worker in workers:
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()
        return len(workers)

    def kill(self) -> None:
        """kill -9 the process and all below it."""
        below = self.children()
        assert self._running is not None
        self._running.kill()
        for process in below:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._running.wait(10)

    def stop(self) -> int:
        """SIGTERM, and wait; its exit status. Whoever does not stop in time is killed."""
        assert self._running is not None
        self._running.send_signal(signal.SIGTERM)
        try:
            return self._running.wait(STOPS_WITHIN)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.words} did not stop:\n{self.log[-3000:]}") from None


def run_command(words: list[str], environ: Mapping[str, str]) -> str:
    """Run ``leadcapture …`` to its end; what it printed. Fails where it does."""
    done = subprocess.run(
        [sys.executable, "-m", "leadcapture", *words],
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@dataclass
class Service:
    """Web server and scheduler over one database; what starts is of the code in ``tree``."""

    port: int
    environ: Mapping[str, str]
    folder: Path
    processes: list[Process] = field(default_factory=list)
    _successors: list[psutil.Process] = field(default_factory=list)
    tree: Path | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start_web(self, workers: int = 2, threads: int = 8) -> Process:
        """Start the web server and wait until it answers and all its workers are there."""
        process = self._start(
            "web", f"--port={self.port}", f"--workers={workers}", f"--threads={threads}"
        )
        try:
            until(
                lambda: (
                    not process.is_running()
                    or (answers(self.port) and len(process.children()) >= workers)
                ),
                within=STARTS_WITHIN,
                what="the web server",
            )
            assert process.is_running()
        except AssertionError:
            raise AssertionError(f"no web server:\n{process.log[-3000:]}") from None
        return process

    def replace_web(self, old: psutil.Process, workers: int = 2) -> psutil.Process:
        """Start a successor on the old one's socket; once its workers serve, end the old one."""
        old.send_signal(signal.SIGUSR2)
        new = until(lambda: _successor(old, workers), within=2 * STARTS_WITHIN, what="a successor")
        assert new is not None
        self._successors.append(new)
        # They are there before they have loaded the service; nobody can ask one of them alone.
        threading.Event().wait(SERVES_AFTER)
        old.terminate()
        gone, _ = psutil.wait_procs([old], STOPS_WITHIN)
        assert gone, "the old web server did not stop"
        return new

    def start_scheduler(self) -> Process:
        return self._start("scheduler")

    def stop(self) -> None:
        for process in self.processes:
            if process.is_running():
                process.stop()

    def kill(self) -> None:
        for process in self.processes:
            if process.is_running():
                process.kill()
        for successor in self._successors:
            with contextlib.suppress(psutil.NoSuchProcess):
                for one in (*successor.children(), successor):
                    one.kill()

    def _start(self, *words: str) -> Process:
        log = self.folder / f"{words[0]}-{len(self.processes)}.log"
        process = Process(["leadcapture", *words], self.environ, log, self.tree).start()
        self.processes.append(process)
        return process


@contextmanager
def a_service(folder: Path, database_url: str, smtp_port: int, **more: str) -> Iterator[Service]:
    """A service that is not started yet, over a migrated database; whatever runs is ended."""
    port = free_port()
    environ = service_environ(folder, database_url, port=port, smtp_port=smtp_port, **more)
    service = Service(port, environ, folder)
    try:
        yield service
    finally:
        service.kill()


def _successor(old: psutil.Process, workers: int) -> psutil.Process | None:
    """Whoever is below it with so many workers of its own."""
    for process in old.children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if len(process.children()) >= workers:
                return process
    return None


def answers(port: int, path: str = "/healthz") -> bool:
    """True where something at this port answers 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
