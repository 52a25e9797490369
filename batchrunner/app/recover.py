"""Rebuilds a batch from the runs that the API has of its jobs; starts and cancels none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import (
    AsyncIterator,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from batchrunner.app.account_check import bind
from batchrunner.app.api_call import call_api
from batchrunner.app.choose_edition import SeriesOptions, choose_file_edition
from batchrunner.app.clock import store_now
from batchrunner.app.follow_edit import ADDS_ONLY, load_jobs
from batchrunner.app.registered_owner import registered_owner
from batchrunner.app.repeat_request import repeat_request
from batchrunner.app.run_observer import Say, say_nothing
from batchrunner.model import (
    ApiFault,
    ApiFaultKind,
    Batch,
    JobFile,
    OpenAttempt,
    RequestFailed,
    Run,
    RunObservation,
    RunStatus,
)
from batchrunner.model.markers import batch_prefix, marker_in, markers_in
from batchrunner.policy.recovery import (
    FoundDatabase,
    FoundRun,
    KnownJobs,
    found_databases,
    known_jobs,
    replay_order,
)
from batchrunner.policy.retry_rules import Policy
from batchrunner.policy.run_decision import decide_run
from batchrunner.runner.run_fetcher import chunks
from batchrunner.store import recovery
from batchrunner.store.attempts import apply_poll, runs_in_flight
from batchrunner.store.leases import renew_lease
from batchrunner.store.store import Store
from batchrunner.store.submissions import record_runs, unanswered_submissions

if TYPE_CHECKING:
    from batchrunner.app.api_access import ApiAccess
    from batchrunner.tinyfish.console_client import ConsoleClient
    from batchrunner.tinyfish.console_views import RunListPage

T = TypeVar("T")

#: What every marker of this program has.
_ANY_MARKER = "br-"


@dataclass(frozen=True, kw_only=True)
class RecoverableRuns:
    """What the API has of a job file's jobs."""

    databases: Sequence[FoundDatabase]
    collided: Sequence[str]  #: ids of jobs that no marker tells apart
    runs: Sequence[FoundRun] = field(repr=False, default=())


@dataclass(kw_only=True)
class RecoverResult:
    """What recovering has done."""

    adopted: int = 0  #: runs that are attempts of their jobs now
    spare: int = 0  #: runs that are over and that no job needs; their cost counts
    known: int = 0  #: runs that the database had already
    left_alone: list[str] = field(default_factory=list)  #: runs that are alive and have no job
    going_on: int = 0  #: runs that were adopted and are not over


def recoverable_runs(
    api: ApiAccess, job_file: JobFile, database: str | None = None
) -> RecoverableRuns:
    """
    Return the runs that the API has of a file's jobs, of all databases or of one.

    Raises:
        BatchrunnerError: The API did not give the list.
    """
    known = known_jobs(job_file.specs)
    runs = call_api(
        api, lambda client: find_runs(client, known, database), about="the list of runs"
    )
    return RecoverableRuns(
        databases=found_databases(runs),
        collided=[spec.key for spec in known.collided],
        runs=runs,
    )


async def find_runs(
    client: ConsoleClient, known: KnownJobs, database: str | None = None
) -> list[FoundRun]:
    """
    Return the runs that the API's list has of these jobs, of all databases or of one.

    Raises:
        RequestFailed: The list could not be read.
    """
    prefix = _ANY_MARKER if database is None else batch_prefix(database)
    found = {run.run_id: run async for run in _list_runs(client, prefix)}
    return [
        run
        for run in found.values()
        if run.marker.job in known.by_digest and database in (None, run.marker.batch)
    ]


