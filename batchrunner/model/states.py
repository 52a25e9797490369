"""The states of jobs and runs, and the buckets that a job's time is counted in."""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    """The state of a job; each job is always in exactly one."""

    AVAILABLE = "available"  #: may be claimed from `available_at` on
    RUNNING = "running"  #: an attempt is open
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether only an explicit retry can change it."""
        return self not in (JobState.AVAILABLE, JobState.RUNNING)


class RunStatus(StrEnum):
    """The state of a run, as the API names it."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_final(self) -> bool:
        """Whether the API will not change it any more."""
        return self not in (RunStatus.PENDING, RunStatus.RUNNING)


class TimeBucket(StrEnum):
    """What a job waits for or does; each moment from its loading to its end is in one bucket."""

    RUNNING = "running"  #: its run was working
    QUEUED = "queued"  #: the API had its run and had not started it
    CREATING = "creating"  #: its create request was written down and not answered yet
    UNANSWERED = "in_doubt"  #: its create request got no answer, and its run was searched for
    LANDED = "landed"  #: its run had ended, and the program had not read it yet
    RETRY = "retry"  #: it had failed, and its wait was not over
    PAUSED = "paused"  #: it was due, and the user had paused the batch
    UNATTENDED = "unattended"  #: it was due, and no runner was working
    CREDITS = "credits"  #: it was due, and the account had no credits
    HELD = "held"  #: it was due, and the API was busy or away
    TURN = "turn"  #: it was due, and waited for a slot, the budget or the scheduled time
