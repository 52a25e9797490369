"""Compares two sets of results job by job: what was added, what is gone and what changed."""

from batchrunner.diff.changes import (
    MISSING,
    Change,
    ChangeKind,
    ComparedResult,
    JobDiff,
    JobStatus,
)
from batchrunner.diff.jobs import compare_jobs, merge_join
from batchrunner.diff.rules import DiffRules, Tolerance, parse_tolerance, rules_of
from batchrunner.diff.summary import DiffSummary, NumberMove
from batchrunner.diff.values import Comparison

__all__ = [
    "MISSING",
    "Change",
    "ChangeKind",
    "ComparedResult",
    "Comparison",
    "DiffRules",
    "DiffSummary",
    "JobDiff",
    "JobStatus",
    "NumberMove",
    "Tolerance",
    "compare_jobs",
    "merge_join",
    "parse_tolerance",
    "rules_of",
]
