"""A real Dovecot on loopback: one mailbox, its own folder and port, as whoever we are."""

import grp
import imaplib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from leadcapture.settings import Imap
from tests.certificates import Certificate
from tests.parts import find_part
from tests.served import free_port
from tests.waiting import until

USER, PASSWORD = "bounces", "seven-herons"

_CONFIG = """
base_dir = {folder}/run
state_dir = {folder}/run
log_path = {folder}/dovecot.log
protocols = imap
listen = 127.0.0.1
{tls}
disable_plaintext_auth = no
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {login_user}
mail_location = maildir:{folder}/mail/%u
first_valid_uid = 0
first_valid_gid = 0
passdb {{
  driver = static
  args = password={{PLAIN}}{password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/mail/%u
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""


@dataclass
class Dovecot:
    """A running server. `deliver` puts a mail where a delivery agent would."""

    folder: Path
    port: int
    tls_port: int = 0
    _number: int = 0

    @property
    def imap(self) -> Imap:
        """What the service is told about it."""
        return Imap("127.0.0.1", self.port, USER, PASSWORD, security="none")

    def deliver(self, mail: bytes) -> None:
        """Put a mail into the inbox, as one file of a Maildir."""
        maildir = self.folder / "mail" / USER
        for name in ("tmp", "new", "cur"):
            (maildir / name).mkdir(parents=True, exist_ok=True)
        self._number += 1
        name = f"{1_700_000_000 + self._number}.M{self._number}.tests"
        (maildir / "tmp" / name).write_bytes(mail.replace(b"\r\n", b"\n"))
        _give_away(self.folder / "mail")
        (maildir / "tmp" / name).rename(maildir / "new" / name)

    def empty(self) -> None:
        """Throw away all mail, and the folders that were made for it."""
        shutil.rmtree(self.folder / "mail" / USER, ignore_errors=True)

    def count(self, folder: str = "INBOX") -> int:
        """How many mails lie in a folder; 0 where there is no such folder."""
        client = imaplib.IMAP4("127.0.0.1", self.port, timeout=10)
        try:
            client.login(USER, PASSWORD)
            status, found = client.select(f'"{folder}"', readonly=True)
            return int(found[0] or b"0") if status == "OK" else 0
        finally:
            client.logout()


@contextmanager
def open_dovecot(certificate: Certificate | None = None) -> Iterator[Dovecot]:
    """A server for the length of a ``with``; a certificate opens ``tls_port`` too."""
    program = find_part("dovecot-imapd", "dovecot")
    # Short, because the path of a socket may have a hundred characters only.
    with tempfile.TemporaryDirectory(prefix="dovecot-") as name:
        folder, port = Path(name), free_port()
        tls_port = free_port() if certificate else 0
        tls = "ssl = no"
        if certificate:
            key = certificate.path.with_suffix(".key")
            tls = f"ssl = yes\nssl_cert = <{certificate.path}\nssl_key = <{key}"
        config = folder / "dovecot.conf"
        (folder / "mail").mkdir()
        _give_away(folder / "mail")
        config.write_text(
            _CONFIG.format(
                folder=folder, port=port, tls_port=tls_port, tls=tls, password=PASSWORD, **_who()
            )
        )
        folder.chmod(0o755)
        process = subprocess.Popen([program, "-F", "-c", str(config)])
        dovecot = Dovecot(folder, port, tls_port)
        try:
            until(lambda: _answers(dovecot, process), within=20, what="Dovecot")
            yield dovecot
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(10)


def _who() -> dict[str, object]:
    """Whose its processes and its mail are: ours, or where we are root the package's own users,
    because Dovecot hands no mail to root.
    """
    if os.geteuid() != 0:
        user, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
        own = {"uid": os.getuid(), "gid": os.getgid()}
        return {"user": user, "login_user": user, "group": group, **own}
    nobody = pwd.getpwnam("nobody")
    own = {"uid": nobody.pw_uid, "gid": nobody.pw_gid}
    return {"user": "dovecot", "login_user": "dovenull", "group": "dovecot", **own}


def _give_away(mail: Path) -> None:
    """Let Dovecot's own user have what root wrote."""
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        for path in (mail, *mail.rglob("*")):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)


def _answers(dovecot: Dovecot, process: "subprocess.Popen[bytes]") -> bool:
    log = dovecot.folder / "dovecot.log"
    assert process.poll() is None, log.read_text() if log.exists() else "Dovecot ended"
    try:
        dovecot.count()
    except (OSError, imaplib.IMAP4.error):
        return False
    return True
