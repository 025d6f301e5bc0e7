"""The floor: a bare Flask application that does the least that could be called the same."""

import os
import sqlite3
import threading
from pathlib import Path
from typing import Any

import psycopg
from flask import Flask, Response, request

_own = threading.local()


def create_floor() -> Flask:
    """``POST /en`` stores the body by one durable INSERT of the raw driver and answers 303;
    ``GET /en`` returns the bytes of the file that ``FLOOR_PAGE`` names.
    """
    app = Flask("floor")
    store = _sqlite if os.environ["FLOOR_DSN"].startswith("/") else _postgres
    page = Path(os.environ["FLOOR_PAGE"]).read_bytes()

    @app.post("/en")
    def receive() -> Response:
        store(request.get_data())
        return Response(status=303, headers={"Location": "/thanks/x"})

    @app.get("/en")
    def show() -> Response:
        return Response(page, mimetype="text/html")

    @app.get("/healthz")
    def alive() -> str:
        return "alive"

    return app


def _sqlite(body: bytes) -> None:
    connection: sqlite3.Connection | None = getattr(_own, "connection", None)
    if connection is None:
        connection = sqlite3.connect(os.environ["FLOOR_DSN"], timeout=15, isolation_level=None)
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "busy_timeout = 15000"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("CREATE TABLE IF NOT EXISTS floor (id INTEGER PRIMARY KEY, body BLOB)")
        _own.connection = connection
    connection.execute("INSERT INTO floor (body) VALUES (?)", (body,))


def _postgres(body: bytes) -> None:
    connection: psycopg.Connection[Any] | None = getattr(_own, "connection", None)
    if connection is None:
        connection = psycopg.connect(os.environ["FLOOR_DSN"], autocommit=True)
        with connection.transaction():
            # Two at once would both find no table.
            connection.execute("SELECT pg_advisory_xact_lock(1)")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS floor (id bigserial PRIMARY KEY, body bytea)"
            )
        _own.connection = connection
    connection.execute("INSERT INTO floor (body) VALUES (%s)", (body,))
