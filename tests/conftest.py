"""Fixtures: both databases, the settings, the application, its visitor, the post office."""

import dataclasses
import gc
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page
from sqlalchemy import Engine
from sqlalchemy.orm import Session
from werkzeug.serving import make_server

from leadcapture.app import create_app
from leadcapture.database import db, open_engine, open_session
from leadcapture.outbox.dispatch import Dispatcher
from leadcapture.outbox.relay import RelaySession
from leadcapture.settings import Settings
from leadcapture.vault import Vault
from tests import guards
from tests.chromium import open_browser, open_page
from tests.clock import Clock
from tests.compiled import CompiledStatements, CompiledTemplates, keep_routes
from tests.configured import make_settings
from tests.databases import PostgresDatabases, SqliteFiles
from tests.dovecot import Dovecot, open_dovecot
from tests.people import a_staff_member, test_vault
from tests.post_office import PostOffice, open_post_office
from tests.postgres import Postgres
from tests.visitors import Visitor

guards.watch_sockets()
keep_routes()

SignIn = Callable[..., Visitor]


def pytest_configure() -> None:
    """What is imported stays: the collector of garbage need not walk through it each time."""
    gc.disable()


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def guarded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Around every test: only loopback, no sleep, no patient's word in a log."""
    with (
        guards.nothing_left_the_machine(),
        guards.no_sleep(monkeypatch),
        guards.no_patient_word_in_logs(),
    ):
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One PostgreSQL server for all tests; no test cuts the power of the machine."""
    with Postgres() as server:
        server.sync(False)
        yield server


@pytest.fixture(scope="session")
def sqlite_files(tmp_path_factory: pytest.TempPathFactory) -> SqliteFiles:
    folder = tmp_path_factory.mktemp("sqlite")
    return SqliteFiles(folder, lambda url: make_settings(folder, url))


@pytest.fixture(scope="session")
def postgres_databases(
    postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> PostgresDatabases:
    folder = tmp_path_factory.mktemp("postgres")
    return PostgresDatabases(postgres, lambda url: make_settings(folder, url))


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    """Every test that touches a database runs on both (DD-09)."""
    return str(request.param)


@pytest.fixture
def databases(
    database_kind: str, request: pytest.FixtureRequest
) -> Iterator[SqliteFiles | PostgresDatabases]:
    """Where new databases come from; what it made on the server is taken back afterwards."""
    name = "sqlite_files" if database_kind == "sqlite" else "postgres_databases"
    makes: SqliteFiles | PostgresDatabases = request.getfixturevalue(name)
    yield makes
    makes.take_back()


@pytest.fixture
def database_url(databases: SqliteFiles | PostgresDatabases, tmp_path: Path) -> str:
    """A migrated database of this test's own, on SQLite and on PostgreSQL."""
    return databases.new(tmp_path)


@pytest.fixture
def syncing(database_kind: str, request: pytest.FixtureRequest) -> Iterator[None]:
    """The server of all tests syncs, for the length of one that looks whether it does."""
    if database_kind == "sqlite":
        yield
        return
    server: Postgres = request.getfixturevalue("postgres")
    server.sync(True)
    yield
    server.sync(False)


@pytest.fixture
def empty_database_url(databases: SqliteFiles | PostgresDatabases, tmp_path: Path) -> str:
    """A database without any table."""
    return databases.empty(tmp_path)


@pytest.fixture(scope="session")
def compiled_statements() -> CompiledStatements:
    return CompiledStatements()


