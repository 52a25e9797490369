"""Jobs as values: how their attempts start, and what is expected of their results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from batchrunner.judge import expectations_of
from batchrunner.model import Expectations, FailureCategory, Job
from batchrunner.policy.escalation import AttemptStart
from batchrunner.store.serialization import accepted_in, counts_of, rules_of


def job_of(
    row: Any, id: int, attempt: int, start: AttemptStart, suspects: int | None = None
) -> Job:
    """
    Return the job of a row, with its newest attempt's number and escalation steps.

    *suspects* is how many suspect results of it were bought again.
    """
    return Job(
        id=id,
        key=row.key,
        attempt=attempt,
        failures=row.failures,
        failures_by_category=counts_of(row.failures_by_category),
        policy=rules_of(row.policy),
        escalation_steps=start.escalation_steps,
        escalation_ids=start.escalation_ids,
        earlier_suspects=suspects or 0,
    )


def attempt_start_of(row: Any) -> AttemptStart:
    """Return the escalation steps and ids with which a row's attempt began."""
    return _attempt_start_of(row.escalation_steps, row.escalation_ids)


# Few different texts, read again for each poll; no caller changes the values.
@lru_cache(maxsize=1024)
def _attempt_start_of(steps: str, ids: str) -> AttemptStart:
    return AttemptStart(escalation_steps=counts_of(steps), escalation_ids=escalation_ids_of(ids))


@lru_cache(maxsize=1024)
def escalation_ids_of(stored: str) -> Mapping[FailureCategory, str]:
    """Parse escalation ids by category."""
    return {FailureCategory(category): id for category, id in json.loads(stored).items()}


def expectations_in(options: str | None, row: Any) -> Expectations:
    """
    Return what a job's result is judged by.

    *options* hold its `output_schema`. *row* has its `expect`, its goal, which has no marker, and
    what a person accepted.
    """
    return _expectations_with(options, row.expect, row.goal, row.accepted)


@lru_cache(maxsize=1024)
def _expectations_with(
    options: str | None, expect: str | None, goal: str, accepted: str | None
) -> Expectations:
    written = _expectations_in(options, expect)
    return replace(written, goal=goal, accepted=accepted_in(accepted))


@lru_cache(maxsize=256)
def _expectations_in(options: str | None, expect: str | None) -> Expectations:
    schema = json.loads(options or "{}").get("output_schema")
    return expectations_of(schema, json.loads(expect or "{}"))
