"""The client for terminal commands: filtered runs, one run in full, streams, account lists."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from typing import Any

from batchrunner.api_facts import endpoint_paths
from batchrunner.api_facts.limits import MAX_RUNS_PER_REQUEST
from batchrunner.model import (
    ApiFault,
    ApiFaultKind,
    CreateAnswer,
    Created,
    Refused,
    RequestFailed,
    RunStatus,
    Unanswered,
)
from batchrunner.tinyfish.client import CREATE_SECONDS, READ_SECONDS, TinyFishClient, refusal_of
from batchrunner.tinyfish.console_views import (
    AccountListing,
    RunDetails,
    RunListPage,
    read_entries,
    read_page,
    read_run_details,
)
from batchrunner.tinyfish.event_stream import EventDecoder, StreamEvent, read_event
from batchrunner.tinyfish.http import malformed
from batchrunner.tinyfish.parse import read_fault, read_members, text_of
from batchrunner.tinyfish.raw_json import ascii_safe, parsed

#: Seconds without data after which a stream counts as lost.
QUIET_SECONDS = 45.0
#: Maximum seconds for which a stream is followed.
STREAM_SECONDS = 3600.0
_LOST = ApiFault(kind=ApiFaultKind.INTERRUPTED, message="The stream ended before it named a run")
#: Maximum pages of a list; a longer list counts as endless.
MAX_ENTRY_PAGES = 10_000


class ConsoleClient(TinyFishClient):
    """The endpoints that a batch needs, and those that only show things."""

    async def page(self, query: Mapping[str, str]) -> RunListPage:
        """
        Return one page of the list of runs; `query_of` makes the query.

        Raises:
            RequestFailed: It could not be read.
        """
        return read_page(
            await self._http.send("GET", endpoint_paths.RUNS, seconds=READ_SECONDS, query=query)
        )

    async def pages(self, query: Mapping[str, str]) -> AsyncIterator[RunListPage]:
        """
        Yield the page of *query* and all following pages, until a cursor repeats.

        Raises:
            RequestFailed: A page could not be read, or there were too many.
        """
        seen: set[str | None] = {query.get("cursor")}
        for _ in range(MAX_ENTRY_PAGES):
            page = await self.page(query)
            yield page
            if page.cursor is None or page.cursor in seen:
                return
            seen.add(page.cursor)
            query = {**query, "cursor": page.cursor}  # the API may not remember filters
        raise malformed(f"The list of runs did not end after {MAX_ENTRY_PAGES} pages")

    async def show(
        self, run_id: str, *, screenshots: str = "none", html: str = "none"
    ) -> RunDetails:
        """
        Return one run with everything that the API sends, including its steps.

        Raises:
            RequestFailed: It could not be read; status 404 if the API does not know it.
        """
        path = endpoint_paths.run_path(run_id)
        query = {"screenshots": screenshots, "html": html}
        reply = await self._http.send("GET", path, seconds=READ_SECONDS, query=query)
        read_members(reply)
        shown = read_run_details(text_of(reply))
        if shown is None:
            raise malformed("A run without an id")
        return shown

    async def create_streaming(
        self,
        run: Mapping[str, Any],
        output_schema: Mapping[str, Any] | None,
        on_event: Callable[[StreamEvent], None],
    ) -> CreateAnswer:
        """
        Create one run (run-sse) and pass its events to *on_event* until the run or stream ends.

        The request is sent once. A lost stream is not requested again: a caller with the run's id
        polls the run, and a caller without it searches for the run.
        """
        run_stream = _RunStream(on_event, self._http.clean)
        body = dict(run) if output_schema is None else {**run, "output_schema": output_schema}
        try:
            reply = await self._http.stream(
                endpoint_paths.RUN_SSE,
                body,
                run_stream.take,
                answer_seconds=CREATE_SECONDS,
                quiet=QUIET_SECONDS,
                seconds=STREAM_SECONDS,
            )
        except RequestFailed as error:
            return run_stream.answer(error.fault)
        return refusal_of(read_fault(reply)) if reply else run_stream.answer(_LOST)

    async def entries(self, listing: AccountListing) -> list[dict[str, Any]]:
        """
        Return one of the account's lists, without secrets.

        Raises:
            RequestFailed: It could not be read, or the account has no right to it.
        """
        reply = await self._http.send("GET", listing.path, seconds=READ_SECONDS)
        return read_entries(reply, listing)

    async def wallet_details(self) -> tuple[dict[str, Any], str]:
        """
        Return the account's wallet, as a mapping and as the text that the API sent.

        Raises:
            RequestFailed: It could not be read; status 404 if the account has no wallet.
        """
        reply = await self._http.send("GET", endpoint_paths.WALLET, seconds=READ_SECONDS)
        read_members(reply)
        wallet = parsed(text_of(reply))
        return wallet if isinstance(wallet, dict) else {}, ascii_safe(text_of(reply))


class _RunStream:
    """Decodes the stream of one run, and remembers the id of the run."""

    def __init__(
        self, on_event: Callable[[StreamEvent], None], clean: Callable[[str], str]
    ) -> None:
        self._decoder = EventDecoder()
        self._on_event = on_event
        self._clean = clean
        self._run_id: str | None = None

    def take(self, chunk: bytes) -> bool:
        """Pass on the events that a chunk completes; return whether the run is over."""
        is_over = False
        for data in self._decoder.feed(chunk):
            event = read_event(self._clean(data))
            if event is not None:
                self._run_id = self._run_id or event.run_id
                self._on_event(event)
                is_over = is_over or event.kind == "COMPLETE"
        return is_over

    def answer(self, fault: ApiFault) -> CreateAnswer:
        """Return what became of the create request; *fault* is how the stream ended."""
        if self._run_id is not None:
            return Created(run_ids=(self._run_id,))
        return Refused(fault=fault) if fault.nothing_sent else Unanswered(fault=fault)


def query_of(
    *,
    status: RunStatus | None = None,
    goal: str | None = None,
    created_after: datetime | None = None,
    created_before: datetime | None = None,
    oldest_first: bool = False,
    limit: int = MAX_RUNS_PER_REQUEST,
    cursor: str | None = None,
) -> dict[str, str]:
    """Return the query for a list of runs; None leaves a filter out."""
    filters = {
        "status": status,
        "goal": goal,
        "created_after": created_after and _instant(created_after),
        "created_before": created_before and _instant(created_before),
        "sort_direction": "asc" if oldest_first else "desc",
        "limit": str(limit),
        "cursor": cursor,
    }
    return {name: str(value) for name, value in filters.items() if value is not None}


def _instant(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
