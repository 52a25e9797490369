"""The client for batches: creates, reads, searches and cancels runs, and never retries."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import Any, Self, TypeVar

import anyio
import anyio.to_thread
import httpx

from batchrunner.api_facts import endpoint_paths
from batchrunner.api_facts.error_codes import REFUSED_STATUSES, SINGLE_RUN_STATUSES
from batchrunner.api_facts.limits import MAX_RUNS_PER_REQUEST
from batchrunner.classify import is_blocked
from batchrunner.model import (
    ApiFault,
    ApiFaultKind,
    CreateAnswer,
    Created,
    ListPage,
    NotFound,
    Refused,
    RequestFailed,
    Run,
    RunListing,
    RunObservation,
    RunStatus,
    Unanswered,
    Unreadable,
    Wallet,
)
from batchrunner.tinyfish.fast_answers import listing_of, page_of, runs_of, value_of
from batchrunner.tinyfish.http import Http, Reply, malformed
from batchrunner.tinyfish.parse import (
    read_cancel_answer,
    read_cancel_answers,
    read_fault,
    read_listed,
    read_members,
    read_run,
    read_runs,
    run_id_of,
    text_of,
)
from batchrunner.tinyfish.parse_wallet import read_wallet
from batchrunner.tinyfish.raw_json import LONG_TEXT_LENGTH, parsed
from batchrunner.tinyfish.request_parts import one_by_one, split_until_readable
from batchrunner.tinyfish.throttling import read_server_date

#: Deadline of a create; if it passes, the runs are searched for.
CREATE_SECONDS = 90.0
#: Deadline of a request that can be repeated.
READ_SECONDS = 60.0
#: Deadline of a check, for which a user waits at a terminal.
CHECK_SECONDS = 20.0
#: Maximum pages of a search by marker: enough even if each run has its own page.
MAX_SEARCH_PAGES = MAX_RUNS_PER_REQUEST + 20

#: Dates that make the address of each search a new one; the API has no runs that are as old.
_BEFORE_ALL_RUNS, _DATES = datetime(2000, 1, 1, tzinfo=UTC), 10 * 365 * 24 * 3600

T = TypeVar("T")

#: Members that hold ids of runs, in all documented spellings.
_ID_MEMBERS = ("run_id", "run_ids", "runId", "runIds")


class TinyFishClient:
    """The endpoints that a batch needs."""

    def __init__(
        self,
        base_url: str,
        key: str,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = Http(base_url, key, transport)
        self._long_answers: anyio.CapacityLimiter | None = None
        self.origin = self._http.origin
        self._first_date, self._searches = secrets.randbelow(_DATES), count()
        self.proxy = self._http.proxy

    async def __aenter__(self) -> Self:
        """Open the connections."""
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *exc_info: Any) -> None:
        """Close the connections."""
        await self._http.__aexit__(*exc_info)

    def hide(self, secret: str) -> None:
        """Remove a secret of the requests from all answers, in case the API repeats it."""
        self._http.hide(secret)

    # ---- creating: a request is sent once, here and everywhere ----

    async def create(
        self, runs: Sequence[Mapping[str, Any]], output_schema: Mapping[str, Any] | None
    ) -> CreateAnswer:
        """Create up to 100 runs in one request (run-batch): all of them or none."""
        body: dict[str, Any] = {"runs": list(runs)}
        if output_schema is not None:
            body["output_schema"] = output_schema
        return await self._create(endpoint_paths.RUN_BATCH, body, "run_ids", len(runs))

    async def create_one(
        self, run: Mapping[str, Any], output_schema: Mapping[str, Any] | None
    ) -> CreateAnswer:
        """Create one run (run-async), for an API without run-batch."""
        body = dict(run)
        if output_schema is not None:
            body["output_schema"] = output_schema
        return await self._create(endpoint_paths.RUN_ASYNC, body, "run_id", 1)

    async def _create(self, path: str, body: Any, member: str, runs: int) -> CreateAnswer:
        try:
            reply = await self._http.send("POST", path, seconds=CREATE_SECONDS, body=body)
        except RequestFailed as error:
            fault = error.fault
            return Refused(fault=fault) if fault.nothing_sent else Unanswered(fault=fault)
        entries = _id_entries(reply, member)
        if not entries and not _names_a_run(parsed(text_of(reply))):
            return refusal_of(read_fault(reply))
        run_ids = {entry for entry in entries if isinstance(entry, str) and run_id_of(entry)}
        if not 200 <= reply.status < 300 or not len(entries) == len(run_ids) == runs:
            # Some of the runs may exist, whatever else the answer says.
            message = f"The API gave {len(run_ids)} run ids for {runs} runs (HTTP {reply.status})"
            return Unanswered(fault=ApiFault(kind=ApiFaultKind.MALFORMED, message=message))
        return Created(run_ids=tuple(entries))

    # ---- reading ----

    async def get(self, run_id: str) -> Run:
        """
        Return one run.

        Raises:
            RequestFailed: It could not be read; status 404 if the API does not know it.
        """
        query = {"screenshots": "none", "html": "none"}
        path = endpoint_paths.run_path(run_id)
        reply = await self._http.send("GET", path, seconds=READ_SECONDS, query=query)
        return await self._parse(_one_run, reply)

    async def get_many(
        self, run_ids: Sequence[str], enough_bytes: float = math.inf
    ) -> dict[str, RunObservation]:
        """
        Return observations of up to 100 runs, by id.

        An id that the answer does not mention is missing. If a request is refused or its answer is
        too large, the ids are requested again in halves, until the run that causes it is alone.
        After answers that were too large, no half is requested once results of *enough_bytes* are
        there: its ids are missing. If a gateway does not pass such requests, each run is read by
        itself; one that is not found then is missing too, because the gateway may say that.

        Raises:
            RequestFailed: Nothing could be read.
        """
        try:
            found, refused = await split_until_readable(
                partial(self._read_many, enough_bytes=enough_bytes), run_ids
            )
        except RequestFailed as error:
            if not is_blocked(error.fault):
                raise
            return await one_by_one(self.get, run_ids, error)
        return found | {
            run_id: Unreadable(run_id=run_id, message=fault.message)
            for run_id, fault in refused.items()
        }

    async def _read_many(
        self, run_ids: Sequence[str], enough_bytes: float
    ) -> dict[str, RunObservation]:
        try:
            reply = await self._http.send(
                "POST",
                endpoint_paths.RUNS_BATCH,
                seconds=READ_SECONDS,
                body={"run_ids": list(run_ids)},
            )
            return await self._parse(observations_of, reply, run_ids)
        except RequestFailed as error:
            if error.fault.kind is not ApiFaultKind.TOO_LARGE:
                raise
            return await self._read_halves(run_ids, error.fault, enough_bytes)

    async def _read_halves(
        self, run_ids: Sequence[str], fault: ApiFault, enough_bytes: float
    ) -> dict[str, RunObservation]:
        if len(run_ids) == 1:
            return {run_ids[0]: Unreadable(run_id=run_ids[0], message=fault.message)}
        middle = len(run_ids) // 2
        first = await self._read_many(run_ids[:middle], enough_bytes)
        left = enough_bytes - result_bytes(first.values())
        return first | await self._read_many(run_ids[middle:], left) if left > 0 else first

    async def search(
        self,
        goal: str | None,
        *,
        newest_first: bool = False,
        is_enough: Callable[[RunListing], bool] = lambda page: False,
    ) -> RunListing:
        """
        Return the runs whose goal contains *goal* (None: all), and unreadable list entries.

        No other search has the same address, so no cache can answer it. It ends at the end of the
        list, or after a page that *is_enough*. It leaves out no run because of its time: a clock
        that is an hour off would hide runs that exist. If a page is too large, a page with fewer
        runs is requested.

        Raises:
            RequestFailed: It could not be read.
        """
        query = {} if goal is None else {"goal": goal}
        query |= {"sort_direction": "desc" if newest_first else "asc"}
        query |= {"created_after": self.unused_date()}
        limit, cursors, found = MAX_RUNS_PER_REQUEST, set[str](), RunListing(runs=())
        for _ in range(MAX_SEARCH_PAGES):
            try:
                page, cursor, total = await self._page({**query, "limit": str(limit)})
            except RequestFailed as error:
                if error.fault.kind is not ApiFaultKind.TOO_LARGE:
                    raise
                if limit == 1:
                    break
                limit //= 2
                continue
            found = _merged(found, page)
            if is_enough(page):
                return found
            if cursor is None or cursor in cursors:
                entries = len(found.runs) + len(found.unclear) + found.nameless
                return replace(found, complete=entries >= total)
            cursors.add(cursor)
            query["cursor"] = cursor  # the API may not remember filters: repeat them
        return replace(found, complete=False)

    async def list_page(
        self,
        goal: str,
        *,
        newest_first: bool = False,
        created_after: str,
        cursor: str | None = None,
        limit: int,
    ) -> ListPage:
        """
        Return one page of the runs whose goal contains *goal*; a cursor leads to the next one.

        *created_after* is an `unused_date`, the same for all pages of a list: no cache knows them.

        Raises:
            RequestFailed: It could not be read; TOO_LARGE if a page with fewer runs may be.
        """
        query = {"goal": goal, "sort_direction": "desc" if newest_first else "asc"}
        query |= {"created_after": created_after}
        after = {} if cursor is None else {"cursor": cursor}
        listing, following, total = await self._page({**query, "limit": str(limit), **after})
        return ListPage(listing=listing, cursor=following, total=total)

    def unused_date(self) -> str:
        """Return a date before all runs that no earlier search of this client has named."""
        date = _BEFORE_ALL_RUNS + timedelta(seconds=self._first_date + next(self._searches))
        return date.strftime("%Y-%m-%dT%H:%M:%SZ")

    async def check(self) -> datetime | None:
        """
        Read one run, which is free, to check key and address; return the API's time in seconds.

        Raises:
            RequestFailed: There is no API, or it refuses the key.
        """
        query = {"limit": "1"}
        reply = await self._http.send(
            "GET", endpoint_paths.RUNS, seconds=CHECK_SECONDS, query=query
        )
        _runs(reply, read_members(reply), "data")
        return read_server_date(reply.headers)

    async def wallet(self) -> Wallet | None:
        """
        Return balance and price of a step; None if the account has no wallet in dollars.

        Raises:
            RequestFailed: It could not be read.
        """
        reply = await self._http.send("GET", endpoint_paths.WALLET, seconds=CHECK_SECONDS)
        if reply.status == 404 and read_fault(reply).kind is ApiFaultKind.STATUS:
            return None
        return read_wallet({name: parsed(text) for name, text in read_members(reply).items()})

    async def _page(self, query: Mapping[str, str]) -> tuple[RunListing, str | None, float]:
        """Return the runs of a page, the cursor of the next, and the minimum count of all runs."""
        reply = await self._http.send("GET", endpoint_paths.RUNS, seconds=READ_SECONDS, query=query)
        listed, pagination = _listed(reply)
        more = isinstance(pagination, dict) and pagination.get("has_more") is not False
        following = pagination.get("next_cursor") if more else None
        cursor = following if isinstance(following, str) and following else None
        return listed, cursor, _minimum_total(pagination)

    async def _parse(self, read: Callable[..., T], reply: Reply, *args: Any) -> T:
        """Call *read* with an answer; a long one in a thread, one at a time: other tasks go on."""
        if len(reply.body) <= LONG_TEXT_LENGTH:
            return read(reply, *args)
        self._long_answers = self._long_answers or anyio.CapacityLimiter(1)
        return await anyio.to_thread.run_sync(read, reply, *args, limiter=self._long_answers)

    # ---- cancelling ----

    async def cancel(self, run_id: str) -> RunStatus | None:
        """Cancel one run; return its new status, None if the API does not know it."""
        path = endpoint_paths.cancel_path(run_id)
        reply = await self._http.send("POST", path, seconds=READ_SECONDS)
        if reply.status == 404 and read_fault(reply).kind is ApiFaultKind.STATUS:
            return None
        read_members(reply)
        answer = read_cancel_answer(text_of(reply))
        return answer[1] if answer else None

    async def cancel_many(self, run_ids: Sequence[str]) -> dict[str, RunStatus]:
        """
        Cancel up to 100 runs; return the status of each that the API knows.

        Idempotent: a run that has ended is reported as it is. If the API refuses the whole request
        because of one run, the others are cancelled. If a gateway does not pass such requests, each
        run is cancelled by itself.

        Raises:
            RequestFailed: The outcome of the request is unknown; it may be sent again.
        """
        try:
            found, _ = await split_until_readable(
                self._cancel_all, run_ids, SINGLE_RUN_STATUSES | {403, 404, 409}
            )
        except RequestFailed as error:
            if not is_blocked(error.fault):
                raise
            answers = await one_by_one(self.cancel, run_ids, error)
            return {run_id: status for run_id, status in answers.items() if status is not None}
        return found

    async def _cancel_all(self, run_ids: Sequence[str]) -> dict[str, RunStatus]:
        reply = await self._http.send(
            "POST",
            endpoint_paths.CANCEL_RUNS,
            seconds=READ_SECONDS,
            body={"run_ids": list(run_ids)},
        )
        found = read_members(reply)
        try:
            return read_cancel_answers(found["results"])
        except (KeyError, ValueError) as error:
            raise RequestFailed(read_fault(reply)) from error


def _one_run(reply: Reply) -> Run:
    read_members(reply)
    run = read_run(text_of(reply))
    if run is None:
        raise malformed("A run without an id")
    return run


def observations_of(reply: Reply, run_ids: Sequence[str]) -> dict[str, RunObservation]:
    """Return what an answer shows of runs; raises RequestFailed if it is not the API's."""
    runs, not_found = _shown(reply)
    observations: dict[str, RunObservation] = {run.run_id: run for run in runs}
    for run_id in map(run_id_of, not_found if isinstance(not_found, list) else ()):
        if run_id is not None:
            observations.setdefault(run_id, NotFound(run_id=run_id))
    return {run_id: observations[run_id] for run_id in run_ids if run_id in observations}


