"""Measures what a run that takes no time costs the runner, beside the bare protocol."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from benchmarks import no_time_runs
from benchmarks.chaos import postgresql
from benchmarks.figures import Figure
from benchmarks.protocol_floor import core_floor, psycopg_floor

_IN_FLIGHT = 1_000


def figures(*, small: bool) -> Iterator[Figure]:
    """Yield the CPU time of the runner for a job, on each database that is installed."""
    jobs = 2_000 if small else 20_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        floor = core_floor(folder, jobs, _IN_FLIGHT).cpu_per_job
        ours = no_time_runs.measure(str(folder / "ours.db"), jobs, _IN_FLIGHT).cpu_ms_per_job
        yield _figure("SQLite", ours, floor, "the protocol alone, with SQLAlchemy Core")
        if small or find_spec("pgserver") is None:
            return
        with postgresql(folder) as server:
            floor = psycopg_floor(server.address, jobs, _IN_FLIGHT).cpu_per_job
            ours = no_time_runs.measure(server.address, jobs, _IN_FLIGHT).cpu_ms_per_job
        yield _figure("PostgreSQL", ours, floor, "the protocol alone, with psycopg")


def _figure(database: str, ours: float, floor: float, floor_name: str) -> Figure:
    return Figure(
        part="protocol",
        name=f"a run that takes no time, {database}",
        unit="CPU ms",
        ours=ours,
        floor=floor,
        floor_name=floor_name,
    )
