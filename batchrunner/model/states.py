"""The closed sets: states of jobs and runs, categories of failures."""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    """Where a job is; it is in exactly one of these, for ever."""

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
    """How the API calls the state of a run."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_final(self) -> bool:
        """Whether the API will not change it any more."""
        return self not in (RunStatus.PENDING, RunStatus.RUNNING)


class FailureCategory(StrEnum):
    """Why an attempt failed, cut by who can do something about it."""

    SYSTEM_FAILURE = "system_failure"  #: the service broke
    AGENT_FAILURE = "agent_failure"  #: the input needs fixing
    BILLING_FAILURE = "billing_failure"  #: the account has no credits
    UNKNOWN = "unknown"  #: the API gave no category that we know
    GOAL_FAILURE = "goal_failure"  #: the run completed, the goal was not reached
    BLOCKED = "blocked"  #: a goal failure by a captcha, a login or a bot wall
    INVALID_RESULT = "invalid_result"  #: the result is not what the job asked for
    TIMED_OUT = "timed_out"  #: over its time limit, cancelled by us
    RUN_CANCELLED = "run_cancelled"  #: cancelled by somebody
    REJECTED = "rejected"  #: the API refused this job's request
    UNAUTHORIZED = "unauthorized"  #: the key, or a right that it lacks
    THROTTLED = "throttled"  #: too many requests
    UNREACHABLE = "unreachable"  #: no usable answer from the API
    UNANSWERED = "unanswered"  #: a run may exist and nothing can tell
    LOST = "lost"  #: the API no longer knows a run that it gave us
