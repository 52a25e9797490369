"""Clients that wait: `/run`, run-sse, and the webhooks that spare them the waiting."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import anyio
import httpx
import pytest
from openapi import mistakes
from sandbox_stage import DAWN, Flowing, Stage, after, played

PAGE = "https://shop.test/"
RUN = "/v1/automation/run"
STREAM = "/v1/automation/run-sse"
RUN_ASYNC = "/v1/automation/run-async"


def item(fault: str = "normal", **options: Any) -> dict[str, Any]:
    return {"url": f"https://faults.test/{fault}", "goal": "Read the price", **options}


def on_stage(act: Callable[[Stage], Awaitable[Any]], **config: Any) -> Any:
    async def main() -> Any:
        return await act(Stage(clock=Flowing(), **config))

    return played(main)


# ---- /run ----


def test_a_run_is_answered_when_it_is_over() -> None:
    async def act(stage: Stage) -> None:
        answer = await stage.post(RUN, item())
        [run] = stage.sandbox.journal.runs
        assert answer == {
            "run_id": run.run_id,
            "status": "COMPLETED",
            "started_at": after(0),
            "finished_at": after(10),
            "num_of_steps": 2,
            "result": {"price": 18.5},
            "error": None,
        }
        assert anyio.current_time() >= 10

    on_stage(act)


def test_a_run_that_has_to_wait_for_its_slot_is_answered_all_the_same() -> None:
    async def act(stage: Stage) -> None:
        await stage.create(PAGE, PAGE, PAGE)
        assert (await stage.post(RUN, item()))["finished_at"] == after(40)

    on_stage(act, limit=1)


@pytest.mark.parametrize(
    ("fault", "code"), [("agent_failure", "TASK_FAILED"), ("cancelled", "CANCELLED")]
)
def test_a_run_that_failed_is_a_200_with_an_error(fault: str, code: str) -> None:
    async def act(stage: Stage) -> None:
        answer = await stage.post(RUN, item(fault))
        assert (answer["status"], answer["error"]["code"]) == ("FAILED", code)

    on_stage(act)


def test_nobody_else_can_cancel_a_run_that_is_waited_for() -> None:
    async def act(stage: Stage) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stage.post, RUN, item())
            await anyio.sleep(4)
            [run] = stage.sandbox.journal.runs
            refused = await stage.client.post(f"/v1/runs/{run.run_id}/cancel")
            assert refused.status_code == 400
            many = await stage.post("/v1/runs/batch/cancel", {"run_ids": [run.run_id]})
            assert many == {"results": [], "not_found": [run.run_id]}
        done = await stage.post(f"/v1/runs/{run.run_id}/cancel")
        assert done["message"] == "Run already finished"

    on_stage(act)


def test_where_it_can_be_cancelled_the_answer_comes_at_once() -> None:
    async def act(stage: Stage) -> None:
        async with anyio.create_task_group() as tasks:
            answers: list[Any] = []

            async def run() -> None:
                answers.append(await stage.post(RUN, item()))

            tasks.start_soon(run)
            await anyio.sleep(4)
            [kept] = stage.sandbox.journal.runs
            await stage.post(f"/v1/runs/{kept.run_id}/cancel")
        assert answers[0]["finished_at"] == after(4)
        assert answers[0]["error"]["code"] == "CANCELLED"

    on_stage(act, variants={"sync_cancel": "done"})


def test_a_run_goes_on_when_its_client_has_gone() -> None:
    async def act(stage: Stage) -> None:
        with pytest.raises(httpx.ReadTimeout):
            await stage.client.post(RUN, json=item(), timeout=3)
        await anyio.sleep(10)
        await stage.sandbox.settle()
        [run] = stage.sandbox.journal.runs
        assert run.status == "COMPLETED"

    on_stage(act)


# ---- run-sse ----


def events(content: bytes) -> list[dict[str, Any]]:
    frames = content.decode().split("\n\n")[:-1]
    return [json.loads(frame.removeprefix("data: ")) for frame in frames]


def test_a_stream_tells_a_run_from_beginning_to_end() -> None:
    async def act(stage: Stage) -> None:
        answer = await stage.client.post(STREAM, json=item())
        [run] = stage.sandbox.journal.runs
        shown = events(answer.content)
        assert [(event["type"], event["timestamp"]) for event in shown] == [
            ("STARTED", after(0)),
            ("STREAMING_URL", after(0)),
            ("PROGRESS", after(0)),
            ("PROGRESS", after(10)),
            ("COMPLETE", after(10)),
        ]
        assert {event["run_id"] for event in shown} == {run.run_id}
        assert shown[1]["streaming_url"] == f"https://sandbox/live/{run.run_id}"
        assert shown[3]["purpose"] == "Read the price"
        assert shown[-1]["result"] == {"price": 18.5}

    on_stage(act)


@pytest.mark.parametrize(("answer", "first"), [("at_once", 0), ("running", 40)])
def test_a_stream_lives_while_its_run_waits(answer: str, first: float) -> None:
    async def act(stage: Stage) -> None:
        await stage.create(PAGE)
        shown = events((await stage.client.post(STREAM, json=item())).content)
        kinds = [event["type"] for event in shown]
        assert kinds.count("HEARTBEAT") == 4
        started = next(event for event in shown if event["type"] == "STARTED")
        assert started["timestamp"] == after(first)
        assert (kinds[-1], shown[-1]["timestamp"]) == ("COMPLETE", after(80))

    on_stage(act, limit=1, durations=(40.0, 40.0), variants={"stream_start": answer})


def test_a_stream_ends_when_its_run_is_cancelled() -> None:
    async def act(stage: Stage) -> None:
        async with anyio.create_task_group() as tasks:
            answers: list[httpx.Response] = []

            async def run() -> None:
                answers.append(await stage.client.post(STREAM, json=item("stuck")))

            tasks.start_soon(run)
            await anyio.sleep(4)
            [kept] = stage.sandbox.journal.runs
            await stage.post(f"/v1/runs/{kept.run_id}/cancel")
        last = events(answers[0].content)[-1]
        assert (last["status"], last["timestamp"]) == ("CANCELLED", after(4))

    on_stage(act)


# ---- webhooks ----

HOOK = "https://hooks.example.net/done?job=7"


class Hook(httpx.MockTransport):
    """Answer as told, one answer after the other, and remember what came."""

    def __init__(self, *answers: int | Exception) -> None:
        self.came: list[httpx.Request] = []
        self._answers = list(answers)
        super().__init__(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.came.append(request)
        answer = self._answers.pop(0) if self._answers else 200
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer, headers={"Location": "https://elsewhere.test/"})


async def pass_time(stage: Stage, hook: Hook, seconds: float) -> list[float]:
    """Let time pass in quarters of a second; give the moments at which something came."""
    moments: list[float] = []
    async with httpx.AsyncClient(transport=hook) as client:
        for _ in range(int(seconds * 4)):
            await stage.sandbox.settle()
            before = len(hook.came)
            await stage.sandbox.deliver(client)
            now = (stage.clock() - DAWN) / timedelta(seconds=1)
            moments += [now] * (len(hook.came) - before)
            stage.clock.tick(0.25)
    return moments


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
@pytest.mark.parametrize(
    ("fault", "event"),
    [
        ("normal", "run.completed"),
        ("agent_failure", "run.failed"),
        ("cancelled", "run.cancelled"),
    ],
)
async def test_a_webhook_hears_once_how_a_run_ended(fault: str, event: str) -> None:
    stage, hook = Stage(), Hook()
    capture = {"screenshots": True, "html": True}
    body = item(fault, webhook_url=HOOK, capture_config=capture)
    run_id = (await stage.post(RUN_ASYNC, body))["run_id"]
    moments = await pass_time(stage, hook, 30)
    assert moments == [5.0 if fault == "cancelled" else 10.0]
    [request] = hook.came
    assert (request.method, str(request.url)) == ("POST", HOOK)
    assert request.headers["Content-Type"] == "application/json"
    shown = json.loads(request.content)
    assert mistakes(shown, "/components/schemas/RunEvent") == []
    assert (shown["event"], shown["run_id"]) == (event, run_id)
    assert {step["screenshot"] for step in shown["data"]["steps"]} == {None}


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["trio"])
@pytest.mark.parametrize(
    ("answers", "moments"),
    [
        ([204], [10]),
        ([500, 200], [10, 11]),
        ([500, 503, 502, 500, 200], [10, 11, 13, 17]),
        ([httpx.ConnectError("no"), httpx.ReadTimeout("slow"), 200], [10, 11, 13]),
        ([404], [10]),
        ([429], [10]),
        ([302, 200], [10, 11]),
    ],
)
async def test_a_webhook_is_tried_four_times_at_most(
    answers: list[int | Exception], moments: list[float]
) -> None:
    stage, hook = Stage(), Hook(*answers)
    await stage.post(RUN_ASYNC, item(webhook_url=HOOK))
    assert await pass_time(stage, hook, 40) == moments
    assert {str(request.url) for request in hook.came} == {HOOK}


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_a_run_that_named_no_webhook_tells_nobody() -> None:
    stage, hook = Stage(), Hook()
    await stage.create(PAGE)
    assert await pass_time(stage, hook, 20) == []
