"""Repeats a request that costs nothing, while the API is busy or cannot be reached."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from batchrunner.classify import classify_fault
from batchrunner.model import ApiFaultKind, RequestFailed
from batchrunner.runner.batch_audit import may_pass

T = TypeVar("T")

#: Seconds before each repetition; a refusal is not repeated.
RETRY_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0)
#: Longest wait that the API may ask for.
MAX_RETRY_WAIT_SECONDS = 120.0


async def repeat_request(request: Callable[[], Awaitable[T]], /) -> T:
    """
    Send a request that may be repeated, and repeat it a few times if it may succeed soon.

    Raises:
        RequestFailed: It was refused, or failed each time.
    """
    for seconds in RETRY_SECONDS:
        try:
            return await request()
        except RequestFailed as error:
            failure = classify_fault(error.fault)
            if not may_pass(failure) or error.fault.kind is ApiFaultKind.BARRED:
                raise
            asked = failure.retry_after.total_seconds() if failure.retry_after else 0.0
            await anyio.sleep(max(seconds, min(asked, MAX_RETRY_WAIT_SECONDS)))
    return await request()
