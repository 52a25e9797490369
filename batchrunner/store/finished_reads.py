"""Reads jobs as exports show them, a page at a time: statements of text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from batchrunner.model import FailureCategory, Finding, FinishedJob, JobState, Rate, Verdict
from batchrunner.model.marker_removal import without_marker
from batchrunner.store.batch_rows import rate_of
from batchrunner.store.instants import instant_of
from batchrunner.store.plain_sql import FileTransaction, among, list_value, rows, text_only, tuples
from batchrunner.store.serialization import findings_of, grounding_in_words, help_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: Longest result that is read together with others, in characters.
MAX_SHARED_LENGTH = 64 * 1024

_RATE = "SELECT settings, concurrency, budget, step_price FROM batches WHERE id = :batch"
_NEWEST = "attempts.job_id = jobs.id AND attempts.number = jobs.attempt"
_JOBS = f"""
SELECT jobs.id, position, key, revision, columns, url, goal, options, jobs.state, jobs.attempt,
    outcome, code, message, option_overrides, verdict, findings, run_id, marker, help, run_error,
    grounding, run_started_at, run_finished_at,
    (SELECT sum(steps) FROM attempts AS each WHERE each.job_id = jobs.id),
    CASE WHEN length(body) <= {MAX_SHARED_LENGTH} THEN body END,
    CASE WHEN length(body) > {MAX_SHARED_LENGTH} THEN attempt_id END
FROM jobs LEFT JOIN attempts ON {_NEWEST}
LEFT JOIN results ON results.attempt_id = attempts.id
WHERE {{chosen}}
"""
_PATHS = f"""
SELECT jobs.id, artifacts.path
FROM jobs JOIN attempts ON {_NEWEST} JOIN artifacts ON artifacts.attempt_id = attempts.id
WHERE {{chosen}} AND artifacts.path IS NOT NULL
ORDER BY jobs.id, artifacts.step, artifacts.kind
"""
_NOTHING: Mapping[str, Any] = {}


@text_only
def jobs_among(
    tx: Connection | FileTransaction,
    batch_id: int,
    job_ids: Sequence[int],
    states: Sequence[JobState],
) -> list[FinishedJob]:
    """
    Return those of these jobs that are in one of these states, in the same order.

    A long result is not read with the others: `with_result` reads it.
    """
    (batch,) = rows(tx, _RATE, batch=batch_id)
    rate, ids = rate_of(batch), list_value(tx, job_ids)
    chosen = among(tx, "jobs.id", "ids")
    paths: dict[int, tuple[str, ...]] = {}
    for id, path in tuples(tx, _PATHS.format(chosen=chosen), ids=ids):
        paths[id] = (*paths.get(id, ()), path)
    wanted = frozenset(map(str, states))
    found = {
        row[0]: _finished_job(row, rate, paths.get(row[0], ()))
        for row in tuples(tx, _JOBS.format(chosen=chosen), ids=ids)
        if row[8] in wanted
    }
    return [found[id] for id in job_ids if id in found]


def _finished_job(row: Sequence[Any], rate: Rate | None, paths: tuple[str, ...]) -> FinishedJob:
    # By position and in the order of the fields: by name, this takes as long as the reading.
    (_, position, key, revision, columns, url, goal, options, state_name, attempt, *more) = row
    (outcome, code, message, overrides, verdict_name, findings, run_id, marker, *last) = more
    (help, run_error, grounding, started_at, finished_at, steps, body, long_body_of) = last
    state = _STATES[state_name]
    verdict, finding = _verdict(state, verdict_name, findings)
    return FinishedJob(
        position,
        key,
        url,
        goal,
        state,
        attempt,
        _category(state, outcome),
        code,
        message,
        json.loads(overrides) if overrides else _NOTHING,
        run_id,
        None if steps is None else int(steps),
        None if rate is None or steps is None else _cost(int(steps), rate),
        instant_of(started_at),
        instant_of(finished_at),
        without_marker(body, marker),
        long_body_of,
        paths,
        None if help is None else help_of(help),
        run_error,
        json.loads(columns) if columns else _NOTHING,
        revision,
        schema_fields(options),
        verdict,
        finding,
        None if grounding is None else grounding_in_words(grounding),
    )


_STATES = {str(state): state for state in JobState}


def _category(state: JobState, outcome: str | None) -> FailureCategory | None:
    if state is JobState.CANCELLED:  # perhaps while it waited after another failure
        return FailureCategory.RUN_CANCELLED
    if not state.is_final or outcome is None or outcome == "succeeded":
        return None
    return FailureCategory(outcome)


def _verdict(
    state: JobState, verdict: str | None, findings: str | None
) -> tuple[Verdict | None, Finding | None]:
    """Return the verdict on the result of a job that succeeded or failed, and what decided it."""
    if verdict is None or state not in (JobState.SUCCEEDED, JobState.FAILED):
        return None, None
    found = findings_of(findings) if findings else ()
    return Verdict(verdict), found[0] if found else None


@lru_cache(maxsize=1024)  # most runs cost one of few sums
def _cost(steps: int, rate: Rate) -> str:
    return f"{steps * rate.amount:f}"


def schema_fields(options: str) -> frozenset[str]:
    """Return the fields that the `output_schema` of a job's options names at the top."""
    return _parsed_schema_fields(options) if '"output_schema"' in options else frozenset()


@lru_cache(maxsize=32)  # most jobs of a batch have the same options
def _parsed_schema_fields(options: str) -> frozenset[str]:
    schema = json.loads(options).get("output_schema") or {}
    return frozenset(schema.get("properties") or ())