def _shown(reply: Reply) -> tuple[list[Run], Any]:
    """Return the runs that an answer shows, and the ids that it does not know."""
    shown_at = read_server_date(reply.headers)
    if (page := page_of(reply)) is not None:
        return runs_of(page, shown_at), value_of(page.not_found)
    found = read_members(reply)
    return _runs(reply, found, "data", shown_at), parsed(found.get("not_found"))


def _listed(reply: Reply) -> tuple[RunListing, Any]:
    """Return a page of the list of runs, and what it says about other pages."""
    shown_at = read_server_date(reply.headers)
    if (page := page_of(reply)) is not None:
        return listing_of(page, shown_at), value_of(page.pagination)
    found = read_members(reply)
    try:
        return read_listed(found["data"], shown_at), parsed(found.get("pagination"))
    except (KeyError, ValueError) as error:
        raise RequestFailed(read_fault(reply)) from error


def result_bytes(observations: Iterable[RunObservation]) -> int:
    """Return the length of all results in observations."""
    return sum(len(each.result or "") for each in observations if isinstance(each, Run))


def _id_entries(reply: Reply, member: str) -> list[Any]:
    """Return the entries of the member for a create's ids; empty if there is none."""
    body = parsed(text_of(reply))
    ids = body.get(member) if isinstance(body, dict) else None
    if isinstance(ids, list):
        return ids
    return [] if ids is None else [ids]


