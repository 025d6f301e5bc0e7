"""DD-01: six processes read, add one and write back, two hundred times each."""

from tests.both import Place
from tests.counting import count_together
from tests.proofs.finding import Finding

PROCESSES = 6
LONGEST_WAIT = 5.0


def counted(place: Place, quick: bool, seed: int) -> Finding:
    """None is lost, none is told that the database is locked, none waits longer than 5 s."""
    del seed
    rounds = 40 if quick else 200
    outcome = count_together(place.engine, place.url, PROCESSES, rounds)
    faults = list(outcome.failures)
    if outcome.count != PROCESSES * rounds:
        faults.append(f"{PROCESSES * rounds - outcome.count} of {PROCESSES * rounds} were lost")
    if outcome.worst_wait > LONGEST_WAIT:
        faults.append(f"one waited {outcome.worst_wait:.1f} s")
    kept = f"{outcome.count} of {PROCESSES * rounds} kept"
    told = f"{kept}, the longest waited {outcome.worst_wait:.2f} s"
    return Finding(told, faults)
