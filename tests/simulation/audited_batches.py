"""Simulated batches whose audits find something: twins, runs of another database, losses."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import anyio
import httpx
from sqlalchemy import insert

from batchrunner.model import JobState, Settings, StopLoss
from batchrunner.model.audit import ForeignRunsFound, StopLossReached
from batchrunner.runner.runner import ExitReason
from batchrunner.sandbox import SandboxConfig
from batchrunner.store.schema import attempts, orphans
from tests.simulation.answer_changes import change_answers
from tests.simulation.checked_batch import CheckedBatch
from tests.simulator.simulated_batch import now, pages

PATIENT = Settings(backoff=timedelta(seconds=4), concurrency=4, stop_loss=StopLoss(share=None))


def events_of(simulated: CheckedBatch, kind: type[Any]) -> list[Any]:
    return [event for event in simulated.events if isinstance(event, kind)]


async def to_its_end(simulated: CheckedBatch) -> None:
    with anyio.fail_after(4 * 3600):
        assert await simulated.run() is ExitReason.FINISHED
    line, simulated.network = simulated.network, None
    simulated.check_end()
    simulated.network = line


async def create_elsewhere(simulated: CheckedBatch, text: str) -> httpx.Response:
    """Create a run as a copy of the database would; return the API's answer."""
    async with httpx.AsyncClient(
        transport=simulated.sandbox.transport(), base_url="http://127.0.0.1"
    ) as client:
        run = {"url": "http://shop.test/products/9", "goal": f"Read the name\n\n{text}"}
        body = {"runs": [run]}
        return await client.post(
            "/v1/automation/run-batch", json=body, headers={"X-API-Key": "key"}
        )


def marker_of_a_copy(simulated: CheckedBatch) -> str:
    """Return the marker of a submission that another copy of the database wrote."""
    with simulated.store._database.read() as tx:
        marker = tx.execute(attempts.select()).first().marker
    head, batch, _, position, job = marker.split("-")
    return f"{head}-{batch}-elsewhere-{position}-{job}"


async def beside_a_copy(jobs: int = 8, **config: Any) -> CheckedBatch:
    """Run a batch while a copy of its database creates a run; check that it is not touched."""
    conditions = SandboxConfig(**{"durations": (400.0, 500.0), **config})
    original = CheckedBatch.of(pages(jobs), conditions, PATIENT)

    async def copy() -> None:
        await anyio.sleep(20)
        answer = await create_elsewhere(original, marker_of_a_copy(original))
        assert answer.status_code == 200

    async with anyio.create_task_group() as group:
        group.start_soon(copy)
        reason = await original.run()
    (foreign,) = [run for run in original.sandbox.journal.runs if "-elsewhere-" in run.goal]
    await original.sandbox.settle()
    assert foreign.status != "CANCELLED", "a run of another database was cancelled"
    created = sum(not run.replayed for run in original.sandbox.journal.runs) - 1
    assert created < jobs, "submitting went on beside another database"
    assert reason is ExitReason.STOPPED
    assert original.audit_stop == ForeignRunsFound(run_ids=(foreign.run_id,))
    return original


async def orphan_of_another_database() -> None:
    """List a run of another database as an orphan, as if an answer had named it."""
    mixed_up = CheckedBatch.of(pages(2), SandboxConfig(durations=(300, 400)), PATIENT)

    async def name_it() -> None:
        await anyio.sleep(5)
        answer = await create_elsewhere(mixed_up, "[ref br-another-elsewhere-01-abcdefghjk]")
        (run_id,) = answer.json()["run_ids"]
        with mixed_up.store._database.write() as tx:
            row = {"run_id": run_id, "batch_id": 1, "submission_id": 1, "found_at": now()}
            tx.execute(insert(orphans).values(**row))

    async with anyio.create_task_group() as group:
        group.start_soon(name_it)
        reason = await mixed_up.run()
    await mixed_up.sandbox.settle()
    (foreign,) = [run for run in mixed_up.sandbox.journal.runs if "elsewhere" in run.goal]
    assert foreign.status != "CANCELLED", "a run of another database was cancelled"
    assert reason is ExitReason.FINISHED
    with mixed_up.store._database.read() as tx:
        assert tx.execute(orphans.select()).all() == []


def lossy(stop_loss: StopLoss, jobs: int = 60) -> CheckedBatch:
    """Return a batch whose create requests are all sent twice."""
    config = SandboxConfig(rates={"replayed": 1.0}, durations=(60, 120))
    return CheckedBatch.of(pages(jobs), config, Settings(concurrency=6, stop_loss=stop_loss))


async def stops_at_its_stop_loss(stop_loss: StopLoss) -> CheckedBatch:
    """Run a batch that loses half of its runs, and check that it stops."""
    losing = lossy(stop_loss)
    with anyio.fail_after(4 * 3600):
        reason = await losing.run()
    assert reason is ExitReason.STOPPED, "a batch that lost half of its runs went on"
    assert isinstance(losing.audit_stop, StopLossReached)
    assert losing.jobs().get(JobState.AVAILABLE, 0) > 20
    return losing


async def newest_run_not_yet_shown() -> None:
    """Hide the newest run from every answer once the batch is over: the API forgets nothing."""
    short = CheckedBatch.of(pages(3), SandboxConfig(durations=(30, 60)), PATIENT)
    hidden: list[str] = []

    async def hide(request: httpx.Request, body: Any) -> Any:
        reads = request.url.path in ("/v1/runs", "/v1/runs/batch")
        if not reads or short.jobs() != {JobState.SUCCEEDED: 3}:
            return body
        hidden[:] = [short.sandbox.journal.runs[-1].run_id]
        shown = [run for run in body["data"] if run["run_id"] not in hidden]
        return {**body, "data": shown} | ({"not_found": hidden} if "not_found" in body else {})

    change_answers(short, hide)
    assert await short.run() is ExitReason.FINISHED
    assert hidden, "nothing was hidden: this run proves nothing"
    assert short.audit_report is not None
    assert short.audit_report.not_yet_shown == 1