@pytest.fixture
def engine(database_url: str, compiled_statements: CompiledStatements) -> Iterator[Engine]:
    """An engine of the test's own, made as the service makes its own."""
    engine = open_engine(database_url)
    compiled_statements.serve(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """A session of the test's own. On SQLite it locks as the service's do: commit what you did."""
    with open_session(engine) as session:
        yield session


@pytest.fixture
def vault() -> Vault:
    return test_vault


@pytest.fixture
def clock() -> Clock:
    """Stands at 15:00 UTC on a Tuesday, ten in the morning in Tampa, until it is moved."""
    return Clock()


@pytest.fixture
def office() -> Iterator[PostOffice]:
    """The post office that takes what this test's service sends."""
    with open_post_office() as office:
        yield office


@pytest.fixture(scope="session")
def started_dovecot() -> Iterator[Dovecot]:
    """One Dovecot for all tests: it takes a second to stop."""
    with open_dovecot() as dovecot:
        yield dovecot


@pytest.fixture
def dovecot(started_dovecot: Dovecot) -> Iterator[Dovecot]:
    """The mailbox that this test's service reads, with nothing in it."""
    yield started_dovecot
    started_dovecot.empty()


@pytest.fixture
def bound_socket() -> Iterator[socket.socket]:
    """A port of loopback, taken before anybody listens, because the settings name it."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound


@pytest.fixture
def settings_changes() -> dict[str, Any]:
    """What a module or a test wants otherwise in `settings`: override this fixture, or
    parametrise it: ``@pytest.mark.parametrize("settings_changes", [{"form_min_seconds": 3}])``.
    """
    return {}


@pytest.fixture
def settings(
    database_url: str,
    tmp_path: Path,
    office: PostOffice,
    bound_socket: socket.socket,
    settings_changes: dict[str, Any],
) -> Settings:
    """The settings of this test's service: its database, the post office, no DNS, no waiting."""
    made = make_settings(
        tmp_path, database_url, smtp_port=office.port, port=bound_socket.getsockname()[1]
    )
    return dataclasses.replace(made, **settings_changes)


@pytest.fixture(scope="session")
def compiled_templates() -> CompiledTemplates:
    return CompiledTemplates()


@pytest.fixture
def app(
    settings: Settings,
    clock: Clock,
    compiled_templates: CompiledTemplates,
    compiled_statements: CompiledStatements,
) -> Iterator[Flask]:
    """The application, as a server would import it, on this test's clock."""
    app = create_app(settings, clock)
    app.jinja_env.bytecode_cache = compiled_templates
    with app.app_context():
        compiled_statements.serve(db.engine)
    app.test_client_class = Visitor
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def client(app: Flask, settings: Settings, session: Session) -> Visitor:
    """A visitor who checks each page. `session` commits before each of its requests."""
    return make_visitor(app, settings, session)


def make_visitor(app: Flask, settings: Settings, session: Session | None) -> Visitor:
    """One more visitor, with cookies of their own."""
    visitor = app.test_client()
    assert isinstance(visitor, Visitor)
    visitor.session = session
    visitor.address = settings.public_url
    return visitor


@pytest.fixture
def sign_in(app: Flask, settings: Settings, session: Session) -> SignIn:
    """``sign_in(role, name)``: a new visitor, signed in as somebody of this role."""

    def signed_in(role: str = "coordinator", name: str = "Rosa Alvarado") -> Visitor:
        with app.app_context():
            staff = a_staff_member(session, role, name=name)
        visitor = make_visitor(app, settings, session)
        visitor.enter(staff)
        return visitor

    return signed_in


@pytest.fixture
def send_due(
    engine: Engine, session: Session, settings: Settings, vault: Vault, clock: Clock
) -> Iterator[Callable[[], int]]:
    """Commit, then send what is due at the clock's time; how many letters were tried."""
    helo = settings.mail_from.rpartition("@")[2]
    relay = RelaySession(settings.relay, helo, timeout=5.0, dot_timeout=5.0)
    dispatcher = Dispatcher(engine, settings, vault, relay, clock)

    def send() -> int:
        session.commit()
        tried = dispatcher.send_due()
        session.expire_all()
        return tried

    yield send
    dispatcher.close()


@pytest.fixture
def site(app: Flask, settings: Settings, bound_socket: socket.socket) -> Iterator[str]:
    """The application behind a real socket, for browsers; its address."""
    bound_socket.listen(64)
    host, port = bound_socket.getsockname()
    server = make_server(host, port, app, threaded=True, fd=bound_socket.fileno())
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield settings.public_url
    server.shutdown()
    thread.join(5)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests."""
    with open_browser() as browser:
        yield browser


@pytest.fixture
def page_choices() -> dict[str, Any]:
    """Playwright's choices for `page`, such as ``{"java_script_enabled": False}``."""
    return {}


@pytest.fixture
def page(browser: Browser, site: str, page_choices: dict[str, Any]) -> Iterator[Page]:
    """A fresh, watched page; ``page.goto("/")`` is the form."""
    with open_page(browser, site, **page_choices) as page:
        yield page
