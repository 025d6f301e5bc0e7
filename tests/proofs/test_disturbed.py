"""Short forms of what breaks around us: a full disk, a server's restart, a clock, a deploy."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.both import Place
from tests.post_office import PostOffice
from tests.proofs import clock_jumps, deploys, disk_full, restarts


@pytest.fixture
def place(
    database_kind: str, database_url: str, engine: Engine, office: PostOffice, tmp_path: Path
) -> Place:
    return Place(database_kind, database_url, engine, tmp_path, office)


def test_a_full_disk_loses_nothing_and_is_gone_without_a_restart(place: Place) -> None:
    """DD-05; at every write: ``python -m tests.proofs --only disk_full``."""
    size = disk_full.Size(rooms=(0, 5), people=4, fills=1)
    assert disk_full.prove_disk_full(place, size, seed=1).faults == []


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_a_restart_of_the_server_loses_no_acknowledged_lead(place: Place) -> None:
    """DD-06; six of them: ``python -m tests.proofs --only database_restarts``."""
    size = restarts.Size(restarts=1, posts=24, sends=12)
    assert restarts.prove_restarts(place, size, seed=1).faults == []


def test_a_jump_of_the_clock_doubles_nothing_and_stops_nothing(place: Place) -> None:
    """SC-07; at more moments: ``python -m tests.proofs --only clock_jumps``."""
    size = clock_jumps.Size(people=2, phases=("dot",), stall=1.5)
    assert clock_jumps.prove_jumps(place, size).faults == []


def test_a_deploy_refuses_nobody_and_doubles_nothing(place: Place) -> None:
    """OP-05; ten of them: ``python -m tests.proofs --only deploys``."""
    assert deploys.prove_deploys(place, deploys.Size(deploys=1, between=5), seed=1).faults == []
