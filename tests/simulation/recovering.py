"""Simulated batches whose database is lost half-way, and rebuilt from the API's list."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import anyio
import pytest

from batchrunner.app.recover import RecoverResult, Recovery, find_runs
from batchrunner.app.runs_elsewhere import find_fresh_runs
from batchrunner.model import JobFile, JobSpec, Owner, Settings
from batchrunner.policy import recovery as recovery_policy
from batchrunner.sandbox import SandboxConfig
from batchrunner.sandbox.faults import Status
from batchrunner.store.batches import load_jobs
from batchrunner.store.leases import end_owner, other_owners, register_owner, rescue_attempts
from batchrunner.store.recovery import sample_jobs
from batchrunner.tinyfish.console_client import ConsoleClient
from tests.simulation.checked_batch import CheckedBatch
from tests.simulation.short_batches import at_once, run_to_end
from tests.simulator.fixture_agent import FixtureAgent
from tests.simulator.simulated_batch import (
    KillSwitch,
    ProcessKilled,
    copy_of,
    now,
    open_memory_store,
    pages,
)

#: Of the first tokens of a second database, so that both differ as random ones do.
OTHER_TOKENS = 10_000_000
CANCEL = "POST /v1/runs/batch/cancel"
_STARTS = itertools.count()
SETTINGS = Settings(concurrency=20, backoff=timedelta(seconds=2), max_attempts=2)


class KilledAtRun(KillSwitch):
    """A process that is killed when the API has created a number of runs."""

    def __init__(self, simulated: CheckedBatch, runs: int) -> None:
        super().__init__()
        self._simulated = simulated
        self._runs = runs

    def step(self) -> None:
        """Take one step; the first one after that run is the last."""
        if self.kill_at is None and len(self._simulated.sandbox.journal.runs) >= self._runs:
            self.kill_at = self.steps + 1
        super().step()


def mixed_urls(count: int) -> list[str]:
    """Return pages of which one in ten fails, for good or at first."""
    urls = pages(count)
    urls[4::10] = [f"http://faults.test/system_failure/1?job={n}" for n in range(4, count, 10)]
    urls[9::10] = [f"http://faults.test/agent_failure?job={n}" for n in range(9, count, 10)]
    return urls


def runs_of_policy(urls: Sequence[str]) -> Counter[str]:
    """Return how often the policy runs each page."""
    return Counter({url: 2 if "system_failure/1" in url else 1 for url in urls})


def runs_by_url(simulated: CheckedBatch) -> Counter[str]:
    """Return how many runs the API created of each page."""
    return Counter(run.url for run in simulated.sandbox.journal.runs)


def begun(urls: Sequence[str], settings: Settings = SETTINGS, **config: object) -> CheckedBatch:
    """Return a batch of these pages, with an agent that reads none."""
    conditions = SandboxConfig(**{"durations": (15.0, 60.0), "retry_after": 1.0, **config})
    return CheckedBatch.of(urls, conditions, settings, agent=FixtureAgent())


def with_new_database(simulated: CheckedBatch, urls: Sequence[str]) -> CheckedBatch:
    """Return the same batch on the same API, loaded into an empty database."""
    store = open_memory_store(OTHER_TOKENS)
    specs = specs_of(urls)
    settings = simulated.batch.settings
    loaded = store.write(load_jobs, JobFile(name="batch", settings=settings, specs=specs), now())
    return replace(simulated, store=store, batch=loaded.batch)


def specs_of(urls: Sequence[str]) -> tuple[JobSpec, ...]:
    """Return the jobs of a simulated batch."""
    return tuple(
        JobSpec(key=f"job-{n}", url=url, goal="Read the name and the price")
        for n, url in enumerate(urls)
    )


async def recover(
    simulated: CheckedBatch, urls: Sequence[str], database: str | None = None
) -> RecoverResult:
    """Adopt what the API has of these jobs, as `recover` does."""
    known = recovery_policy.known_jobs(specs_of(urls))
    me = Owner(id=f"recover-{next(_STARTS)}", machine="here", pid=999, process_started_at="x")
    simulated.store.write(register_owner, me, now())
    others = [owner.id for owner, _ in simulated.store.read(other_owners, me.id)]
    simulated.store.write(rescue_attempts, me.id, simulated.batch.id, now(), others)
    async with ConsoleClient(
        "http://127.0.0.1", "key", transport=simulated.sandbox.transport()
    ) as client:
        runs = await find_runs(client, known, database)
        recovery = Recovery(simulated.store, simulated.batch, me.id, known, now)
        await recovery.run(client, runs)
    simulated.store.write(end_owner, me.id, now())
    return recovery.result


async def lost_half_way(count: int = 10, at: int | None = None, **config: object) -> None:
    """Lose the database at a run, some of them alive; recover, and run the batch to its end."""
    urls = mixed_urls(count)
    simulated = begun(urls, **config)
    with pytest.raises(ProcessKilled):
        await simulated.run(KilledAtRun(simulated, at or count // 2))
    rebuilt = with_new_database(simulated, urls)
    before = len(rebuilt.sandbox.journal.runs)
    result = await recover(rebuilt, urls)
    assert len(rebuilt.sandbox.journal.runs) == before, "recover created a run"
    assert result.adopted == before, "recover left a run out"
    await run_to_end(rebuilt)
    wanted = runs_of_policy(urls)
    created = runs_by_url(rebuilt)
    assert created == wanted, f"runs that the policy does not want: {created - wanted}"


async def restored_backup(saved_at: float = 40, lost_at: float = 90) -> None:
    """Lose a database, restore a copy from before, recover what is missing, and run to the end."""
    urls = [*mixed_urls(20), "http://faults.test/dropped_after/1"]
    original = begun(urls, replace(SETTINGS, concurrency=5))
    saved: list[CheckedBatch] = []

    async def save() -> None:
        await anyio.sleep(saved_at)
        saved.append(replace(original, store=copy_of(original.store, OTHER_TOKENS)))

    with anyio.move_on_after(lost_at):
        await at_once(original.run, save)
    [restored] = saved
    restored.starts = 50
    before = len(restored.sandbox.journal.runs)
    result = await recover(restored, urls)
    assert result.adopted > 0, "the copy was too new: this batch run proves nothing"
    assert len(restored.sandbox.journal.runs) == before
    await run_to_end(restored)
    wanted = runs_of_policy(urls)
    created = runs_by_url(restored)
    assert created == wanted, f"runs that the policy does not want: {created - wanted}"


async def equal_jobs() -> None:
    """Lose a database with two jobs that no marker distinguishes: their runs are left out."""
    urls = [*pages(3), pages(1)[0]]
    simulated = begun(urls)
    await simulated.run()
    rebuilt = with_new_database(simulated, urls)
    result = await recover(rebuilt, urls)
    assert result.adopted == 2, "a run was adopted that may be another job's"


async def looked_up() -> None:
    """Load a file again whose runs are alive, and find them by three of its jobs."""
    urls = pages(7)
    simulated = begun(urls)
    with pytest.raises(ProcessKilled):
        await simulated.run(KilledAtRun(simulated, 7))
    rebuilt = with_new_database(simulated, urls)
    digests = rebuilt.store.read(sample_jobs, rebuilt.batch.id)
    assert len(digests) == 3
    async with ConsoleClient(
        "http://127.0.0.1", "key", transport=rebuilt.sandbox.transport()
    ) as client:
        fresh = await find_fresh_runs(client, digests)
        assert len(fresh) == 3, "runs that are alive were not found"
        await anyio.sleep(timedelta(hours=23).total_seconds())
        fresh = await find_fresh_runs(client, digests)
        assert len(fresh) == 3, "runs of last night were not found"
        await anyio.sleep(timedelta(hours=2).total_seconds())
        assert await find_fresh_runs(client, digests) == [], "runs of two days ago are in the way"


async def two_copies(**config: object) -> None:
    """Restore a copy of a database, and run it beside the original: neither cancels a run."""
    urls = [*mixed_urls(10), "http://faults.test/dropped_after/1"]
    original = begun(urls, replace(SETTINGS, concurrency=2), **config)
    saved: list[CheckedBatch] = []

    async def restore() -> None:
        await anyio.sleep(60)
        copy = replace(original, store=copy_of(original.store, OTHER_TOKENS), requests=Counter())
        await anyio.sleep(60)
        saved.append(copy)
        copy.starts = 50
        await copy.run()

    await at_once(original.run, restore)
    asked = original.requests[CANCEL] + saved[0].requests[CANCEL]
    assert asked == 0, "a database cancelled runs of its copy"
    ends = {run.status for run in original.sandbox.journal.runs}
    assert Status.CANCELLED not in ends, "a run of the copy was cancelled"
