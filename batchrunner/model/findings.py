"""What rules find in results, and the verdict that follows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

#: What a finding saw where nothing is, and wanted where anything would have done.
NOTHING, SOMETHING = "nothing", "something"


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

    @property
    def sentence(self) -> str:
        """Say what is there, and what should be there."""
        if self.wanted == SOMETHING:
            where = "the result" if self.path == "." else self.path
            return f"{where} is missing" if self.seen == NOTHING else f"{where} is empty"
        if self.seen == NOTHING:
            return f"{self.path} is missing" + (f" (wanted: {self.wanted})" if self.wanted else "")
        return f"{self.path} is {self.seen}" + (f", not {self.wanted}" if self.wanted else "")
