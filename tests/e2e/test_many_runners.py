"""The claim of benchmarks/chaos.py in small: many runners share a batch, and some are killed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from batchrunner.selftest.chaos import ChaosPlan, run_chaos
from benchmarks import chaos

HAS_SERVER = find_spec("pgserver") is not None and find_spec("psycopg") is not None


@pytest.mark.skipif(not HAS_SERVER, reason="pgserver or psycopg is not installed")
@pytest.mark.parametrize(
    ("jobs", "runners", "kills"),
    [
        pytest.param(40, 2, 2, marks=pytest.mark.server),
        pytest.param(90, 3, 3, marks=pytest.mark.sweep),
    ],
)
def test_runners_on_postgresql_survive_kills(
    tmp_path: Path, jobs: int, runners: int, kills: int
) -> None:
    plan = ChaosPlan(jobs=jobs, runners=runners, kills=kills, concurrency=30, seed=1, aimed=False)
    with chaos.postgresql(tmp_path) as site:
        decision = run_chaos(plan, site, tmp_path)
    assert (decision.kills, decision.lost, decision.paid_twice) == (kills, 0, 0)


@pytest.mark.sweep
def test_two_runners_on_one_file_survive_two_kills(tmp_path: Path) -> None:
    plan = ChaosPlan(jobs=60, runners=2, kills=2, concurrency=30, seed=1, aimed=False)
    with chaos.sqlite(tmp_path) as site:
        decision = run_chaos(plan, site, tmp_path)
    assert (decision.kills, decision.lost, decision.paid_twice) == (2, 0, 0)
