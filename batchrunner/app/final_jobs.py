"""Hands jobs that become final from the runner's thread to the thread that reads them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection, Sequence

from batchrunner.app.run_observer import RunEvent, RunObserver
from batchrunner.model import AttemptDecision, Finish, JobState, OpenAttempt, SubmittedAttempt
from batchrunner.runner.events import AttemptsClosed

#: Jobs that are read from the database in one transaction.
JOBS_PER_READ = 100


class FinalJobs:
    """An observer that collects the jobs that become final; without a limit, so it never waits."""

    def __init__(self, observer: RunObserver | None) -> None:
        self._observer = observer
        self._changed = threading.Condition()
        self._job_ids: deque[int] = deque()
        self._cancelled: set[int] = set()  # jobs that were collected as cancelled
        self._is_prepared = False
        self._has_ended = False

    @property
    def count_seconds(self) -> float | None:
        """Seconds between two counts, as the user's observer wants them."""
        return self._observer.count_seconds if self._observer else None

    def notify(self, event: RunEvent) -> None:
        """Collect the jobs that an event makes final, and pass the event on."""
        if isinstance(event, AttemptsClosed):
            self._collect(event.decisions)
        if self._observer is not None:
            self._observer.notify(event)

    def add_cancelled(self, job_ids: Collection[int]) -> None:
        """Add jobs that were cancelled while they had no open attempt; no event reports those."""
        self._add(sorted(set(job_ids) - self._cancelled))

    def prepared(self) -> None:
        """Report that the checks before a run have passed."""
        with self._changed:
            self._is_prepared = True
            self._changed.notify_all()

    def ended(self) -> None:
        """Report that no more jobs will come."""
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()

    def wait_until_prepared(self) -> bool:
        """Wait until the checks before a run have passed; return False where it ended before."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_prepared or self._has_ended)
            return self._is_prepared

    def wait(self) -> bool:
        """Wait for jobs; return False where no more will come."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._job_ids) or self._has_ended)
            return bool(self._job_ids)

    def take(self) -> list[int]:
        """Return ids of jobs for one read."""
        with self._changed:
            most = min(len(self._job_ids), JOBS_PER_READ)
            return [self._job_ids.popleft() for _ in range(most)]

    def put_back(self, job_ids: Sequence[int]) -> None:
        """Put ids that could not be read back in front of the others."""
        with self._changed:
            self._job_ids.extendleft(reversed(job_ids))
            self._changed.notify_all()

    def _collect(self, decisions: Sequence[AttemptDecision]) -> None:
        job_ids = []
        for decision in decisions:
            # A suspect result that is bought again is given when that has ended.
            if isinstance(decision.transition, Finish) and decision.transition.again_at is None:
                job_ids.append(_job_id(decision.attempt))
                if decision.transition.state is JobState.CANCELLED:
                    self._cancelled.add(job_ids[-1])
        self._add(job_ids)

    def _add(self, job_ids: Sequence[int]) -> None:
        with self._changed:
            self._job_ids.extend(job_ids)
            self._changed.notify_all()


def _job_id(attempt: OpenAttempt | SubmittedAttempt) -> int:
    return attempt.job.id
