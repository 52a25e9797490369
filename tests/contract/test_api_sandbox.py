"""The client and the sandbox agree: every endpoint, and what can befall it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from api_wire import KEY, jobs
from openapi import judging

from batchrunner.model import (
    Created,
    NotFound,
    Refused,
    RequestFailed,
    Run,
    RunStatus,
    Unanswered,
)
from batchrunner.sandbox import Sandbox, SandboxConfig
from batchrunner.tinyfish.client import TinyFishClient

DAWN = datetime(2026, 9, 2, 21, 0, tzinfo=UTC)
FAULTS = "https://faults.test/"

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Stage:
    """A sandbox, its clock, and our client in front of it."""

    def __init__(self, **config: Any) -> None:
        self.now = DAWN
        self.sandbox = Sandbox.in_process(
            SandboxConfig(**{"durations": (10.0, 10.0), **config}),
            lambda: self.now,
            middleware=judging,
        )
        self.api = TinyFishClient("http://localhost", KEY, transport=self.sandbox.transport())

    def tick(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    async def create(self, *urls: str, goal: str = "Read the price", **options: Any) -> list[str]:
        runs = [{"url": url, "goal": goal, **options} for url in urls]
        answer = await self.api.create(runs, None)
        assert isinstance(answer, Created)
        return list(answer.run_ids)

    @property
    def created(self) -> int:
        return len(self.sandbox.journal.runs)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    async with stage.api:
        yield stage


async def test_runs_are_created_looked_at_and_read(stage: Stage) -> None:
    run_ids = await stage.create("https://shop.test/", f"{FAULTS}goal_failure", f"{FAULTS}lost")
    fresh = await stage.api.get_many(run_ids)
    assert isinstance(fresh[run_ids[0]], Run)
    assert fresh[run_ids[2]] == NotFound(run_id=run_ids[2])
    stage.tick(11)
    found = await stage.api.get_many([*run_ids, "nobody"])
    done, missed = found[run_ids[0]], found[run_ids[1]]
    assert isinstance(done, Run)
    assert isinstance(missed, Run)
    assert done.status is missed.status is RunStatus.COMPLETED
    assert json.loads(missed.result or "")["status"] == "failure"
    assert found["nobody"] == NotFound(run_id="nobody")
    assert done.goal == "Read the price"
    assert done.created_at == done.started_at == DAWN
    assert done.finished_at == DAWN + timedelta(seconds=10)
    assert done.steps
    alone = await stage.api.get(run_ids[0])
    assert (alone.status, alone.result, alone.steps) == (done.status, done.result, done.steps)


async def test_one_run_is_created_with_its_schema(stage: Stage) -> None:
    schema = {"type": "object", "properties": {"price": {"type": "number"}}}
    answer = await stage.api.create_one(jobs(1)[0], schema)
    assert isinstance(answer, Created)
    batch = await stage.api.create(jobs(2), schema)
    assert isinstance(batch, Created)
    assert stage.created == 3


async def test_a_run_that_is_not_there_is_reported_as_such(stage: Stage) -> None:
    with pytest.raises(RequestFailed) as raised:
        await stage.api.get("nobody")
    assert raised.value.fault.status == 404
    assert await stage.api.cancel("nobody") is None
    assert await stage.api.cancel_many(["nobody"]) == {}


async def test_a_failed_run_says_why(stage: Stage) -> None:
    [run_id] = await stage.create(f"{FAULTS}system_failure")
    stage.tick(11)
    run = await stage.api.get(run_id)
    assert run.status is RunStatus.FAILED
    assert run.error is not None
    assert (run.error.code, run.error.category) == ("service_busy", "SYSTEM_FAILURE")
    assert run.error.retry_after == timedelta(seconds=30)


async def test_runs_are_cancelled_one_by_one_and_together() -> None:
    stage = Stage(limit=1)
    async with stage.api as api:
        done, first, second, third = await stage.create(*["https://shop.test/"] * 4)
        stage.tick(15)
        assert await api.cancel(first) is RunStatus.CANCELLED
        assert await api.cancel(first) is RunStatus.CANCELLED
        assert await api.cancel_many([done, second, third, "nobody"]) == {
            done: RunStatus.COMPLETED,
            second: RunStatus.CANCELLED,
            third: RunStatus.CANCELLED,
        }


async def test_runs_are_found_by_their_marker_over_several_pages(stage: Stage) -> None:
    urls = ["https://shop.test/"] * 60
    ours = [*await stage.create(*urls, goal="Read\n\n[ref br-tok-1]")]
    await stage.create(*urls, goal="Read\n\n[ref br-other-1]")
    stage.tick(1)
    ours += await stage.create(*urls, goal="Read\n\n[ref br-tok-1]")
    found = (await stage.api.search("br-tok-")).runs
    assert {run.run_id for run in found} == set(ours)
    assert [run.created_at for run in found] == sorted(run.created_at for run in found)  # type: ignore[type-var]
    assert (await stage.api.search("br-none-")).runs == ()


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("rejected", 400),
        ("rejected_unnamed", 400),
        ("gated", 403),
        ("no_credits", 402),
        ("throttled", 429),
    ],
)
async def test_a_refusal_creates_nothing(stage: Stage, fault: str, status: int) -> None:
    runs = [*jobs(1), {"url": f"{FAULTS}{fault}", "goal": "Read"}]
    answer = await stage.api.create(runs, None)
    assert isinstance(answer, Refused)
    assert answer.fault.status == status
    assert set(answer.fault.issues) == ({1} if fault == "rejected" else set())
    assert (answer.fault.retry_after is not None) is (fault == "throttled")
    alone = await stage.api.create_one(runs[1], None)
    assert isinstance(alone, Refused)
    assert stage.created == 0


@pytest.mark.parametrize(
    ("fault", "created"),
    [
        ("unavailable", 0),
        ("error_before", 0),
        ("error_after", 2),
        ("dropped_before", 0),
        ("dropped_after", 2),
    ],
)
async def test_an_answer_that_is_none_says_nothing_of_what_was_created(
    stage: Stage, fault: str, created: int
) -> None:
    answer = await stage.api.create([*jobs(1), {"url": f"{FAULTS}{fault}", "goal": "Read"}], None)
    assert isinstance(answer, Unanswered)
    assert stage.created == created


async def test_a_silent_api_is_unanswered_after_the_deadline(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batchrunner.tinyfish.client.CREATE_SECONDS", 0.05)
    answer = await stage.api.create([{"url": f"{FAULTS}hung_after", "goal": "Read"}], None)
    assert isinstance(answer, Unanswered)
    assert stage.created == 1


async def test_problems_are_reported_with_their_places(stage: Stage) -> None:
    runs = [*jobs(2), {"url": "shop.test", "goal": "Read"}, {"url": "https://a.test/", "goal": ""}]
    answer = await stage.api.create(runs, None)
    assert isinstance(answer, Refused)
    assert set(answer.fault.issues) == {2, 3}
    assert 'Field "url"' in answer.fault.issues[2]


async def test_an_api_without_batches_refuses_them_and_takes_single_runs() -> None:
    stage = Stage(variants={"run_batch": "missing"})
    async with stage.api as api:
        answer = await api.create(jobs(2), None)
        assert isinstance(answer, Refused)
        assert answer.fault.status in (404, 405, 501)
        assert isinstance(await api.create_one(jobs(1)[0], None), Created)


async def test_an_empty_wallet_refuses_and_a_proxy_in_between_says_nothing() -> None:
    stage = Stage(credits=Decimal(0), rates={"unreachable": 1.0})
    async with stage.api as api:
        answer = await api.create(jobs(1), None)
        assert isinstance(answer, Refused)
        assert answer.fault.status in (402, 403)
        with pytest.raises(RequestFailed) as raised:
            await api.get_many(["a"])
        assert raised.value.fault.status == 502
