"""The short form of the clinic's year, and every reminder of five years (SC-06)."""

from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine

from leadcapture.leads.follow_ups import STEPS, plan
from leadcapture.outbox import hours
from tests.both import Place
from tests.post_office import PostOffice
from tests.proofs.clinic_year import ZONES
from tests.proofs.year import live_through


def test_a_year_of_a_small_clinic_goes_by_without_a_fault(
    database_kind: str, database_url: str, engine: Engine, office: PostOffice, tmp_path: Path
) -> None:
    """I1-I8, SC-06, SC-12, AB-01; with two thousand patients: ``--only year``."""
    place = Place(database_kind, database_url, engine, tmp_path, office)
    finding = live_through(place, patients=12, seed=6)
    assert finding.faults == []
    assert finding.sentence.startswith("12 patients, ")


@pytest.mark.parametrize("zone", ZONES)
def test_every_day_of_five_years_has_its_reminders_inside_their_hours(zone: str) -> None:
    """SC-06: asked at each half hour of one clock's day, on all days of 2026 to 2030.

    Whatever the sleeping clock does in between, a reminder is due once, inside the hours, and
    whoever asks the door at that instant finds it open.
    """
    place = ZoneInfo(zone)
    asked = datetime(2026, 1, 1, tzinfo=UTC)
    while asked.year < 2031:
        for step, due, not_after in plan(asked, zone):
            local = due.astimezone(place)
            assert time(9) <= local.time() < time(20)
            assert hours.is_open(due, zone) and hours.next_open(due, zone) == due
            days = (local.date() - asked.astimezone(place).date()).days
            assert days in (step.days, step.days + 1)
            # It keeps for two whole evenings, so that a night's outage loses none.
            assert hours.next_open(due + timedelta(hours=24), zone) < not_after
        asked += timedelta(hours=23, minutes=30)
    assert len(STEPS) == len({step.topic for step in STEPS})
