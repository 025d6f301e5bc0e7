"""Short forms of what takes its time: a soak, the largest posts at once, robots beside people."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser
from sqlalchemy import Engine

from tests.both import Place
from tests.post_office import PostOffice
from tests.proofs import bots_and_people, largest_posts, soak


@pytest.fixture
def place(
    database_kind: str, database_url: str, engine: Engine, office: PostOffice, tmp_path: Path
) -> Place:
    return Place(database_kind, database_url, engine, tmp_path, office)


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_a_few_seconds_with_faults_add_up(place: Place) -> None:
    """OP-07; minutes of it: ``python -m tests.proofs --only soak``."""
    # What is loaded in the first seconds is no leak.
    size = soak.Size(warms_up=2, works=2, may_grow=1.5)
    assert soak.prove_soak(place, size, seed=1).faults == []


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_many_of_the_largest_posts_at_once_are_borne(place: Place) -> None:
    """WS-11; 5 × 200: ``python -m tests.proofs --only largest_posts``."""
    assert largest_posts.prove_largest_posts(place, rounds=1, at_once=40).faults == []


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_robots_stay_out_and_people_come_in(place: Place, browser: Browser) -> None:
    """AB-05; a hundred and fifty: ``python -m tests.proofs --only bots_and_people``."""
    found = bots_and_people.prove_bots_and_people(place, browser, bots=10, people=1)
    assert found.faults == []
