"""Draws from a seed what befalls a night: which faults, when and how often; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TypeVar

from batchrunner.model import Settings
from batchrunner.sandbox import SandboxConfig
from batchrunner.sandbox.seeded_random import seeded_share
from tests.simulator.machine_faults import MachineFaults, TimeSpan
from tests.simulator.network.proxy import FAULTS, FaultWindow

#: Seconds after which the faults of a night are over that is to come to its end.
CALM = 2700.0
#: Seconds that a night of faults without end is watched for.
ENDLESS = 7200.0
#: The longest time that faults go on for, and the longest one of them.
HOUR = 3600.0

#: What may befall runs and requests at any time, and the largest share of them that it does.
RATES: Mapping[str, float] = {
    "system_failure": 0.15,
    "agent_failure": 0.05,
    "billing_failure": 0.05,
    "unknown": 0.1,
    "goal_failure": 0.1,
    "blocked": 0.1,
    "no_result": 0.1,
    "wrong_shape": 0.05,
    "cancelled": 0.03,
    "stuck": 0.02,
    "queued": 0.02,
    "lost": 0.03,
    "rejected": 0.1,
    "rejected_unnamed": 0.05,
    "gated": 0.03,
    "throttled": 0.15,
    "unavailable": 0.1,
    "error_before": 0.1,
    "error_after": 0.15,
    "dropped_before": 0.1,
    "dropped_after": 0.15,
    "hung_after": 0.05,
}
#: Answers that name runs of others: where that run is shown to nobody, nothing tells whose it was.
FOREIGN = frozenset({"ids_of_another", "ids_crossed"})
#: Faults by which the API says how long to wait: beside a clock that is set, nobody can tell.
TIMED = frozenset({"throttled"})

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A night before it is played."""

    seed: int
    jobs: int
    ends: bool  #: the faults stop, and then it must come to its end; else nothing may break
    world: SandboxConfig
    settings: Settings
    weather: MachineFaults
    spells: Sequence[FaultWindow]
    poison: float
    huge: float
    fuses: Sequence[Sequence[int]]  #: for each runner: at which step each of its lives ends
    stops: Sequence[Sequence[TimeSpan]]  #: for each runner: when its process is stopped
    pauses: float  #: seconds between the end of a process and the next one
    near: bool  #: the runners are on one machine, and can tell who died


@dataclass(frozen=True)
class SeededDraws:
    """Draws that follow from a seed and their names alone."""

    seed: int

    def lot(self, *name: object) -> float:
        """Draw a number in [0, 1)."""
        return seeded_share(self.seed, "plan", *name)

    def happens(self, chance: float, *name: object) -> bool:
        """Draw whether something happens."""
        return self.lot("happens", *name) < chance

    def between(self, least: float, most: float, *name: object) -> float:
        """Draw a number from a range in which small ones are as likely as large ones."""
        return float(least * (most / least) ** self.lot("between", *name))

    def one_of(self, choices: Sequence[T], *name: object) -> T:
        """Draw one of these."""
        return choices[int(self.lot("one of", *name) * len(choices))]

    def span(self, longest: float, latest: float, *name: object) -> TimeSpan:
        """Draw when something begins and ends; mostly early, as most nights are short."""
        begins = self.lot("begins", *name) ** 2 * latest / 2
        return TimeSpan(begins, min(begins + self.between(10.0, longest, "lasts", *name), latest))

    def spans(self, chance: float, longest: float, latest: float, name: str) -> list[TimeSpan]:
        """Draw none to three spans that do not touch."""
        if not self.happens(chance, name):
            return []
        drawn = [self.span(longest, latest, name, n) for n in range(1 + int(self.lot(name) * 3))]
        apart: list[TimeSpan] = []
        for span in sorted(drawn, key=lambda span: span.begins):
            if not apart or span.begins > apart[-1].ends + 60:
                apart.append(span)
        return apart


