"""Values are searched for in the pages of runs, beside a batch on virtual time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, TypeVar

import anyio
import httpx
import pytest

from batchrunner.app.grounding_report import GroundingReport, grounding_report
from batchrunner.artifacts.download import ArtifactDownloader
from batchrunner.model import JobState, Settings
from batchrunner.model.grounding_rule import GroundingRule
from batchrunner.runner.events import GroundingDropped
from batchrunner.runner.grounding_checker import GroundingChecker
from batchrunner.runner.runner import ExitReason
from batchrunner.sandbox import SandboxConfig
from batchrunner.store.artifacts import artifact_rows
from batchrunner.tinyfish.console_client import ConsoleClient
from tests.simulation.checked_batch import CheckedBatch
from tests.simulator.simulated_batch import pages, simulate

T = TypeVar("T")
HOME = "http://127.0.0.1"
SETTINGS = Settings(concurrency=4, grounding=GroundingRule(sample=Decimal(1)))


async def inline(call: Callable[[], T], /) -> T:
    return call()


async def checked(simulated: CheckedBatch) -> GroundingReport:
    """Run a batch with a checker beside it, and return what was found."""
    line = simulated.sandbox.transport()
    async with (
        ConsoleClient(HOME, "key", line) as console,
        ArtifactDownloader(HOME, "key", line, outside=line) as downloader,
        anyio.create_task_group() as tasks,
    ):
        checker = GroundingChecker(
            store=simulated.store,
            console=console,
            downloader=downloader,
            batch_id=simulated.batch.id,
            owner_id="owner-1",
            offload=inline,
            offload_check=inline,
        )
        tasks.start_soon(checker.run)
        assert await simulated.run() is ExitReason.FINISHED
        await checker.finish(300)
        tasks.cancel_scope.cancel()
    simulated.check_always()
    return grounding_report(simulated.store, simulated.batch)


def batch_of(urls: list[str], **config: Any) -> CheckedBatch:
    return CheckedBatch.of(urls, SandboxConfig(durations=(3, 9), **config), SETTINGS)


def test_a_made_up_value_is_absent_and_all_others_are_in_the_page() -> None:
    async def run() -> GroundingReport:
        simulated = batch_of([*pages(3), "http://faults.test/made_up"])
        report = await checked(simulated)
        assert simulated.jobs() == {JobState.SUCCEEDED: 4}
        assert simulated.store.read(artifact_rows, simulated.batch.id) == [], "a page was kept"
        captured = [run.body["capture_config"] for run in simulated.sandbox.journal.runs]
        assert captured == [{"html": True}] * 4
        return report

    report = simulate(run)
    assert (report.summary.rows, report.summary.rows_with_absent, report.waiting) == (4, 1, 0)
    (row,) = report.rows
    assert row.key == "job-3"
    assert [each.path for each in row.values] == ["name"]
    assert json.loads(json.dumps(report.as_json()))["fields"]["price"]["absent"] == 0


@pytest.mark.sweep
@pytest.mark.parametrize("fault", ["artifact_truncated", "artifact_traversal", "artifact_dripping"])
def test_pages_that_cannot_be_read_fail_no_job(fault: str) -> None:
    async def run() -> GroundingReport:
        simulated = batch_of(pages(4), rates={fault: 1.0})
        report = await checked(simulated)
        assert simulated.jobs() == {JobState.SUCCEEDED: 4}
        return report

    report = simulate(run)
    assert report.summary.rows == 0
    assert sum(report.not_checked.values()) + report.waiting == 4


class RefusesCaptures(httpx.AsyncBaseTransport):
    """An API that does not know the option with which pages are captured."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner
        self.served: Mapping[str, Any] = {}
        self.refused = Counter[str]()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if b"capture_config" in await request.aread():
            self.refused[request.url.path] += 1
            error = {"code": "INVALID_INPUT", "message": "Unrecognized key: 'capture_config'"}
            return httpx.Response(400, json={"error": error})
        return await self._inner.handle_async_request(request)


def test_a_batch_goes_on_without_grounding_where_the_api_refuses_to_capture() -> None:
    async def run() -> None:
        simulated = batch_of(pages(4))
        network: Any = RefusesCaptures(simulated.sandbox.transport())
        simulated.network = network
        report = await checked(simulated)
        assert simulated.jobs() == {JobState.SUCCEEDED: 4}
        assert sum(network.refused.values()) == 1
        dropped = [each for each in simulated.events if isinstance(each, GroundingDropped)]
        assert len(dropped) == 1
        assert report.summary.rows == report.waiting == 0

    simulate(run)
