"""Metrics: what a Prometheus may know, counted in the database so that all processes agree."""

import hmac
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Flask, Response, abort, current_app, request
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from sqlalchemy import String, func, select, type_coerce
from sqlalchemy.orm import Session

from leadcapture.database import db
from leadcapture.models import OPEN_STATES, Attempt, Gate, Heartbeat, Message, Request, Task
from leadcapture.outbox import audit, sweeper
from leadcapture.outbox.alerts import open_subjects
from leadcapture.readiness import oldest_due_at
from leadcapture.web import now, settings

LIVE_FOR = 5.0
TOTALS_FOR = 60.0
BACKUP_FILE = "backup-at"
_OPEN = tuple(state.value for state in OPEN_STATES)
_NAMED = ("127.0.0.1", "localhost", "::1")
_CACHE = "leadcapture.metrics"

blueprint = Blueprint("metrics", __name__)


def register(app: Flask) -> None:
    """Open ``/metrics`` to whoever has the token, and to the machine itself."""
    app.register_blueprint(blueprint)
    app.extensions[_CACHE] = (_Kept(LIVE_FOR), _Kept(TOTALS_FOR))


@blueprint.get("/metrics")
def show() -> Response:
    """The figures in Prometheus' text format; none tells of a person."""
    if not (_has_token() or _is_of_this_machine()):
        abort(403)
    live, totals = current_app.extensions[_CACHE]
    at, data_dir = now(), settings().data_dir
    body = live.get(lambda: _written(_live(db.session(), data_dir, at)))
    body += totals.get(lambda: _written(_totals(db.session())))
    return Response(body, content_type=CONTENT_TYPE_LATEST)


def _has_token() -> bool:
    token = settings().metrics_token
    kind, _, given = request.headers.get("Authorization", "").partition(" ")
    fits = hmac.compare_digest(given.strip().encode(), token.encode())
    return bool(token) and kind.lower() == "bearer" and fits


def _is_of_this_machine() -> bool:
    """True for a client on loopback that asked for this machine by a name of loopback.

    A proxy on this machine is on loopback too; it passes the public host on, or says for whom.
    """
    forwarded = any(name in request.headers for name in ("Forwarded", "X-Forwarded-For", "Via"))
    try:
        is_near = ip_address(request.remote_addr or "").is_loopback
    except ValueError:
        is_near = False
    return is_near and not forwarded and urlsplit(f"//{request.host}").hostname in _NAMED


@dataclass
class _Kept:
    """A text that is made again when it is older than ``seconds``: scraping cannot hammer."""

    seconds: float
    _lock: Lock = field(default_factory=Lock, repr=False)
    _text: bytes = b""
    _made: float | None = None

    def get(self, make: Callable[[], bytes]) -> bytes:
        with self._lock:
            if self._made is None or time.monotonic() - self._made >= self.seconds:
                self._text, self._made = make(), time.monotonic()
            return self._text


class _Given(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _written(metrics: Iterable[Metric]) -> bytes:
    registry = CollectorRegistry()
    registry.register(_Given(metrics))
    return bytes(generate_latest(registry))


def _live(session: Session, data_dir: Path, at: datetime) -> Iterator[Metric]:
    """What changes from moment to moment; each a look at few rows."""
    yield _gauge(
        "messages_open",
        "Messages that have not come to an end, by state and kind.",
        ("state", "kind"),
        session.execute(
            select(type_coerce(Message.state, String), Message.kind, func.count())
            .where(type_coerce(Message.state, String).in_(_OPEN))
            .group_by(Message.state, Message.kind)
        ),
    )
    oldest = oldest_due_at(session, at)
    waited = (at - oldest).total_seconds() if oldest else 0.0
    yield _gauge(
        "oldest_due_seconds", "For how long the oldest due message waits.", (), [(waited,)]
    )
    beats = session.execute(select(Heartbeat.job, Heartbeat.at, Heartbeat.ok)).all()
    yield _gauge(
        "heartbeat_age_seconds",
        "Since when each job has not committed.",
        ("job",),
        [(job, (at - beat).total_seconds()) for job, beat, _ in beats],
    )
    yield _gauge(
        "job_ok",
        "1 where the job's last turn went well.",
        ("job",),
        [(job, int(ok)) for job, _, ok in beats],
    )
    closed = session.execute(
        select(Gate.name, func.count())
        .where((Gate.closed_until.is_(None)) | (Gate.closed_until > at), ~Gate.name.contains(":"))
        .group_by(Gate.name)
    ).all()
    yield _gauge("gate_closed", "1 for each gate that keeps mail back.", ("gate",), closed)
    yield from _standing(session, data_dir, at)


def _standing(session: Session, data_dir: Path, at: datetime) -> Iterator[Metric]:
    kinds = [sweeper.kind_of(name) for name in sweeper.INVARIANTS]
    broken = dict.fromkeys(sweeper.INVARIANTS, 0)
    for kind, number in session.execute(
        select(Task.kind, func.count())
        .where(Task.done_at.is_(None), Task.kind.in_(kinds))
        .group_by(Task.kind)
    ):
        broken[sweeper.INVARIANTS[kinds.index(kind)]] = number
    yield _gauge(
        "ledger_violations",
        "Violations of each ledger invariant that stand.",
        ("invariant",),
        broken.items(),
    )
    faults = len(open_subjects(session, audit.ALERT))
    yield _gauge("audit_broken", "Places at which the audit chain breaks.", (), [(faults,)])
    waiting = audit.count_unsealed(session)
    yield _gauge("audit_unsealed", "Audit entries that wait for the sealer.", (), [(waiting,)])
    if (taken_at := _backup_at(data_dir)) is not None:
        age = (at - taken_at).total_seconds()
        yield _gauge("backup_age_seconds", "Since when there is no newer backup.", (), [(age,)])


def _totals(session: Session) -> Iterator[Metric]:
    """What is counted over all rows, and so more rarely."""
    yield _counter(
        "attempts",
        "Attempts at sending, by what came of them.",
        "outcome",
        session.execute(select(Attempt.outcome, func.count()).group_by(Attempt.outcome)),
    )
    screened = type_coerce(Request.screening, String)
    yield _counter(
        "requests",
        "Requests received, by how screening took them.",
        "screening",
        session.execute(select(screened, func.count()).group_by(Request.screening)),
    )


def _gauge(name: str, says: str, labels: tuple[str, ...], rows: Iterable[Any]) -> Metric:
    metric = GaugeMetricFamily(f"leadcapture_{name}", says, labels=labels)
    for row in rows:
        metric.add_metric([str(word) for word in row[:-1]], row[-1])
    return metric


def _counter(name: str, says: str, label: str, rows: Iterable[Any]) -> Metric:
    metric = CounterMetricFamily(f"leadcapture_{name}", says, labels=(label,))
    for word, number in rows:
        metric.add_metric([str(word)], number)
    return metric


def _backup_at(data_dir: Path) -> datetime | None:
    try:
        return datetime.fromisoformat((data_dir / BACKUP_FILE).read_text().strip()).astimezone(UTC)
    except (OSError, ValueError):
        return None
