"""What the judge says about a result: its verdict, why, and the failure that follows."""

from __future__ import annotations

from dataclasses import dataclass

from batchrunner.model.findings import Finding, Verdict
from batchrunner.model.outcomes import Failed

__all__ = ["GOOD", "Finding", "Judgement", "Verdict"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """What the judge says about a result."""

    verdict: Verdict
    findings: tuple[Finding, ...] = ()  #: a few; the first one decides
    failure: Failed | None = None  #: what a bad result fails with; only of a bad one


#: Nothing was found.
GOOD = Judgement(verdict=Verdict.GOOD)
