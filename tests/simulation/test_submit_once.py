"""A runner for one watched job: it creates the run as a stream, at most once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from batchrunner.model import JobState, RetryRule, Settings
from batchrunner.model.categories import CONFIGURABLE
from batchrunner.runner.events import RunsSubmitted
from batchrunner.runner.runner import ExitReason
from batchrunner.runner.streamed_create import StreamedCreate
from batchrunner.sandbox import SandboxConfig
from batchrunner.tinyfish.console_client import ConsoleClient
from batchrunner.tinyfish.event_stream import StreamEvent
from tests.simulation.checked_batch import CheckedBatch
from tests.simulator.simulated_batch import simulate

ONE_ATTEMPT = {category: RetryRule(attempts=1, then=()) for category in CONFIGURABLE}
SETTINGS = Settings(concurrency=1, backoff=timedelta(seconds=4))
STREAM = "POST /v1/automation/run-sse"


def watched(fault: str | None) -> CheckedBatch:
    config = SandboxConfig(script={"*": fault} if fault else {})
    return CheckedBatch.of(["http://shop.test/products/1"], config, SETTINGS, policy=ONE_ATTEMPT)


async def run_once(batch: CheckedBatch) -> tuple[ExitReason, list[StreamEvent], int]:
    """Run a batch as `watch` does; return how many requests created runs."""
    events: list[StreamEvent] = []
    creates = 0

    class Counting(ConsoleClient):
        async def create_streaming(self, *args: object, **kwargs: object) -> object:  # type: ignore[override]
            nonlocal creates
            creates += 1
            return await super().create_streaming(*args, **kwargs)  # type: ignore[arg-type]

    transport = batch.sandbox.transport()
    async with Counting("http://127.0.0.1", "key", transport=transport) as client:
        streamed = StreamedCreate(api=client, on_event=events.append)
        reason = await batch.run(submit_once=True, streamed_create=streamed)
    assert not [path for path in batch.requests if "automation" in path], "another way to create"
    return reason, events, creates


def test_a_run_is_created_as_a_stream_and_settled_by_the_runner() -> None:
    async def run() -> None:
        batch = watched(None)
        reason, events, creates = await run_once(batch)
        assert (reason, creates) == (ExitReason.FINISHED, 1)
        assert [event.kind for event in events][:1] == ["STARTED"]
        assert events[-1].kind == "COMPLETE"
        assert batch.jobs() == {JobState.SUCCEEDED: 1}
        assert sum(isinstance(event, RunsSubmitted) for event in batch.events) == 1
        batch.check_end()

    simulate(run)


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        ("system_failure", JobState.FAILED),
        ("no_credits", JobState.AVAILABLE),
        ("throttled", JobState.AVAILABLE),
        ("dropped_before", JobState.FAILED),  # no later run shows that searches work
    ],
)
def test_whatever_a_create_comes_to_it_is_sent_once(fault: str, state: JobState) -> None:
    async def run() -> None:
        batch = watched(fault)
        _, _, creates = await run_once(batch)
        assert creates == 1
        assert batch.jobs() == {state: 1}
        batch.check_always()

    simulate(run)
