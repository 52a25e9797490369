"""Reads failed, retried, suspect and cancelled jobs with their reasons: statements of text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from batchrunner.model import (
    AdviceCount,
    ClosedAttempt,
    FailureCategory,
    JobState,
    RunErrorBeside,
    SuspectResults,
)
from batchrunner.store.instants import instant_of
from batchrunner.store.plain_sql import FileTransaction, rows, text_only
from batchrunner.store.serialization import findings_of, help_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

_FAILED = """
SELECT jobs.key, jobs.url, jobs.state, attempts.number, attempts.outcome, attempts.counted,
    attempts.message, attempts.code, attempts.closed_at, attempts.run_id, attempts.help,
    attempts.option_overrides
FROM attempts JOIN jobs ON jobs.id = attempts.job_id
WHERE attempts.outcome <> 'succeeded' AND {last}
ORDER BY jobs.position, attempts.number LIMIT :most
"""
_CURRENT = "NOT jobs.superseded AND NOT jobs.withdrawn"
_NEWEST = "attempts.job_id = jobs.id AND attempts.number = jobs.attempt"
_FINAL_FAILURES = _FAILED.format(
    last="jobs.batch_id = :batch AND jobs.state IN ('failed', 'cancelled') AND"
    f" attempts.retry_at IS NULL AND attempts.number = jobs.attempt AND {_CURRENT}"
)
_RETRIED_FAILURES = _FAILED.format(
    last="attempts.batch_id = :batch AND attempts.retry_at IS NOT NULL"
)


@text_only
def failed_attempts(
    tx: Connection | FileTransaction, batch_id: int, *, final: bool, most: int
) -> list[ClosedAttempt]:
    """
    Return failed attempts with their reasons, in file order.

    With *final*, those that ended their jobs; otherwise those after which their jobs were retried.
    """
    found = rows(tx, _FINAL_FAILURES if final else _RETRIED_FAILURES, batch=batch_id, most=most)
    return [_closed_attempt(row) for row in found]


def _closed_attempt(row: Any) -> ClosedAttempt:
    return ClosedAttempt(
        key=row.key,
        url=row.url,
        number=row.number,
        category=FailureCategory(row.outcome),
        counted=bool(row.counted),
        message=row.message or "",
        job_state=JobState(row.state),
        code=row.code,
        closed_at=instant_of(row.closed_at),
        run_id=row.run_id,
        help=help_of(row.help),
        option_overrides=json.loads(row.option_overrides or "{}"),
    )


_ADVICE = f"""
SELECT attempts.help, count(*) AS jobs, min(jobs.key) AS first_key
FROM attempts JOIN jobs ON {_NEWEST}
WHERE jobs.batch_id = :batch AND jobs.state = 'failed' AND {_CURRENT}
    AND attempts.help IS NOT NULL
GROUP BY attempts.help ORDER BY count(*) DESC, min(jobs.key) LIMIT :most
"""


@text_only
def advice_counts(
    tx: Connection | FileTransaction, batch_id: int, *, most: int
) -> list[AdviceCount]:
    """Return what the API advised about the newest runs of failed jobs, the most frequent first."""
    return [
        AdviceCount(help=help, jobs=row.jobs, first_key=row.first_key)
        for row in rows(tx, _ADVICE, batch=batch_id, most=most)
        if (help := help_of(row.help)) is not None
    ]


_RUN_ERRORS = f"""
SELECT jobs.key, jobs.url, attempts.run_id, attempts.run_error
FROM jobs JOIN attempts ON {_NEWEST}
WHERE attempts.batch_id = :batch AND attempts.run_error IS NOT NULL AND {_CURRENT}
ORDER BY jobs.position LIMIT :most
"""


@text_only
def run_errors(
    tx: Connection | FileTransaction, batch_id: int, *, most: int
) -> list[RunErrorBeside]:
    """Return the errors that newest runs reported beside their results, in file order."""
    return [
        RunErrorBeside(key=row.key, url=row.url, run_id=row.run_id, error=row.run_error)
        for row in rows(tx, _RUN_ERRORS, batch=batch_id, most=most)
    ]


_CANCELLED = f"""
SELECT jobs.key, jobs.url FROM jobs
WHERE jobs.batch_id = :batch AND jobs.state = 'cancelled' AND {_CURRENT}
    AND NOT EXISTS (SELECT 1 FROM attempts WHERE {_NEWEST} AND attempts.retry_at IS NULL)
ORDER BY jobs.position LIMIT :most
"""


@text_only
def cancelled_jobs(
    tx: Connection | FileTransaction, batch_id: int, *, most: int
) -> list[tuple[str, str]]:
    """Return key and url of jobs that were cancelled without a run in flight, in file order."""
    found = rows(tx, _CANCELLED, batch=batch_id, most=most)
    return [(row.key, row.url) for row in found]


_SUSPECT_EXAMPLES = f"""
SELECT verdict_rule, findings, run_id, key, url, jobs FROM (
    SELECT attempts.verdict_rule, attempts.findings, attempts.run_id, jobs.key, jobs.url,
        count(*) OVER (PARTITION BY attempts.verdict_rule) AS jobs,
        row_number() OVER (
            PARTITION BY attempts.verdict_rule ORDER BY jobs.position, jobs.id
        ) AS number
    FROM attempts JOIN jobs ON {_NEWEST}
    WHERE attempts.batch_id = :batch AND attempts.verdict = 'suspect'
        AND jobs.state = 'succeeded' AND {_CURRENT}
) AS numbered
WHERE number = 1 ORDER BY jobs DESC, verdict_rule
"""


@text_only
def suspect_results(tx: Connection | FileTransaction, batch_id: int) -> list[SuspectResults]:
    """Return the suspect results of a batch by rule, the most frequent one first."""
    return [
        SuspectResults(
            rule=row.verdict_rule,
            jobs=row.jobs,
            key=row.key,
            url=row.url,
            run_id=row.run_id,
            finding=findings_of(row.findings)[0],
        )
        for row in rows(tx, _SUSPECT_EXAMPLES, batch=batch_id)
    ]
