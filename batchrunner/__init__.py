"""
Run many (url, goal) pairs on a web-agent API: nothing lost, nothing paid twice.

    import batchrunner as br

    with br.open("prices.db") as db:
        batch = db.load("jobs.yaml")
        with batch.run(concurrency=10, budget="$20") as jobs:
            for job in jobs:
                print(job.url, job.category or job.result)

Nothing is imported before it is used: an import of this package is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchrunner.app.api_access import ApiAccess
    from batchrunner.app.batch_database import BatchDatabase
    from batchrunner.app.batch_database import BatchDatabase as open
    from batchrunner.app.batch_handle import BatchHandle
    from batchrunner.app.diff_results import ResultDiff, diff
    from batchrunner.app.job_results import JobResult
    from batchrunner.app.job_stream import AsyncJobStream, JobStream
    from batchrunner.app.load import LoadReport
    from batchrunner.app.plan import Plan
    from batchrunner.app.run_batch import BatchRunEnded
    from batchrunner.app.run_observer import RunEvent, RunObserver
    from batchrunner.app.series_handle import SeriesHandle
    from batchrunner.app.status import BatchStatus
    from batchrunner.errors import (
        ApiError,
        BadQuality,
        BatchElsewhere,
        BatchrunnerError,
        CannotContinue,
        DatabaseError,
        EditNeedsDecision,
        InputError,
        LeftEarly,
        UsageError,
    )
    from batchrunner.grounding import Grounding, ground
    from batchrunner.model import FailureCategory, JobState
    from batchrunner.runner.runner import ExitReason
    from batchrunner.sandbox.http.background import serve_in_background as sandbox

__all__ = [
    "ApiAccess",
    "ApiError",
    "AsyncJobStream",
    "BadQuality",
    "BatchDatabase",
    "BatchElsewhere",
    "BatchHandle",
    "BatchRunEnded",
    "BatchStatus",
    "BatchrunnerError",
    "CannotContinue",
    "DatabaseError",
    "EditNeedsDecision",
    "ExitReason",
    "FailureCategory",
    "Grounding",
    "InputError",
    "JobResult",
    "JobState",
    "JobStream",
    "LeftEarly",
    "LoadReport",
    "Plan",
    "ResultDiff",
    "RunEvent",
    "RunObserver",
    "SeriesHandle",
    "UsageError",
    "diff",
    "ground",
    "open",
    "sandbox",
]

#: Name here → the module that defines it, and its name there.
_DEFINED_IN = {
    "ApiAccess": ("app.api_access", "ApiAccess"),
    "ApiError": ("errors", "ApiError"),
    "BadQuality": ("errors", "BadQuality"),
    "AsyncJobStream": ("app.job_stream", "AsyncJobStream"),
    "BatchDatabase": ("app.batch_database", "BatchDatabase"),
    "BatchElsewhere": ("errors", "BatchElsewhere"),
    "BatchHandle": ("app.batch_handle", "BatchHandle"),
    "BatchRunEnded": ("app.run_batch", "BatchRunEnded"),
    "BatchStatus": ("app.status", "BatchStatus"),
    "BatchrunnerError": ("errors", "BatchrunnerError"),
    "CannotContinue": ("errors", "CannotContinue"),
    "DatabaseError": ("errors", "DatabaseError"),
    "EditNeedsDecision": ("errors", "EditNeedsDecision"),
    "ExitReason": ("runner.runner", "ExitReason"),
    "FailureCategory": ("model", "FailureCategory"),
    "Grounding": ("grounding", "Grounding"),
    "InputError": ("errors", "InputError"),
    "JobResult": ("app.job_results", "JobResult"),
    "JobState": ("model", "JobState"),
    "JobStream": ("app.job_stream", "JobStream"),
    "LeftEarly": ("errors", "LeftEarly"),
    "LoadReport": ("app.load", "LoadReport"),
    "Plan": ("app.plan", "Plan"),
    "ResultDiff": ("app.diff_results", "ResultDiff"),
    "RunEvent": ("app.run_observer", "RunEvent"),
    "RunObserver": ("app.run_observer", "RunObserver"),
    "SeriesHandle": ("app.series_handle", "SeriesHandle"),
    "UsageError": ("errors", "UsageError"),
    "diff": ("app.diff_results", "diff"),
    "ground": ("grounding", "ground"),
    "open": ("app.batch_database", "BatchDatabase"),
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is used."""
    if name == "sandbox":
        return import_module(f"{__name__}.sandbox")  # a package that can be called
    if name not in _DEFINED_IN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _DEFINED_IN[name]
    value = getattr(import_module(f"{__name__}.{module}"), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
