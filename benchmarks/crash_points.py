"""Kills a small batch at its every step, and again while it recovers, on virtual time.

python -m benchmarks.crash_points [--pairs 2000] [--seed 0]
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterable

from tests.simulator.crash_points import CrashResult, all_crash_points, crash_pairs


def summary(what: str, crashes: Iterable[CrashResult]) -> str:
    """Crash at every point, and return how many there were."""
    begun = time.perf_counter()
    count = Counter((crash.reached, crash.in_transaction) for crash in crashes)
    reached = count[True, True] + count[True, False]
    seconds = time.perf_counter() - begun
    return (
        f"{what:<24}{reached:>6} survived, {count[True, True]:>5} of them in a transaction"
        f"{count[False, False]:>6} not reached {seconds:>7.1f} s"
    )


def main() -> None:
    """Print the figures; the first promise that breaks ends it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print(summary("every crash point", all_crash_points()), flush=True)
    print(summary("pairs of crash points", crash_pairs(given.pairs, given.seed)))


if __name__ == "__main__":
    main()
