"""`leadcapture up`: the whole service on one machine, with embedded defaults."""

import base64
import ctypes
import fcntl
import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

from leadcapture.kept_file import create_file, replace_file
from leadcapture.settings import SECRETS_FILE

STOP_WITHIN = 40.0
CALM = 2.0
ASKED_EVERY = 10.0
# A scheduler that has just started gets the time that makes it count as silent, and some more.
TICKS_WITHIN = 120.0
_PR_SET_PDEATHSIG = 1
_ADDRESS_FILE = "address"
_LOCK_FILE = "up.lock"


def make_secrets(data_dir: Path) -> None:
    """Write ``secrets.env`` once: keys that this installation alone has, readable by us alone."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    lines = [
        f"LEADCAPTURE_SECRET_KEY={secrets.token_urlsafe(48)}",
        f"LEADCAPTURE_SEAL_KEYS=k001:{_key()}",
        f"LEADCAPTURE_HASH_KEY={_key()}",
    ]
    # Whole or not at all: half of it would start a service whose keys nobody ever has again.
    create_file(data_dir / SECRETS_FILE, "\n".join(lines) + "\n")


def take_folder(data_dir: Path) -> bool:
    """Keep the folder for this process as long as it lives; False where another has it."""
    # Never closed: the lock ends with the process, however that ends.
    handle = os.open(data_dir / _LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return False
    return True


def remember_address(data_dir: Path, public_url: str) -> None:
    """Keep the address for the commands that run beside `up` and print links."""
    replace_file(data_dir / _ADDRESS_FILE, public_url)


def embedded_defaults(
    given: Mapping[str, str], port: int, data_dir: Path | None = None
) -> dict[str, str]:
    """What stands in for settings that nobody gave, save the mailbox's.

    With ``data_dir``, the address is the one that `up` last ran under there.
    """
    defaults = {"LEADCAPTURE_PUBLIC_URL": f"http://127.0.0.1:{port}"}
    if data_dir is not None and (data_dir / _ADDRESS_FILE).exists():
        defaults["LEADCAPTURE_PUBLIC_URL"] = (data_dir / _ADDRESS_FILE).read_text()
    return {name: value for name, value in defaults.items() if name not in given}


def mailbox_settings(data_dir: Path, port: int) -> dict[str, str]:
    """The settings that send mail to the embedded mailbox instead of a relay."""
    return {
        "LEADCAPTURE_SMTP_HOST": "127.0.0.1",
        "LEADCAPTURE_SMTP_PORT": str(port),
        "LEADCAPTURE_SMTP_SECURITY": "none",
        # Our own mailbox takes all at once.
        "LEADCAPTURE_DOMAIN_PACE": "0",
        "LEADCAPTURE_RELAY_PACE": "0",
        "LEADCAPTURE_MAILBOX_DIR": str(data_dir / "mailbox"),
    }


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """True where nobody listens on this port of loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Supervisor:
    """Runs web and scheduler as processes, starts again what dies, stops both on a signal."""

    def __init__(self, environ: Mapping[str, str], port: int) -> None:
        self._environ = dict(environ)
        self._port = port
        self._asked = time.monotonic()
        self._commands = {
            "web": ["web", "--port", str(port)],
            "scheduler": ["scheduler"],
        }
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._started: dict[str, float] = {}
        self._stopping = False

    def run(self) -> int:
        """Run until SIGTERM or Ctrl-C; 0 where both ended by themselves in time."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask_to_stop)
        while not self._stopping:
            for name in self._commands:
                self._keep(name)
            self._end_silent_scheduler()
            time.sleep(0.2)
        return self._stop()

    def _keep(self, name: str) -> None:
        process = self._running.get(name)
        if process is not None and process.poll() is None:
            return
        if process is not None:
            print(f"{name} ended with {process.returncode}; starting it again", file=sys.stderr)
            # A process that dies at once would otherwise spin.
            if time.monotonic() - self._started[name] < CALM:
                time.sleep(CALM)
        # A session of its own: Ctrl-C reaches us alone, and we stop both in order.
        self._running[name] = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "leadcapture", *self._commands[name]],
            env=self._environ,
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )
        self._started[name] = time.monotonic()

    def _end_silent_scheduler(self) -> None:
        """End a scheduler that is alive but commits nothing, so that it is started again (SC-05).

        The web asks the database; its answer is all that is needed to know. To ask is also what
        makes the web tell staff.
        """
        if time.monotonic() - self._asked < ASKED_EVERY:
            return
        self._asked = time.monotonic()
        why = why_not_ready(self._port)
        is_young = time.monotonic() - self._started["scheduler"] < TICKS_WITHIN
        # Where the database is at fault, another scheduler would do no better.
        if "scheduler_silent" in why and not is_young and not _blames_database(why):
            print("scheduler is silent and is ended", file=sys.stderr)
            # It may be stopped or hang: what does not tick does not heed a signal either.
            self._running["scheduler"].kill()

    def _ask_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _stop(self) -> int:
        for process in self._running.values():
            process.terminate()
        deadline = time.monotonic() + STOP_WITHIN
        clean = True
        for name, process in self._running.items():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                print(f"{name} did not stop in time and is ended", file=sys.stderr)
                process.kill()
                clean = False
        return 0 if clean else 1


def why_not_ready(port: int) -> list[str]:
    """What the web on this port says is amiss; nothing where it does not answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        why = json.loads(connection.getresponse().read()).get("why", [])
    except (OSError, http.client.HTTPException, ValueError):
        return []
    finally:
        connection.close()
    return [str(word) for word in why]


def _blames_database(why: list[str]) -> bool:
    return any(word.startswith("database_") for word in why)


def _end_with_parent() -> None:
    """Ask Linux to stop this process when `up` dies, even by kill -9: no orphan keeps the port."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()
