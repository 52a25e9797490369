"""The API over HTTP: every endpoint as an ASGI application."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from email.utils import format_datetime
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from batchrunner.sandbox import shapes, validate
from batchrunner.sandbox.checks import pattern
from batchrunner.sandbox.fates import REQUEST_FATES
from batchrunner.sandbox.ledger import Create, Run
from batchrunner.sandbox.refusals import Refused, Silent, invalid, not_found, of_fate
from batchrunner.sandbox.search import search
from batchrunner.sandbox.service import Clock, Service

_RUN_ID = pattern("[A-Za-z0-9_-]+")
#: Statuses whose answer from run-batch has `run_ids: null` beside the error.
_BATCH_ENVELOPE = (400, 402, 403, 500)

ItemPath = list[str | int]


def api_app(service: Service, *, keys: frozenset[str] | None = None) -> ASGIApp:
    """Build the API; without `keys` every X-API-Key that is not empty is right."""
    api = _Endpoints(service)
    table: list[tuple[str, str, Callable[[Request], Awaitable[Response]]]] = [
        ("POST", "/v1/automation/run-async", api.run_async),
        ("POST", "/v1/automation/run-batch", api.run_batch),
        ("GET", "/v1/runs", api.list_runs),
        ("POST", "/v1/runs/batch", api.get_runs),
        ("POST", "/v1/runs/batch/cancel", api.cancel_runs),
        ("GET", "/v1/runs/{id}", api.get_run),
        ("POST", "/v1/runs/{id}/cancel", api.cancel_run),
        ("GET", "/v1/runs/{id}/steps/{step}/screenshot", api.step_screenshot),
        ("GET", "/v1/runs/{id}/steps/{step}/html", api.step_html),
        ("GET", "/v1/wallet", api.wallet),
    ]
    return Starlette(
        routes=[Route(path, endpoint, methods=[method]) for method, path, endpoint in table],
        middleware=[Middleware(_Dated, now=service.now), Middleware(_Keyed, keys=keys)],
        exception_handlers={Refused: _refused, Silent: _silent, HTTPException: _astray},
    )


class _Json(JSONResponse):
    """JSON in ASCII, which can carry any text a client ever sent."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, separators=(",", ":")).encode()


class _Silence(Response):
    """The head of an answer and then nothing: the server hangs up, at once or with its client."""

    def __init__(self, *, hangs: bool) -> None:
        super().__init__()
        self._hangs = hangs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._hangs:
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        headers = [(b"content-type", b"application/json"), (b"content-length", b"1")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})


class _Dated:
    """Tell the time with every answer, as servers do."""

    def __init__(self, app: ASGIApp, *, now: Clock) -> None:
        self._app = app
        self._now = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Date"] = format_datetime(self._now(), usegmt=True)
            await send(message)

        await self._app(scope, receive, dated)


class _Keyed:
    """Let only requests with a right key pass."""

    def __init__(self, app: ASGIApp, *, keys: frozenset[str] | None) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        wrong = self._wrong(scope) if scope["type"] == "http" else None
        app = self._app if wrong is None else _envelope(wrong)
        await app(scope, receive, send)

    def _wrong(self, scope: Scope) -> Refused | None:
        key = HTTPConnection(scope).headers.get("x-api-key", "")
        if not key:
            return Refused(401, "MISSING_API_KEY", "X-API-Key header is required")
        if self._keys is not None and key not in self._keys:
            return Refused(401, "INVALID_API_KEY", "Invalid or expired API key")
        return None


