"""Simulated batches in which markers come back from agents, or make goals too long."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from sqlalchemy import update

from batchrunner.model import FailureCategory, JobState, Settings
from batchrunner.outputs import FORMATS, ExportTable
from batchrunner.runner.runner import ExitReason
from batchrunner.sandbox import SandboxConfig
from batchrunner.sandbox.agent import Findings
from batchrunner.store.judgements import stored_results
from batchrunner.store.reports import finished_jobs
from batchrunner.store.schema import jobs
from tests.simulation.checked_batch import CheckedBatch
from tests.simulation.short_batches import SHORT_RUNS, Scenario
from tests.simulator.fixture_agent import FixtureAgent
from tests.simulator.simulated_batch import pages


class EchoingAgent(FixtureAgent):
    """Returns its goal, with the marker, in a value, in a key and as an entry of a list."""

    async def perform(
        self, url: str, goal: str, output_schema: Mapping[str, Any] | None
    ) -> Findings:
        """Return findings in which the goal occurs."""
        mark = goal.partition("\n\n")[2]
        result = {"query": goal.upper(), f"price {mark}": 3, "tags": ["tv", mark], "note": mark}
        return Findings(result=result, actions=("Type it",), html="", schema_errors=())


async def echoed(**job: Any) -> CheckedBatch:
    """Run a batch whose agent returns markers; no export and no judgement may see one."""
    config = SandboxConfig(durations=SHORT_RUNS)
    simulated = CheckedBatch.of(pages(2), config, Settings(), agent=EchoingAgent(), **job)
    assert await simulated.run() is ExitReason.FINISHED
    for name in ("csv", "jsonl"):
        file = io.BytesIO()
        table = ExportTable(jobs=lambda: finished_jobs(simulated.store, simulated.batch.id))
        FORMATS[name].write(table, file)
        assert b"br-" not in file.getvalue().lower(), "a marker is in an export"
    return simulated


async def marker_returned() -> None:
    """Let agents return markers; what is exported and judged has the user's own text alone."""
    simulated = await echoed()
    done = list(finished_jobs(simulated.store, simulated.batch.id))
    expected = {"query": "READ THE NAME AND THE PRICE", "price": 3, "tags": ["tv"], "note": ""}
    assert [json.loads(job.result or "") for job in done] == [expected] * 2
    for stored in stored_results(simulated.store, simulated.batch.id):
        assert json.loads(stored.result) == expected


async def _expected(path: str, rule: Mapping[str, Any]) -> None:
    simulated = await echoed(expect={"fields": {path: rule}})
    assert simulated.jobs() == {JobState.FAILED: 2}, "a marker met an expectation"


def marker_expected(path: str, rule: Mapping[str, Any]) -> Scenario:
    """Return a batch that expects what only a marker would give."""
    return partial(_expected, path, rule)


async def _too_long(shape: str) -> None:
    variants = {"goal_length": "limited", "batch_error": shape}
    config = SandboxConfig(durations=SHORT_RUNS, variants=variants)
    simulated = CheckedBatch.of(pages(3), config, Settings(), agent=FixtureAgent())
    with simulated.store._database.write() as tx:
        tx.execute(update(jobs).where(jobs.c.position == 2).values(goal="x" * 495))
    assert await simulated.run() is ExitReason.FINISHED
    sent = [run.goal for run in simulated.sandbox.journal.runs]
    assert all("br-" in goal for goal in sent), "a goal was sent without its marker"
    assert simulated.jobs() == {JobState.SUCCEEDED: 2, JobState.FAILED: 1}
    [failed] = [
        job
        for job in finished_jobs(simulated.store, simulated.batch.id)
        if job.category is FailureCategory.REJECTED
    ]
    said = failed.message or ""
    assert "only the marker makes the goal too long: 495 + 42" in said, "the goal is blamed"
    assert "`marker: false`" in said
    simulated.check_end()


def goal_too_long(shape: str) -> Scenario:
    """Return a batch in which only its marker makes a goal too long for the API."""
    return partial(_too_long, shape)
