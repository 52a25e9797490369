"""Runners whose database is away for longer than a lease: no living owner is taken over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

import anyio
import pytest

from batchrunner.model import JobState, Settings
from batchrunner.runner.events import AttemptsRescued
from batchrunner.runner.runner import ExitReason
from batchrunner.sandbox import SandboxConfig
from batchrunner.store.database import StoreError
from batchrunner.store.store_time import LEASE
from tests.simulation.checked_batch import CheckedBatch
from tests.simulator.machine_faults import TimeSpan
from tests.simulator.simulated_batch import KillSwitch, T, pages, simulate
from tests.sweeps import some

SETTINGS = Settings(concurrency=4, backoff=timedelta(seconds=4))
#: A database that is away for five minutes, after a minute of work.
OUTAGE = TimeSpan(60, 360)
NEVER_BACK = TimeSpan(60, 1e9)


@dataclass
class CutOff(KillSwitch):
    """A process that cannot reach the database for a while."""

    away: Iterable[TimeSpan] = ()
    met: Counter[str] = field(default_factory=Counter)

    async def offload(self, call: Callable[[], T], /) -> T:
        if any(span.holds(anyio.current_time()) for span in self.away):
            self.met["away"] += 1
            raise StoreError("the database is away", next="wait", passing=True)
        return await super().offload(call)


def believes(owners: object) -> list[str]:
    """Know of nobody's death: they are on other machines."""
    return []


@pytest.mark.sweep
@pytest.mark.parametrize(
    "later", some([0.0, 0.3, 4.0, 20.0], 1), ids=lambda seconds: f"{seconds} s later"
)
def test_a_database_that_was_away_for_longer_than_a_lease_costs_no_runner_its_life(
    later: float,
) -> None:
    async def scenario() -> None:
        shared = CheckedBatch.of(pages(12), SandboxConfig(durations=(100, 200)), SETTINGS)
        kill_switches = [
            CutOff(away=[OUTAGE]),
            CutOff(away=[TimeSpan(OUTAGE.begins, OUTAGE.ends + later)]),
        ]
        endings: list[ExitReason] = []

        async def work(kill_switch: KillSwitch) -> None:
            endings.append(await shared.run(kill_switch, exited_owners=believes))

        async with anyio.create_task_group() as tasks:
            for kill_switch in kill_switches:
                tasks.start_soon(work, kill_switch)
                await anyio.sleep(1.0)
        assert all(kill_switch.met["away"] for kill_switch in kill_switches)
        assert endings == [ExitReason.FINISHED] * 2
        assert not [event for event in shared.events if isinstance(event, AttemptsRescued)]
        shared.check_end()
        assert shared.jobs() == {JobState.SUCCEEDED: 12}
        assert len(shared.sandbox.journal.runs) == 12

    simulate(scenario)


@pytest.mark.sweep
def test_an_owner_that_died_in_a_database_outage_is_taken_over_a_lease_after_its_end() -> None:
    async def scenario() -> None:
        shared = CheckedBatch.of(pages(12), SandboxConfig(durations=(100, 200)), SETTINGS)
        async with anyio.create_task_group() as tasks:
            mortal = anyio.CancelScope()

            async def dies() -> None:
                with mortal:
                    await shared.run(CutOff(away=[NEVER_BACK]), exited_owners=believes)

            tasks.start_soon(dies)
            await anyio.sleep(5)  # all slots are the other's
            tasks.start_soon(partial(shared.run, CutOff(away=[OUTAGE]), exited_owners=believes))
            await anyio.sleep_until(200)
            mortal.cancel()
            await anyio.sleep_until(OUTAGE.ends + LEASE.total_seconds() - 1)
            assert not [event for event in shared.events if isinstance(event, AttemptsRescued)]
        assert [event for event in shared.events if isinstance(event, AttemptsRescued)]
        shared.check_end()
        assert len(shared.sandbox.journal.runs) == 12

    simulate(scenario)
