"""The names of the counters of a batch."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum


class Number(StrEnum):
    """What is counted of a batch; some are counted for each detail."""

    JOBS = "jobs"  #: current jobs, by state
    RETRYING = "retrying"  #: available jobs with earlier attempts
    LEAVING = "leaving"  #: running jobs that are not current
    FAILED = "failed"  #: current jobs that failed, by category
    SUSPECT = "suspect"  #: current jobs with a suspect result, by rule
    RETRIED = "retried"  #: failed attempts after which their job was retried, by category
    ATTEMPTS = "attempts"
    STEPS = "steps"  #: billed for attempts


#: The rule that doctor checks.
NUMBERS_AGREE = "the numbers that are kept of a batch are those of its jobs and attempts"

#: Numbers, or changes of them, by what is counted and its detail.
Numbers = Counter[tuple[str, str]]
