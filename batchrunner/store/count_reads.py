"""Reads a batch's counts for commands that start without SQLAlchemy; `reports` does for runners."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING

from batchrunner.model import BatchCounts, FailureCategory, JobState
from batchrunner.store.counter_names import Number, Numbers
from batchrunner.store.instants import instant_of
from batchrunner.store.plain_sql import FileTransaction, is_server, rows, text_only

if TYPE_CHECKING:
    from sqlalchemy import Connection

_COUNTED = "SELECT counted FROM batches WHERE id = :batch"
_NUMBERS = """
SELECT name, detail, sum(number) AS number FROM batch_counters
WHERE batch_id = :batch GROUP BY name, detail
"""
_CURRENT = "NOT jobs.superseded AND NOT jobs.withdrawn"
_NEWEST = "attempts.job_id = jobs.id AND attempts.number = jobs.attempt"
#: The same of a batch that an older version loaded, and that no runner has counted yet.
_RECOUNT = f"""
SELECT 'jobs' AS name, state AS detail, count(*) AS number FROM jobs
WHERE batch_id = :batch AND {_CURRENT} GROUP BY state
UNION ALL SELECT 'retrying', '', count(*) FROM jobs
WHERE batch_id = :batch AND state = 'available' AND attempt > 0
UNION ALL SELECT 'leaving', '', count(*) FROM jobs
WHERE batch_id = :batch AND state = 'running' AND NOT ({_CURRENT})
UNION ALL SELECT 'failed', attempts.outcome, count(*) FROM jobs JOIN attempts ON {_NEWEST}
WHERE jobs.batch_id = :batch AND jobs.state = 'failed' AND {_CURRENT} GROUP BY attempts.outcome
UNION ALL SELECT 'suspect', attempts.verdict_rule, count(*) FROM attempts JOIN jobs ON {_NEWEST}
WHERE attempts.batch_id = :batch AND attempts.verdict = 'suspect' AND jobs.state = 'succeeded'
    AND {_CURRENT}
GROUP BY attempts.verdict_rule
UNION ALL SELECT 'retried', outcome, count(*) FROM attempts
WHERE batch_id = :batch AND retry_at IS NOT NULL GROUP BY outcome
UNION ALL SELECT 'attempts', '', count(*) FROM attempts WHERE batch_id = :batch
UNION ALL SELECT 'steps', '', coalesce(sum(steps), 0) FROM attempts WHERE batch_id = :batch
"""
#: SQLite finds the first of these jobs by their indexes only if it reads the same words.
_DUE_ON_FILE, _DUE_ON_SERVER = (
    "SELECT min(due) AS due_at FROM ("
    "SELECT min(available_at) AS due FROM jobs"
    f" WHERE batch_id = :batch AND state = 'available' AND {no} UNION ALL"
    " SELECT min(available_at) FROM jobs"
    f" WHERE batch_id = :batch AND state = 'available' AND {yes}) AS first"
    for no, yes in (("unconfirmed = 0", "unconfirmed = 1"), ("NOT unconfirmed", "unconfirmed"))
)
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
    """Return a batch's jobs, attempts and orphans by state and category, whatever its size."""
    due = _DUE_ON_SERVER if is_server(tx) else _DUE_ON_FILE
    (first,) = rows(tx, due, batch=batch_id)
    (orphans,) = rows(tx, _ORPHANS, batch=batch_id)
    (still_open,) = rows(tx, _OPEN, batch=batch_id)
    return counts_of(
        _numbers(tx, batch_id),
        due_at=instant_of(first.due_at),
        orphans=orphans.number,
        orphans_steps=int(orphans.steps or 0),
        unsettled=int(still_open.unsettled or 0),
        queued=int(still_open.queued or 0),
    )


def _numbers(tx: Connection | FileTransaction, batch_id: int) -> Numbers:
    (batch,) = rows(tx, _COUNTED, batch=batch_id)
    found = rows(tx, _NUMBERS if batch.counted else _RECOUNT, batch=batch_id)
    return Counter({(row.name, row.detail): int(row.number) for row in found if row.number})


def counts_of(
    numbers: Numbers,
    *,
    due_at: datetime | None,
    orphans: int,
    orphans_steps: int,
    unsettled: int,
    queued: int,
) -> BatchCounts:
    """Return a batch's counts from its numbers, and from what is read beside them."""
    by_detail: dict[str, dict[str, int]] = {}
    for (name, detail), number in numbers.items():
        by_detail.setdefault(name, {})[detail] = number
    failed, retried = (
        {FailureCategory(detail): n for detail, n in by_detail.get(name, {}).items()}
        for name in (Number.FAILED, Number.RETRIED)
    )
    return BatchCounts(
        jobs={state: numbers[Number.JOBS, state] for state in JobState},
        retrying=numbers[Number.RETRYING, ""],
        due_at=due_at,
        failed=failed,
        suspect=by_detail.get(Number.SUSPECT, {}),
        retried=retried,
        leaving=numbers[Number.LEAVING, ""],
        attempts=numbers[Number.ATTEMPTS, ""],
        steps=numbers[Number.STEPS, ""] + orphans_steps,
        orphans=orphans,
        unsettled=unsettled,
        queued=queued,
    )
