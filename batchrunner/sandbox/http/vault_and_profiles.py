"""HTTP endpoints for the vault and browser profiles, as far as official clients show them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from batchrunner.sandbox.http import request_schema
from batchrunner.sandbox.http.responses import Json
from batchrunner.sandbox.profiles import Profiles
from batchrunner.sandbox.scenario import SandboxConfig
from batchrunner.sandbox.vault import Vault


class VaultAndProfileEndpoints:
    """Answers requests about the vault and the profiles of an account."""

    def __init__(self, config: SandboxConfig, home: str, now: Callable[[], datetime]) -> None:
        self._vault = Vault(config, now())
        self._profiles = Profiles(config, home, now())
        self._now = now

    def routes(self) -> list[Route]:
        """Return the endpoints."""
        profile = "/v1/profiles/{profile}"
        table = [
            ("GET", "/v1/vault/items", self._items),
            ("POST", "/v1/vault/items/sync", self._sync),
            ("GET", "/v1/vault/connections", self._connections),
            ("POST", "/v1/vault/connections", self._connect),
            ("DELETE", "/v1/vault/connections/{connection}", self._disconnect),
            ("GET", "/v1/profiles", self._list),
            ("POST", "/v1/profiles", self._create),
            ("POST", f"{profile}/setup-session", self._start),
            ("POST", f"{profile}/setup-session/cancel", self._cancel),
            ("POST", f"{profile}/save", self._save),
        ]
        return [Route(path, endpoint, methods=[method]) for method, path, endpoint in table]

    def admit(self, body: dict[str, Any], path: Sequence[str | int]) -> dict[str, Any]:
        """Return a run's body with its profile; refuse unknown logins and profiles."""
        self._vault.admit(body, path)
        self._profiles.admit(body, path)
        if body.get("use_profile"):
            return {"profile_id": self._profiles.default, **body}
        return body

    async def _items(self, request: Request) -> Response:
        return Json(self._vault.items())

    async def _sync(self, request: Request) -> Response:
        return Json(self._vault.sync())

    async def _connections(self, request: Request) -> Response:
        return Json(self._vault.connections())

    async def _connect(self, request: Request) -> Response:
        body = request_schema.connection(request_schema.parsed(await request.body()))
        return Json(self._vault.connect(body["provider"], self._now()))

    async def _disconnect(self, request: Request) -> Response:
        return Json(self._vault.disconnect(request.path_params["connection"]))

    async def _list(self, request: Request) -> Response:
        return Json(self._profiles.shown())

    async def _create(self, request: Request) -> Response:
        body = request_schema.profile(request_schema.parsed(await request.body()))
        return Json(self._profiles.create(body, self._now()))

    async def _start(self, request: Request) -> Response:
        body = request_schema.setup(request_schema.parsed(await request.body()))
        return Json(self._profiles.start(request.path_params["profile"], body, self._now()))

    async def _save(self, request: Request) -> Response:
        body = request_schema.saved(request_schema.parsed(await request.body()))
        return Json(self._profiles.save(request.path_params["profile"], body, self._now()))

    async def _cancel(self, request: Request) -> Response:
        body = request_schema.closed(request_schema.parsed(await request.body()))
        return Json(self._profiles.cancel(request.path_params["profile"], body))
