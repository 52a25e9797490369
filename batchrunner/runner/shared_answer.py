"""An answer of the database that all loops of a runner share until something changes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import anyio

#: How long an answer is shared at most. Other processes may change what it says.
SHARED_SECONDS = 0.25

T = TypeVar("T")


class SharedAnswer(Generic[T]):
    """
    Asks once for all loops that the same change has woken.

    An answer is shared only while *version*, which every change of this process changes, is what it
    was before the question.
    """

    def __init__(self, ask: Callable[[], Awaitable[T]], version: Callable[[], object]) -> None:
        self._ask = ask
        self._version = version
        self._asking = anyio.Lock()
        self._known: tuple[T, object, float] | None = None

    async def get(self) -> T:
        """Return the answer that is known, or ask for it."""
        async with self._asking:
            if self._known is not None:
                answer, version, asked_at = self._known
                is_new = anyio.current_time() - asked_at < SHARED_SECONDS
                if is_new and version == self._version():
                    return answer
            version, asked_at = self._version(), anyio.current_time()
            answer = await self._ask()
            self._known = answer, version, asked_at
            return answer
