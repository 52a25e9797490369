"""What a person says of a result."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from batchrunner.model.findings import Finding

#: Rule, and code, of a result that a person rejected.
REJECTED = "rejected"


class ReviewWord(StrEnum):
    """What a person says of a result."""

    ACCEPTED = "accepted"  #: it is good as it is
    REJECTED = "rejected"  #: it is not what was asked for


@dataclass(frozen=True, kw_only=True, slots=True)
class Review:
    """A person's word about the result of an attempt."""

    word: ReviewWord
    at: datetime
    because: str = ""  #: why, in the person's words; empty: not said
    findings: tuple[Finding, ...] = ()  #: what rules had found in the result before
