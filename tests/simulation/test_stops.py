"""Stops on virtual time: runs that have not started are cancelled, and every answer is handled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import anyio
import pytest
from sqlalchemy import select

from batchrunner.model import (
    ApiFault,
    ApiFaultKind,
    FailureCategory,
    JobState,
    RequestFailed,
    RunStatus,
    Settings,
)
from batchrunner.runner.events import CancelledAtStop, StartedBeforeCancel
from batchrunner.runner.runner import ExitReason, Runner
from batchrunner.sandbox import SandboxConfig
from batchrunner.sandbox.journal import SandboxRun
from batchrunner.store.attempts import request_cancel_at_stop
from batchrunner.store.schema import attempts
from batchrunner.tinyfish.client import TinyFishClient
from tests.simulation.planting import Planter
from tests.simulator.fixture_agent import FixtureAgent
from tests.simulator.simulated_batch import (
    KillSwitch,
    ProcessKilled,
    SimulatedBatch,
    simulate,
)

CancelMany = Callable[..., Awaitable[dict[str, RunStatus]]]

JOBS, SLOTS, IN_FLIGHT = 12, 3, 6
SETTINGS = Settings(concurrency=IN_FLIGHT, queued_limit=timedelta(hours=10))


class StoppedBatch(SimulatedBatch):
    """A batch whose first runner is asked to stop, while runs wait for a slot."""

    stop_at = 12.0

    def runner(self, *args: Any, **kwargs: Any) -> Runner:
        """Return a runner that is known."""
        self.latest = super().runner(*args, **kwargs)
        return self.latest

    async def stopped(self, kill_switch: KillSwitch | None = None) -> ExitReason:
        """Run until the stop has come to its end."""
        endings: list[ExitReason] = []

        async def run() -> None:
            endings.append(await self.run(kill_switch))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await anyio.sleep(self.stop_at)
            self.latest.drain()
        return endings[0]

    def counts(self) -> list[tuple[str | None, bool]]:
        """Return the outcome of each attempt that a stop cancelled, and whether it counts."""
        chosen = select(attempts.c.outcome, attempts.c.counted).where(attempts.c.cancelled_at_stop)
        with self.store._database.read() as tx:
            return [(row.outcome, row.counted) for row in tx.execute(chosen)]

    def cancelled(self) -> list[SandboxRun]:
        """Return the runs that are CANCELLED at the API."""
        return [run for run in self.sandbox.journal.runs if run.status == "CANCELLED"]


def batch_of(**config: Any) -> StoppedBatch:
    sandbox = SandboxConfig(limit=SLOTS, durations=(20, 40), **config)
    urls = [f"http://site.test/{n}" for n in range(JOBS)]
    return StoppedBatch.of(urls, sandbox, SETTINGS, agent=FixtureAgent())


async def check_goes_on(stopped: StoppedBatch) -> None:
    """Check that the next start completes the batch, and that no run was paid for twice."""
    assert await stopped.run() is ExitReason.FINISHED
    stopped.check_end()
    assert stopped.jobs() == {JobState.SUCCEEDED: JOBS}
    assert all(count == (FailureCategory.TIMED_OUT, False) for count in stopped.counts())


def test_a_stop_cancels_what_has_not_started_and_waits_for_the_rest() -> None:
    async def scenario() -> None:
        stopped = batch_of()
        assert await stopped.stopped() is ExitReason.DRAINED
        assert stopped.jobs() == {JobState.SUCCEEDED: SLOTS, JobState.AVAILABLE: JOBS - SLOTS}
        assert [run.steps for run in stopped.cancelled()] == [0] * (IN_FLIGHT - SLOTS)
        waiting = [event.runs for event in stopped.events if isinstance(event, CancelledAtStop)]
        assert waiting == [IN_FLIGHT - SLOTS]
        assert not [event for event in stopped.events if isinstance(event, StartedBeforeCancel)]
        await check_goes_on(stopped)

    simulate(scenario)


# ---- answers to the cancel ----


async def _refused(_: CancelMany, *args: Any) -> dict[str, RunStatus]:
    raise RequestFailed(ApiFault(kind=ApiFaultKind.STATUS, status=403, message="not these runs"))


async def _unknown(_: CancelMany, *args: Any) -> dict[str, RunStatus]:
    raise RequestFailed(ApiFault(kind=ApiFaultKind.STATUS, status=404, message="Run not found"))


async def _lost(cancel: CancelMany, *args: Any) -> dict[str, RunStatus]:
    await cancel(*args)
    raise RequestFailed(ApiFault(kind=ApiFaultKind.INTERRUPTED, message="no answer"))


async def _late(cancel: CancelMany, *args: Any) -> dict[str, RunStatus]:
    await anyio.sleep(25)  # runs start meanwhile
    return await cancel(*args)


async def _untrue(_: CancelMany, client: Any, run_ids: Any) -> dict[str, RunStatus]:
    return dict.fromkeys(run_ids, RunStatus.CANCELLED)  # and nothing happens


def _answer(patch: pytest.MonkeyPatch, answer: Callable[..., Any]) -> None:
    cancel = TinyFishClient.cancel_many

    async def substitute(*args: Any) -> dict[str, RunStatus]:
        found: dict[str, RunStatus] = await answer(cancel, *args)
        return found

    Planter(patch).replace(cancel, substitute)


@pytest.mark.sweep
@pytest.mark.parametrize("answer", [_refused, _unknown, _untrue], ids=lambda each: each.__name__)
def test_a_run_that_cannot_be_cancelled_is_waited_for_and_its_cost_is_reported(
    answer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        stopped = batch_of()
        _answer(monkeypatch, answer)
        assert await stopped.stopped() is ExitReason.DRAINED
        assert stopped.jobs() == {JobState.SUCCEEDED: IN_FLIGHT, JobState.AVAILABLE: 6}
        paid = [event for event in stopped.events if isinstance(event, StartedBeforeCancel)]
        assert sum(event.runs for event in paid) == IN_FLIGHT - SLOTS
        late = stopped.sandbox.journal.runs[SLOTS:IN_FLIGHT]
        assert sum(event.steps for event in paid) == sum(run.steps or 0 for run in late) > 0
        monkeypatch.undo()
        assert await stopped.run() is ExitReason.FINISHED
        stopped.check_end()
        assert stopped.counts() == [("succeeded", True)] * (IN_FLIGHT - SLOTS)

    simulate(scenario)


@pytest.mark.sweep
def test_a_cancel_whose_answer_is_lost_counts_for_what_polls_show(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        stopped = batch_of()
        _answer(monkeypatch, _lost)
        assert await stopped.stopped() is ExitReason.DRAINED
        assert len(stopped.cancelled()) == IN_FLIGHT - SLOTS
        await check_goes_on(stopped)

    simulate(scenario)


@pytest.mark.sweep
def test_a_run_that_started_before_the_cancel_arrived_is_paid_reported_and_uncounted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        stopped = batch_of()
        _answer(monkeypatch, _late)
        assert await stopped.stopped() is ExitReason.DRAINED
        cost = sum(run.steps or 0 for run in stopped.cancelled())
        assert cost > 0, "the cancel came late for none"
        paid = [event for event in stopped.events if isinstance(event, StartedBeforeCancel)]
        assert sum(event.steps for event in paid) >= cost
        monkeypatch.undo()
        await check_goes_on(stopped)

    simulate(scenario)


# ---- crashes ----


def _kill_after_cancel(patch: pytest.MonkeyPatch, kill_switch: KillSwitch) -> None:
    async def answer(cancel: CancelMany, *args: Any) -> dict[str, RunStatus]:
        await cancel(*args)
        kill_switch.dead = True
        raise ProcessKilled

    _answer(patch, answer)


async def _crash_at_the_cancel(patch: pytest.MonkeyPatch) -> StoppedBatch:
    killed, kill_switch = batch_of(), KillSwitch()
    _kill_after_cancel(patch, kill_switch)
    with pytest.raises(BaseExceptionGroup):
        await killed.stopped(kill_switch)
    assert len(killed.cancelled()) == IN_FLIGHT - SLOTS
    return killed


@pytest.mark.sweep
def test_a_crash_after_the_cancel_cancels_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        await check_goes_on(await _crash_at_the_cancel(monkeypatch))

    simulate(scenario)


def test_a_cancel_that_is_not_on_disk_before_the_request_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        Planter(monkeypatch).replace(request_cancel_at_stop, lambda *_: None)
        killed = await _crash_at_the_cancel(monkeypatch)
        with pytest.raises(AssertionError):
            await check_goes_on(killed)

    simulate(scenario)
