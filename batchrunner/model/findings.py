"""What rules find in results, and the verdict that follows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What the judge thinks of a result."""

    GOOD = "good"  #: no rule found anything
    SUSPECT = "suspect"  #: it looks wrong: delivered and flagged, never bought again by itself
    BAD = "bad"  #: it is certainly not what the job asked for: the attempt fails


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What a rule found in a result."""

    rule: str
    path: str  #: where; `.` is the whole result
    seen: str  #: the value there, shortened and safe to show
    wanted: str = ""  #: what should be there, if the rule can say
