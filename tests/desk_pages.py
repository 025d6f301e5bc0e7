"""Every page of the desk, found from the URL map, with an address at which it shows something."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, event, select
from sqlalchemy.orm import Session

from leadcapture.models import InboundKind, InboundMail, Lead
from leadcapture.outbox.queue import new_ref
from tests.people import PASSWORD, test_vault

# What a page needs in its address to show something, where that is not a lead's reference.
QUERIES = {
    "dashboard.reports_table": "?of=requests",
    "dashboard.texts_version": "?language=en&number=0",
}


def addresses(app: Flask, session: Session) -> dict[str, str]:
    """An address of each GET page, by endpoint; a page of one lead gets the first who waits."""
    refs = _references(session)
    found = {}
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith("dashboard.") and "GET" in (rule.methods or ()):
            path = rule.rule
            for argument in rule.arguments:
                ref = refs.get(argument) or refs.get(rule.endpoint, refs["lead"])
                for opened in (f"<{argument}>", f"<string:{argument}>"):
                    path = path.replace(opened, ref)
            found[rule.endpoint] = path + QUERIES.get(rule.endpoint, "")
    return found


def _references(session: Session) -> Mapping[str, str]:
    lead, other = session.scalars(
        select(Lead.ref).where(Lead.waiting_since.is_not(None)).order_by(Lead.id).limit(2)
    ).all()
    return {"lead": lead, "other": other, "dashboard.inbound_mail": _mail(session)}


def _mail(session: Session) -> str:
    """A stranger's mail, stored when it is first asked for."""
    known = session.scalars(select(InboundMail.ref).limit(1)).first()
    if known:
        return known
    ref = new_ref()
    words = '{"sender": "a@b.example", "subject": "Hours", "text": "When are you open?"}'
    lead = session.scalars(select(Lead.last_request_at).limit(1)).one()
    mail = InboundMail(
        ref=ref,
        mail_id_hash="0" * 64,
        sha256="0" * 64,
        kind=InboundKind.STRANGER,
        content=test_vault.seal("inbound_mail", "content", ref, words),
        received_at=lead,
        fetched_at=lead,
    )
    session.add(mail)
    session.commit()
    return ref


def sign_in(app: Flask, email: str, base_url: str) -> FlaskClient:
    """A browser of this colleague."""
    client = app.test_client()
    page = client.get("/sign-in", base_url=base_url).text
    token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
    typed = {"csrf_token": token, "email": email, "password": PASSWORD}
    answer = client.post("/sign-in", data=typed, base_url=base_url)
    assert answer.status_code in (302, 303), answer.text[:500]
    return client


@dataclass
class Asked:
    """The statements that the database was asked, with their parameters."""

    statements: list[tuple[str, Any]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.statements)


@contextmanager
def asking(engine: Engine) -> Iterator[Asked]:
    """Within: whatever this engine asks its database is noted."""
    asked = Asked()

    def note(
        _connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool
    ) -> None:
        asked.statements.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(engine, "before_cursor_execute", note)
