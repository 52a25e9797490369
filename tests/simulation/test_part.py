"""A part of a batch on virtual time: killed and restarted, it buys no job beyond the part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection

from batchrunner.model import Settings
from batchrunner.model.part import ChosenPart, Part
from batchrunner.runner.runner import ExitReason
from batchrunner.sandbox import SandboxConfig
from batchrunner.store import part as parts
from batchrunner.store.claims import claim_jobs
from batchrunner.store.part import choose_part
from tests.simulation.checked_batch import CheckedBatch
from tests.simulation.planting import Bug, Planter, check_caught
from tests.simulation.short_batches import SHORT_RUNS
from tests.simulator.simulated_batch import KillSwitch, ProcessKilled, pages, simulate

JOBS, PART = 9, Part(jobs=3, spread=True)
#: Steps at which the partial run is killed, in the middle of its work.
KILLS = (30, 60)


async def partial_batch() -> None:
    """Run a part that is killed twice, then the part again, then the rest."""
    simulated = CheckedBatch.of(
        pages(JOBS), SandboxConfig(durations=SHORT_RUNS), Settings(concurrency=2)
    )
    batch = simulated.batch
    for kill_at in (*KILLS, None, None):
        simulated.store.write(parts.choose_part, batch.id, PART)
        try:
            reason = await simulated.run(KillSwitch(kill_at), part=True)
        except ProcessKilled:
            continue
        assert reason is ExitReason.FINISHED
    simulated.check_always()
    bought = len(simulated.sandbox.journal.runs)
    assert bought <= PART.jobs, f"a part of {PART.jobs} jobs bought {bought} runs"
    assert bought == PART.jobs
    await simulated.run()
    simulated.check_end()
    assert len(simulated.sandbox.journal.runs) == JOBS, "the rest paid again for the part"


def test_a_killed_part_goes_on_and_then_the_rest_pays_nothing_twice() -> None:
    simulate(partial_batch)


def claim_from_all(planter: Planter) -> None:
    def claim(*args: Any, part: bool, first: Any, **kwargs: Any) -> Any:
        return claim_jobs(*args, **kwargs)

    planter.replace(claim_jobs, claim)


def choose_anew_at_each_start(planter: Planter) -> None:
    begun = 0

    def choose(tx: Connection, batch_id: int, part: Part) -> ChosenPart:
        nonlocal begun
        begun += part.jobs
        return choose_part(tx, batch_id, Part(jobs=begun, spread=part.spread))

    planter.replace(choose_part, choose)


@pytest.mark.parametrize("plant", [claim_from_all, choose_anew_at_each_start])
def test_each_planted_bug_buys_beyond_the_part(
    plant: Callable[[Planter], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    bug = Bug(plant, partial_batch, r"a part of 3 jobs bought \d+ runs")
    check_caught(bug, monkeypatch)
