"""DD-12: the release before runs on today's schema, and the README's upgrade costs nobody anything.

The release before is the last commit of this repository that did not have the newest migration;
its code is taken from the history and run as it was. Where there is no history, nothing is shown,
and the proof falls short.
"""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import func, select

from leadcapture import migrate
from leadcapture.database import open_session, reading
from leadcapture.intake import form_token
from leadcapture.models import Message, MessageKind, MessageState
from leadcapture.settings import load
from tests.both import Place
from tests.load import SECRET_KEY, Connection, in_background, new_token, post_request
from tests.parts import find_part
from tests.people import typed_form
from tests.proofs.finding import Finding
from tests.proofs.ledger import read_ledger
from tests.served import Process, a_service, answers, run_command
from tests.waiting import until

HOUSE = Path(__file__).resolve().parents[2]
MIGRATIONS = "migrations/versions"
# What the release before says of its main path; its own tests of migrations are of its own schema.
SUITE = (
    "tests/test_intake_receive.py",
    "tests/test_public_form.py",
    "tests/test_outbox_dispatch.py",
    "tests/test_outbox_claims.py",
    "tests/test_outbox_rules.py",
    "tests/test_scheduler.py",
    "tests/test_leads_pipeline.py",
    "tests/test_inbound_answers.py",
    "tests/journeys",
)
SUITE_ENDS_WITHIN = 500
POST_EVERY = 0.1


class NoHistory(Exception):
    """This copy of the repository does not reach back to the release before."""


@dataclass(frozen=True)
class Release:
    """The code of a commit in a folder, and the revision of the schema that it knows."""

    commit: str
    revision: str
    tree: Path


def find_release(folder: Path, house: Path = HOUSE) -> Release:
    """Unpack the release before into ``folder``. Raises NoHistory where it is not to be had."""
    chain = [f"{MIGRATIONS}/{path.name}" for path in sorted((house / MIGRATIONS).glob("0*.py"))]
    for name in reversed(chain):
        commit = _commit_without(house, name)
        added = _git(house, "diff", "-M", "--diff-filter=A", "--name-only", commit, MIGRATIONS)
        # What git does not know yet is new too.
        new = {*added.split(), *(one for one in chain if not _git(house, "ls-files", one))}
        # Migrations were given other numbers on the way; what came last must be all that is new.
        if new and sorted(new) == chain[-len(new) :]:
            break
    else:
        raise NoHistory("no commit knows an earlier schema (is this a whole clone?)")
    # By the program: Debian 12's Python does not know the safe filters of `tarfile` yet.
    archive = _run(house, "archive", commit)
    folder.mkdir(exist_ok=True)
    subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)
    before = re.search(r'^down_revision = "(\w+)"', (house / min(new)).read_text(), re.M)
    return Release(commit, before[1] if before else "base", folder)


def _commit_without(house: Path, name: str) -> str:
    """The last commit before this file came, under whatever number; where git does not know it
    yet, the last one of all.
    """
    added = _git(house, "log", "--follow", "--diff-filter=A", "--format=%H", "--", name).split()
    wanted = f"{added[-1]}^" if added else "HEAD"
    return _git(house, "rev-parse", "--verify", f"{wanted}^{{commit}}").strip()


def _git(house: Path, *words: str) -> str:
    return _run(house, *words).decode()


def _run(house: Path, *words: str) -> bytes:
    done = subprocess.run([find_part("git", "git"), "-C", str(house), *words], capture_output=True)
    if done.returncode != 0:
        told = done.stderr.decode(errors="replace").strip()
        raise NoHistory(f"git {words[0]}: {told} (is this a whole clone?)")
    return done.stdout


def release_before(place: Place, quick: bool, seed: int) -> Finding:
    """The code of the release before on today's schema, and the way from it to today's."""
    try:
        release = find_release(place.folder / "before")
    except NoHistory as missing:
        return Finding("the release before is not to be had", [str(missing)])
    upgrade = prove_upgrade(place, release, 10 if quick else 100)
    if quick:
        return upgrade
    told, faults = run_its_suite(release, place.kind)
    return Finding(f"{upgrade.sentence}; {told}", upgrade.faults + faults)


