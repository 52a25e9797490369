"""Builders of jobs and failures, for tests of pure code."""

from __future__ import annotations

from typing import Any

from batchrunner.model import Failed, FailureCategory, Job


def job(number: int = 1, **more: Any) -> Job:
    """Build a job at its first attempt, which has not failed yet."""
    return Job(**{"id": number, "key": f"k{number}", "attempt": 1, "failures": 0, **more})


def failure(category: FailureCategory, **more: Any) -> Failed:
    """Build a failure."""
    return Failed(category=category, message="why", **more)
