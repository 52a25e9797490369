"""How the failures of one category are answered: attempts, waits, and changed options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryRule:
    """How the failures of one category are answered; None: as a wider rule says."""

    attempts: int | None = None  #: the failure with this number ends the job
    wait: timedelta | None = None  #: before the next attempt, the same each time
    backoff: timedelta | None = None  #: longest first wait, instead of the batch's
    then: tuple[Mapping[str, Any], ...] | None = None  #: option changes, one for each next attempt
    line: int = field(default=0, compare=False)  #: its line in the job file, from 1

    @property
    def escalation(self) -> tuple[Mapping[str, Any], ...]:
        """The escalation steps above the job's own options, lowest first."""
        return self.then or ()