def draw_scenario(seed: int, jobs: int) -> Scenario:
    """Draw a night of so many jobs."""
    lots = SeededDraws(seed)
    ends = lots.happens(0.8, "ends")
    latest = CALM if ends else ENDLESS
    steps = _clock_steps(lots, latest)
    set_forward = any(by > 0 for _, by in steps)
    runners = 1 + lots.happens(0.4, "a second runner") + lots.happens(0.15, "a third runner")
    world = _world(lots, jobs, without=TIMED if set_forward else frozenset())
    without = FOREIGN if "lost" in world.rates else frozenset()
    return Scenario(
        seed=seed,
        jobs=jobs,
        ends=ends,
        world=world,
        settings=Settings(
            concurrency=round(lots.between(4, 60, "concurrency")),
            max_attempts=lots.one_of((2, 3, 5), "attempts"),
            backoff=timedelta(seconds=lots.between(1, 30, "backoff")),
            queued_limit=timedelta(minutes=20),
            running_limit=timedelta(minutes=12),
        ),
        weather=_weather(lots, latest, steps),
        spells=_spells(lots, latest, told_waits=not set_forward, without=without),
        poison=lots.between(0.005, 0.1, "poison") if lots.happens(0.3, "poison") else 0.0,
        huge=0.02 if lots.happens(0.03, "huge") else 0.0,
        fuses=[_fuses(lots, n) for n in range(runners)],
        stops=[lots.spans(0.15, 400, latest, f"stops of {n}") for n in range(runners)],
        pauses=lots.between(1, 120, "pauses"),
        near=lots.happens(0.7, "near"),
    )


def _world(lots: SeededDraws, jobs: int, without: frozenset[str]) -> SandboxConfig:
    rates = {
        name: lots.between(most / 10, most, "rate", name)
        for name, most in RATES.items()
        if name not in without and lots.happens(0.25, "fate", name)
    }
    broke = lots.happens(0.12, "credits")
    return SandboxConfig(
        seed=lots.seed,
        durations=lots.one_of(((2.0, 20.0), (15.0, 120.0), (15.0, 300.0)), "durations"),
        limit=round(lots.between(3, 30, "limit")) if lots.happens(0.2, "limited") else None,
        rates=rates,
        retry_after=round(lots.between(1, 90, "retry after")),
        credits=Decimal(jobs) / 50 if broke else None,
        deposits=((lots.between(600, CALM, "deposit"), Decimal(jobs)),) if broke else (),
        late=_late(lots),
        variants=_variants(lots),
    )


def _variants(lots: SeededDraws) -> dict[str, str]:
    played = {"run_batch": "missing"} if lots.happens(0.05, "no batches") else {}
    return played | ({"run_ids": "reversed"} if lots.happens(0.15, "shuffled") else {})


def _late(lots: SeededDraws) -> float:
    if lots.happens(0.5, "listed at once"):
        return 0.0
    if lots.happens(0.6, "listed in time"):
        return lots.between(1, 45, "late")
    return lots.between(70, 300, "very late")


def _clock_steps(lots: SeededDraws, latest: float) -> list[tuple[float, float]]:
    if not lots.happens(0.2, "clock"):
        return []
    sizes = (-HOUR, -400.0, -8.0, 8.0, HOUR, 8 * HOUR)
    count = lots.one_of((1, 1, 2, 3), "steps")
    drawn = [
        (lots.lot("step at", n) ** 2 * latest / 2, lots.one_of(sizes, "step", n))
        for n in range(count)
    ]
    return sorted(drawn)


def _weather(
    lots: SeededDraws, latest: float, steps: Sequence[tuple[float, float]]
) -> MachineFaults:
    return MachineFaults(
        sleeps=lots.spans(0.2, HOUR, latest, "sleeps"),
        steps=steps,
        full=lots.spans(0.15, 600, latest, "disk full"),
        locked=lots.spans(0.15, 300, latest, "locked"),
        unseen=lots.spans(0.15, 600, latest, "unseen"),
    )


def _spells(
    lots: SeededDraws, latest: float, *, told_waits: bool, without: frozenset[str]
) -> list[FaultWindow]:
    """Draw which faults the way to the API has: each in its own time, to its own share."""
    found = []
    for name in FAULTS:
        if not lots.happens(0.18, "fault", name) or not (told_waits or "throttled" not in name):
            continue
        if name in without:
            continue
        span = lots.span(HOUR, latest, "fault", name)
        share_of = lots.between(0.03, 1.0, "share", name)
        found.append(FaultWindow(name, span.begins, span.ends, share_of))
    if lots.happens(0.1, "an hour without network"):
        begins = lots.lot("offline") * 900
        found.insert(0, FaultWindow("refused", begins, min(begins + HOUR, latest), 1.0))
    return found


def _fuses(lots: SeededDraws, runner: int) -> list[int]:
    """Draw after how many steps each life of a runner but its last one ends."""
    if lots.happens(0.3, "unhurt", runner):
        return []
    lives = 1 + int(lots.lot("lives", runner) * 6)
    return [round(lots.between(1, 4000, "fuse", runner, life)) for life in range(lives)]
