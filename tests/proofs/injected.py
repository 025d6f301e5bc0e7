"""SQL injection: sqlmap tries every parameter of the pages, a patient's and staff's (WS-01)."""

import re
import sqlite3
import subprocess
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode

from flask import Flask, request
from sqlalchemy import select
from werkzeug.serving import WSGIRequestHandler, make_server

from leadcapture.app import create_app
from leadcapture.database import open_session
from leadcapture.intake import form_token
from leadcapture.models import Lead
from leadcapture.settings import Settings, load
from tests.both import Place
from tests.parts import find_part
from tests.people import a_lead, a_request, a_staff_member, typed_form
from tests.proofs.finding import Finding
from tests.served import a_service
from tests.visitors import AGENT, sign_in_for_cookie

_DATABASES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
_FOUND = re.compile(r"^Parameter: (.+)$", re.MULTILINE)
_CLEARED = re.compile(r"parameter '[^']+' does not seem to be injectable")


@dataclass(frozen=True)
class Target:
    """A page with what its address takes, what is posted there, and the cookie of who asks.

    ``only`` names the parameters to try, separated by commas; empty for all.
    """

    path: str
    posted: str = ""
    cookie: str = ""
    only: str = ""


@dataclass(frozen=True)
class Verdict:
    """What sqlmap found in a target, and how many parameters it tried in vain."""

    found: list[str]
    cleared: int


def injected(place: Place, quick: bool, seed: int) -> Finding:
    """WS-01: sqlmap finds no parameter that lets SQL through; in a page that does, it finds it."""
    del seed
    faults = [] if quick else _sees_what_is_there()
    with a_service(place.folder, place.url, place.office.port) as service:
        service.start_web(workers=2, threads=2)
        cleared = 0
        for target in _targets(load(service.environ), place, quick):
            if target.cookie and not _is_let_in(service.url, target):
                faults.append(f"{target.path}: nobody was signed in")
            verdict = ask_sqlmap(service.url, target, _DATABASES[place.kind], thorough=not quick)
            cleared += verdict.cleared
            faults += [f"{target.path}: {name} lets SQL through" for name in verdict.found]
    if not cleared:
        faults.append("sqlmap tried no parameter")
    strength = "level 1, risk 1" if quick else "level 3, risk 2"
    return Finding(f"{cleared} parameters tried at {strength}", faults)


def _is_let_in(address: str, target: Target) -> bool:
    """Whether the cookie opens staff's pages; one of a patient's is no matter."""
    headers = {"Cookie": target.cookie, "User-Agent": AGENT}
    asked = urllib.request.Request(f"{address}/desk/", headers=headers)
    with urllib.request.urlopen(asked, timeout=30) as answer:
        is_desk = answer.url.endswith("/desk/")
    return is_desk or not target.path.startswith("/desk")


def ask_sqlmap(address: str, target: Target, database: str, *, thorough: bool) -> Verdict:
    """Let sqlmap try every parameter of the target."""
    level, risk = (3, 2) if thorough else (1, 1)
    with tempfile.TemporaryDirectory() as folder:
        words = [
            find_part("sqlmap", "sqlmap"),
            "--batch",
            "--disable-coloring",
            "--flush-session",
            f"--output-dir={folder}",
            f"--level={level}",
            f"--risk={risk}",
            f"--dbms={database}",
            "--skip=token,csrf_token",
            f"--user-agent={AGENT}",
            "--ignore-code=*",
            f"--url={address}{target.path}",
        ]
        words += ["-p", target.only] if target.only else []
        words += [f"--data={target.posted}"] if target.posted else []
        words += [f"--cookie={target.cookie}", "--param-exclude=staff"] if target.cookie else []
        done = subprocess.run(words, capture_output=True, text=True, timeout=1200, check=True)
    return Verdict(_FOUND.findall(done.stdout), len(set(_CLEARED.findall(done.stdout))))


def _targets(settings: Settings, place: Place, quick: bool) -> Iterator[Target]:
    """The pages with all that they take; where it has to be quick, what goes deepest."""
    app = create_app(settings)
    with app.app_context(), open_session(place.engine) as session:
        lead = a_lead(session)
        receipt = a_request(session, lead).receipt
        staff = a_staff_member(session, "admin")
        session.commit()
        email = staff.email
        ref = session.scalars(select(Lead.ref)).one()
    form = typed_form(form_token.issue(settings.secret_key, datetime.now(UTC)))
    yield Target("/en", urlencode(form, doseq=True), only="email" if quick else "")
    cookie, token = sign_in_for_cookie(app, settings.public_url, email)
    yield Target("/desk/leads?q=jan&status=new&at=x", cookie=cookie, only="q" if quick else "")
    if quick:
        return
    yield Target("/en?utm_source=a&utm_medium=b&utm_campaign=c&lang=es", cookie="touch=x")
    yield Target(f"/thanks/{receipt}*")
    yield Target("/packet/x*?lang=es")
    yield Target("/stop/x*", "List-Unsubscribe=One-Click")
    yield Target("/desk/?page=1", cookie=cookie)
    yield Target(f"/desk/leads/{ref}*", cookie=cookie)
    for path, fields in (
        ("notes", "note=x"),
        ("calls", "outcome=reached&note=x"),
        ("status", "status=closed&reason=cost"),
        ("assignee", "to=rosa"),
    ):
        yield Target(f"/desk/leads/{ref}/{path}", f"csrf_token={token}&{fields}", cookie)


def _sees_what_is_there() -> list[str]:
    """What is wrong with the judge: it has to find a hole that we cut for it."""
    with page_with_a_hole() as address:
        verdict = ask_sqlmap(address, Target("/?q=x"), "SQLite", thorough=False)
    return [] if verdict.found else ["sqlmap did not find the hole that we cut for it"]


class _Silent(WSGIRequestHandler):
    def log_request(self, *_what: object) -> None:
        """Say nothing of the thousand requests."""


@contextmanager
def page_with_a_hole() -> Iterator[str]:
    """A page that pastes what is typed into its SQL; its address."""
    app = Flask("hole")
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    connection.execute("CREATE TABLE word (word TEXT)")

    @app.get("/")
    def look() -> str:
        typed = request.args["q"]
        try:
            found = connection.execute(f"SELECT word FROM word WHERE word = '{typed}'").fetchall()
        except sqlite3.Error:
            return "an error"
        return str(found)

    server = make_server("127.0.0.1", 0, app, request_handler=_Silent)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join(5)
