"""Which jobs of a batch an export shows."""

from __future__ import annotations

from dataclasses import dataclass

from batchrunner.model.categories import FailureCategory
from batchrunner.model.findings import Verdict
from batchrunner.model.states import JobState


@dataclass(frozen=True, kw_only=True, slots=True)
class RowChoice:
    """Which jobs an export shows; jobs in a final state unless it says something else."""

    states: frozenset[JobState] = frozenset()  #: only these; empty, with `categories`: all
    categories: frozenset[FailureCategory] = frozenset()  #: and jobs that failed for these reasons
    verdicts: frozenset[Verdict] = frozenset()  #: and jobs with such a verdict on their result
    join: bool = False  #: also jobs that are not final: each row of the input
    last_good: bool = False  #: of each job the newest revision that succeeded, if any did

    @property
    def is_filtered(self) -> bool:
        """Whether some jobs are left out."""
        return bool(self.states or self.categories or self.verdicts)


#: All jobs in a final state, each with its newest revision.
ALL_FINAL = RowChoice()
