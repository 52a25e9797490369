"""What a load of a job file would change in its batch, and when it needs the user's decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from batchrunner.model.budget import Rate

#: An edit that buys again, or withdraws, more jobs than this needs a decision …
GUARDED_JOBS = 20
#: … if they are also more than this part of the batch: one of so many.
GUARDED_PART = 10


class Guard(StrEnum):
    """Why a load needs the user's decision."""

    CHANGED = "changed"  #: it would buy many jobs again
    WITHDRAWN = "withdrawn"  #: it would withdraw many jobs


@dataclass(frozen=True, kw_only=True, slots=True)
class EditDecision:
    """What the user decided about an edit before a load; None: the guard asks where it applies."""

    run_changed: bool | None = None  #: False: final jobs that changed stay as they are
    withdraw: bool | None = None  #: False: only add; jobs that the file has no longer stay


#: Nothing was decided: a load stops where a guard applies.
UNDECIDED = EditDecision()


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldChange:
    """How many jobs changed in one field; a job that changed in two is counted in both."""

    jobs: int
    final: int = 0  #: of these, jobs in a final state: they would be bought again


@dataclass(frozen=True, kw_only=True, slots=True)
class JobChange:
    """One job as an example of a change."""

    key: str
    fields: tuple[str, ...]  #: `url`, `goal`, or names of options
    before: str  #: the first of these fields
    after: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """What a load would change in a batch."""

    batch: str  #: name of the batch
    total: int = 0  #: jobs of the batch before the load
    rows: int = 0  #: jobs in the file
    new: int = 0
    same: int = 0  #: with `returning`
    returning: int = 0  #: of the same, those that were withdrawn or had another form in between
    changed: int = 0
    changed_final: int = 0  #: of the changed, those in a final state: they would be bought again
    changed_in_flight: int = 0  #: of the changed, those whose run is in flight
    kept: int = 0  #: changed before, and kept as they are by an earlier decision
    fields: Mapping[str, FieldChange] = field(default_factory=dict)  #: by `url`, `goal`, option
    withdrawn: int = 0
    withdrawn_final: int = 0
    withdrawn_in_flight: int = 0
    steps_before: int = 0  #: billed for all attempts of the changed jobs that are final
    rate: Rate | None = None  #: price of a step; None if unknown
    examples: tuple[JobChange, ...] = ()
    first_withdrawn: tuple[str, ...] = ()  #: keys of some

    @property
    def withdrawn_open(self) -> int:
        """Jobs that would be withdrawn before any run of them ended or is in flight."""
        return self.withdrawn - self.withdrawn_final - self.withdrawn_in_flight

    @property
    def cost_before(self) -> str | None:
        """What the final jobs that changed have cost, in dollars; None if the rate is unknown."""
        return f"{self.steps_before * self.rate.amount:f}" if self.rate else None

    def guards(self, decision: EditDecision = UNDECIDED) -> tuple[Guard, ...]:
        """Return what the user must decide before this load."""
        found = []
        if decision.run_changed is None and self._is_guarded(self.changed_final):
            found.append(Guard.CHANGED)
        if decision.withdraw is None and self._is_guarded(self.withdrawn):
            found.append(Guard.WITHDRAWN)
        return tuple(found)

    def _is_guarded(self, jobs: int) -> bool:
        return jobs > GUARDED_JOBS and jobs * GUARDED_PART > self.total
