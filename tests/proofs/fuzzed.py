"""Fuzzing: thousands of odd requests to every route, of a stranger's and of staff's (WS-12)."""

import http.client
import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

from flask import Flask
from sqlalchemy import select
from werkzeug.routing import Rule

from leadcapture.app import create_app
from leadcapture.database import open_session
from leadcapture.models import Lead, LeadStatus, Message, Request, Task
from leadcapture.settings import load
from tests.both import Place
from tests.hostile import PIECES
from tests.people import a_lead, a_message, a_request, a_staff_member
from tests.proofs.finding import Finding
from tests.served import a_service
from tests.visitors import AGENT, sign_in_for_cookie

# What an answer may never show of the inside (WS-12).
INSIDES = re.compile(
    rb"Traceback|sqlalchemy|sqlite3?\.|psycopg|SELECT .* FROM|INSERT INTO|site-packages|"
    rb"/usr/lib/python|\.py\", line|Werkzeug/|Python/3|gunicorn/\d",
    re.IGNORECASE,
)
_METHODS = ("GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "JUNK", "post")
_WEIGHTS = (30, 45, 5, 3, 4, 4, 4, 2, 2, 1)
_HEADERS = (
    *("Accept", "Accept-Language", "Referer", "Origin", "Cookie", "If-None-Match", "Range"),
    *("Content-Encoding", "X-Forwarded-Host", "Forwarded", "X-Forwarded-For", "Sec-Fetch-Site"),
    *("HX-Request", "HX-Target", "Authorization", "X-HTTP-Method-Override"),
)
_KINDS = (
    *("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json"),
    *("multipart/form-data", "text/plain", "application/xml", "x/y; charset=\xff", ""),
)
_FIELDS = (
    *("token", "full_name", "email", "conditions", "message", "phone", "country", "note", "next"),
    *("csrf_token", "status", "reason", "outcome", "to", "back", "q", "at", "page", "lang", "sort"),
    *("version", "decision", "password", "name", "text", "from", "until", "tag", "owner", "due"),
)
_ODD = ("1", "-1", "0", "y", "9" * 30, "//evil.test", "2026-02-30", "[]", "\0")
# The one would end the session that the others need; the other says 503 while no scheduler runs.
_LEFT_OUT = ("security.logout", "health.ready")


@dataclass
class Answered:
    """How many answers of each status, and what was wrong with any."""

    statuses: Counter[int] = field(default_factory=Counter)
    seen_of_staff: int = 0
    faults: list[str] = field(default_factory=list)


def fuzzed(place: Place, quick: bool, seed: int) -> Finding:
    """WS-12, WS-04, WS-05: no 5xx, nothing of the inside, no way to another origin."""
    chance = random.Random(seed)
    with a_service(place.folder, place.url, place.office.port) as service:
        app = create_app(load(service.environ))
        known = _something_real(app, place)
        with app.app_context(), open_session(place.engine) as session:
            email = a_staff_member(session, "admin").email
            session.commit()
        cookie, token = sign_in_for_cookie(app, service.url, email)
        service.start_web(workers=2, threads=2)
        shots = Shots(chance, list(app.url_map.iter_rules()), known, cookie, token, service.port)
        answered = fire(service.port, shots, 1_000 if quick else 10_000)
    told = ", ".join(f"{count} × {status}" for status, count in sorted(answered.statuses.items()))
    sent = sum(answered.statuses.values())
    return Finding(
        f"{sent} requests, {answered.seen_of_staff} pages of staff's: {told}", answered.faults
    )


@dataclass(frozen=True)
class Shot:
    """One request, as it goes over the wire."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Shots:
    """Odd requests by chance: real routes and fields with odd values, and odd everything."""

    chance: random.Random
    rules: list[Rule]
    known: Mapping[str, tuple[str, ...]]
    cookie: str
    token: str
    port: int

    def draw(self) -> Shot:
        """The next one."""
        chance = self.chance
        rule = chance.choice([rule for rule in self.rules if rule.endpoint not in _LEFT_OUT])
        method = chance.choices(_METHODS, _WEIGHTS)[0]
        path = "".join(self._path(rule))
        if chance.random() < 0.5:
            path += "?" + urlencode(list(self._pairs(3)), errors="surrogatepass")
        kind, body = self._body() if method in ("POST", "PUT", "PATCH") else ("", b"")
        return Shot(
            method, path, {**self._headers(), **({"Content-Type": kind} if kind else {})}, body
        )

    def _path(self, rule: Rule) -> Iterator[str]:
        if self.chance.random() < 0.05:
            yield "/" + quote(self._words().encode("utf-8", "surrogatepass"), safe="/%.\\?")
            return
        for is_name, piece in rule._trace:
            if not is_name:
                yield piece.removeprefix("|")
            elif self.chance.random() < 0.7 and self.known:
                yield self.chance.choice(self.known.get(piece, self.known["ref"]))
            else:
                yield quote(self._words().encode("utf-8", "surrogatepass"), safe="")

    def _pairs(self, most: int) -> Iterator[tuple[str, str]]:
        for _ in range(self.chance.randrange(most + 1)):
            name = self.chance.choice(_FIELDS) if self.chance.random() < 0.9 else self._words()
            yield name, self._value()

    def _value(self) -> str:
        draw = self.chance.random()
        if draw < 0.3:
            return str(self.chance.choice([*LeadStatus, *_ODD]))
        if draw < 0.5:
            return self.chance.choice(self.known["ref"])
        return self._words()

    def _words(self) -> str:
        pieces: list[str] = self.chance.choices(PIECES, k=self.chance.randrange(4))
        return "".join(pieces)

    def _headers(self) -> dict[str, str]:
        chance = self.chance
        host = f"127.0.0.1:{self.port}" if chance.random() < 0.97 else "evil.test"
        headers = {"Host": host, "User-Agent": "odd, not ours"}
        if chance.random() < 0.8:
            headers |= {"Cookie": self.cookie, "User-Agent": AGENT}
        for name in chance.sample(_HEADERS, chance.choice((0, 0, 0, 1, 2))):
            odd = self._words().encode("latin-1", "ignore").decode("latin-1")
            headers[name] = re.sub(r"[\r\n\0]", "", odd) or "x"
        return headers

    def _body(self) -> tuple[str, bytes]:
        chance = self.chance
        kind = _KINDS[0] if chance.random() < 0.8 else chance.choice(_KINDS)
        pairs = list(self._pairs(8))
        if chance.random() < 0.9:
            pairs.append(("csrf_token", self.token))
        if kind.startswith("application/x-www"):
            return kind, urlencode(pairs, errors="surrogatepass").encode()
        return kind, chance.randbytes(chance.randrange(2_000))


def fire(port: int, shots: Shots, count: int) -> Answered:
    """Send so many, one after the other, and look at each answer."""
    answered = Answered()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    for _ in range(count):
        shot = shots.draw()
        try:
            status, headers, body = _ask(connection, shot)
        except (OSError, http.client.HTTPException):
            # Rubbish is answered by hanging up, too; the next one tells whether all still stands.
            connection.close()
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            answered.statuses[0] += 1
            continue
        answered.statuses[status] += 1
        answered.seen_of_staff += status == 200 and shot.path.startswith("/desk")
        told = f"{shot.method} {shot.path[:120]!r}: {status}"
        if status >= 500 and status != 501:
            answered.faults.append(f"{told} {shot.body[:200]!r}")
        if INSIDES.search(body) or INSIDES.search(str(headers).encode()):
            answered.faults.append(f"{told} shows something of the inside")
        if not _leads_home(headers.get("Location", "/"), port):
            answered.faults.append(f"{told} leads to {headers['Location'][:80]!r}")
    connection.close()
    if not answered.seen_of_staff:
        answered.faults.append("no page of staff's was seen: nobody was signed in")
    return answered


def _ask(
    connection: http.client.HTTPConnection, shot: Shot
) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection.putrequest(shot.method, shot.path, skip_host=True, skip_accept_encoding=True)
    for name, value in shot.headers.items():
        connection.putheader(name, value.encode("latin-1", "replace"))
    if shot.body or shot.method in ("POST", "PUT", "PATCH"):
        connection.putheader("Content-Length", str(len(shot.body)))
    connection.endheaders(shot.body)
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()


def _leads_home(location: str, port: int) -> bool:
    if location.startswith(f"http://127.0.0.1:{port}/"):
        return True
    return location.startswith("/") and not location.startswith(("//", "/\\"))


def _something_real(app: Flask, place: Place) -> dict[str, tuple[str, ...]]:
    """References of things that exist, by the name that routes give them."""
    del app
    with open_session(place.engine) as session:
        lead = a_lead(session)
        request = a_request(session, lead)
        message = a_message(session, lead)
        session.commit()
        refs = (
            *session.scalars(select(Lead.ref)),
            *session.scalars(select(Message.ref)),
            *session.scalars(select(Task.ref)),
            *session.scalars(select(Request.receipt)),
        )
        return {
            "ref": refs,
            "receipt": (request.receipt,),
            "language": ("en", "es"),
            "filename": ("staff.css", "../settings.py", "%2e%2e/app.py"),
            "token": (message.ref,),
        }
