"""Measures every figure beside its floor of the same run; benchmarks/README.md says how to read it.

python -m benchmarks [PART ...] [--small] [--json] [--check FILE] [--commit FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import (
    claims,
    judge_speed,
    makespan,
    million_rows,
    paid_runs,
    protocol,
    start_up,
    stop_cost,
)
from benchmarks.figures import Figure, as_json, as_table, slower

PARTS: dict[str, Callable[..., Iterator[Figure]]] = {
    "protocol": protocol.figures,
    "claims": claims.figures,
    "rows": million_rows.figures,
    "judge": judge_speed.figures,
    "start": start_up.figures,
    "makespan": makespan.figures,
    "paid": paid_runs.figures,
    "stop": stop_cost.figures,
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--small", action="store_true", help="take seconds, not minutes")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--check", type=Path, help="fail if a ratio doubled since this file")
    parser.add_argument("--commit", type=Path, help="write the ratios of CPU times to this file")
    given = parser.parse_args()
    if unknown := [part for part in given.parts if part not in PARTS]:
        parser.error(f"no part {unknown[0]!r}: there are {', '.join(PARTS)}")
    return given


def main() -> int:
    """Measure; return 1 if a ratio of CPU times doubled."""
    given = _arguments()
    figures: list[Figure] = []
    for part in given.parts or PARTS:
        print(f"measuring {part} …", file=sys.stderr, flush=True)
        figures += PARTS[part](small=given.small)
    print(as_json(figures) if given.json else as_table(figures))
    if given.commit:
        ratios = {f.name: round(f.ratio, 2) for f in figures if f.cpu}
        given.commit.write_text(json.dumps(ratios, indent=1) + "\n", encoding="utf-8")
    worse = slower(figures, json.loads(given.check.read_text())) if given.check else []
    for line in worse:
        print(f"error: {line}", file=sys.stderr)
    return bool(worse)


if __name__ == "__main__":
    sys.exit(main())
