"""HTTP endpoints for artifacts and live views: screenshots, pages and recordings."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from batchrunner.sandbox.http.auth import holder_of
from batchrunner.sandbox.http.errors import ApiErrorAnswer, not_found
from batchrunner.sandbox.http.request_schema import path_id
from batchrunner.sandbox.http.response_bodies import recording
from batchrunner.sandbox.journal import SandboxRun
from batchrunner.sandbox.media.faulty_files import faulty_content
from batchrunner.sandbox.media.jpeg import jpeg_of
from batchrunner.sandbox.media.live_view import live_page
from batchrunner.sandbox.service import Service

#: By the last part of a step's address: what must have been captured, and its media type.
_KINDS = {"screenshot": ("screenshots", "image/jpeg"), "html": ("html", "text/html")}
_EXPIRED = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
)
#: Headers with which a captured page can do nothing in a browser.
_HARMLESS = {"Content-Security-Policy": "sandbox", "X-Content-Type-Options": "nosniff"}


class MediaEndpoints:
    """Answers requests for what was captured of runs."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def step(self, request: Request) -> Response:
        """Return a step's screenshot or HTML to a client with the key."""
        path_id(request, "step")
        run = await self._find(request)
        holder = holder_of(request, self._service.config)
        if self._service.account.find(run.run_id, holder) is None:
            raise not_found()
        return self._step(request, run)

    async def step_address(self, request: Request) -> Response:
        """Return the same by its address, which needs a login or a signature."""
        if self._service.config.answers("step_addresses") == "signed":
            if not self._works(request):
                return _expired()
        elif "session" not in request.cookies:
            raise ApiErrorAnswer(401, "UNAUTHORIZED", "Authentication failed")
        return self._step(request, await self._find(request))

    async def recording(self, request: Request) -> Response:
        """Return a run's recording by a signed address that has not expired."""
        if not self._works(request):
            return _expired()
        run = await self._find(request)
        if not self._service.view.has(run, "recording"):
            raise not_found("Recording not found")
        return self._sent(run, recording(run), "video/mp4")

    async def live(self, request: Request) -> Response:
        """Show a run in a browser while its live view works."""
        run = await self._find(request)
        if not self._service.addresses.is_live(run):
            raise not_found("Session not found")
        page = live_page(run, self._service.now())
        return Response(page, media_type="text/html")

    def _step(self, request: Request, run: SandboxRun) -> Response:
        what, media = _KINDS[request.url.path.rpartition("/")[2]]
        index = self._step_index(run, request.path_params["step"])
        if index is None or not self._service.view.has(run, what):
            raise not_found("Step not found")
        content = jpeg_of(run.html, index) if what == "screenshots" else run.html.encode()
        return self._sent(run, content, media)

    def _step_index(self, run: SandboxRun, step: str) -> int | None:
        ids = self._service.view.step_ids(run)
        fitting = [index for index, each in enumerate(ids) if step in (each, each[:8])]
        return fitting[0] if fitting else None

    def _works(self, request: Request) -> bool:
        return self._service.addresses.works(request.url.path, request.query_params)

    def _sent(self, run: SandboxRun, content: bytes, media: str) -> Response:
        fault = self._service.account.artifact_fault(run, taken=True)
        answer = faulty_content(fault, content, media)
        answer.headers.update(_HARMLESS)
        return answer

    async def _find(self, request: Request) -> SandboxRun:
        run_id = path_id(request, "id")
        await self._service.settle()
        run = self._service.account.journal.find(run_id)
        if run is None or not run.course.known:
            raise not_found()
        return run


def _expired() -> Response:
    return Response(_EXPIRED, status_code=403, media_type="application/xml")
