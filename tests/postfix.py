"""A real Postfix on loopback, in folders of its own, which hands all it takes to one next hop."""

import os
import pwd
import smtplib
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.parts import find_part
from tests.served import free_port
from tests.waiting import until

# Of Debian's own main.cf only what decides how a letter is taken and what is written about it.
_MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
syslog_name = postfix
myhostname = mail.clinic.example
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
relayhost = [127.0.0.1]:{next_hop}
default_transport = smtp
alias_maps =
alias_database =
smtp_dns_support_level = disabled
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, reject
enable_long_queue_ids = {long_ids}
notify_classes =
biff = no
"""
_MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
pickup  unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr    unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce  unix - - n - 0 bounce
defer   unix - - n - 0 bounce
trace   unix - - n - 0 bounce
flush   unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp    unix - - n - - smtp
showq   unix n - n - - showq
error   unix - - n - - error
retry   unix - - n - - error
anvil   unix - - n - 1 anvil
scache  unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


@dataclass(frozen=True)
class Postfix:
    """A running server: where it listens, and the log that it writes."""

    port: int
    log: Path

    def rotate_log(self) -> None:
        """Have Postfix move its log away, begin another, and compress the first."""
        # Its suffix is of whole seconds, and it would write over what bears the same.
        _run("postfix", self.log.parent, "logrotate")


@contextmanager
def open_postfix(next_hop: int, *, long_ids: bool = False) -> Iterator[Postfix]:
    """A server for the length of a ``with``. ``next_hop``: a port of loopback; no other way out.

    ``long_ids`` has it never use a queue id twice. Raises RuntimeError where we are not root,
    as whom alone its master runs.
    """
    if os.geteuid() != 0:
        raise RuntimeError("Postfix's master runs as root only")
    # Short, because the path of a socket may have a hundred characters only.
    with tempfile.TemporaryDirectory(prefix="postfix-") as name:
        folder, port = Path(name), free_port()
        folder.chmod(0o755)
        for part in ("config", "queue", "data"):
            (folder / part).mkdir()
        given = {"folder": folder, "port": port, "next_hop": next_hop}
        answer = "yes" if long_ids else "no"
        (folder / "config" / "main.cf").write_text(_MAIN.format(**given, long_ids=answer))
        (folder / "config" / "master.cf").write_text(_MASTER.format(**given))
        owner = _run("postconf", folder, "-h", "mail_owner").strip()
        os.chown(folder / "data", pwd.getpwnam(owner).pw_uid, -1)
        _run("postfix", folder, "start")
        postfix = Postfix(port, folder / "mail.log")
        try:
            until(lambda: _answers(port), within=20, what="Postfix")
            yield postfix
        finally:
            _run("postfix", folder, "abort")


def _run(program: str, folder: Path, *words: str) -> str:
    done = subprocess.run(
        [find_part("postfix", program), "-c", str(folder / "config"), *words],
        capture_output=True,
        text=True,
        timeout=60,
    )
    log = folder / "mail.log"
    assert done.returncode == 0, f"{words}: {done.stderr}{log.read_text() if log.exists() else ''}"
    return done.stdout


def _answers(port: int) -> bool:
    try:
        with smtplib.SMTP("127.0.0.1", port, "localhost", timeout=5):
            return True
    except OSError:
        return False
