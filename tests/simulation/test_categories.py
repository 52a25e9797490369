"""Every failure category, from the sandbox to the database: the failure, and what followed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from batchrunner.model import FailureCategory, JobState, Settings
from batchrunner.sandbox import SandboxConfig
from batchrunner.store.schema import attempts, jobs
from tests.simulation.checked_batch import CheckedBatch
from tests.simulator.fixture_agent import FixtureAgent
from tests.simulator.simulated_batch import pages, simulate
from tests.sweeps import some

GOOD = "succeeded"
COUNTS, WAITS = True, False


@dataclass(frozen=True, kw_only=True)
class Case:
    """A fault of the job, and its expected attempts: outcome, and whether it counts."""

    fate: str
    attempts: list[tuple[str, bool]]
    ends: JobState
    settings: dict[str, Any] = field(default_factory=dict)
    job: dict[str, Any] = field(default_factory=dict)
    others: int = 0  #: jobs beside it: an absence is believed only where other runs are shown
    durations: tuple[float, float] = (15, 300)


def fails(category: str, times: int) -> list[tuple[str, bool]]:
    return [(category, COUNTS)] * times


def waits(category: str) -> list[tuple[str, bool]]:
    return [(category, WAITS), (GOOD, COUNTS)]


SHAPE = {"type": "object", "properties": {"stock": {"type": "integer"}}, "required": ["stock"]}

#: By category: one that fails for good as often as its rule allows, or waits and succeeds.
CASES = {
    FailureCategory.SYSTEM_FAILURE: Case(
        fate="system_failure", attempts=fails("system_failure", 3), ends=JobState.FAILED
    ),
    FailureCategory.AGENT_FAILURE: Case(
        fate="agent_failure", attempts=fails("agent_failure", 1), ends=JobState.FAILED
    ),
    FailureCategory.BILLING_FAILURE: Case(
        fate="billing_failure/1", attempts=waits("billing_failure"), ends=JobState.SUCCEEDED
    ),
    FailureCategory.UNKNOWN: Case(
        fate="unknown", attempts=fails("unknown", 3), ends=JobState.FAILED
    ),
    FailureCategory.GOAL_FAILURE: Case(
        fate="goal_failure", attempts=fails("goal_failure", 2), ends=JobState.FAILED
    ),
    FailureCategory.BLOCKED: Case(
        fate="blocked", attempts=fails("blocked", 3), ends=JobState.FAILED
    ),
    FailureCategory.INVALID_RESULT: Case(
        fate="wrong_shape",
        attempts=fails("invalid_result", 2),
        ends=JobState.FAILED,
        job={"options": {"output_schema": SHAPE}},
    ),
    FailureCategory.TIMED_OUT: Case(
        fate="stuck",
        attempts=fails("timed_out", 3),
        ends=JobState.FAILED,
        settings={"running_limit": timedelta(minutes=3)},
    ),
    FailureCategory.RUN_CANCELLED: Case(
        fate="cancelled", attempts=fails("run_cancelled", 1), ends=JobState.CANCELLED
    ),
    FailureCategory.REJECTED: Case(
        fate="rejected", attempts=fails("rejected", 1), ends=JobState.FAILED
    ),
    FailureCategory.UNAUTHORIZED: Case(
        fate="gated",
        # Perhaps only batches are refused: one request for this single run settles it.
        attempts=[("unauthorized", WAITS), ("unauthorized", COUNTS)],
        ends=JobState.FAILED,
        job={"options": {"agent_config": {"mode": "strict"}}},
    ),
    FailureCategory.THROTTLED: Case(
        fate="throttled/1", attempts=waits("throttled"), ends=JobState.SUCCEEDED
    ),
    FailureCategory.UNREACHABLE: Case(
        fate="dropped_before/1",
        attempts=waits("unreachable"),
        ends=JobState.SUCCEEDED,
        settings={"concurrency": 1},
        others=3,
    ),
    FailureCategory.UNANSWERED: Case(
        fate="dropped_after",
        attempts=fails("unanswered", 1),
        ends=JobState.FAILED,
        settings={"marker": False},
    ),
    FailureCategory.LOST: Case(
        fate="lost",
        attempts=fails("lost", 3),
        ends=JobState.FAILED,
        settings={"concurrency": 2},
        others=9,
        durations=(200, 300),  # they outlast all three attempts
    ),
}


def test_every_category_has_its_case() -> None:
    assert set(CASES) == set(FailureCategory)


@pytest.mark.parametrize("category", some(FailureCategory, quick=4))
def test_a_category_is_reached_end_to_end_and_leads_to_what_the_table_says(
    category: FailureCategory,
) -> None:
    case = CASES[category]

    async def run() -> None:
        settings = Settings(backoff=timedelta(seconds=2), **case.settings)
        url = f"http://faults.test/{case.fate}"
        config = SandboxConfig(durations=case.durations)
        simulated = CheckedBatch.of(
            [url, *pages(case.others)], config, settings, agent=FixtureAgent(), **case.job
        )
        await simulated.run()
        if category is not FailureCategory.UNANSWERED:  # whose run nobody can know of
            simulated.check_end()
        expected = Counter({case.ends: 1}) + Counter({JobState.SUCCEEDED: case.others})
        assert simulated.jobs() == expected
        with simulated.store._database.read() as tx:
            query = select(attempts).join(jobs, jobs.c.id == attempts.c.job_id)
            rows = tx.execute(query.where(jobs.c.url == url).order_by(attempts.c.number)).all()
        assert [(row.outcome, row.counted) for row in rows] == case.attempts

    simulate(run)
