"""SpamAssassin and rspamd of the distribution, each with rules of its own machine only."""

import http.client
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.parts import find_part
from tests.served import free_port
from tests.waiting import until

# Loading and compiling its rules takes rspamd some 20 seconds of a busy machine.
LOADS_WITHIN = 120.0
# What asks another machine, or keeps a memory of senders.
_REMOTE = (
    *("antivirus", "arc", "asn", "aws_s3", "bimi", "clickhouse", "dcc", "dkim", "dkim_signing"),
    *("dmarc", "elastic", "external_services", "fuzzy_check", "greylist", "hfilter"),
    *("history_redis", "metadata_exporter", "metric_exporter", "mx_check", "neural", "p0f"),
    *("phishing", "ratelimit", "rbl", "replies", "reputation", "rspamd_update", "spf"),
    *("url_redirector", "whitelist"),
)
_STATUS = re.compile(rb"^X-Spam-Status: ([^\n]*(?:\n[ \t][^\n]*)*)", re.M)
_ASSASSIN = Path("/etc/spamassassin")


@dataclass(frozen=True)
class Opinion:
    """What a filter thinks of one letter; ``rules`` are those that moved its score."""

    score: float
    action: str
    rules: dict[str, float]


def ask_spamassassin(folder: Path, letters: Sequence[bytes]) -> list[Opinion]:
    """SpamAssassin's opinion of each letter, by its local tests only."""
    program = find_part("spamassassin", "spamassassin")
    places = []
    for number, letter in enumerate(letters):
        places.append(folder / f"{number}.eml")
        places[-1].write_bytes(letter)
    for plugins in _ASSASSIN.glob("*.pre"):
        shutil.copy(plugins, folder)
    # The header that is added tells the score and every rule with its own.
    rules = "clear_headers\nadd_header all Status _SCORE_ _TESTSSCORES(,)_\nuse_bayes 0\n"
    (folder / "local.cf").write_text(rules)
    done = subprocess.run(
        [program, "--local", "--nocreate-prefs", "-x", f"--siteconfigpath={folder}", *places],
        capture_output=True,
        env={**os.environ, "HOME": str(folder), "LC_ALL": "C.UTF-8"},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr.decode()
    opinions = [_read_status(found) for found in _STATUS.findall(done.stdout)]
    assert len(opinions) == len(letters), "not every letter was judged"
    return opinions


def _read_status(status: bytes) -> Opinion:
    score, _, told = re.sub(r"\s+", " ", status.decode().strip()).partition(" ")
    rules = {}
    for name, _, worth in (one.partition("=") for one in told.replace(" ", "").split(",")):
        if worth and float(worth):
            rules[name] = float(worth)
    return Opinion(float(score), "spam" if float(score) >= 5 else "ham", rules)


@dataclass(frozen=True)
class Rspamd:
    """A running rspamd."""

    port: int

    def ask(self, letter: bytes, sender: str, recipient: str) -> Opinion:
        """Its opinion of a letter that came from a server of the sender's domain."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"From": sender, "Rcpt": recipient, "Helo": sender.partition("@")[2]}
        try:
            connection.request("POST", "/checkv2", letter, headers)
            told = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        rules = {name: one["score"] for name, one in told["symbols"].items() if one["score"]}
        return Opinion(told["score"], told["action"], rules)

    def answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/ping")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


@contextmanager
def open_rspamd(folder: Path) -> Iterator[Rspamd]:
    """rspamd on loopback with a configuration and a memory in ``folder``; it asks nobody."""
    program = find_part("rspamd", "rspamd")
    rspamd = Rspamd(free_port())
    rules = folder / "override.d"
    rules.mkdir()
    for name in _REMOTE:
        (rules / f"{name}.conf").write_text("enabled = false;\n")
    for worker in ("controller", "proxy", "fuzzy"):
        (rules / f"worker-{worker}.inc").write_text("enabled = false;\n")
    (rules / "worker-normal.inc").write_text(
        f'bind_socket = "127.0.0.1:{rspamd.port}"; count = 1;\n'
    )
    (rules / "logging.inc").write_text('type = "console"; level = "error";\n')
    (rules / "options.inc").write_text(
        'dns { nameserver = ["127.0.0.1:9"]; timeout = 0.1s; retransmits = 1; }\n'
        # It compiles all patterns anew in each new folder, and a few letters do not repay that.
        "disable_hyperscan = true;\n"
    )
    places = ("LOCAL_CONFDIR", "DBDIR", "RUNDIR", "LOGDIR")
    own = [f"--var={place}={folder}" for place in places]
    with (folder / "rspamd.out").open("wb") as out:
        running = subprocess.Popen(
            # Not a server of the machine's: it runs as whoever runs the tests.
            [program, "-f", "-i", "-c", "/etc/rspamd/rspamd.conf", *own],
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        until(
            lambda: rspamd.answers() or running.poll() is not None,
            within=LOADS_WITHIN,
            what="rspamd",
        )
        assert running.poll() is None, (folder / "rspamd.out").read_text()
        yield rspamd
    finally:
        running.terminate()
        running.wait(30)
