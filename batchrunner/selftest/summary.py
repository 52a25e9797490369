"""What came of a proof in which every promise held, in figures that can be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tests.simulator.fuzz import ANSWER, SimulationResult


@dataclass(frozen=True, kw_only=True)
class SimulationSummary:
    """What came of nights on virtual time."""

    nights: int
    jobs: int
    runs_created: int
    faults: Mapping[str, int]  #: how often each kind was met; 0: nothing is proved of it
    answers: Mapping[str, int]  #: how often the program was seen to answer in each way
    crashes: int

    @classmethod
    def of(cls, played: Sequence[SimulationResult]) -> SimulationSummary:
        """Sum them up."""
        fired = Counter[tuple[str, str]]()
        for night in played:
            fired.update(night.fired)
        return cls(
            nights=len(played),
            jobs=sum(night.jobs for night in played),
            runs_created=sum(night.runs_created for night in played),
            faults={
                f"{where}: {what}": met for (where, what), met in fired.items() if where != ANSWER
            },
            answers={what: met for (where, what), met in fired.items() if where == ANSWER},
            crashes=sum(night.kills for night in played),
        )


@dataclass(frozen=True, kw_only=True)
class ProcessSummary:
    """What came of a batch whose runners were killed and stopped."""

    jobs: int
    runners: int
    kills: int
    in_a_create: int  #: kills between the intent to create runs and its recorded answer
    stops: int  #: runners that were stopped, and woken
    restarts: int  #: of the database
    gave_up: int  #: runners that the database's restart ended; they were started again
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
    """What a self-test found, both halves together."""

    seed: int
    nights: SimulationSummary | None  #: None: none were asked for
    processes: ProcessSummary

    def as_json(self) -> dict[str, Any]:
        """Return it as a program wants it."""
        return {"held": True, **asdict(self)}

    def lines(self, *, verbose: bool) -> Iterator[str]:
        """Give it as a person wants it: a row for each half, then what matters."""
        if verbose and self.nights:
            yield from _table("faults met in the nights", self.nights.faults)
            yield from _table("what was done about them", self.nights.answers)
        nights, killed = self.nights, self.processes
        yield _row("processes killed", killed.kills, "survived", killed.jobs, killed.runs_created)
        yield _row("  in the middle of a create", killed.in_a_create, "survived")
        yield _row("  stopped and woken", killed.stops, "survived")
        if nights:
            played, jobs, runs = nights.nights, nights.jobs, nights.runs_created
            yield _row("nights on virtual time", played, "balanced", jobs, runs)
            yield _row("  faults in them", sum(nights.faults.values()), "survived")
            yield _row("  crashes in them", nights.crashes, "survived")
        yield "every promise held: no job was lost, and no run was paid for twice"
        yield f"lost {killed.lost}   paid twice {killed.paid_twice}   seed {self.seed}"


def _table(title: str, counts: Mapping[str, int]) -> Iterator[str]:
    yield f"{title}:"
    yield from (f"  {what:<40}{met:>8,}" for what, met in counts.items())
    yield ""


def _row(what: str, count: int, became: str, jobs: int = 0, runs: int = 0) -> str:
    """Return a line of a table of at most 80 columns."""
    work = f"{jobs:>9,} jobs {runs:>8,} runs created" if jobs else ""
    return f"{what:<27}{count:>6,} {became:<9}{work}".rstrip()
