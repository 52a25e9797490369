"""Counts a batch for commands that start without SQLAlchemy; `reports` has the same for runners."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from batchrunner.model import BatchCounts, FailureCategory, JobState
from batchrunner.store.instants import instant_of
from batchrunner.store.plain_sql import FileTransaction, rows, text_only

if TYPE_CHECKING:
    from sqlalchemy import Connection

_CURRENT = "NOT jobs.superseded AND NOT jobs.withdrawn"
_NEWEST = "attempts.job_id = jobs.id AND attempts.number = jobs.attempt"
_STATES = f"""
SELECT state, count(*) AS jobs, sum(CASE WHEN attempt > 0 THEN 1 ELSE 0 END) AS tried,
    min(available_at) AS due_at
FROM jobs WHERE batch_id = :batch AND {_CURRENT} GROUP BY state
"""
#: Runs in flight of jobs that are not current: they end, and are kept.
_LEAVING = f"""
SELECT count(*) AS jobs FROM jobs
WHERE batch_id = :batch AND state = 'running' AND NOT ({_CURRENT})
"""
_FAILED = f"""
SELECT attempts.outcome AS name, count(*) AS number FROM jobs JOIN attempts ON {_NEWEST}
WHERE jobs.batch_id = :batch AND jobs.state = 'failed' AND {_CURRENT}
GROUP BY attempts.outcome
"""
_RETRIED = """
SELECT outcome AS name, count(*) AS number FROM attempts
WHERE batch_id = :batch AND retry_at IS NOT NULL GROUP BY outcome
"""
_SUSPECT = f"""
SELECT attempts.verdict_rule AS name, count(*) AS number FROM attempts JOIN jobs ON {_NEWEST}
WHERE attempts.batch_id = :batch AND attempts.verdict = 'suspect' AND jobs.state = 'succeeded'
    AND {_CURRENT}
GROUP BY attempts.verdict_rule
"""
_ATTEMPTS = "SELECT count(*) AS number, sum(steps) AS steps FROM attempts WHERE batch_id = :batch"
_ORPHANS = "SELECT count(*) AS number, sum(steps) AS steps FROM orphans WHERE batch_id = :batch"
_OPEN = """
SELECT sum(CASE WHEN attempts.run_status = 'PENDING' THEN 1 ELSE 0 END) AS queued,
    sum(CASE WHEN attempts.run_id IS NULL AND submissions.state = 'unanswered' THEN 1 ELSE 0 END)
    AS unsettled
FROM attempts JOIN submissions ON submissions.id = attempts.submission_id
WHERE attempts.batch_id = :batch AND attempts.closed_at IS NULL
"""


@text_only
def read_counts(tx: Connection | FileTransaction, batch_id: int) -> BatchCounts:
    """Count a batch's jobs, attempts and orphans by state and category."""
    states = {JobState(row.state): row for row in rows(tx, _STATES, batch=batch_id)}
    available = states.get(JobState.AVAILABLE)
    (leaving,) = rows(tx, _LEAVING, batch=batch_id)
    return BatchCounts(
        jobs={state: states[state].jobs if state in states else 0 for state in JobState},
        retrying=int(available.tried) if available else 0,
        due_at=instant_of(available.due_at) if available else None,
        failed=_by_category(rows(tx, _FAILED, batch=batch_id)),
        suspect={row.name: row.number for row in rows(tx, _SUSPECT, batch=batch_id)},
        retried=_by_category(rows(tx, _RETRIED, batch=batch_id)),
        leaving=leaving.jobs,
        **_attempts(tx, batch_id),
    )


def _attempts(tx: Connection | FileTransaction, batch_id: int) -> dict[str, int]:
    (all_,) = rows(tx, _ATTEMPTS, batch=batch_id)
    (orphans,) = rows(tx, _ORPHANS, batch=batch_id)
    (still_open,) = rows(tx, _OPEN, batch=batch_id)
    return {
        "attempts": all_.number,
        "steps": int(all_.steps or 0) + int(orphans.steps or 0),
        "unsettled": int(still_open.unsettled or 0),
        "queued": int(still_open.queued or 0),
        "orphans": orphans.number,
    }


def _by_category(found: Iterable[Any]) -> dict[FailureCategory, int]:
    return {FailureCategory(row.name): row.number for row in found}
