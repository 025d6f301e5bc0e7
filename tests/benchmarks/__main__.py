"""Run the benchmarks and print a table of each; ratios, both databases, one run."""

import argparse
import sys
from collections.abc import Callable

from tests.benchmarks import dashboard, delivery, form, throughput
from tests.both import Places, open_places

BENCHMARKS: dict[str, Callable[[Places, bool], None]] = {
    "dashboard": dashboard.dashboard,
    "posts": form.posts,
    "gets": form.gets,
    "latency": delivery.latency,
    "steady": delivery.steady,
    "queue": delivery.queue,
    "servers": form.servers,
    "throughput": throughput.throughput,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, 5,000 leads")
    parser.add_argument("--only", choices=sorted(BENCHMARKS), help="one of them alone")
    given = parser.parse_args()
    with open_places() as places:
        for name in [given.only] if given.only else BENCHMARKS:
            BENCHMARKS[name](places, given.quick)
    return 0


if __name__ == "__main__":
    sys.exit(main())
