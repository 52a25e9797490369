"""Loops of a runner share an answer of the database until something changes."""

from __future__ import annotations

import anyio
import pytest
import trio
from trio.testing import MockClock

from batchrunner.runner.shared_answer import SHARED_SECONDS, SharedAnswer


class Database:
    """A database whose answer takes a while, and which counts the questions."""

    def __init__(self) -> None:
        self.asked, self.version = 0, 0
        self.shared = SharedAnswer(self.ask, lambda: self.version)

    async def ask(self) -> int:
        self.asked += 1
        answer = self.version
        await anyio.sleep(0.01)
        return answer


async def together(database: Database, loops: int = 3) -> list[int]:
    answers: list[int] = []

    async def loop() -> None:
        answers.append(await database.shared.get())

    async with anyio.create_task_group() as group:
        for _ in range(loops):
            group.start_soon(loop)
    return answers


def test_loops_that_ask_together_share_one_answer() -> None:
    async def ask() -> None:
        database = Database()
        assert await together(database) == [0, 0, 0]
        assert database.asked == 1

    trio.run(ask, clock=MockClock(autojump_threshold=0))


@pytest.mark.parametrize("change", ["before", "meanwhile"])
def test_no_loop_gets_an_answer_from_before_a_change(change: str) -> None:
    async def ask() -> None:
        database = Database()
        if change == "before":
            await database.shared.get()
            database.version = 1
        else:
            async with anyio.create_task_group() as group:
                group.start_soon(database.shared.get)
                await anyio.sleep(0.005)
                database.version = 1
        assert await together(database) == [1, 1, 1]
        assert database.asked == 2

    trio.run(ask, clock=MockClock(autojump_threshold=0))


def test_an_answer_is_not_shared_for_long_as_other_processes_change_the_database() -> None:
    async def ask() -> None:
        database = Database()
        await database.shared.get()
        await anyio.sleep(SHARED_SECONDS)
        await database.shared.get()
        assert database.asked == 2

    trio.run(ask, clock=MockClock(autojump_threshold=0))