async def _list_runs(client: ConsoleClient, prefix: str) -> AsyncIterator[FoundRun]:
    """Yield the runs of the API's list whose goals have a marker; no cache can answer."""
    from batchrunner.tinyfish.console_client import query_of

    query = query_of(goal=prefix, oldest_first=True)
    query["created_after"] = client.unused_date()
    seen, cursors = 0, set[str]()
    while True:
        page = await repeat_request(partial(client.page, query))
        seen += len(page.runs)
        cut = []
        for details in page.runs:
            found = _found(details.run)
            if found is not None:
                yield found
            else:
                cut.append(details.run.run_id)
        shown = await repeat_request(partial(client.get_many, cut)) if cut else {}
        for run in shown.values():
            if isinstance(run, Run) and (found := _found(run)) is not None:
                yield found
        if page.cursor is None or page.cursor in cursors:
            _check_complete(seen, page)
            return
        cursors.add(page.cursor)
        query = {**query, "cursor": page.cursor}  # the API may not remember filters


def _check_complete(seen: int, last: RunListPage) -> None:
    if last.total is not None and seen < last.total:
        message = f"its list of runs ended after {seen} of {last.total}"
        raise RequestFailed(ApiFault(kind=ApiFaultKind.MALFORMED, message=message))


def _found(run: Run) -> FoundRun | None:
    markers = [each for each in markers_in(run.goal) if each.job is not None]
    if not markers:
        return None
    return FoundRun(
        run_id=run.run_id,
        marker=markers[-1],
        status=run.status,
        created_at=run.created_at,
        steps=run.steps,
    )


def recover(
    store: Store,
    api: ApiAccess,
    job_file: JobFile,
    found: RecoverableRuns,
    *,
    say: Say = say_nothing,
) -> RecoverResult:
    """
    Load the file, and adopt the runs that were found as attempts of its jobs, oldest first.

    Each run that is over counts as it did when it ended: its result is judged, and a failure uses
    up an attempt. Runs that go on are watched by the next run of the batch. A run that the database
    has already stays as it is. No run is created, and none is cancelled.

    Raises:
        BatchrunnerError: The API refused a request, or the batch belongs to another account.
    """
    job_file = choose_file_edition(store, job_file, SeriesOptions(), store_now(store), say)
    batch = load_jobs(store, job_file, say, ADDS_ONLY).batch
    bind(store, batch, api, say=say)
    with registered_owner(store, batch.id) as owner_id:
        known, clock = known_jobs(job_file.specs), lambda: store_now(store)
        recovering = Recovery(store, batch, owner_id, known, clock)
        call_api(api, lambda client: recovering.run(client, found.runs), about="the runs")
    return recovering.result


