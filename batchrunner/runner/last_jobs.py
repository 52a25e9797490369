"""Chooses which of the batch's last jobs this runner submits first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from batchrunner.policy.longest_first import LastJob, is_in_time, longest_first
from batchrunner.runner.context import RunnerContext
from batchrunner.store.last_jobs import LastJobs, last_jobs, past_durations

#: The part of the slots after whose claims the last jobs are read again.
CLAIMS_PART = 4


class LastJobsFirst:
    """
    The batch's last jobs, longest first, by what is known about their hosts.

    They are read again after some claims: other runners claim as well, and retries come back.
    """

    def __init__(self, context: RunnerContext) -> None:
        self._context = context
        self._last: LastJobs | None = None
        self._claims_to_read = 0  # jobs to claim until they are read again
        self._has_read_past = False

    async def order(self) -> Sequence[LastJob]:
        """Return the jobs to submit first; none while many are left."""
        context = self._context
        if not is_in_time(context.window, context.clock.wall, context.durations.typical):
            return ()
        if self._last is None or self._claims_to_read <= 0:
            self._last = await context.read(last_jobs, context.batch.id, part=context.part)
            self._claims_to_read = self._last.bound // (CLAIMS_PART if self._last.jobs else 1)
        if not self._last.jobs:
            return ()
        if not self._has_read_past:
            self._has_read_past = True
            past = await context.read(past_durations, context.batch.id)
            context.durations.by_host.learn_past(past)
        return longest_first(self._last.jobs, context.durations.by_host.seconds, self._last.rules)

    def claimed(self, job_ids: Iterable[int]) -> None:
        """Note that this runner has claimed jobs."""
        claimed = set(job_ids)
        self._claims_to_read -= len(claimed)
        if self._last is not None and self._last.jobs:
            left = tuple(job for job in self._last.jobs if job.id not in claimed)
            self._last = replace(self._last, jobs=left)
