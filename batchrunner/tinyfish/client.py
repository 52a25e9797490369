"""The remote API over HTTP: every endpoint we use, no retries inside, one table for its errors."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Container, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Self, TypeVar

import httpx

from batchrunner.api_facts import endpoints
from batchrunner.api_facts.error_codes import REFUSED_STATUSES, SINGLE_RUN_STATUSES
from batchrunner.api_facts.limits import MAX_RUNS_PER_REQUEST
from batchrunner.model import (
    ApiError,
    ApiFault,
    CreateAnswer,
    Created,
    FaultKind,
    NotFound,
    Refused,
    Run,
    RunListing,
    RunObservation,
    RunStatus,
    Unanswered,
    Unreadable,
    Wallet,
)
from batchrunner.tinyfish.http import Http, Reply
from batchrunner.tinyfish.parse import (
    read_date,
    read_fault,
    read_listed,
    read_members,
    read_run,
    read_runs,
    run_id_of,
    text_of,
)
from batchrunner.tinyfish.raw_json import plain
from batchrunner.tinyfish.wallet import read_wallet

#: Total deadline of a create: an answer that comes later is searched for instead.
CREATE_SECONDS = 90.0
#: Total deadline of everything that can simply be asked again.
READ_SECONDS = 60.0
#: Total deadline of a check, for which somebody waits at a terminal.
CHECK_SECONDS = 20.0
#: A search by marker that goes on for longer is none: enough for every run on its own page.
MAX_SEARCH_PAGES = MAX_RUNS_PER_REQUEST + 20
#: Requests in which the few runs are found that make the API refuse a hundred.
MAX_SPLITS = 50

T = TypeVar("T")

#: Members in which the sources put ids of runs.
_ID_NAMES = ("run_id", "run_ids", "runId", "runIds")


class TinyFishClient:
    """The endpoints of the web-agent API that deal with runs."""

    def __init__(
        self,
        base_url: str,
        key: str,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = Http(base_url, key, transport)
        self.origin = self._http.origin

    async def __aenter__(self) -> Self:
        """Open the connections."""
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *exc_info: Any) -> None:
        """Close the connections."""
        await self._http.__aexit__(*exc_info)

    def hide(self, secret: str) -> None:
        """Take a secret that requests carry out of all answers, which might repeat it."""
        self._http.hide(secret)

    # ---- creating: never sent again, by nobody ----

    async def create(
        self, runs: Sequence[Mapping[str, Any]], output_schema: Mapping[str, Any] | None
    ) -> CreateAnswer:
        """Create up to 100 runs in one request (run-batch); all of them or none."""
        body: dict[str, Any] = {"runs": list(runs)}
        if output_schema is not None:
            body["output_schema"] = output_schema
        return await self._create(endpoints.RUN_BATCH, body, "run_ids", len(runs))

    async def create_one(
        self, run: Mapping[str, Any], output_schema: Mapping[str, Any] | None
    ) -> CreateAnswer:
        """Create one run (run-async), where batch creation is not offered."""
        body = dict(run)
        if output_schema is not None:
            body["output_schema"] = output_schema
        return await self._create(endpoints.RUN_ASYNC, body, "run_id", 1)

    async def _create(self, path: str, body: Any, member: str, count: int) -> CreateAnswer:
        try:
            reply = await self._http.send("POST", path, seconds=CREATE_SECONDS, body=body)
        except ApiError as error:
            not_sent = error.fault.kind is FaultKind.NOT_SENT
            return Refused(fault=error.fault) if not_sent else Unanswered(fault=error.fault)
        entries = _id_entries(reply, member)
        if not entries and not _names_a_run(plain(text_of(reply))):
            return refusal_of(read_fault(reply))
        run_ids = {entry for entry in entries if isinstance(entry, str) and run_id_of(entry)}
        if not 200 <= reply.status < 300 or not len(entries) == len(run_ids) == count:
            # Whatever else the answer says: some of the runs may exist.
            message = f"The API gave {len(run_ids)} run ids for {count} runs (HTTP {reply.status})"
            return Unanswered(fault=ApiFault(kind=FaultKind.MALFORMED, message=message))
        return Created(run_ids=tuple(entries))

    # ---- looking ----

    async def get(self, run_id: str) -> Run:
        """
        Return one run.

        Raises:
            ApiError: It could not be read; status 404 where the API does not know it.
        """
        query = {"screenshots": "none", "html": "none"}
        path = endpoints.run_path(run_id)
        reply = await self._http.send("GET", path, seconds=READ_SECONDS, query=query)
        read_members(reply)
        run = read_run(text_of(reply))
        if run is None:
            raise _malformed("A run without an id")
        return run

    async def get_many(self, run_ids: Sequence[str]) -> dict[str, RunObservation]:
        """
        Return what the API shows of up to 100 runs, by id.

        An id that the answer is silent about is missing from it. What is refused as a whole, or too
        large, is asked for again in halves, until the one run that makes it so stands alone.

        Raises:
            ApiError: Nothing could be read.
        """
        found, refused = await _split_until_readable(self._shown, run_ids)
        return found | {
            run_id: Unreadable(run_id=run_id, message=fault.message)
            for run_id, fault in refused.items()
        }

    async def _shown(self, run_ids: Sequence[str]) -> dict[str, RunObservation]:
        try:
            reply = await self._http.send(
                "POST", endpoints.RUNS_BATCH, seconds=READ_SECONDS, body={"run_ids": list(run_ids)}
            )
            found = read_members(reply)
        except ApiError as error:
            if error.fault.kind is not FaultKind.TOO_LARGE:
                raise
            return await self._halves(run_ids, error.fault)
        runs = _runs(reply, found, "data")
        sightings: dict[str, RunObservation] = {run.run_id: run for run in runs}
        for run_id in _ids(found.get("not_found")):
            sightings.setdefault(run_id, NotFound(run_id=run_id))
        return {run_id: sightings[run_id] for run_id in run_ids if run_id in sightings}

    async def _halves(self, run_ids: Sequence[str], fault: ApiFault) -> dict[str, RunObservation]:
        if len(run_ids) == 1:
            return {run_ids[0]: Unreadable(run_id=run_ids[0], message=fault.message)}
        middle = len(run_ids) // 2
        first = await self._shown(run_ids[:middle])
        return first | await self._shown(run_ids[middle:])

    async def search(self, goal: str) -> RunListing:
        """
        Return all runs whose goal contains *goal*, oldest first, and what else the list shows.

        Not narrowed by time: a clock that is an hour off would hide runs that exist. A page that is
        too large is asked for again with fewer runs on it.

        Raises:
            ApiError: It could not be read.
        """
        query = {"goal": goal, "sort_direction": "asc"}
        limit, asked, found = MAX_RUNS_PER_REQUEST, set[str](), RunListing(runs=())
        for _ in range(MAX_SEARCH_PAGES):
            try:
                page, cursor, total = await self._page({**query, "limit": str(limit)})
            except ApiError as error:
                if error.fault.kind is not FaultKind.TOO_LARGE:
                    raise
                if limit == 1:
                    break
                limit //= 2
                continue
            found = _together(found, page)
            if cursor is None or cursor in asked:
                seen = len(found.runs) + len(found.unclear) + found.nameless
                return replace(found, complete=seen >= total)
            asked.add(cursor)
            query["cursor"] = cursor  # whether filters go with it is not said: they are repeated
        return replace(found, complete=False)

    async def check(self) -> datetime | None:
        """
        Read one run, which costs nothing; return what the API's clock shows, to the second.

        Raises:
            ApiError: There is no API, or it does not take the key.
        """
        query = {"limit": "1"}
        reply = await self._http.send("GET", endpoints.RUNS, seconds=CHECK_SECONDS, query=query)
        _runs(reply, read_members(reply), "data")
        return read_date(reply)

    async def wallet(self) -> Wallet | None:
        """
        Return what the account has and what a step costs; None where it has no wallet in dollars.

        Raises:
            ApiError: It could not be read.
        """
        reply = await self._http.send("GET", endpoints.WALLET, seconds=CHECK_SECONDS)
        if reply.status == 404 and read_fault(reply).kind is FaultKind.STATUS:
            return None
        return read_wallet({name: plain(text) for name, text in read_members(reply).items()})

    async def _page(self, query: Mapping[str, str]) -> tuple[RunListing, str | None, float]:
        """Return the runs of a page, where the next one begins, and how many runs must be found."""
        reply = await self._http.send("GET", endpoints.RUNS, seconds=READ_SECONDS, query=query)
        found = read_members(reply)
        page = plain(found.get("pagination"))
        more = isinstance(page, dict) and page.get("has_more") is not False
        said = page.get("next_cursor") if more else None
        cursor = said if isinstance(said, str) and said else None
        try:
            listed = read_listed(found["data"])
        except (KeyError, ValueError) as error:
            raise ApiError(read_fault(reply)) from error
        return replace(listed, runs=_dated(listed.runs, reply)), cursor, _total(page)

    # ---- cancelling ----

    async def cancel(self, run_id: str) -> RunStatus | None:
        """Cancel one run; return its status then, None if the API does not know it."""
        path = endpoints.cancel_path(run_id)
        reply = await self._http.send("POST", path, seconds=READ_SECONDS)
        if reply.status == 404 and read_fault(reply).kind is FaultKind.STATUS:
            return None
        read_members(reply)
        run = read_run(text_of(reply))
        return run.status if run else None

    async def cancel_many(self, run_ids: Sequence[str]) -> dict[str, RunStatus]:
        """
        Cancel up to 100 runs; return the status of each that the API knows.

        Idempotent: a run that is over is reported as it is. One that makes the API refuse the whole
        request is found by halves, and the others are cancelled.

        Raises:
            ApiError: It is not known what became of the request; it may be sent again.
        """
        found, _ = await _split_until_readable(
            self._cancelled, run_ids, SINGLE_RUN_STATUSES | {403, 404, 409}
        )
        return found

    async def _cancelled(self, run_ids: Sequence[str]) -> dict[str, RunStatus]:
        reply = await self._http.send(
            "POST", endpoints.CANCEL_RUNS, seconds=READ_SECONDS, body={"run_ids": list(run_ids)}
        )
        found = read_members(reply)
        return {run.run_id: run.status for run in _runs(reply, found, "results")}


async def _split_until_readable(
    ask: Callable[[Sequence[str]], Awaitable[dict[str, T]]],
    run_ids: Sequence[str],
    about_runs: Container[int] = SINGLE_RUN_STATUSES,
) -> tuple[dict[str, T], dict[str, ApiFault]]:
    """
    Return the answers about runs, and of each that is refused by itself, why.

    Parts that are refused are asked for in halves; so often at most, as a few bad runs need.

    Raises:
        ApiError: It is not about single runs: none gets an answer, or it is another failure.
    """
    found: dict[str, T] = {}
    refused: dict[str, ApiFault] = {}
    parts, first = [run_ids], None
    for _ in range(MAX_SPLITS):
        part = parts.pop()
        try:
            found |= await ask(part)
        except ApiError as error:
            if error.fault.kind is not FaultKind.STATUS or error.fault.status not in about_runs:
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


def _id_entries(reply: Reply, member: str) -> list[Any]:
    """Return what stands where a create's ids belong, empty where nothing does."""
    body = plain(text_of(reply))
    ids = body.get(member) if isinstance(body, dict) else None
    if isinstance(ids, list):
        return ids
    return [] if ids is None else [ids]


