"""What a person decided about a result."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from batchrunner.model.findings import Finding

#: Rule, and code, of a result that a person rejected.
REJECTED = "rejected"


class ReviewDecision(StrEnum):
    """What a person decided about a result."""

    ACCEPTED = "accepted"  #: it is good as it is
    REJECTED = "rejected"  #: it is not what was asked for


@dataclass(frozen=True, kw_only=True, slots=True)
class Review:
    """What a person decided about the result of an attempt, and why."""

    decision: ReviewDecision
    at: datetime
    because: str = ""  #: why, in the person's words; empty: not said
    findings: tuple[Finding, ...] = ()  #: what rules had found in the result before
