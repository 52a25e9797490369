"""What the API refuses for many runs at once is requested in parts, or run by run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container, Sequence
from typing import TypeVar

from batchrunner.api_facts.error_codes import SINGLE_RUN_STATUSES
from batchrunner.model import ApiFault, ApiFaultKind, RequestFailed

T = TypeVar("T")

#: Maximum requests to find the few runs for which the API refuses a whole request.
MAX_SPLIT_REQUESTS = 50
#: Runs that are read by themselves and not found before no run is expected to be.
MAX_UNKNOWN_FIRST = 10


async def one_by_one(
    request: Callable[[str], Awaitable[T]], run_ids: Sequence[str], refused: RequestFailed
) -> dict[str, T]:
    """
    Return the answers by run, after the request for all of them was refused.

    Raises:
        RequestFailed: The first is refused too, so it is not about requests for many runs.
            A 404 may be about the run: MAX_UNKNOWN_FIRST of them, or all, have to be refused.
    """
    found: dict[str, T] = {}
    for asked, run_id in enumerate(run_ids, start=1):
        try:
            found[run_id] = await request(run_id)
        except RequestFailed as error:
            hopeless = error.fault.status != 404 or asked in (MAX_UNKNOWN_FIRST, len(run_ids))
            if not found and hopeless:
                raise refused from error
    return found


async def split_until_readable(
    request: Callable[[Sequence[str]], Awaitable[dict[str, T]]],
    run_ids: Sequence[str],
    about_runs: Container[int] = SINGLE_RUN_STATUSES,
) -> tuple[dict[str, T], dict[str, ApiFault]]:
    """
    Return the answers by run, and the faults of the runs that are refused on their own.

    A refused part is requested again in halves, in at most MAX_SPLIT_REQUESTS requests.

    Raises:
        RequestFailed: It is not about single runs: no run gets an answer, or it is another fault.
    """
    found: dict[str, T] = {}
    refused: dict[str, ApiFault] = {}
    parts, first = [run_ids], None
    for _ in range(MAX_SPLIT_REQUESTS):
        part = parts.pop()
        try:
            found |= await request(part)
        except RequestFailed as error:
            if error.fault.kind is not ApiFaultKind.STATUS or error.fault.status not in about_runs:
                raise
            first = first or error
            if len(part) == 1:
                refused[part[0]] = error.fault
            else:
                parts += [part[len(part) // 2 :], part[: len(part) // 2]]
        if not parts:
            break
    if first and not found:
        raise first
    return found, refused
