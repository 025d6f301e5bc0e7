"""Errors as pages: in the visitor's language, with the telephone, and without our insides."""

import re

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from tests.visitors import Visitor

_INSIDES = re.compile(
    r"Traceback|File \"|sqlalchemy|sqlite|psycopg|SELECT |werkzeug|flask|/work|python", re.I
)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/thanks/x", 404),
        ("GET", "/stop/forged.token", 404),
        ("GET", "/packet/forged.token", 404),
        ("POST", "/packet/forged.token/link", 404),
        ("PUT", "/", 405),
        ("DELETE", "/thanks/x", 405),
        ("TRACE", "/", 405),
        ("PATCH", "/stop/x", 405),
        ("JUNK", "/", 405),
        ("GET", "/%00", 404),
        ("GET", "/%ff", 404),
        ("GET", "/thanks/x%00y", 404),
    ],
)
def test_every_error_is_a_page_with_the_telephone(
    client: Visitor, method: str, path: str, status: int
) -> None:
    """WS-12, WS-15, AX-06."""
    response = client.open(path, method=method)

    assert response.status_code == status
    assert "(858) 258-5090" in response.text
    assert not _INSIDES.search(response.text)


def test_an_address_with_another_host_in_it_leads_nowhere(client: Visitor) -> None:
    """WS-05."""
    for path in ("//evil.example/", "/\\evil.example", "//evil.example/%2e%2e"):
        response = client.get("/", environ_overrides={"PATH_INFO": path})
        assert response.status_code in (308, 404)
        assert "//evil" not in response.text
        assert not response.headers.get("Location", "").startswith("//")


def test_errors_speak_the_visitors_language(client: Visitor) -> None:
    response = client.get("/nowhere", headers={"Accept-Language": "es-CR,es;q=0.9"})

    assert '<html lang="es"' in response.text


def test_a_wrong_method_is_told_the_right_ones(client: Visitor) -> None:
    """WS-15."""
    assert "GET" in client.put("/").headers["Allow"]


def test_a_failure_of_ours_says_nothing_of_why_and_logs_no_words(
    app: Flask, client: Visitor, caplog: pytest.LogCaptureFixture
) -> None:
    """WS-12, PR-01."""

    @app.get("/planted")
    def planted() -> str:
        raise ValueError("a secret of Janet Whitfield")

    response = client.get("/planted")

    assert response.status_code == 500
    assert not _INSIDES.search(response.text)
    assert "Janet" not in response.text + caplog.text
    assert "ValueError" in caplog.text


def test_a_database_that_is_away_is_a_page_too(app: Flask, client: Visitor) -> None:
    """WS-12, DD-06."""

    @app.get("/planted")
    def planted() -> str:
        raise OperationalError("SELECT secret", {"name": "Janet"}, Exception("server closed"))

    response = client.get("/planted")

    assert response.status_code == 503
    assert "(858) 258-5090" in response.text
    assert not _INSIDES.search(response.text)
