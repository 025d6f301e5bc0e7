"""Run the proofs and print one table; exit status 1 where anything falls short."""

import argparse
import random
import sys
import time

from tests.both import KINDS
from tests.proofs.turns import PROOFS, choose, end_when_told, take_turns
from tests.tables import print_table


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.proofs", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="a short form of each, on one database"
    )
    parser.add_argument(
        "--only", choices=sorted(PROOFS), action="append", help="this proof alone, and others named"
    )
    parser.add_argument("--on", choices=KINDS, help="one database alone")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument(
        "--at-once",
        type=int,
        help="so many side by side; 3, since much of a proof is waiting, or 1 with --only",
    )
    given = parser.parse_args()
    end_when_told()
    print(f"seed {given.seed}", flush=True)
    began = time.monotonic()
    turns = choose(given.only or PROOFS, given.on, given.quick and not given.only, given.seed)
    rows, faults = [], []
    for turn, finding, seconds in take_turns(
        turns, given.quick, given.seed, given.at_once or (1 if given.only else 3)
    ):
        verdict = "falls short" if finding.faults else "holds"
        # A run that is ended early has told what it found so far.
        print(f"{' on '.join(turn)}: {verdict} after {seconds:.0f} s", flush=True)
        rows.append([*turn, verdict, finding.sentence, f"{seconds:.0f} s"])
        faults += [f"{' on '.join(turn)}: {fault}" for fault in finding.faults]
    print_table("Proofs", ["proof", "database", "verdict", "what happened", "took"], rows)
    for fault in faults[:50]:
        print(f"  {fault}")
    minutes = (time.monotonic() - began) / 60
    print(f"\n{len(rows)} proofs in {minutes:.1f} minutes, {len(faults)} faults, seed {given.seed}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
