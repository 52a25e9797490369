"""The smallest simulated batches in which planted bugs show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from datetime import timedelta
from functools import partial
from typing import Any, TypeAlias

import anyio
import httpx
import pytest

from batchrunner.model import Settings
from batchrunner.runner.runner import innermost
from batchrunner.sandbox import SandboxConfig
from batchrunner.sandbox.visibility import Visibility
from batchrunner.store import controls
from batchrunner.store.account_limit import account_limit
from batchrunner.store.errors import LeaseLost
from batchrunner.store.reports import batch_counts
from tests.simulation.checked_batch import CheckedBatch
from tests.simulator.machine_faults import (
    MachineFaults,
    SimulatedMachine,
    SimulatedProcess,
    TimeSpan,
)
from tests.simulator.network.proxy import FaultWindow, FaultyNetwork
from tests.simulator.simulated_batch import KillSwitch, ProcessKilled, now, pages

Scenario: TypeAlias = Callable[[], Coroutine[Any, Any, None]]

#: No batch of these needs longer.
MAX_DURATION = timedelta(minutes=30)
SHORT_RUNS = (3.0, 9.0)
SETTINGS = Settings(concurrency=3, backoff=timedelta(seconds=2))
#: Steps after an answer at which a runner is killed, one after the other.
CRASH_STEPS = 24


async def run_to_end(
    simulated: CheckedBatch, kill_switch: KillSwitch | None = None, **kwargs: Any
) -> None:
    """Run a batch, and check that it ends and that every invariant holds."""
    with anyio.move_on_after(MAX_DURATION.total_seconds()) as limit:
        await simulated.run(kill_switch, **kwargs)
    simulated.check_always()
    assert not limit.cancelled_caught, "the batch did not end"
    simulated.check_end()


async def small_batch(urls: Iterable[str], **config: Any) -> None:
    """Run a small batch on a sandbox that is configured like this."""
    conditions = SandboxConfig(**{"durations": SHORT_RUNS, "retry_after": 20, **config})
    await run_to_end(CheckedBatch.of(urls, conditions, SETTINGS))


def faulty_batch(fault: str, **config: Any) -> Scenario:
    """Return a batch in which one job of two meets a fault."""
    return partial(small_batch, [f"http://faults.test/{fault}", *pages(1)], **config)


async def search_finds_nothing() -> None:
    """Lose the answer to a create when one run is known and searches find nothing."""
    urls = [*pages(1), "http://faults.test/dropped_after/1"]
    simulated = CheckedBatch.of(urls, SandboxConfig(durations=(90, 90)), Settings(concurrency=1))
    window = FaultWindow("blind_search", 0, 3600, 1.0)
    simulated.network = FaultyNetwork(
        simulated.sandbox.transport(), windows=[window], fired=Counter()
    )
    await run_to_end(simulated)


async def late_run() -> None:
    """List a run so late that its create is given up, and its job sent again."""
    urls = ["http://faults.test/dropped_after/1", *pages(2)]
    # With this seed, the lost run is listed after nine minutes, and the next ones within two.
    conditions = SandboxConfig(
        seed=928, durations=(200, 300), visibility=Visibility(late_spread=900)
    )
    simulated = CheckedBatch.of(urls, conditions, Settings(concurrency=1))
    with anyio.fail_after(3 * 3600):
        await simulated.run()
    simulated.check_end()
    orphans = simulated.store.read(batch_counts, simulated.batch.id).orphans
    assert orphans, "no create was given up: this run proves nothing"


async def refused_above_limit(
    answer: str = "refused", durations: tuple[float, float] = SHORT_RUNS
) -> None:
    """Run a batch on an account that refuses more runs than two."""
    conditions = {"limit": 2, "retry_after": 2, "variants": {"over_limit": answer}}
    config = SandboxConfig(durations=durations, **conditions)  # type: ignore[arg-type]
    urls = [f"http://shop.test/products/{n}" for n in range(1, 9)]
    simulated = CheckedBatch.of(urls, config, SETTINGS)
    await run_to_end(simulated)
    learned = simulated.store.read(account_limit, simulated.batch.id)
    assert learned is not None, "no limit was learned"
    assert learned.bound <= 3, "the bound is not that of the account, or one more"


async def behind_gateway(
    fault: str, begins: float, ends: float, urls: Iterable[str] = (), **config: Any
) -> None:
    """Run a batch while every request meets a fault of the network for a time."""
    conditions = SandboxConfig(**{"durations": (30.0, 60.0), **config})
    key = frozenset({"key"})
    simulated = CheckedBatch.of(urls or pages(6), conditions, SETTINGS, keys=key)
    simulated.network = FaultyNetwork(
        simulated.sandbox.transport(),
        windows=[FaultWindow(fault, begins, ends, 1.0)],
        fired=Counter(),
    )
    await run_to_end(simulated)
    learned = simulated.store.read(account_limit, simulated.batch.id)
    assert learned is None, "a limit on requests lowered the bound"


async def key_refused_for_good() -> None:
    """Refuse the key until the runner gives up."""
    simulated = CheckedBatch.of(pages(6), SandboxConfig(), SETTINGS, keys=frozenset({"another"}))
    with anyio.move_on_after(120) as limit:
        await simulated.run()
    assert not limit.cancelled_caught, "a wrong key was tried for ever"


async def stuck_run() -> None:
    """Run a batch whose cancels have no effect for minutes."""
    settings = Settings(concurrency=3, running_limit=timedelta(minutes=1), max_attempts=1)
    config = SandboxConfig(durations=SHORT_RUNS)
    simulated = CheckedBatch.of(["http://faults.test/stuck", *pages(2)], config, settings)
    simulated.network = FaultyNetwork(
        simulated.sandbox.transport(),
        windows=[FaultWindow("lost_cancel", 0, 400, 1.0)],
        fired=Counter(),
    )
    await run_to_end(simulated)
    cancels = simulated.requests["POST /v1/runs/batch/cancel"]
    assert cancels <= 15, f"a cancel without effect was repeated at once: {cancels} times"


class KilledAfter(KillSwitch):
    """A process that is killed some steps after an answer that contains a word."""

    def __init__(self, word: bytes, later: int) -> None:
        super().__init__()
        self.word = word
        self.later = later

    async def receive(self, response: httpx.Response) -> None:
        """Receive an answer, perhaps the last one."""
        if self.kill_at is None and self.word in await response.aread():
            self.kill_at = self.steps + 1 + self.later
        self.step()


async def killed_after(word: bytes) -> None:
    """Kill a runner when it receives a word, then one step later, and so on; another continues."""
    for later in range(CRASH_STEPS):
        simulated = CheckedBatch.of(pages(1), SandboxConfig(durations=(3, 3)), SETTINGS)
        with pytest.raises(ProcessKilled):
            await simulated.run(KilledAfter(word, later))
        simulated.check_always()
        await run_to_end(simulated)


async def two_runners() -> None:
    """Let two healthy runners work on one batch."""
    simulated = CheckedBatch.of(pages(12), SandboxConfig(durations=(30, 60)), SETTINGS)
    await at_once(*[partial(_must_keep_its_lease, simulated)] * 2)


async def _must_keep_its_lease(
    simulated: CheckedBatch, kill_switch: KillSwitch | None = None, **clock: Any
) -> None:
    try:
        await run_to_end(simulated, kill_switch, exited_owners=nobody, **clock)
    except LeaseLost:
        raise AssertionError("a living owner was treated as dead") from None


class SuspendedOnFailure(KillSwitch):
    """A process that is suspended when it receives a failed run, and wakes much later."""

    def __init__(self) -> None:
        super().__init__()
        self.until: float | None = None

    async def receive(self, response: httpx.Response) -> None:
        """Receive an answer; the first one with a failure arrives after the suspension."""
        failed = b'"FAILED"' in await response.aread()
        if failed and self.until is None:
            self.until = anyio.current_time() + 45  # shorter than the timeout of a poll
            await anyio.sleep_until(self.until)

    async def offload(self, call: Callable[[], Any], /) -> Any:
        """Run a transaction when awake; an answer received before it is handled first."""
        if self.until is not None and anyio.current_time() < self.until:
            await anyio.sleep_until(self.until + 1)
        return await super().offload(call)


async def suspended_runner() -> None:
    """Suspend a runner that has decided and not written it; another one takes over."""
    urls = ["http://faults.test/system_failure/1"]
    config = SandboxConfig(durations=(40, 40), retry_after=1)  # over before the first audit
    simulated = CheckedBatch.of(urls, config, SETTINGS)
    fenced: list[LeaseLost] = []

    async def suspended() -> None:
        try:
            await simulated.run(SuspendedOnFailure(), exited_owners=nobody)
        except LeaseLost as lost:
            fenced.append(lost)

    async def take_over() -> None:
        await anyio.sleep(60)
        await run_to_end(simulated)  # it treats the suspended one as dead

    await at_once(suspended, take_over)
    assert fenced, "the suspension was too short: this run proves nothing"
    simulated.check_end()


async def cancelled() -> None:
    """Cancel a batch while its runs still have minutes to go."""
    simulated = CheckedBatch.of(pages(6), SandboxConfig(durations=(300, 600)), SETTINGS)

    async def cancel() -> None:
        await anyio.sleep(30)
        simulated.store.write(controls.cancel_jobs, simulated.batch.id, [], now())

    await at_once(partial(run_to_end, simulated), cancel)


async def run_twice() -> None:
    """Run a finished batch again."""
    simulated = CheckedBatch.of(pages(3), SandboxConfig(durations=SHORT_RUNS), SETTINGS)
    await run_to_end(simulated)
    await run_to_end(simulated)


async def clock_set_forward() -> None:
    """Set the clock eight hours forward while runs have minutes to go."""
    simulated = CheckedBatch.of(pages(3), SandboxConfig(durations=(300, 600)), SETTINGS)
    simulated.one_clock = simulated.waits = False
    machine = SimulatedMachine(simulated.store, MachineFaults(steps=[(60, 8 * 3600)]), 0, Counter())
    process = SimulatedProcess(machine=machine)
    await run_to_end(simulated, process, now=machine.wall, monotonic=machine.monotonic)


async def suspended_machine() -> None:
    """Suspend the machine that two runners work on."""
    simulated = CheckedBatch.of(pages(12), SandboxConfig(durations=(30, 60)), SETTINGS)
    faults = MachineFaults(sleeps=[TimeSpan(20, 1500)])
    machine = SimulatedMachine(simulated.store, faults, 0, Counter())

    async def work() -> None:
        process = SimulatedProcess(machine=machine)
        clock = {"now": machine.wall, "monotonic": machine.monotonic}
        await _must_keep_its_lease(simulated, process, **clock)

    await at_once(work, work)


def nobody(_: object) -> list[str]:
    """Report no owner as dead: they are on other machines."""
    return []


async def at_once(*scenarios: Scenario) -> None:
    """Run these at the same time; raise the first error itself, not a group."""
    try:
        async with anyio.create_task_group() as tasks:
            for scenario in scenarios:
                tasks.start_soon(scenario)
    except BaseExceptionGroup as group:
        raise innermost(group) from None
