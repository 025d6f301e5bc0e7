"""DD-08: upgrades killed at many moments, from their first statement to their last."""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

from tests.both import Place
from tests.migrating import kill_upgrades
from tests.postgres import Postgres
from tests.proofs.finding import Finding


def killed_upgrades(place: Place, quick: bool, seed: int) -> Finding:
    """Each leaves one revision whole, and is brought to its end by the next upgrade."""
    del seed
    with ExitStack() as stack:
        fresh = _empty_ones(place.kind, place.folder, stack)
        kills = kill_upgrades(lambda: next(fresh), place.folder, 4 if quick else 100)
    told = (
        f"{kills.kills} kills over {kills.moments} statements and commits, "
        f"at {len(kills.revisions)} revisions"
    )
    return Finding(told, kills.faults)


def _empty_ones(kind: str, folder: Path, stack: ExitStack) -> Iterator[str]:
    """The URLs of empty databases; those on PostgreSQL go with the stack."""
    if kind == "sqlite":
        for number in count():
            yield f"sqlite:///{folder / f'empty-{number}.sqlite3'}"
    server = stack.enter_context(Postgres())
    while True:
        yield server.url(server.create())
