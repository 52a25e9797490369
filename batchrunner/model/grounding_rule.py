"""Which jobs of a batch have their values searched for in the pages that their runs saw."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

#: In the place of what was found of a result: its values are still to be searched for.
GROUNDING_WANTED = "wanted"


@dataclass(frozen=True, kw_only=True, slots=True)
class GroundingRule:
    """Which jobs of a batch are checked against their pages."""

    sample: Decimal = Decimal(0)  #: share of the jobs, from 0 to 1
    with_profiles: bool = False  #: also runs with credentials or a saved browser profile


@dataclass(frozen=True, kw_only=True, slots=True)
class GroundingTask:
    """A result whose values are to be searched for in the pages of its run."""

    attempt_id: int
    run_id: str
    url: str
    named: frozenset[str] = frozenset()  #: top-level fields that its `output_schema` names
