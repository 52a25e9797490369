"""The figures of simulated batch runs in which every invariant held."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.simulator.fuzz import REACTION, SimulationResult


@dataclass(frozen=True, kw_only=True)
class SimulationSummary:
    """What happened in simulated batch runs."""

    batches: int
    jobs: int
    runs_created: int
    faults: Mapping[str, int]  #: how often each kind occurred; 0: nothing is proved about it
    reactions: Mapping[str, int]  #: how often the program reacted in each way
    crashes: int

    @classmethod
    def of(cls, results: Sequence[SimulationResult]) -> SimulationSummary:
        """Add the results up."""
        fired = Counter[tuple[str, str]]()
        for result in results:
            fired.update(result.fired)
        return cls(
            batches=len(results),
            jobs=sum(result.jobs for result in results),
            runs_created=sum(result.runs_created for result in results),
            faults={
                f"{where}: {what}": n for (where, what), n in fired.items() if where != REACTION
            },
            reactions={what: met for (where, what), met in fired.items() if where == REACTION},
            crashes=sum(result.kills for result in results),
        )

    def lines(self, *, verbose: bool) -> Iterator[str]:
        """Give the figures for a person; *verbose* adds how often each fault occurred."""
        if verbose:
            yield from _table("faults", self.faults)
            yield from _table("reactions of the program", self.reactions)
        yield (
            f"{self.batches:,} simulated batch runs: {self.jobs:,} jobs, "
            f"{self.runs_created:,} runs created, {sum(self.faults.values()):,} faults, "
            f"{self.crashes:,} crashes"
        )
        yield "every promise held: no job was lost, and no run was paid for twice"


def _table(title: str, counts: Mapping[str, int]) -> Iterator[str]:
    yield f"{title}:"
    yield from (f"  {what:<40}{met:>8,}" for what, met in counts.items())
    yield ""
