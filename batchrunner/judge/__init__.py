"""Judging: whether a completed run's result is what the job asked for; pure."""

from __future__ import annotations

from batchrunner.judge.judging import REPORTED_SHAPE, expectations_of, judge_result
from batchrunner.judge.rules import GENERAL_RULES

__all__ = ["GENERAL_RULES", "REPORTED_SHAPE", "expectations_of", "judge_result"]
