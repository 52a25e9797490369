"""
The domain types that all other packages share.

A module of them is imported when a name of it is used: most commands need few.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchrunner.model.attempts import (
        AttemptDecision,
        EscalationResult,
        HostResult,
        Job,
        OpenAttempt,
        StoredResult,
        Submission,
        SubmittedAttempt,
    )
    from batchrunner.model.budget import BudgetStatus, Rate, RateSource, Wallet
    from batchrunner.model.categories import FailureCategory
    from batchrunner.model.findings import Finding, Verdict
    from batchrunner.model.job_file import (
        AUTO,
        Budget,
        Canary,
        Expectations,
        FieldRule,
        HostRule,
        JobFile,
        JobSpec,
        JobSpecs,
        Settings,
        SourceFile,
        StopLoss,
        TimeLimits,
    )
    from batchrunner.model.markers import marked_goal, marker, marker_in, marker_prefix
    from batchrunner.model.outcomes import (
        Backpressure,
        DelayRequests,
        Failed,
        Finish,
        Outcome,
        Remark,
        Retry,
        Snooze,
        StopSubmitting,
        Succeeded,
        Transition,
    )
    from batchrunner.model.owners import Owner
    from batchrunner.model.reports import (
        AdviceCount,
        Batch,
        BatchCounts,
        ClosedAttempt,
        ExportedAttempt,
        FinishedJob,
        LoadResult,
        ParkedHost,
        Pause,
        RunErrorBeside,
        SuspectResults,
        WorkLeft,
    )
    from batchrunner.model.retry_rule import RetryRule
    from batchrunner.model.run_help import ProfileHint, RunHelp
    from batchrunner.model.runs import (
        ApiFault,
        ApiFaultKind,
        CreateAnswer,
        Created,
        ListPage,
        NotFound,
        Refused,
        RequestFailed,
        Run,
        RunError,
        RunListing,
        RunObservation,
        Throttle,
        Unanswered,
        Unreadable,
    )
    from batchrunner.model.states import JobState, RunStatus
    from batchrunner.model.verdicts import Judgement

__all__ = [
    "AUTO",
    "AdviceCount",
    "ApiFault",
    "ApiFaultKind",
    "AttemptDecision",
    "Backpressure",
    "Batch",
    "BatchCounts",
    "Budget",
    "BudgetStatus",
    "Canary",
    "ClosedAttempt",
    "CreateAnswer",
    "Created",
    "DelayRequests",
    "EscalationResult",
    "Expectations",
    "ExportedAttempt",
    "Failed",
    "FailureCategory",
    "FieldRule",
    "Finding",
    "Finish",
    "FinishedJob",
    "HostResult",
    "HostRule",
    "Job",
    "JobFile",
    "JobSpec",
    "JobSpecs",
    "JobState",
    "Judgement",
    "ListPage",
    "LoadResult",
    "NotFound",
    "OpenAttempt",
    "Outcome",
    "Owner",
    "ParkedHost",
    "Pause",
    "ProfileHint",
    "Rate",
    "RateSource",
    "Refused",
    "Remark",
    "RequestFailed",
    "Retry",
    "RetryRule",
    "Run",
    "RunError",
    "RunErrorBeside",
    "RunHelp",
    "RunListing",
    "RunObservation",
    "RunStatus",
    "Settings",
    "Snooze",
    "SourceFile",
    "StopLoss",
    "StopSubmitting",
    "StoredResult",
    "Submission",
    "SubmittedAttempt",
    "Succeeded",
    "SuspectResults",
    "Throttle",
    "TimeLimits",
    "Transition",
    "Unanswered",
    "Unreadable",
    "Verdict",
    "Wallet",
    "WorkLeft",
    "marked_goal",
    "marker",
    "marker_in",
    "marker_prefix",
]

#: Module of this package → the names here that it defines.
_NAMES = {
    "attempts": (
        "AttemptDecision",
        "EscalationResult",
        "HostResult",
        "Job",
        "OpenAttempt",
        "StoredResult",
        "Submission",
        "SubmittedAttempt",
    ),
    "budget": (
        "BudgetStatus",
        "Rate",
        "RateSource",
        "Wallet",
    ),
    "categories": ("FailureCategory",),
    "findings": (
        "Finding",
        "Verdict",
    ),
    "job_file": (
        "AUTO",
        "Budget",
        "Canary",
        "Expectations",
        "FieldRule",
        "HostRule",
        "JobFile",
        "JobSpec",
        "JobSpecs",
        "Settings",
        "SourceFile",
        "StopLoss",
        "TimeLimits",
    ),
    "markers": (
        "marked_goal",
        "marker",
        "marker_in",
        "marker_prefix",
    ),
    "outcomes": (
        "Backpressure",
        "DelayRequests",
        "Failed",
        "Finish",
        "Outcome",
        "Remark",
        "Retry",
        "Snooze",
        "StopSubmitting",
        "Succeeded",
        "Transition",
    ),
    "owners": ("Owner",),
    "reports": (
        "AdviceCount",
        "Batch",
        "BatchCounts",
        "ClosedAttempt",
        "ExportedAttempt",
        "FinishedJob",
        "LoadResult",
        "ParkedHost",
        "Pause",
        "RunErrorBeside",
        "SuspectResults",
        "WorkLeft",
    ),
    "retry_rule": ("RetryRule",),
    "run_help": (
        "ProfileHint",
        "RunHelp",
    ),
    "runs": (
        "ApiFault",
        "ApiFaultKind",
        "CreateAnswer",
        "Created",
        "ListPage",
        "NotFound",
        "Refused",
        "RequestFailed",
        "Run",
        "RunError",
        "RunListing",
        "RunObservation",
        "Throttle",
        "Unanswered",
        "Unreadable",
    ),
    "states": (
        "JobState",
        "RunStatus",
    ),
    "verdicts": ("Judgement",),
}
_DEFINED_IN = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import the module that defines a name."""
    if name not in _DEFINED_IN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_DEFINED_IN[name]}"), name)
    globals()[name] = value
    return value
