"""Creates a run as a stream of events, for a caller that shows what the run does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import anyio
from anyio.abc import TaskGroup

from batchrunner.model import CreateAnswer, Created
from batchrunner.tinyfish.event_stream import StreamEvent

#: How long a stream may go on after its run has ended.
STREAM_END_SECONDS = 5.0

OnEvent = Callable[[StreamEvent], None]


class StreamingApi(Protocol):
    """A client that can create a run as a stream."""

    async def create_streaming(
        self, run: Mapping[str, Any], output_schema: Mapping[str, Any] | None, on_event: OnEvent, /
    ) -> CreateAnswer:
        """Create a run, call *on_event* for each event, and return what the stream proves."""
        ...


class StreamedCreate:
    """Creates runs as streams, and reads each stream to its end in the background."""

    def __init__(self, *, api: StreamingApi, on_event: OnEvent) -> None:
        self._api = api
        self._on_event = on_event
        self._ended: anyio.Event | None = None  # of the newest stream

    async def create(
        self, tasks: TaskGroup, run: Mapping[str, Any], output_schema: Mapping[str, Any] | None
    ) -> CreateAnswer:
        """Create a run; return as soon as the stream names it, or has ended."""
        answers: list[CreateAnswer] = []
        answered, ended = anyio.Event(), anyio.Event()

        def take(event: StreamEvent) -> None:
            if event.run_id is not None:
                answers.append(Created(run_ids=(event.run_id,)))
                answered.set()
            self._on_event(event)

        async def read() -> None:
            answers.append(await self._api.create_streaming(run, output_schema, take))
            answered.set()
            ended.set()

        self._ended = ended
        tasks.start_soon(read)
        await answered.wait()
        return answers[0]

    async def finish(self) -> None:
        """Wait for the end of the newest stream, whose run has ended."""
        if self._ended is not None:
            with anyio.move_on_after(STREAM_END_SECONDS):
                await self._ended.wait()
