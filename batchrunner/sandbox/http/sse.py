"""The stream of a run's events, as run-sse sends them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from batchrunner.sandbox.http.response_bodies import instant
from batchrunner.sandbox.journal import SandboxRun
from batchrunner.sandbox.service import Service

#: Seconds of silence before the stream sends a heartbeat.
HEARTBEAT_SECONDS = 15.0
#: What a run, as it is shown, may advise.
_ADVICE = ("help_url", "help_message", "helpUrl", "helpMessage")
_CAMEL = {"run_id": "runId", "streaming_url": "streamingUrl", "result": "resultJson"}


class Stream:
    """Reports a run from its creation to its end."""

    def __init__(self, service: Service, run_id: str) -> None:
        self._service = service
        self._run_id = run_id
        self._camel = service.config.answers("names") == "camel"

    async def frames(self) -> AsyncIterator[bytes]:
        """Yield the frames in order; the last one says how the run ended."""
        at_once = self._service.config.answers("stream_start") == "at_once"
        if at_once:
            yield self._frame("STARTED")
        running = False
        while True:
            run = await self._service.wait_for(
                self._run_id, running=not running, seconds=HEARTBEAT_SECONDS
            )
            if run is None:
                yield self._frame("HEARTBEAT", of_run=False)
                continue
            if not running:
                running = True
                for frame in self._running(run, started=at_once):
                    yield frame
            if run.status.is_final:
                for action in run.actions[1:]:
                    yield self._frame("PROGRESS", purpose=action)
                yield self._complete(run)
                return

    def _running(self, run: SandboxRun, *, started: bool) -> list[bytes]:
        """Tell that the run has a browser, unless it ended before it got one."""
        frames = [] if started else [self._frame("STARTED")]
        live = self._service.addresses.live(run)
        if live is not None:
            frames.append(self._frame("STREAMING_URL", streaming_url=live))
        if run.started_at is not None:
            frames.append(self._frame("PROGRESS", purpose=f"Open {run.url}"))
        return frames

    def _complete(self, run: SandboxRun) -> bytes:
        shown = self._service.view.full(run, screenshots="none")
        error = shown["error"]
        if error is not None and self._service.config.answers("stream_error") == "text":
            error = error["message"]
        ended = {"result": shown["result"], "error": error}
        ended |= {key: shown[key] for key in _ADVICE if key in shown}
        return self._frame("COMPLETE", status=run.status.value, **ended)

    def _frame(self, kind: str, *, of_run: bool = True, **fields: Any) -> bytes:
        beside = {"run_id": self._run_id} if of_run else {}
        event = {"type": kind, **beside, **fields, "timestamp": instant(self._service.now())}
        if self._camel:
            event = {_CAMEL.get(key, key): value for key, value in event.items()}
        return f"data: {json.dumps(event)}\n\n".encode()
