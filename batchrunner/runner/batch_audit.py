"""Reads the API's list of a batch's runs page by page, and compares it with the database."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from sqlalchemy import Connection

from batchrunner.api_facts.limits import MAX_RUNS_PER_REQUEST
from batchrunner.model import (
    ApiFaultKind,
    Failed,
    FailureCategory,
    ListPage,
    NotFound,
    RequestFailed,
    Run,
    RunListing,
    RunObservation,
)
from batchrunner.model.audit import (
    AuditColumn,
    AuditReport,
    AuditScope,
    Difference,
    DifferenceKind,
    KnownRun,
    Records,
    Taken,
)
from batchrunner.model.markers import batch_prefix, marker_prefix, markers_in
from batchrunner.policy.audit import (
    MAX_REPEATED_PAGES,
    NEWEST_PAGES,
    OVERLAP,
    Comparison,
    MarkedAttempt,
    VisibleRuns,
    billed,
    compare,
    max_list_pages,
    may_be_missing,
    missing,
    shown_marker,
    take_unknown,
)
from batchrunner.runner.run_fetcher import chunks
from batchrunner.store.audit import (
    audit_column,
    audit_records,
    audit_scope,
    known_orphans,
    known_runs,
    marked_attempts,
    take_runs,
)
from batchrunner.tinyfish.client import TinyFishClient

P = ParamSpec("P")
T = TypeVar("T")

#: Runs that are read by their ids to confirm differences, at most, and runs that may be missing.
MAX_CONFIRMED = 1000
#: Runs of the database that are compared in one transaction.
PAGE = 500


class Ask(Protocol):
    """Sends a request that may be repeated, and repeats it as its user sees fit."""

    async def __call__(self, request: Callable[[], Awaitable[T]], /) -> T:
        """Return the answer; raise RequestFailed if there is none."""


class Read(Protocol):
    """Runs a function of the store in a transaction."""

    async def __call__(
        self,
        function: Callable[Concatenate[Connection, P], T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Return what it returns."""


