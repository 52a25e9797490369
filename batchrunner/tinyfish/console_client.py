"""The API as people ask it at a terminal: runs by filters, one run whole, an account's lists."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from typing import Any

from batchrunner.api_facts import endpoints
from batchrunner.api_facts.limits import MAX_RUNS_PER_REQUEST
from batchrunner.model import (
    ApiError,
    ApiFault,
    CreateAnswer,
    Created,
    FaultKind,
    Refused,
    RunStatus,
    Unanswered,
)
from batchrunner.tinyfish.client import READ_SECONDS, TinyFishClient, refusal_of
from batchrunner.tinyfish.console_views import (
    AccountListing,
    RunDetails,
    RunPage,
    read_entries,
    read_page,
    read_shown,
)
from batchrunner.tinyfish.parse import read_fault, read_members, text_of
from batchrunner.tinyfish.raw_json import ascii_safe, plain
from batchrunner.tinyfish.sse import EventDecoder, StreamEvent, read_event

#: A stream that is silent for longer is lost, and none is followed for longer.
QUIET_SECONDS, STREAM_SECONDS = 45.0, 3600.0
_LOST = ApiFault(kind=FaultKind.INTERRUPTED, message="The stream ended before it named a run")
#: Pages after which a list that goes on is taken for one that has no end.
MAX_ENTRY_PAGES = 10_000


class ConsoleClient(TinyFishClient):
    """The endpoints that only show things, beside those that a batch needs."""

    async def page(self, query: Mapping[str, str]) -> RunPage:
        """
        Return one page of the list of runs, as `query_of` asks for it.

        Raises:
            ApiError: It could not be read.
        """
        return read_page(
            await self._http.send("GET", endpoints.RUNS, seconds=READ_SECONDS, query=query)
        )

    async def pages(self, query: Mapping[str, str]) -> AsyncIterator[RunPage]:
        """
        Give the page that *query* asks for and all that follow; a cursor that comes again ends it.

        Raises:
            ApiError: A page could not be read, or there was no end to them.
        """
        asked: set[str | None] = {query.get("cursor")}
        for _ in range(MAX_ENTRY_PAGES):
            page = await self.page(query)
            yield page
            if page.cursor is None or page.cursor in asked:
                return
            asked.add(page.cursor)
            query = {**query, "cursor": page.cursor}  # filters are repeated: nobody says they stay
        raise _malformed(f"The list of runs did not end after {MAX_ENTRY_PAGES} pages")

    async def show(
        self, run_id: str, *, screenshots: str = "none", html: str = "none"
    ) -> RunDetails:
        """
        Return one run with all that the API says of it, its steps included.

        Raises:
            ApiError: It could not be read; status 404 where the API does not know it.
        """
        path = endpoints.run_path(run_id)
        query = {"screenshots": screenshots, "html": html}
        reply = await self._http.send("GET", path, seconds=READ_SECONDS, query=query)
        read_members(reply)
        shown = read_shown(text_of(reply))
        if shown is None:
            raise _malformed("A run without an id")
        return shown

    async def create_streaming(
        self,
        run: Mapping[str, Any],
        output_schema: Mapping[str, Any] | None,
        tell: Callable[[StreamEvent], None],
    ) -> CreateAnswer:
        """
        Create one run (run-sse) and tell what happens to it, until it is over or the stream is.

        The request is sent once. A stream that is lost is not asked for again: whoever has the
        run's id looks at the run, and whoever has none searches for it.
        """
        told = _Told(tell, self._http.clean)
        body = dict(run) if output_schema is None else {**run, "output_schema": output_schema}
        try:
            reply = await self._http.stream(
                endpoints.RUN_SSE,
                body,
                told.take,
                quiet=QUIET_SECONDS,
                seconds=STREAM_SECONDS,
            )
        except ApiError as error:
            return told.answer(error.fault)
        return refusal_of(read_fault(reply)) if reply else told.answer(_LOST)

    async def entries(self, listing: AccountListing) -> list[dict[str, Any]]:
        """
        Return what an account has of something, with nothing in it that is secret.

        Raises:
            ApiError: It could not be read, or the account has no right to it.
        """
        reply = await self._http.send("GET", listing.path, seconds=READ_SECONDS)
        return read_entries(reply, listing)

    async def purse(self) -> tuple[dict[str, Any], str]:
        """
        Return what the account's wallet says, plainly and as the API sent it.

        Raises:
            ApiError: It could not be read; status 404 where the account has no wallet.
        """
        reply = await self._http.send("GET", endpoints.WALLET, seconds=READ_SECONDS)
        read_members(reply)
        said = plain(text_of(reply))
        return said if isinstance(said, dict) else {}, ascii_safe(text_of(reply))


class _Told:
    """What a stream has told so far."""

    def __init__(self, tell: Callable[[StreamEvent], None], clean: Callable[[str], str]) -> None:
        self._frames = EventDecoder()
        self._tell = tell
        self._clean = clean
        self._run_id: str | None = None

    def take(self, piece: bytes) -> bool:
        """Tell what a piece of the stream completes; whether the run is over."""
        is_over = False
        for data in self._frames.feed(piece):
            event = read_event(self._clean(data))
            if event is not None:
                self._run_id = self._run_id or event.run_id
                self._tell(event)
                is_over = is_over or event.kind == "COMPLETE"
        return is_over

    def answer(self, fault: ApiFault) -> CreateAnswer:
        """Return whether the run is known to exist; *fault* is how the stream ended."""
        if self._run_id is not None:
            return Created(run_ids=(self._run_id,))
        return Refused(fault=fault) if fault.kind is FaultKind.NOT_SENT else Unanswered(fault=fault)


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
    """Return the query of a list of runs; what is None is not asked for."""
    said = {
        "status": status,
        "goal": goal,
        "created_after": created_after and _instant(created_after),
        "created_before": created_before and _instant(created_before),
        "sort_direction": "asc" if oldest_first else "desc",
        "limit": str(limit),
        "cursor": cursor,
    }
    return {name: str(value) for name, value in said.items() if value is not None}


def _instant(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _malformed(message: str) -> ApiError:
    return ApiError(ApiFault(kind=FaultKind.MALFORMED, message=message))
