"""A service's secrets are where they were given, and nowhere else (OP-04)."""

import base64
import http.client
import re
from pathlib import Path

import psutil
from sqlalchemy import Engine, inspect, text
from sqlalchemy.orm import Session

from tests.people import a_message, a_request
from tests.post_office import PostOffice
from tests.served import Service, a_service, answers
from tests.waiting import until

_SEAL_KEY = b"canary of the seal key, 32 bytes"
_HASH_KEY = b"canary of the hash key, 32 bytes"
CANARIES = {
    "SECRET_KEY": "canary-of-the-sessions-Wr2mQx8vTz4Lk9",
    "SECRET_KEY_FALLBACKS": "canary-of-the-key-before-Hb6pNc3yDs1Jg7",
    "SMTP_USER": "clinic",
    "SMTP_PASSWORD": "canary-of-the-relay-Vf5wRj0uXa",
    "METRICS_TOKEN": "canary-of-the-metrics-Ye7tKm2iBo8Qn4Zs6Pd1",
    "SEAL_KEYS": f"k001:{base64.b64encode(_SEAL_KEY).decode()}",
    "HASH_KEY": base64.b64encode(_HASH_KEY).decode(),
}
FORMS = {
    form
    for name, given in CANARIES.items()
    if name != "SMTP_USER"
    for form in (given.removeprefix("k001:"), given.removeprefix("k001:").rstrip("="))
} | {form for key in (_SEAL_KEY, _HASH_KEY) for form in (key.decode(), key.hex())}
_SHOWN = re.compile(
    "|".join(re.escape(form) for form in sorted(FORMS, key=len, reverse=True)), re.IGNORECASE
)


def test_secrets_are_in_no_log_no_command_line_no_page_and_no_row(
    database_url: str, engine: Engine, session: Session, office: PostOffice, tmp_path: Path
) -> None:
    """OP-04: with canaries in their place, while all goes wrong that may."""
    a_message(session, a_request(session).lead, kind="packet")
    session.commit()
    # The post office asks for nobody's password: each letter meets a relay that we do not fit.
    with a_service(tmp_path, database_url, office.port, **CANARIES) as service:
        web = service.start_web(workers=1)
        scheduler = service.start_scheduler()
        until(
            lambda: not answers(service.port, "/readyz") and scheduler.log,
            within=60,
            what="a complaint",
        )
        pages = [*_ask_for_errors(service)]
        lines = [
            " ".join(process.cmdline())
            for owner in (web, scheduler)
            for process in (psutil.Process(owner.pid), *owner.children())
        ]
        assert len(lines) >= 3
        assert web.stop() == scheduler.stop() == 0
        found = {
            "a page": "\n".join(pages),
            "a command line": "\n".join(lines),
            "the web's log": web.log,
            "the scheduler's log": scheduler.log,
            "the database": _all_of(engine),
        }
    assert "clinic" in found["the database"]
    assert {where: _SHOWN.findall(words) for where, words in found.items()} == {
        where: [] for where in found
    }


def _ask_for_errors(service: Service) -> list[str]:
    told = []
    for method, path, headers in (
        ("GET", "/en", {}),
        ("GET", "/nowhere", {}),
        ("GET", "/en", {"Host": "evil.test"}),
        ("POST", "/en", {}),
        ("POST", "/sign-in", {}),
        ("TRACE", "/en", {}),
        ("GET", "/readyz", {}),
        ("GET", "/metrics", {}),
        ("GET", "/metrics", {"Authorization": "Bearer wrong"}),
        ("GET", "/metrics", {"Authorization": f"Bearer {CANARIES['METRICS_TOKEN']}"}),
        ("GET", "/stop/x.y", {}),
        ("GET", "/desk/", {"Cookie": "staff=x.y.z"}),
    ):
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        told.append(f"{answer.headers}\n{answer.read().decode(errors='replace')}")
        connection.close()
    return told


def _all_of(engine: Engine) -> str:
    """Every row of every table, bytes as text and in hex."""
    rows = []
    with engine.connect() as connection:
        for table in inspect(engine).get_table_names():
            for row in connection.execute(text(f'SELECT * FROM "{table}"')):
                for value in row:
                    if isinstance(value, bytes):
                        rows += [value.decode("latin-1"), value.hex()]
                    else:
                        rows.append(str(value))
    return "\n".join(rows)