class BatchAudit:
    """One comparison of a batch's runs in the API's list with those in the database."""

    def __init__(
        self,
        *,
        api: TinyFishClient,
        ask: Ask,
        read: Read,
        write: Read,
        batch_id: int,
        now: Callable[[], datetime],
    ) -> None:
        self._api = api
        self._ask = ask
        self._read = read
        self._write = write
        self._batch_id = batch_id
        self._now = now
        self._scope = AuditScope(token=None)
        self._listed: set[str] = set()  # ids that the list shows, whoever's runs they are
        self._theirs: dict[str, int | None] = {}  # steps of the batch's runs, by id
        self._suspects: dict[str, None] = {}  # ids of runs to be read by their ids
        self._visible = VisibleRuns()
        self._not_yet_shown = self._unlisted = self._lost = self._pages = 0
        self._other_account = 0
        self._unfinished: str | None = None
        self.newest: datetime | None = None  #: by the API's clock, when the newest run was created

    async def full(self) -> AuditReport:
        """
        Compare all runs of the batch.

        Raises:
            RequestFailed: A page, or the runs that it shows, could not be read.
        """
        scope = self._scope = await self._read(audit_scope, self._batch_id)
        prefixes = [*self._batch_prefix(), *map(marker_prefix, scope.old_tokens)]
        for prefix in prefixes:
            await self._read_list(prefix, newest_first=False)
        differences = await self._confirm()
        differences += await self._compare_with_list()
        return await self._report(differences, full=True)

    async def newest_runs(self, since: datetime | None) -> AuditReport:
        """
        Compare the runs that were created after *since*, by the API's clock; None: a few pages.

        Raises:
            RequestFailed: A page, or the runs that it shows, could not be read.
        """
        self._scope = await self._read(audit_scope, self._batch_id)
        until = None if since is None else since - OVERLAP
        for prefix in self._batch_prefix():
            await self._read_list(prefix, newest_first=True, until=until)
        return await self._report(await self._confirm(), full=False)

    def _batch_prefix(self) -> list[str]:
        return [] if self._scope.token is None else [batch_prefix(self._scope.token)]

    # ---- the list ----

    async def _read_list(
        self, prefix: str, *, newest_first: bool, until: datetime | None = None
    ) -> None:
        """Read all pages of a list, or its first ones: a list that repeats itself has no end."""
        cursors: set[str | None] = {None}
        cursor, repeated, entries = None, 0, 0
        most = self._pages + max_list_pages(self._scope.runs)
        read = partial(
            self._api.list_page,
            prefix,
            newest_first=newest_first,
            created_after=self._api.unused_date(),
        )
        while self._pages < most:
            page = await self._read_page(partial(read, cursor=cursor))
            self._pages += 1
            entries += _entries(page.listing)
            repeated = 0 if await self._take_page(page.listing) else repeated + 1
            cursor = page.cursor
            if cursor in cursors or self._is_enough(page.listing, until, newest_first):
                break
            if repeated == MAX_REPEATED_PAGES:
                self._unfinished = "it repeats itself"
                return
            cursors.add(cursor)
        else:
            self._unfinished = "it has no end"
            return
        if not newest_first and entries < page.total:
            self._unfinished = "it shows fewer runs than it counts"

    async def _read_page(self, read: Callable[..., Awaitable[ListPage]]) -> ListPage:
        """Read a page, or a shorter one where it is too large."""
        limit = MAX_RUNS_PER_REQUEST
        while True:
            try:
                return await self._ask(partial(read, limit=limit))
            except RequestFailed as error:
                if error.fault.kind is not ApiFaultKind.TOO_LARGE or limit == 1:
                    raise
                limit //= 2

    def _is_enough(self, page: RunListing, until: datetime | None, newest_first: bool) -> bool:
        if not newest_first:
            return False
        if until is None:
            return self._pages >= NEWEST_PAGES
        return all(run.created_at and run.created_at < until for run in page.runs)

    async def _take_page(self, page: RunListing) -> bool:
        """Compare the runs of a page; return whether one is new."""
        fresh = [run for run in page.runs if run.run_id not in self._listed]
        unclear = [run_id for run_id in page.unclear if run_id not in self._listed]
        self._listed.update([*unclear, *(run.run_id for run in fresh)])
        for run in fresh:
            if run.created_at is not None:
                self.newest = max(run.created_at, self.newest or run.created_at)
        found = await self._compare(fresh)
        self._suspects |= dict.fromkeys(each.run_id for each in found.differences)
        self._suspects |= dict.fromkeys([*found.unclear, *unclear])
        return bool(fresh or unclear)

    async def _compare(self, shown: Sequence[Run]) -> Comparison:
        """Compare runs that the API shows with the database, as it is now."""
        records = await self._records(shown)
        found = compare(shown, records, self._scope.token, self._now())
        self._theirs |= {run.run_id: billed(run) for run in found.runs}
        return found

    async def _records(self, shown: Sequence[Run]) -> Records:
        tokens = {marker.token for run in shown if (marker := shown_marker(run))}
        return await self._read(audit_records, [run.run_id for run in shown], tokens)

    # ---- runs by their ids ----

    async def _fetch(self, run_ids: Sequence[str]) -> dict[str, RunObservation]:
        found: dict[str, RunObservation] = {}
        for chunk in chunks(run_ids):
            found |= await self._ask(partial(self._api.get_many, chunk))
        return found

    async def _confirm(self) -> list[Difference]:
        """Read the runs that seem to differ by their ids: a list may be late, cut or cached."""
        suspects = list(self._suspects)[:MAX_CONFIRMED]
        if len(self._suspects) > MAX_CONFIRMED:
            self._unfinished = "it shows too many runs that seem to differ"
        shown = await self._fetch(suspects)
        for run_id in suspects:
            if isinstance(shown.get(run_id), NotFound):
                self._theirs.pop(run_id, None)  # the list names runs that do not exist
        runs = [run for run in shown.values() if isinstance(run, Run)]
        return list((await self._compare(runs)).differences)

    async def _compare_with_list(self) -> list[Difference]:
        """Compare the runs of the database that the list does not show, by their ids."""
        differences: list[Difference] = []
        not_found: list[KnownRun] = []
        async with aclosing(self._known_pages()) as pages:
            async for page in pages:
                differences += await self._compare_unlisted(page, not_found)
        return differences + await self._missing(not_found)

    async def _compare_unlisted(
        self, page: Sequence[KnownRun], not_found: list[KnownRun]
    ) -> list[Difference]:
        """Compare the runs of a page that the list does not show; add those without a trace."""
        for known in page:
            if known.run_id in self._listed:
                self._visible.add(known)
        unlisted = [known for known in page if known.run_id not in self._listed]
        shown = await self._fetch([known.run_id for known in unlisted])
        runs = {run.run_id: run for run in shown.values() if isinstance(run, Run)}
        compared = await self._compare(list(runs.values()))
        for known in unlisted:
            if known.run_id not in runs:
                not_found.append(known)
            elif known.marker is None:
                self._visible.add(known)  # by its id, as all runs without a marker
            else:
                self._unlisted += 1
        return list(compared.differences)

    async def _known_pages(self) -> AsyncGenerator[list[KnownRun]]:
        after: int | None = 0
        while after is not None:
            page, after = await self._read(known_runs, self._batch_id, after, PAGE)
            yield page
        yield await self._read(known_orphans, self._batch_id)

    async def _missing(self, not_found: Iterable[KnownRun]) -> list[Difference]:
        """Return the runs that are missing although a control run is shown in the same answer."""
        differences: list[Difference] = []
        for known in not_found:
            if known.gone:
                self._lost += 1
                continue
            if known.submission <= self._scope.former_submission:
                self._other_account += 1
                continue
            control_run = None if self._unfinished else self._visible.control_run(known)
            if control_run is None or not may_be_missing(known, self._now()):
                self._not_yet_shown += 1
                continue
            shown = await self._fetch([known.run_id, control_run])
            is_gone = isinstance(shown.get(known.run_id), NotFound)
            if is_gone and isinstance(shown.get(control_run), Run):
                differences.append(missing(known))
            else:
                self._not_yet_shown += 1
        return differences

    # ---- unknown runs ----

    async def take(
        self, report: AuditReport, owner_id: str, new_token: Callable[[], str]
    ) -> AuditReport:
        """
        Adopt the report's unknown runs whose jobs need one; list the others as orphans.

        Raises:
            RequestFailed: A run that may be in the place of an unknown one could not be read.
        """
        unknown = [each for each in report.differences if each.kind is DifferenceKind.UNKNOWN]
        taken: dict[str, Taken] = {}
        for some in chunks(unknown):
            taken |= await self._take(some, owner_id, new_token)
        differences = tuple(
            replace(each, taken=taken.get(each.run_id)) for each in report.differences
        )
        return replace(report, differences=differences)

    async def _take(
        self, unknown: Sequence[Difference], owner_id: str, new_token: Callable[[], str]
    ) -> dict[str, Taken]:
        tokens = {marker.token for each in unknown for marker in markers_in(each.marker)}
        attempts = await self._read(marked_attempts, self._batch_id, tokens)
        verified = await self._verified(attempts)
        taking = take_unknown(unknown, attempts, verified)
        if not taking.adopt and not taking.orphans:
            return {}
        adopted = await self._write(
            take_runs,
            owner_id,
            self._batch_id,
            taking.adopt,
            taking.orphans,
            self._now(),
            new_token=new_token,
        )
        run_ids = {*taking.adopt.values(), *taking.orphans}
        return {each: Taken.ADOPTED if each in adopted else Taken.ORPHAN for each in run_ids}

    async def _verified(self, attempts: Mapping[str, MarkedAttempt]) -> set[str]:
        """Return the runs of open attempts that the API shows with their own markers."""
        markers = {a.run_id: text for text, a in attempts.items() if a.is_open and a.run_id}
        shown = await self._fetch(list(markers))
        return {
            run.run_id
            for run in shown.values()
            if isinstance(run, Run)
            and (marker := shown_marker(run)) is not None
            and marker.text == markers[run.run_id]
        }

    # ---- the report ----

    async def _report(self, differences: Sequence[Difference], *, full: bool) -> AuditReport:
        steps = [steps for steps in self._theirs.values() if steps is not None]
        foreign = DifferenceKind.FOREIGN
        # One run may differ in the list and by its id: the newest reading counts.
        by_id = {each.run_id: each for each in differences}
        ordered = sorted(by_id.values(), key=lambda each: (each.kind is not foreign, each.run_id))
        return AuditReport(
            at=self._now(),
            full=full,
            ours=await self._read(audit_column, self._batch_id),
            theirs=AuditColumn(
                runs=len(self._theirs), steps=sum(steps), unbilled=len(self._theirs) - len(steps)
            ),
            differences=tuple(ordered),
            not_yet_shown=self._not_yet_shown,
            lost=self._lost,
            other_account=self._other_account,
            unlisted=self._unlisted,
            unfinished=self._unfinished,
            unmarked=self._scope.unmarked,
            old_submissions=len(self._scope.old_tokens),
        )


def _entries(page: RunListing) -> int:
    return len(page.runs) + len(page.unclear) + page.nameless


def may_pass(failure: Failed) -> bool:
    """Whether a request that failed like this may succeed soon."""
    return failure.category in (FailureCategory.THROTTLED, FailureCategory.UNREACHABLE)