class Recovery:
    """Adopts the runs of a few jobs at a time: each job's runs one after the other."""

    def __init__(
        self,
        store: Store,
        batch: Batch,
        owner_id: str,
        known: KnownJobs,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._batch = batch
        self._owner_id = owner_id
        self._known = known
        self._now = now
        self.result = RecoverResult()

    async def run(self, client: ConsoleClient, runs: Sequence[FoundRun]) -> None:
        """Adopt all runs; first record and close what the database has open."""
        self._record_own(runs)
        for open_attempts in chunks(self._in_flight()):
            run_ids = [each.run_id for each in open_attempts]
            shown = await repeat_request(partial(client.get_many, run_ids))
            self._close_ended([each for each in open_attempts if _is_own(each, shown)], shown)
        for newest in found_databases(runs)[:1]:
            self._store.write(recovery.take_batch_token, self._batch.id, newest.id)
        by_key: dict[str, list[FoundRun]] = defaultdict(list)
        for run in runs:
            by_key[self._known.by_digest[run.marker.job or ""].key].append(run)
        for chunk in chunks(list(by_key.items())):
            await self._adopt(client, dict(chunk))
        self.result.going_on = len(self._in_flight())

    def _record_own(self, runs: Sequence[FoundRun]) -> None:
        """Record the runs of submissions that this database wrote and whose answers it lacks."""
        by_marker = {run.marker.text: run.run_id for run in reversed(runs)}
        for submission, _, _ in self._store.read(
            unanswered_submissions, self._owner_id, self._batch.id
        ):
            found = {
                each.attempt_id: by_marker[each.marker]
                for each in submission.attempts
                if each.marker in by_marker
            }
            self._store.write(record_runs, self._owner_id, submission, found, self._now())

    def _in_flight(self) -> list[OpenAttempt]:
        return self._store.read(runs_in_flight, self._owner_id, self._batch.id)

    async def _adopt(self, client: ConsoleClient, by_key: Mapping[str, Sequence[FoundRun]]) -> None:
        unknown = self._unknown([run for runs in by_key.values() for run in runs])
        shown = await self._read(client, unknown)
        current = {key: _current(runs, shown) for key, runs in by_key.items()}
        spare = [run for runs in current.values() for run in runs if _was_cancelled(run)]
        queues = {
            key: replay_order(run for run in runs if not _was_cancelled(run))
            for key, runs in current.items()
        }
        while any(queues.values()):
            first = {key: queue.pop(0) for key, queue in queues.items() if queue}
            spare += self._open(first, shown)
        self._leave_out(spare)

    def _unknown(self, runs: Sequence[FoundRun]) -> list[FoundRun]:
        unknown = [
            run for chunk in chunks(runs) for run in self._store.read(recovery.unknown_runs, chunk)
        ]
        self.result.known += len(runs) - len(unknown)
        return unknown

    async def _read(
        self, client: ConsoleClient, runs: Sequence[FoundRun]
    ) -> dict[str, RunObservation]:
        """Return the runs as they are now, with their results."""
        shown: dict[str, RunObservation] = {}
        for chunk in chunks([run.run_id for run in runs]):
            shown |= await repeat_request(partial(client.get_many, chunk))
        return shown

    def _open(
        self, runs: Mapping[str, FoundRun], shown: Mapping[str, RunObservation]
    ) -> list[FoundRun]:
        """Give each job its next run, and close the attempts of those over; return the others."""
        store, owner_id, now = self._store, self._owner_id, self._now()
        store.write(renew_lease, owner_id, now)
        opened = store.write(recovery.open_recovered, owner_id, self._batch.id, runs, now)
        self.result.adopted += len(opened)
        self._close_ended([each for each in self._in_flight() if each.run_id in opened], shown)
        return [run for run in runs.values() if run.run_id not in opened]

    def _close_ended(
        self, attempts: Iterable[OpenAttempt], shown: Mapping[str, RunObservation]
    ) -> None:
        now, policy = self._now(), Policy.of(self._batch.settings)
        decisions = []
        for attempt in attempts:
            observation = shown.get(attempt.run_id)
            if not isinstance(observation, Run):
                continue  # the next run of the batch finds out what became of it
            decision = decide_run(policy, attempt, observation, now)
            if decision is not None:
                # Long ago, and in another order: nothing about the host as it is now.
                decisions.append(replace(decision, host_result=None, escalation_results=()))
        apply_poll(self._store, self._owner_id, decisions, [], now)

    def _leave_out(self, runs: Sequence[FoundRun]) -> None:
        """Count what is over, and name what is alive, of the runs that no job needs."""
        over = [run for run in runs if run.status.is_final]
        self.result.spare += len(over)
        self.result.left_alone += [run.run_id for run in runs if not run.status.is_final]
        now = self._now()
        for chunk in chunks(over):
            self._store.write(
                recovery.add_ended_orphans, self._owner_id, self._batch.id, chunk, now
            )


def _is_own(attempt: OpenAttempt, shown: Mapping[str, RunObservation]) -> bool:
    """Whether the run of an open attempt shows the marker that was sent with it."""
    run = shown.get(attempt.run_id)
    return isinstance(run, Run) and marker_in(run.goal) == attempt.marker


def _current(runs: Iterable[FoundRun], shown: Mapping[str, RunObservation]) -> list[FoundRun]:
    """Return the runs that were read, with the status and the steps that they have now."""
    found = []
    for run in runs:
        seen = shown.get(run.run_id)
        if isinstance(seen, Run):
            found.append(replace(run, status=seen.status, steps=seen.steps))
        elif seen is not None:
            found.append(run)
    return found


def _was_cancelled(run: FoundRun) -> bool:
    """Whether a run was cancelled: nothing says by whom, so its job may run again."""
    return run.status is RunStatus.CANCELLED
