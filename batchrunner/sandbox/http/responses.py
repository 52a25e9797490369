"""HTTP responses: JSON, refusals in the shape of each variant, and no answer."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from batchrunner.sandbox.http.errors import ApiErrorAnswer, NoAnswer
from batchrunner.sandbox.scenario import SandboxConfig
from batchrunner.sandbox.seeded_random import seeded_id

#: Statuses whose answer from run-batch has `run_ids: null` beside the error.
_BATCH_ENVELOPE = (400, 402, 403, 500)


class Json(JSONResponse):
    """JSON in ASCII, which can carry any text that a client sent."""

    def render(self, content: Any) -> bytes:
        """Return the content as JSON without spaces."""
        return json.dumps(content, separators=(",", ":")).encode()


class Awaited(Response):
    """An answer that takes time; work on it stops when its client disconnects."""

    def __init__(self, answer: Callable[[], Awaitable[Response]]) -> None:
        super().__init__()
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer when it is ready."""
        async with anyio.create_task_group() as tasks:

            async def cancel_on_disconnect() -> None:
                await _disconnected(receive)
                tasks.cancel_scope.cancel()

            tasks.start_soon(cancel_on_disconnect)
            await (await self._answer())(scope, receive, send)
            tasks.cancel_scope.cancel()


class _Silence(Response):
    """An answer that never comes: the server disconnects, at once or after its client."""

    def __init__(self, *, hangs: bool) -> None:
        super().__init__()
        self._hangs = hangs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._hangs:
            await _disconnected(receive)
            return
        headers = [(b"content-type", b"application/json"), (b"content-length", b"1")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class Refusals:
    """Puts refusals into the shapes that the config's variants choose."""

    def __init__(self, config: SandboxConfig) -> None:
        self._waits = config.answers("retry_after") == "sent"
        self._flat = config.answers("envelope") == "flat"
        self._batch = config.answers("batch_error")

    def answer(self, refused: ApiErrorAnswer) -> Response:
        """Answer with an error in its envelope."""
        return self._sent(refused, self._enveloped(refused))

    def of_batch(self, refused: ApiErrorAnswer) -> Response:
        """Answer a refused run-batch, whose envelope is its own."""
        if refused.status != 200 and (
            self._batch == "plain" or refused.status not in _BATCH_ENVELOPE
        ):
            return self.answer(refused)
        if self._batch == "listed" and refused.status != 200:
            return self._sent(refused, {"run_ids": None, "errors": _listed(refused)})
        if self._batch == "ok" or refused.status == 200:
            bare = {key: refused.error[key] for key in ("code", "message")}
            return Json({"run_ids": None, "error": bare})
        return self._sent(refused, {"run_ids": None, **self._enveloped(refused)})

    def of_single(self, refused: ApiErrorAnswer) -> Response:
        """Answer a refused run-async."""
        if refused.status == 200:
            bare = {key: refused.error[key] for key in ("code", "message")}
            return Json({"run_id": None, "error": bare})
        return self.answer(refused)

    async def refused(self, request: Request, error: Exception) -> Response:
        """Answer an exception of an endpoint: a refusal, no answer, or an unknown path."""
        match error:
            case ApiErrorAnswer():
                return self.answer(error)
            case NoAnswer():
                return _Silence(hangs=error.hangs)
            case HTTPException():
                code = "NOT_FOUND" if error.status_code == 404 else "INVALID_INPUT"
                answer = self.answer(ApiErrorAnswer(error.status_code, code, error.detail))
                answer.headers.update(error.headers or {})
                return answer
            case _:
                raise error

    def _enveloped(self, refused: ApiErrorAnswer) -> dict[str, Any]:
        if not self._flat:
            return {"error": refused.error}
        error = refused.error
        trace = seeded_id("request", error["message"])
        return {"error_code": error["code"], "message": error["message"], "request_id": trace}

    def _sent(self, refused: ApiErrorAnswer, content: dict[str, Any]) -> Response:
        waits = refused.wait is not None and self._waits
        headers = {"Retry-After": str(refused.wait)} if waits else {}
        return Json(content, status_code=refused.status, headers=headers)


def _listed(refused: ApiErrorAnswer) -> list[dict[str, Any]]:
    """Return one error for each issue, with the index of its run; None if it has no single run."""
    code, message = refused.error["code"], refused.error["message"]
    issues = refused.error.get("details")
    if not isinstance(issues, list):
        return [{"index": None, "code": code, "message": message}]
    found = []
    for issue in issues:
        path = issue["path"]
        index = path[1] if len(path) > 1 and path[0] == "runs" else None
        found.append({"index": index, "code": code, "message": issue["message"], "path": path})
    return found
