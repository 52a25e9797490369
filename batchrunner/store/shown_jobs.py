"""The jobs that an export shows, in the order of the file; text statements."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from batchrunner.model import FinishedJob, JobState
from batchrunner.model.marker_removal import without_marker
from batchrunner.model.row_choice import RowChoice
from batchrunner.store.finished_reads import jobs_among
from batchrunner.store.plain_sql import FileTransaction, among, list_value, rows, stream, text_only
from batchrunner.store.store import PAGE_SIZE, Store

if TYPE_CHECKING:
    from sqlalchemy import Connection

_FINAL = [state for state in JobState if state.is_final]


def shown_jobs(
    store: Store, batch_id: int, choice: RowChoice, ids: Sequence[int] | None = None
) -> Iterator[FinishedJob]:
    """
    Yield the chosen jobs of a batch as they are at the first one, in the order of the file.

    They change only if the user retries them, or with *join* as they are run: a job is shown once.
    With the *ids* of an earlier choice, these jobs are shown.
    """
    ids = store.read(shown_job_ids, batch_id, choice) if ids is None else ids
    states = [*JobState] if choice.join else _FINAL
    for start in range(0, len(ids), PAGE_SIZE):
        page = store.read(jobs_among, batch_id, ids[start : start + PAGE_SIZE], states)
        yield from with_long_results(store, page)


_CURRENT = "NOT jobs.superseded AND NOT jobs.withdrawn"
_NEWEST = "attempts.job_id = jobs.id AND attempts.number = jobs.attempt"
#: A suspect result that is being bought again stays until that has ended.
_SHOWN = f"""({_CURRENT} OR jobs.superseded AND EXISTS (
    SELECT 1 FROM jobs AS again WHERE again.replaces = jobs.id AND NOT again.superseded
        AND NOT again.withdrawn AND again.state IN ('available', 'running')
))"""
_SAME = "later.batch_id = jobs.batch_id AND later.key = jobs.key"
_LAST = f"FROM jobs AS later WHERE {_SAME} AND NOT later.superseded AND NOT later.withdrawn"
_GOOD = f"FROM jobs AS later WHERE {_SAME} AND later.state = 'succeeded'"
#: The newest good revision of a job, and one without any.
_LAST_GOOD = f"""(
    jobs.state = 'succeeded' AND EXISTS (SELECT 1 {_LAST})
        AND NOT EXISTS (SELECT 1 {_GOOD} AND later.revision > jobs.revision)
    OR {_CURRENT} AND NOT EXISTS (SELECT 1 {_GOOD})
)"""


@text_only
def shown_job_ids(tx: Connection | FileTransaction, batch_id: int, choice: RowChoice) -> array[int]:
    """Return the rows of the chosen jobs, in the order of the file: eight bytes for each."""
    shown = _LAST_GOOD if choice.last_good else _CURRENT if choice.join else _SHOWN
    conditions = ["jobs.batch_id = :batch", shown]
    values: dict[str, Any] = {"batch": batch_id}
    if not choice.join:
        conditions.append("jobs.state IN ('succeeded', 'failed', 'cancelled')")
    if choice.is_filtered:
        conditions.append(_chosen(tx, choice, values))
    # An older revision stands where the job is in the file now.
    place = f"(SELECT later.position {_LAST})" if choice.last_good else "jobs.position"
    query = f"SELECT jobs.id FROM jobs WHERE {' AND '.join(conditions)} ORDER BY {place}, jobs.id"
    return array("q", (id for (id,) in stream(tx, query, **values)))


def _chosen(tx: Connection | FileTransaction, choice: RowChoice, values: dict[str, Any]) -> str:
    """Return the condition of the jobs that were asked for; add its values."""

    def one_of(column: str, name: str, words: Collection[str]) -> str:
        values[name] = list_value(tx, sorted(map(str, words)))
        return among(tx, column, name)

    has = f"EXISTS (SELECT 1 FROM attempts WHERE {_NEWEST} AND"
    parts = [one_of("jobs.state", "states", choice.states)]
    if choice.categories:
        reasons = one_of("attempts.outcome", "categories", choice.categories)
        parts.append(f"jobs.state = 'failed' AND {has} {reasons})")
    if choice.verdicts:
        verdicts = one_of("attempts.verdict", "verdicts", choice.verdicts)
        parts.append(f"jobs.state IN ('succeeded', 'failed') AND {has} {verdicts})")
    return f"({' OR '.join(parts)})"


# ---- long results ----

_BODY = """
SELECT results.body, attempts.marker
FROM results JOIN attempts ON attempts.id = results.attempt_id
WHERE results.attempt_id = :attempt
"""


@text_only
def result_body(tx: Connection | FileTransaction, attempt_id: int) -> str | None:
    """Return the result of an attempt without our markers; None if there is none."""
    found = rows(tx, _BODY, attempt=attempt_id)
    return without_marker(found[0].body, found[0].marker) if found else None


def with_long_results(store: Store, finished: list[FinishedJob]) -> Iterator[FinishedJob]:
    """Give each job with its result: a long one is read when its job is given."""
    for job in finished:
        yield with_result(store, job)


def with_result(store: Store, job: FinishedJob) -> FinishedJob:
    """Return the job with its result, even if that is long."""
    if job.long_result_of is None:
        return job
    body = store.read(result_body, job.long_result_of)
    return job._replace(result=body, long_result_of=None)
