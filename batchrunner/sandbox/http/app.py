"""The API over HTTP: every endpoint as an ASGI application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from email.utils import format_datetime
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from batchrunner.sandbox.faults import REQUEST_FAULTS
from batchrunner.sandbox.http import request_schema
from batchrunner.sandbox.http.auth import KeyCheck, holder_of
from batchrunner.sandbox.http.errors import ApiErrorAnswer, NoAnswer, error_of_fault, not_found
from batchrunner.sandbox.http.response_bodies import cancelled, wallet
from batchrunner.sandbox.http.responses import Awaited, Json, Refusals
from batchrunner.sandbox.http.run_list import list_page
from batchrunner.sandbox.http.sse import Stream
from batchrunner.sandbox.http.vault_and_profiles import VaultAndProfileEndpoints
from batchrunner.sandbox.journal import CreateReceived, SandboxRun
from batchrunner.sandbox.media.endpoints import MediaEndpoints
from batchrunner.sandbox.scenario import SandboxConfig
from batchrunner.sandbox.service import Clock, Service

ItemPath = list[str | int]
Endpoint = Callable[[Request], Awaitable[Response]]


def api_app(service: Service, *, keys: frozenset[str] | None = None) -> ASGIApp:
    """Build the API; without `keys` every X-API-Key that is not empty is right."""
    refusals = Refusals(service.config)
    vault_and_profiles = VaultAndProfileEndpoints(
        service.config, service.addresses.home, service.now
    )
    table = _runs(_Endpoints(service, vault_and_profiles, refusals)) + _media_routes(
        MediaEndpoints(service)
    )
    routes = [Route(path, endpoint, methods=[method]) for method, path, endpoint in table]
    return Starlette(
        routes=routes + vault_and_profiles.routes(),
        middleware=[
            Middleware(_Dated, now=service.now),
            Middleware(KeyCheck, keys=keys, refusals=refusals),
        ],
        exception_handlers=dict.fromkeys(
            (ApiErrorAnswer, NoAnswer, HTTPException), refusals.refused
        ),
    )


def _runs(api: _Endpoints) -> list[tuple[str, str, Endpoint]]:
    return [
        ("POST", "/v1/automation/run", api.run),
        ("POST", "/v1/automation/run-async", api.run_async),
        ("POST", "/v1/automation/run-sse", api.run_sse),
        ("POST", "/v1/automation/run-batch", api.run_batch),
        ("GET", "/v1/runs", api.list_runs),
        ("POST", "/v1/runs/batch", api.get_runs),
        ("POST", "/v1/runs/batch/cancel", api.cancel_runs),
        ("GET", "/v1/runs/{id}", api.get_run),
        ("POST", "/v1/runs/{id}/cancel", api.cancel_run),
        ("GET", "/v1/wallet", api.wallet),
    ]


def _media_routes(artifacts: MediaEndpoints) -> list[tuple[str, str, Endpoint]]:
    steps = "/runs/{id}/steps/{step}"
    return [
        ("GET", f"/v1{steps}/screenshot", artifacts.step),
        ("GET", f"/v1{steps}/html", artifacts.step),
        ("GET", f"{steps}/screenshot", artifacts.step_address),
        ("GET", f"{steps}/html", artifacts.step_address),
        ("GET", "/artifacts/{id}/recording.mp4", artifacts.recording),
        ("GET", "/live/{id}", artifacts.live),
    ]


class _Dated:
    """Adds a Date header to every answer, as servers do."""

    def __init__(self, app: ASGIApp, *, now: Clock) -> None:
        self._app = app
        self._now = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Date"] = format_datetime(self._now(), usegmt=True)
            await send(message)

        await self._app(scope, receive, dated)


class _Endpoints:
    """Parses requests and builds answers; the service does the rest."""

    def __init__(
        self, service: Service, vault_and_profiles: VaultAndProfileEndpoints, refusals: Refusals
    ) -> None:
        self._service = service
        self._account = service.account
        self._config = service.config
        self._vault_and_profiles = vault_and_profiles
        self._refusals = refusals

    async def run(self, request: Request) -> Response:
        created = await self._create(request, request_schema.run, _single_run, waited=True)
        return Awaited(partial(self._waited, created.runs[0].run_id))

    async def run_async(self, request: Request) -> Response:
        try:
            created = await self._create(request, request_schema.run, _single_run)
        except ApiErrorAnswer as refused:
            return self._refusals.of_single(refused)
        return Json({"run_id": created.runs[0].run_id, "error": None})

    async def run_sse(self, request: Request) -> Response:
        created = await self._create(request, request_schema.run, _single_run)
        stream = Stream(self._service, created.runs[0].run_id)
        return StreamingResponse(stream.frames(), media_type="text/event-stream")

    async def run_batch(self, request: Request) -> Response:
        if self._config.answers("run_batch") == "missing":
            raise not_found("Not found")
        try:
            created = await self._create(
                request, request_schema.batch, lambda index: ["runs", index]
            )
        except ApiErrorAnswer as refused:
            return self._refusals.of_batch(refused)
        shuffled = self._config.answers("run_ids") == "reversed"
        order = reversed(created.runs) if shuffled else created.runs
        return Json({"run_ids": [run.run_id for run in order], "error": None})

    async def list_runs(self, request: Request) -> Response:
        query = request_schema.list_query(request.query_params)
        await self._service.settle()
        now, visible = self._service.now(), self._account.visible
        if (kept := visible.cached(str(request.url), request.headers, now)) is not None:
            return Response(kept, media_type="application/json")
        runs = self._account.listed(now, self._holder(request))
        page = list_page(runs, query, self._config, visible.searched)
        shown = self._service.view.page(page.runs, total=page.total, next_cursor=page.next_cursor)
        answer = self._answer_read(page.runs, shown)
        if answer.status_code == 200:
            visible.keep(str(request.url), bytes(answer.body), now)
        return answer

    async def get_run(self, request: Request) -> Response:
        forms = request_schema.run_query(request.query_params)
        run_id = request_schema.path_id(request, "id")
        await self._service.settle()
        run = self._account.polled(run_id, self._service.now(), self._holder(request))
        if run is None:
            raise not_found()
        return self._answer_read([run], self._service.view.full(run, **forms))

    async def get_runs(self, request: Request) -> Response:
        asked = request_schema.run_ids(request_schema.parsed(await request.body()), self._config)
        await self._service.settle()
        now, holder = self._service.now(), self._holder(request)
        found = [(run_id, self._account.polled(run_id, now, holder)) for run_id in asked]
        runs = [run for _, run in found if run is not None]
        missing = [run_id for run_id, run in found if run is None]
        order = self._config.answers("data_order")
        if order == "by_id":
            runs.sort(key=lambda run: run.run_id)
        elif order == "reversed":
            runs.reverse()
        shown = [self._service.view.full(run) for run in runs]
        return self._answer_read(runs, {"data": shown, "not_found": missing or None})

    async def cancel_run(self, request: Request) -> Response:
        run_id = request_schema.path_id(request, "id")
        await self._service.settle()
        answer = self._account.cancel(run_id, self._service.now(), self._holder(request))
        if answer is None:
            raise not_found()
        run, was_open = answer
        if not run.status.is_final:
            raise ApiErrorAnswer(400, "INVALID_INPUT", "This run cannot be cancelled")
        self._service.notify()
        return Json(cancelled(run, was_open=was_open))

    async def cancel_runs(self, request: Request) -> Response:
        asked = request_schema.run_ids(request_schema.parsed(await request.body()), self._config)
        await self._service.settle()
        now, holder = self._service.now(), self._holder(request)
        answers = {run_id: self._account.cancel(run_id, now, holder) for run_id in sorted(asked)}
        self._service.notify()
        done = {key: each for key, each in answers.items() if each and each[0].status.is_final}
        results = [cancelled(run, was_open=was_open) for run, was_open in done.values()]
        missing = [run_id for run_id in asked if run_id not in done]
        return Json({"results": results, "not_found": missing or None})

    async def wallet(self, request: Request) -> Response:
        await self._service.settle()
        balance = self._account.balance
        if balance is None:
            raise ApiErrorAnswer(404, "FEATURE_NOT_AVAILABLE", "This account has no wallet")
        return Json(wallet(balance, self._config, self._service.now()))

    async def _waited(self, run_id: str) -> Response:
        run = await self._service.wait_for(run_id)
        if run is None:
            raise LookupError(run_id)
        shown = self._service.view.waited(run)
        fails = self._config.answers("sync_status") == "500" and shown["status"] == "FAILED"
        return Json(shown, status_code=500 if fails else 200)

    async def _create(
        self,
        request: Request,
        check: Callable[[Any, SandboxConfig], list[dict[str, Any]]],
        path: Callable[[int], ItemPath],
        *,
        waited: bool = False,
    ) -> CreateReceived:
        try:
            bodies = check(request_schema.parsed(await request.body()), self._config)
            bodies = [self._admitted(body, path(index)) for index, body in enumerate(bodies)]
        except ApiErrorAnswer as refused:
            self._account.refuse(refused.status, self._service.now())
            raise
        if self._account.balance is not None:
            await self._service.settle()  # the balance depends on the steps that runs took
        created = self._account.create(
            bodies, self._service.now(), self._holder(request), waited=waited
        )
        fault = None if created.fault is None else REQUEST_FAULTS[created.fault]
        if fault is not None and fault.status != 200:
            paths = [[*path(index), "url"] for index in created.items]
            raise error_of_fault(fault, paths, self._config.retry_after_seconds)
        return created

    def _holder(self, request: Request) -> str:
        return holder_of(request, self._config)

    def _admitted(self, body: dict[str, Any], path: ItemPath) -> dict[str, Any]:
        if self._config.answers("beta") == "out" and request_schema.is_gated(body):
            gated = REQUEST_FAULTS["gated"]
            raise ApiErrorAnswer(403, gated.code, gated.message)
        return self._vault_and_profiles.admit(body, path)

    def _answer_read(self, runs: Sequence[SandboxRun], shown: dict[str, Any]) -> Response:
        fault = self._account.read(runs, self._service.now())
        if fault is None:
            return Json(shown)
        return Response(fault.html, status_code=fault.status, media_type="text/html")


def _single_run(index: int) -> ItemPath:
    return []
