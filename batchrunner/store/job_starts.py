"""
Says how the next attempts of jobs start.

Jobs that agree in their options, their rules and the steps that they have reached start alike,
unless something was learned about the host of one of them. So most jobs of a claim share one start
with its texts: this is the only place that decides which do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, Row

from batchrunner.model.markers import job_digests_with
from batchrunner.policy.budget import max_steps
from batchrunner.policy.escalation import AttemptStart, StepHistory, start_of_attempt
from batchrunner.policy.retry_rules import Policy
from batchrunner.store import host_escalation
from batchrunner.store.job_values import job_of
from batchrunner.store.serialization import counts_of, json_text, options_of


@dataclass(frozen=True, kw_only=True)
class JobStart:
    """How an attempt of a job starts; nobody changes its values."""

    begun: AttemptStart
    own_options: Mapping[str, Any]  #: the job's
    options: Mapping[str, Any]  #: the attempt's: with the changes of its escalation steps

    def max_steps(self, longest: int = 0) -> int:
        """Return the most steps that the run may take."""
        return max_steps(self.options, longest)

    @cached_property
    def job_digest(self) -> Callable[[str, str], str]:
        """The function that gives the digest of a job in markers from its url and goal."""
        return job_digests_with(self.own_options)

    @cached_property
    def stored(self) -> tuple[str, str, str | None, int]:
        """Its values of STORED."""
        overrides = self.begun.option_overrides
        return (
            json_text(self.begun.escalation_steps),
            json_text(self.begun.escalation_ids),
            json_text(overrides) if overrides else None,
            self.max_steps(),
        )


#: The columns of an attempt that say how it started.
STORED = ("escalation_steps", "escalation_ids", "option_overrides", "reserved_steps")


def job_starts(
    tx: Connection, batch_id: int, policy: Policy, due: Sequence[Row[Any]]
) -> dict[int, JobStart]:
    """Return how the next attempt of each job starts, by job id."""
    if not due:
        return {}
    seen = host_escalation.step_history(tx, batch_id, {row.host for row in due})
    learned = {host for host, _ in seen}
    shared: dict[tuple[Any, ...], JobStart] = {}
    starts = {}
    for row in due:
        if row.host in learned:
            starts[row.id] = _start(policy, row, seen)
            continue
        like = (row.options, row.policy, row.escalation_steps)
        if (start := shared.get(like)) is None:
            start = shared[like] = _start(policy, row, seen)
        starts[row.id] = start
    return starts


def _start(
    policy: Policy, row: Row[Any], seen: Mapping[tuple[str, str], Sequence[StepHistory]]
) -> JobStart:
    reached = AttemptStart(escalation_steps=counts_of(row.escalation_steps))
    job, options = job_of(row, row.id, row.attempt, reached), options_of(row.options, None)
    begun = start_of_attempt(policy, job, row.url, options, seen)
    changed = {**options, **begun.option_overrides}
    return JobStart(begun=begun, own_options=options, options=changed)
