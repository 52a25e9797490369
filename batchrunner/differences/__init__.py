"""Compares two sets of results job by job: what was added, what is gone and what changed."""

from batchrunner.differences.changes import (
    MISSING,
    Change,
    ChangeKind,
    ComparedResult,
    JobDiff,
    JobStatus,
)
from batchrunner.differences.jobs import compare_jobs, merge_join
from batchrunner.differences.rules import DiffRules, Tolerance, parse_tolerance, rules_of
from batchrunner.differences.summary import DiffSummary, NumberMove
from batchrunner.differences.values import Comparison

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