class _Endpoints:
    """Take requests apart and put answers together; what happens is up to the service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._account = service.account

    async def run_async(self, request: Request) -> Response:
        created = await self._create(request, validate.run, lambda place: ["url"])
        return _Json({"run_id": created.runs[0].run_id, "error": None})

    async def run_batch(self, request: Request) -> Response:
        if not self._service.world.batch:
            raise not_found("Not found")
        try:
            created = await self._create(
                request, validate.batch, lambda place: ["runs", place, "url"]
            )
        except Refused as refused:
            beside = {"run_ids": None} if refused.status in _BATCH_ENVELOPE else {}
            return _envelope(refused, **beside)
        order = reversed(created.runs) if self._service.world.shuffled else created.runs
        return _Json({"run_ids": [run.run_id for run in order], "error": None})

    async def list_runs(self, request: Request) -> Response:
        query = validate.list_query(request.query_params)
        await self._service.settle()
        page = search(self._account.listed(self._service.now()), query)
        shown = shapes.page(page.runs, total=page.total, next_cursor=page.next_cursor)
        return self._looked(page.runs, shown)

    async def get_run(self, request: Request) -> Response:
        forms = validate.run_query(request.query_params)
        run = await self._find(request)
        return self._looked([run], shapes.full(run, **forms))

    async def get_runs(self, request: Request) -> Response:
        asked = validate.run_ids(validate.parsed(await request.body()))
        await self._service.settle()
        found = {run_id: run for run_id in asked if (run := self._account.find(run_id))}
        missing = [run_id for run_id in asked if run_id not in found]
        # By id, which is no order of the request: the API promises none.
        runs = [found[run_id] for run_id in sorted(found)]
        shown = {"data": [shapes.full(run) for run in runs], "not_found": missing or None}
        return self._looked(runs, shown)

    async def cancel_run(self, request: Request) -> Response:
        run_id = _run_id(request)
        await self._service.settle()
        answer = self._account.cancel(run_id, self._service.now())
        if answer is None:
            raise not_found()
        run, was_open = answer
        return _Json(shapes.cancelled(run, was_open=was_open))

    async def cancel_runs(self, request: Request) -> Response:
        asked = validate.run_ids(validate.parsed(await request.body()))
        await self._service.settle()
        now = self._service.now()
        answers = {run_id: self._account.cancel(run_id, now) for run_id in sorted(asked)}
        results = [shapes.cancelled(each[0], was_open=each[1]) for each in answers.values() if each]
        missing = [run_id for run_id in asked if answers[run_id] is None]
        return _Json({"results": results, "not_found": missing or None})

    async def step_screenshot(self, request: Request) -> Response:
        await self._find_step(request, "screenshots")
        return Response(shapes.JPEG, media_type="image/jpeg")

    async def step_html(self, request: Request) -> Response:
        run = await self._find_step(request, "html")
        return Response(run.html, media_type="text/html")

    async def wallet(self, request: Request) -> Response:
        await self._service.settle()
        balance = self._account.balance
        if balance is None:
            raise Refused(404, "FEATURE_NOT_AVAILABLE", "This account has no wallet")
        return _Json(shapes.wallet(balance, self._service.world, self._service.now()))

    async def _create(
        self,
        request: Request,
        check: Callable[[Any], list[dict[str, Any]]],
        path: Callable[[int], ItemPath],
    ) -> Create:
        try:
            bodies = check(validate.parsed(await request.body()))
        except Refused as refused:
            self._account.refuse(refused.status, self._service.now())
            raise
        if self._account.balance is not None:
            await self._service.settle()  # what is left depends on what the runs took
        created = self._account.create(bodies, self._service.now())
        if created.fate is not None:
            fate = REQUEST_FATES[created.fate]
            paths = [path(place) for place in created.items]
            raise of_fate(fate, paths, self._service.world.told_wait)
        return created

    async def _find(self, request: Request) -> Run:
        run_id = _run_id(request)
        await self._service.settle()
        run = self._account.find(run_id)
        if run is None:
            raise not_found()
        return run

    async def _find_step(self, request: Request, what: str) -> Run:
        run = await self._find(request)
        captured = run.body.get("capture_config", {}).get(what, False)
        if not captured or request.path_params["step"] not in shapes.step_ids(run):
            raise not_found("Step not found")
        return run

    def _looked(self, runs: Sequence[Run], shown: dict[str, Any]) -> Response:
        fate = self._account.look(runs, self._service.now())
        if fate is None:
            return _Json(shown)
        return Response(fate.html, status_code=fate.status, media_type="text/html")


def _run_id(request: Request) -> str:
    run_id: str = request.path_params["id"]
    issues = _RUN_ID(run_id, ("id",))
    if issues:
        raise invalid(issues)
    return run_id


def _envelope(refused: Refused, **beside: Any) -> Response:
    headers = {} if refused.wait is None else {"Retry-After": str(refused.wait)}
    return _Json({**beside, "error": refused.error}, status_code=refused.status, headers=headers)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return _envelope(error)


async def _silent(request: Request, error: Exception) -> Response:
    assert isinstance(error, Silent)
    return _Silence(hangs=error.hangs)


async def _astray(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = "NOT_FOUND" if error.status_code == 404 else "INVALID_INPUT"
    return _envelope(Refused(error.status_code, code, error.detail))
