"""What the API advises about a run, in each form that it may have, arrives where users look."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from batchrunner.app.job_results import result_rows
from batchrunner.app.status import batch_status
from batchrunner.model import JobState, Settings
from batchrunner.sandbox import SandboxConfig
from batchrunner.store.reports import finished_jobs
from tests.simulation.checked_batch import CheckedBatch
from tests.simulation.short_batches import SHORT_RUNS, run_to_end
from tests.simulator.simulated_batch import simulate

URLS = ["http://faults.test/agent_failure", "http://faults.test/blocked", "http://shop.test/"]
ONCE = Settings(concurrency=3, max_attempts=1)
#: What each form of the advice brings for the failed job, the blocked one and the good one.
NO_KEYS = [[], [], []]
HELP = ["help_message", "help_url"]
FORMS: list[tuple[dict[str, str], list[list[str]]]] = [
    ({}, NO_KEYS),
    ({"run_help": "beside", "names": "camel"}, [HELP, [], []]),
    (
        {"result_error": "beside", "profile_hint": "shown", "run_help": "error"},
        [[*HELP, "profile_hint"], [*HELP, "profile_hint", "run_error"], [*HELP, "run_error"]],
    ),
]
#: Each answer alone, and in the other spelling.
MORE_FORMS: list[tuple[dict[str, str], list[list[str]]]] = [
    ({"run_help": "error"}, [HELP, [], []]),
    ({"run_help": "beside"}, [HELP, [], []]),
    ({"run_help": "error", "names": "camel"}, [HELP, [], []]),
    ({"profile_hint": "shown"}, [["profile_hint"], ["profile_hint"], []]),
    ({"profile_hint": "shown", "names": "camel"}, [["profile_hint"], ["profile_hint"], []]),
    ({"result_error": "beside"}, [[], ["run_error"], ["run_error"]]),
]
ADVICE = {*HELP, "profile_hint", "run_error"}


async def rows_of(variants: dict[str, str]) -> tuple[list[dict[str, Any]], Any]:
    config = SandboxConfig(durations=SHORT_RUNS, variants=variants)
    simulated = CheckedBatch.of(URLS, config, ONCE)
    await run_to_end(simulated)
    store, batch = simulated.store, simulated.batch
    return list(result_rows(finished_jobs(store, batch.id))), batch_status(store, batch)


@pytest.mark.parametrize(
    ("variants", "expected"),
    [*FORMS, *(pytest.param(*form, marks=pytest.mark.sweep) for form in MORE_FORMS)],
)
def test_each_form_of_advice_is_in_the_rows(
    variants: dict[str, str], expected: list[list[str]]
) -> None:
    found: list[Any] = []

    async def main() -> None:
        found.extend(await rows_of(variants))

    simulate(main)
    rows, status = found
    assert [sorted(ADVICE & row.keys()) for row in rows] == expected
    helped = [row for row in rows if "help_url" in row]
    assert all(row["help_url"].startswith("https://docs.tinyfish.ai/") for row in helped)
    hints = [json.loads(row["profile_hint"]) for row in rows if "profile_hint" in row]
    assert [hint["reason"] for hint in hints] == ["auth_wall", "bot_challenge"][: len(hints)]
    errors = [json.loads(row["run_error"]) for row in rows if "run_error" in row]
    assert all(error["code"] == "service_busy" for error in errors)
    assert len(status.run_errors) == len(errors)
    failed = [row for row in rows if row["category"] and ADVICE & row.keys() - {"run_error"}]
    assert sum(count.jobs for count in status.advice) == len(failed)


@pytest.mark.parametrize(
    "answer",
    ["null", *(pytest.param(each, marks=pytest.mark.sweep) for each in ("sent", "missing"))],
)
def test_a_system_failure_is_retried_whether_or_not_the_api_says_when(answer: str) -> None:
    async def main() -> None:
        config = SandboxConfig(
            durations=SHORT_RUNS, retry_after=90, variants={"failure_wait": answer}
        )
        settings = Settings(concurrency=1, max_attempts=3, backoff=timedelta(seconds=2))
        simulated = CheckedBatch.of(["http://faults.test/system_failure/1"], config, settings)
        await run_to_end(simulated)
        (job,) = finished_jobs(simulated.store, simulated.batch.id)
        assert (job.state, job.attempts) == (JobState.SUCCEEDED, 2)
        first, second = simulated.sandbox.journal.runs
        assert first.finished_at is not None
        waited = (second.created_at - first.finished_at).total_seconds()
        assert (waited >= 90) is (answer == "sent")

    simulate(main)
