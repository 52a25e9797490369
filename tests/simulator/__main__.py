"""Simulates batch runs: `python -m tests.simulator --seed 1124 --runs 20 -v`."""

from __future__ import annotations

import argparse
import secrets
import sys
from datetime import timedelta

from batchrunner.text.format import clock
from tests.simulator.fuzz import simulate_seeds
from tests.simulator.summary import SimulationSummary


def main() -> None:
    """Simulate one batch run per seed, and print the figures; a violated invariant is raised."""
    options = argparse.ArgumentParser(prog="python -m tests.simulator", description=__doc__)
    options.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="the first")
    options.add_argument("--runs", type=int, default=20, help="simulated batch runs")
    options.add_argument("-v", "--verbose", action="store_true", help="print each fault's count")
    chosen = options.parse_args()
    results = []
    for result in simulate_seeds(chosen.seed, chosen.runs):
        results.append(result)
        took = clock(timedelta(hours=result.hours))
        sys.stderr.write(f"{len(results):>6} of {chosen.runs}: seed {result.seed} holds, {took}\n")
    lines = SimulationSummary.of(results).lines(verbose=chosen.verbose)
    sys.stdout.writelines(f"{line}\n" for line in lines)


if __name__ == "__main__":
    main()