def prove_upgrade(place: Place, release: Release, count: int) -> Finding:
    """Take ``count`` requests at each step of the upgrade, and have each packet arrive once.

    Old code and old schema; migration under the old web server; old web server and old scheduler
    on the new schema; then today's code.
    """
    with a_service(place.folder, place.url, place.office.port) as service:
        migrate.downgrade(load(service.environ), release.revision)
        service.tree = release.tree
        visitors = _Visitors(service.port)
        web, scheduler = service.start_web(), service.start_scheduler()
        visitors.visit(count)
        scheduler.stop()
        with in_background(visitors.visit, POST_EVERY):
            run_command(["migrate"], service.environ)
        visitors.visit(count)
        faults = _faults_of_log(web, "the old web server after the migration")
        scheduler = service.start_scheduler()
        _wait_for_packets(place, visitors)
        faults += _faults_of_log(scheduler, "the old scheduler on the new schema")
        if not answers(service.port, "/readyz"):
            faults.append("the old code is not ready on the new schema")
        visitors.visit(count)
        scheduler.stop()
        with in_background(visitors.visit_patiently, POST_EVERY):
            web.stop()
            service.tree = None
            web = service.start_web()
        scheduler = service.start_scheduler()
        visitors.visit(count)
        _wait_for_packets(place, visitors)
        faults += _faults_of_log(web, "today's web server") + _faults_of_log(scheduler, "today's")
        service.stop()
    ledger = read_ledger(place.engine, visitors.accepted, visitors.posted)
    copies = Counter(letter.message_id for letter in place.office.letters)
    faults += visitors.faults + ledger.faults
    faults += [f"{mail_id} left {times} times" for mail_id, times in copies.items() if times > 1]
    sentence = (
        f"{release.commit[:7]} (schema {release.revision}) on today's schema and on to today's "
        f"code: {len(visitors.accepted)} requests accepted, {ledger.packets} packets"
    )
    return Finding(sentence, faults)


@dataclass
class _Visitors:
    """People who each post one form; ``accepted`` maps their tokens to their receipts."""

    port: int
    accepted: dict[str, str] = field(default_factory=dict)
    posted: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)
    number: int = 0

    def visit(self, count: int = 1) -> None:
        """Post that many forms; whoever is not taken at once is a fault."""
        for _ in range(count):
            token, request = self._fill_in()
            try:
                self._post(token, request)
            except (OSError, AssertionError) as refusal:
                self.faults.append(f"a visitor was not taken at once: {refusal}")

    def visit_patiently(self) -> None:
        """Post one form again and again until it is taken, as a browser's user does."""
        token, request = self._fill_in()

        def is_taken() -> bool:
            try:
                self._post(token, request)
            except OSError:
                return False
            return True

        until(is_taken, within=60, what="a web server")

    def _fill_in(self) -> tuple[str, bytes]:
        token = new_token()
        read = form_token.read([SECRET_KEY], token)
        assert read is not None
        self.number += 1
        fields = typed_form(token, email=f"patient.{self.number}@tampamail.example")
        return read.id, post_request(self.port, fields)

    def _post(self, token: str, request: bytes) -> None:
        self.posted.add(token)
        with Connection(self.port, timeout=20) as connection:
            answer = connection.ask(request)
        assert answer.status == 303, f"{answer.status}: {answer.body[:200]!r}"
        self.accepted[token] = answer.receipt


def _wait_for_packets(place: Place, visitors: _Visitors) -> None:
    waiting = select(func.count()).where(
        Message.kind == MessageKind.PACKET, Message.state != MessageState.SENT
    )

    def all_left() -> bool:
        with reading(), open_session(place.engine) as session:
            return session.scalar(waiting) == 0

    until(all_left, within=90, what=f"{len(visitors.accepted)} packets")


def _faults_of_log(process: Process, who: str) -> list[str]:
    """What a process had to complain of; it names no patient."""
    wrong = [line for line in process.log.splitlines() if " ERROR " in line or "Traceback" in line]
    return [f"{who}: {line}" for line in wrong[:3]]


def run_its_suite(release: Release, kind: str) -> tuple[str, list[str]]:
    """Run the tests that the release before has of its main path, on today's migrations."""
    shutil.rmtree(release.tree / MIGRATIONS)
    shutil.copytree(HOUSE / MIGRATIONS, release.tree / MIGRATIONS)
    tests = [test for test in SUITE if (release.tree / test).exists()]
    options = ["-p", "no:cacheprovider", "--tb=line", "-k", kind]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *tests],
        cwd=release.tree,
        env={**os.environ, "PYTHONPATH": str(release.tree)},
        capture_output=True,
        text=True,
        timeout=SUITE_ENDS_WITHIN,
    )
    told = done.stdout.strip().splitlines()[-1:] or ["nothing"]
    faults = re.findall(r"^(?:FAILED|ERROR) .*", done.stdout, re.M)
    if done.returncode != 0 and not faults:
        faults = [f"its tests did not run ({done.returncode}): {done.stderr[-300:]}"]
    return f"its tests say: {told[0]}", faults