def _names_a_run(answer: Any) -> bool:
    """Whether the id of a run is anywhere in an answer: then it may exist."""
    left = [answer]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            if any(value.get(name) for name in _ID_MEMBERS):
                return True
            left += value.values()
        elif isinstance(value, list):
            left += value
    return False


def refusal_of(fault: ApiFault) -> CreateAnswer:
    """Return whether a create with an error as its answer may have created runs."""
    refused = fault.kind is ApiFaultKind.STATUS and fault.status in REFUSED_STATUSES
    return Refused(fault=fault) if refused else Unanswered(fault=fault)


def _runs(
    reply: Reply, found: Mapping[str, str], member: str, shown_at: datetime | None = None
) -> list[Run]:
    try:
        return read_runs(found[member], shown_at)
    except (KeyError, ValueError) as error:
        raise RequestFailed(read_fault(reply)) from error


def _merged(found: RunListing, page: RunListing) -> RunListing:
    runs = {run.run_id: run for run in (*found.runs, *page.runs)}
    return RunListing(
        runs=tuple(runs.values()),
        unclear=tuple(dict.fromkeys((*found.unclear, *page.unclear))),
        nameless=found.nameless + page.nameless,
    )


def _minimum_total(pagination: Any) -> float:
    """Return the number of runs on all pages if the page says that more follow, else 0."""
    if not isinstance(pagination, dict) or pagination.get("has_more") is not True:
        return 0
    total = pagination.get("total")
    return total if isinstance(total, int | float) else math.inf
