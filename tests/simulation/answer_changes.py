"""A transport between runners and API that changes answers."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import httpx

from tests.simulator.simulated_batch import SimulatedBatch

#: Takes a request and the body of its answer, and returns another body.
Change: TypeAlias = Callable[[httpx.Request, Any], Awaitable[Any]]


class AnswerChanger(httpx.AsyncBaseTransport):
    """Passes requests to the sandbox, and changes the answers."""

    def __init__(self, simulated: SimulatedBatch, change: Change) -> None:
        self._inner = simulated.sandbox.transport()
        self._change = change

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._inner.handle_async_request(request)
        if answer.status_code != 200:
            return answer
        body = await self._change(request, answer.json())
        return httpx.Response(200, content=json.dumps(body))


def change_answers(simulated: SimulatedBatch, change: Change) -> None:
    """Change all answers of a batch."""
    simulated.network = AnswerChanger(simulated, change)  # type: ignore[assignment]


class Fickle:
    """A change: every other poll shows the goals of runs that ask for a price in another order."""

    def __init__(self) -> None:
        self.looks = 0

    async def __call__(self, request: httpx.Request, body: Any) -> Any:
        if request.url.path != "/v1/runs/batch":
            return body
        runs = [run for run in body["data"] if "price" in run["goal"]]
        self.looks += len(runs) > 1
        if self.looks % 2:
            goals = [run["goal"] for run in reversed(runs)]
            for run, goal in zip(runs, goals, strict=True):
                run["goal"] = goal
        return body
