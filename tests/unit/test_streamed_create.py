"""A streamed create answers as soon as the stream names the run, and reads on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio
import pytest

from batchrunner.model import ApiFault, ApiFaultKind, CreateAnswer, Created, Unanswered
from batchrunner.runner.streamed_create import OnEvent, StreamedCreate
from batchrunner.tinyfish.event_stream import StreamEvent

pytestmark = pytest.mark.anyio

LOST = Unanswered(fault=ApiFault(kind=ApiFaultKind.INTERRUPTED, message="the stream was lost"))


@pytest.fixture
def anyio_backend() -> str:
    return "trio"


def named(kind: str) -> StreamEvent:
    return StreamEvent(kind=kind, run_id="run-1")


class Api:
    """A client whose stream sends some events, and waits before the last one."""

    def __init__(self, *events: StreamEvent, answer: CreateAnswer) -> None:
        self.events = events
        self.answer = answer
        self.go_on = anyio.Event()

    async def create_streaming(
        self, run: Mapping[str, Any], output_schema: Mapping[str, Any] | None, on_event: OnEvent, /
    ) -> CreateAnswer:
        *first, last = self.events
        for event in first:
            on_event(event)
        await self.go_on.wait()
        on_event(last)
        return self.answer


async def test_the_answer_comes_when_the_stream_names_the_run_and_the_rest_is_read_later() -> None:
    created = Created(run_ids=("run-1",))
    names, ends = named("STARTED"), named("COMPLETE")
    api, seen = Api(names, ends, answer=created), list[StreamEvent]()
    streamed = StreamedCreate(api=api, on_event=seen.append)
    async with anyio.create_task_group() as tasks:
        assert await streamed.create(tasks, {}, None) == created
        assert seen == [names]
        api.go_on.set()
        await streamed.finish()
        assert seen == [names, ends]


async def test_a_stream_that_names_no_run_answers_when_it_ends() -> None:
    api = Api(StreamEvent(kind="HEARTBEAT"), answer=LOST)
    api.go_on.set()
    async with anyio.create_task_group() as tasks:
        streamed = StreamedCreate(api=api, on_event=lambda _: None)
        assert await streamed.create(tasks, {}, None) == LOST