def _names_a_run(answer: Any) -> bool:
    """Whether the id of a run stands anywhere in an answer: then it may exist."""
    left = [answer]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            if any(value.get(name) for name in _ID_NAMES):
                return True
            left += value.values()
        elif isinstance(value, list):
            left += value
    return False


def refusal_of(fault: ApiFault) -> CreateAnswer:
    """Return what a create that was answered by an error has come to."""
    refused = fault.kind is FaultKind.STATUS and fault.status in REFUSED_STATUSES
    return Refused(fault=fault) if refused else Unanswered(fault=fault)


def _runs(reply: Reply, found: Mapping[str, str], member: str) -> list[Run]:
    try:
        runs = read_runs(found[member])
    except (KeyError, ValueError) as error:
        raise ApiError(read_fault(reply)) from error
    return list(_dated(runs, reply))


def _dated(runs: Iterable[Run], reply: Reply) -> tuple[Run, ...]:
    shown_at = read_date(reply)
    return tuple(replace(run, shown_at=shown_at) for run in runs)


def _together(found: RunListing, page: RunListing) -> RunListing:
    runs = {run.run_id: run for run in (*found.runs, *page.runs)}
    return RunListing(
        runs=tuple(runs.values()),
        unclear=tuple(dict.fromkeys((*found.unclear, *page.unclear))),
        nameless=found.nameless + page.nameless,
    )


def _total(page: Any) -> float:
    """Return how many runs there are on all pages, where a page insists that it is not the last."""
    if not isinstance(page, dict) or page.get("has_more") is not True:
        return 0
    total = page.get("total")
    return total if isinstance(total, int | float) else math.inf


def _malformed(message: str) -> ApiError:
    return ApiError(ApiFault(kind=FaultKind.MALFORMED, message=message))


def _ids(text: str | None) -> list[str]:
    ids = plain(text)
    return [run_id for each in ids if (run_id := run_id_of(each))] if isinstance(ids, list) else []
