"""The figures of a self-test in which every invariant held."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True, kw_only=True)
class ProcessSummary:
    """What happened to a batch whose runners were killed and stopped."""

    jobs: int
    runners: int
    kills: int
    in_a_create: int  #: kills between the intent to create runs and its recorded answer
    stops: int  #: runners that were stopped and continued
    restarts: int  #: of the database
    gave_up: int  #: runners that ended when the database restarted; they were started again
    runs_created: int
    attempts: int
    orphans: int
    most_in_flight: int
    concurrency: int
    lost: int
    paid_twice: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class SelftestSummary:
    """The result of a self-test."""

    seed: int
    processes: ProcessSummary

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON; `nights` is null, because simulations are part of the tests."""
        return {
            "held": True,
            "seed": self.seed,
            "nights": None,
            "processes": asdict(self.processes),
        }

    def lines(self, *, verbose: bool) -> Iterator[str]:
        """Yield lines for a person: what was done, then the result."""
        killed = self.processes
        yield _row("processes killed", killed.kills, "survived", killed.jobs, killed.runs_created)
        yield _row("  in the middle of a create", killed.in_a_create, "survived")
        yield _row("  stopped and resumed", killed.stops, "survived")
        if verbose:
            for each in fields(killed):
                yield f"  {each.name.replace('_', ' '):<25}{getattr(killed, each.name):>8,}"
        yield "every promise held: no job was lost, and no run was paid for twice"
        yield f"lost {killed.lost}   paid twice {killed.paid_twice}   seed {self.seed}"


def _row(what: str, count: int, became: str, jobs: int = 0, runs: int = 0) -> str:
    """Return a table row of at most 80 columns."""
    work = f"{jobs:>9,} jobs {runs:>8,} runs created" if jobs else ""
    return f"{what:<27}{count:>6,} {became:<9}{work}".rstrip()
