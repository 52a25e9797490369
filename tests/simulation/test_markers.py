"""Markers in whole batches: agents return them, and goals become too long by them."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import update

from batchrunner.model import FailureCategory, JobState, Settings
from batchrunner.outputs import FORMATS
from batchrunner.runner.runner import ExitReason
from batchrunner.sandbox import SandboxConfig
from batchrunner.sandbox.agent import Findings
from batchrunner.store.judgements import stored_results
from batchrunner.store.reports import finished_jobs
from batchrunner.store.schema import jobs
from tests.simulation.checked_batch import CheckedBatch
from tests.simulation.short_batches import SHORT_RUNS
from tests.simulator.fixture_agent import FixtureAgent
from tests.simulator.simulated_batch import pages, simulate


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
        FORMATS[name].write(lambda: finished_jobs(simulated.store, simulated.batch.id), file)
        assert b"br-" not in file.getvalue().lower(), "a marker is in an export"
    return simulated


def test_a_marker_that_agents_return_is_neither_exported_nor_judged() -> None:
    async def scenario() -> None:
        simulated = await echoed()
        done = list(finished_jobs(simulated.store, simulated.batch.id))
        expected = {"query": "READ THE NAME AND THE PRICE", "price": 3, "tags": ["tv"], "note": ""}
        assert [json.loads(job.result or "") for job in done] == [expected] * 2
        for stored in stored_results(simulated.store, simulated.batch.id):
            assert json.loads(stored.result) == expected

    simulate(scenario)


@pytest.mark.parametrize(
    ("path", "rule"),
    [("tags", {"at_least": 2}), ("note", {"required": True})],
)
def test_what_is_nothing_but_a_marker_meets_no_expectation(path: str, rule: Any) -> None:
    async def scenario() -> None:
        simulated = await echoed(expect={"fields": {path: rule}})
        assert simulated.jobs() == {JobState.FAILED: 2}

    simulate(scenario)


@pytest.mark.parametrize("shape", ["beside", "plain", "listed", "ok"])
def test_a_goal_that_only_its_marker_makes_too_long_fails_with_its_remedy(shape: str) -> None:
    async def scenario() -> None:
        variants = {"goal_length": "limited", "batch_error": shape}
        config = SandboxConfig(durations=SHORT_RUNS, variants=variants)
        simulated = CheckedBatch.of(pages(3), config, Settings(), agent=FixtureAgent())
        with simulated.store._database.write() as tx:
            tx.execute(update(jobs).where(jobs.c.position == 2).values(goal="x" * 495))
        assert await simulated.run() is ExitReason.FINISHED
        assert simulated.jobs() == {JobState.SUCCEEDED: 2, JobState.FAILED: 1}
        [failed] = [
            job
            for job in finished_jobs(simulated.store, simulated.batch.id)
            if job.category is FailureCategory.REJECTED
        ]
        assert "only the marker makes the goal too long: 495 + 42" in (failed.message or "")
        assert "`marker: false`" in (failed.message or "")
        assert all("br-" in run.goal for run in simulated.sandbox.journal.runs)
        simulated.check_end()

    simulate(scenario)
