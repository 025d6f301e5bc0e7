"""Run the proofs and print one table; exit status 1 where anything falls short."""

import argparse
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable

from tests.both import KINDS, Place, Places, open_places
from tests.proofs.acknowledged import prove_acknowledged
from tests.proofs.answer_lost import answer_lost
from tests.proofs.audit import audit_tampered
from tests.proofs.backups import backups
from tests.proofs.bots_and_people import bots_and_people
from tests.proofs.clock_jumps import clock_jumps
from tests.proofs.deploys import deploys
from tests.proofs.disk_full import disk_full
from tests.proofs.exported import exported
from tests.proofs.fault_ledger import fault_ledger
from tests.proofs.finding import Finding
from tests.proofs.forged import forged
from tests.proofs.fuzzed import fuzzed
from tests.proofs.honest_letters import honest_letters
from tests.proofs.injected import injected
from tests.proofs.interpreters import interpreters
from tests.proofs.largest_posts import largest_posts
from tests.proofs.planted import planted
from tests.proofs.relay_log import relay_log
from tests.proofs.release_before import release_before
from tests.proofs.restarts import database_restarts
from tests.proofs.restored import restored_copy
from tests.proofs.schedulers import schedulers
from tests.proofs.soak import soak
from tests.proofs.states import states
from tests.proofs.stop_races import stop_races
from tests.proofs.synced import synced
from tests.proofs.window import window
from tests.proofs.year import year
from tests.served import a_service
from tests.tables import print_table


def acknowledged(place: Place, quick: bool, seed: int) -> Finding:
    """MD-01: acknowledged posts survive kill -9 of the web workers every 200 ms."""
    count = 100 if quick else 1000
    with a_service(place.folder, place.url, place.office.port) as service:
        outcome = prove_acknowledged(service, place.engine, count, seed)
    faults = list(outcome.ledger.faults)
    if outcome.acknowledged < count:
        faults.append(f"only {outcome.acknowledged} of {count} were acknowledged")
    sentence = (
        f"{outcome.acknowledged} acknowledged, {outcome.ledger.packets} packets, "
        f"{outcome.kills} kills, {outcome.retries} lost answers, {outcome.abandoned} given up"
    )
    return Finding(sentence, faults)


Proof = Callable[[Place, bool, int], Finding]
PROOFS: dict[str, Proof] = {
    "acknowledged": acknowledged,
    "synced": synced,
    "answer_lost": answer_lost,
    "ledger": fault_ledger,
    "schedulers": schedulers,
    "database_restarts": database_restarts,
    "disk_full": disk_full,
    "deploys": deploys,
    "clock_jumps": clock_jumps,
    "soak": soak,
    "window": window,
    "states": states,
    "year": year,
    "stop_races": stop_races,
    "planted": planted,
    "relay_log": relay_log,
    "restored_copy": restored_copy,
    "backups": backups,
    "release_before": release_before,
    "audit_tampered": audit_tampered,
    "forged": forged,
    "honest_letters": honest_letters,
    "interpreters": interpreters,
    "exported": exported,
    "injected": injected,
    "fuzzed": fuzzed,
    "largest_posts": largest_posts,
    "bots_and_people": bots_and_people,
}
# What does not depend on the database is proved once; only a server can be restarted.
ONLY_ON = dict.fromkeys(
    ("planted", "honest_letters", "interpreters", "bots_and_people", "exported"), KINDS[:1]
) | {"database_restarts": KINDS[1:]}


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
    given = parser.parse_args()
    # Whoever is told to end takes the processes of a proof along.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print(f"seed {given.seed}", flush=True)
    rows, faults = [], []
    began_at = time.monotonic()
    with open_places() as places:
        for number, name in enumerate(given.only or PROOFS):
            kinds = ONLY_ON.get(name, KINDS)
            if given.quick and not given.only and not given.on:
                # Five minutes are for all of them: each on one database, by the seed.
                kinds = (kinds[(given.seed + number) % len(kinds)],)
            for kind in kinds:
                if given.on not in (None, kind):
                    continue
                began = time.monotonic()
                print(f"{name} on {kind} …", file=sys.stderr, flush=True)
                finding = find(PROOFS[name], places, kind, given.quick, given.seed)
                seconds = f"{time.monotonic() - began:.0f} s"
                verdict = "falls short" if finding.faults else "holds"
                rows.append([name, kind, verdict, finding.sentence, seconds])
                faults += [f"{name} on {kind}: {fault}" for fault in finding.faults]
    print_table("Proofs", ["proof", "database", "verdict", "what happened", "took"], rows)
    for fault in faults[:50]:
        print(f"  {fault}")
    minutes = (time.monotonic() - began_at) / 60
    print(f"\n{len(rows)} proofs in {minutes:.1f} minutes, {len(faults)} faults, seed {given.seed}")
    return 1 if faults else 0


def find(proof: Proof, places: Places, kind: str, quick: bool, seed: int) -> Finding:
    """What a proof came to. One that breaks off falls short, and keeps no other from its turn."""
    try:
        with places.place(kind) as place:
            return proof(place, quick, seed)
    except Exception as error:
        traceback.print_exc()
        return Finding("broke off", [f"{type(error).__name__}: {error}"[:500]])


if __name__ == "__main__":
    sys.exit(main())
