"""Every page of the desk asks its database the same number of questions, however many leads."""

import pytest
from flask import Flask
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from leadcapture.database import db
from leadcapture.models import Staff
from leadcapture.settings import Settings
from tests.benchmarks.clinic import Clinic
from tests.clock import Clock
from tests.desk_pages import addresses, asking, sign_in
from tests.people import a_staff_member


@pytest.fixture
def admin(app: Flask, session: Session) -> Staff:
    with app.app_context():
        found = a_staff_member(session, "admin")
        a_staff_member(session, name="Marta Solís")
    session.commit()
    return found


def test_no_page_asks_more_questions_of_a_bigger_clinic(
    app: Flask, settings: Settings, engine: Engine, session: Session, clock: Clock, admin: Staff
) -> None:
    """20 leads against 2,000. A new GET page is found from the URL map, so none is forgotten."""
    staff_ids = session.scalars(select(Staff.id)).all()
    session.commit()
    clinic = Clinic(engine, staff_ids, clock())
    client = sign_in(app, admin.email, settings.public_url)
    with app.app_context():
        asked_engine = db.engine

    def questions() -> dict[str, int]:
        counted = {}
        pages = addresses(app, session)
        session.commit()
        for endpoint, path in pages.items():
            # Once beforehand: what is read once for many requests is no part of it.
            for _ in range(2):
                with asking(asked_engine) as asked:
                    answer = client.get(path, base_url=settings.public_url)
            assert answer.status_code < 400, (
                f"{endpoint} answers {answer.status_code} at {path}: "
                "say in tests/desk_pages.py where it shows something"
            )
            counted[endpoint] = len(asked)
        return counted

    clinic.grow(20)
    few = questions()
    clinic.grow(2_000)
    many = questions()
    more = {name: (few[name], many[name]) for name in few if few[name] != many[name]}
    assert not more, f"endpoint: (questions at 20 leads, at 2,000): {more}"
    assert max(many.values()) <= 20
