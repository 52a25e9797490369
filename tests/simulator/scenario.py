"""Draws from a seed which faults a simulated batch has, when and how often; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TypeVar

from batchrunner.model import Settings, StopLoss
from batchrunner.sandbox import SandboxConfig
from batchrunner.sandbox.seeded_random import seeded_share
from batchrunner.sandbox.visibility import Visibility
from tests.simulator.machine_faults import MachineFaults, TimeSpan
from tests.simulator.network.proxy import FAULTS, FaultWindow

#: Seconds after which the faults of a batch that must end are over.
CALM = 2700.0
#: Seconds for which a batch whose faults never end is simulated.
ENDLESS = 7200.0
#: Longest duration of a fault, in seconds.
HOUR = 3600.0

#: Faults of runs and requests, and the largest share of them that each applies to.
RATES: Mapping[str, float] = {
    "system_failure": 0.15,
    "agent_failure": 0.05,
    "billing_failure": 0.05,
    "unknown": 0.1,
    "goal_failure": 0.1,
    "blocked": 0.1,
    "suspect": 0.1,
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
    "rate_limited": 0.1,
    "misspelled": 0.05,
    "expired": 0.05,
    "expired_with_result": 0.05,
    "expired_silently": 0.03,
    "unavailable": 0.1,
    "error_before": 0.1,
    "error_after": 0.15,
    "throttled_after": 0.05,
    "rejected_after": 0.05,
    "null_after": 0.05,
    "dropped_before": 0.1,
    "dropped_after": 0.15,
    "hung_after": 0.05,
    "replayed": 0.1,
}
#: Answers that name runs of others: if such a run is never shown, it cannot be matched.
FOREIGN = frozenset({"ids_of_another", "ids_crossed"})
#: Faults that say how long to wait: that cannot be checked when the clock is set.
TIMED = frozenset({"throttled", "throttled_after", "rate_limited"})
#: Steps among which a process is killed, for each job.
STEPS_PER_JOB = 20

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A batch and its faults, before it is simulated."""

    seed: int
    jobs: int
    ends: bool  #: the faults stop, and then the batch must end; else no promise may break
    config: SandboxConfig
    settings: Settings
    machine_faults: MachineFaults
    windows: Sequence[FaultWindow]
    hostile: float
    huge: float
    kills: Sequence[Sequence[int]]  #: for each runner: the step at which each process is killed
    stops: Sequence[Sequence[TimeSpan]]  #: for each runner: when its process is stopped
    pauses: float  #: seconds between the end of a process and the next one
    near: bool  #: the runners are on one machine, and can tell who died


@dataclass(frozen=True)
class SeededDraws:
    """Draws that depend on a seed and their names alone."""

    seed: int

    def share(self, *name: object) -> float:
        """Draw a number in [0, 1)."""
        return seeded_share(self.seed, "plan", *name)

    def happens(self, chance: float, *name: object) -> bool:
        """Draw whether something happens."""
        return self.share("happens", *name) < chance

    def between(self, least: float, most: float, *name: object) -> float:
        """Draw a number from a range in which small ones are as likely as large ones."""
        return float(least * (most / least) ** self.share("between", *name))

    def one_of(self, choices: Sequence[T], *name: object) -> T:
        """Draw one of these."""
        return choices[int(self.share("one of", *name) * len(choices))]

    def span(self, longest: float, latest: float, *name: object) -> TimeSpan:
        """Draw when something begins and ends; mostly early, because most batches are short."""
        begins = self.share("begins", *name) ** 2 * latest / 2
        return TimeSpan(begins, min(begins + self.between(10.0, longest, "lasts", *name), latest))

    def spans(self, chance: float, longest: float, latest: float, name: str) -> list[TimeSpan]:
        """Draw up to three spans that do not touch."""
        if not self.happens(chance, name):
            return []
        drawn = [self.span(longest, latest, name, n) for n in range(1 + int(self.share(name) * 3))]
        apart: list[TimeSpan] = []
        for span in sorted(drawn, key=lambda span: span.begins):
            if not apart or span.begins > apart[-1].ends + 60:
                apart.append(span)
        return apart


def draw_scenario(seed: int, jobs: int) -> Scenario:
    """Draw a batch of this many jobs."""
    draws = SeededDraws(seed)
    ends = draws.happens(0.8, "ends")
    latest = CALM if ends else ENDLESS
    steps = _clock_steps(draws, latest)
    set_forward = any(by > 0 for _, by in steps)
    runners = 1 + draws.happens(0.4, "a second runner") + draws.happens(0.15, "a third runner")
    config = _config(draws, jobs, without=TIMED if set_forward else frozenset())
    without = FOREIGN if "lost" in config.rates else frozenset()
    return Scenario(
        seed=seed,
        jobs=jobs,
        ends=ends,
        config=config,
        settings=Settings(
            concurrency=round(draws.between(4, 60, "concurrency")),
            max_attempts=draws.one_of((2, 3, 5), "attempts"),
            backoff=timedelta(seconds=draws.between(1, 30, "backoff")),
            queued_limit=timedelta(minutes=20),
            running_limit=timedelta(minutes=12),
            stop_loss=StopLoss(share=None),  # faults may bring orphans without end
        ),
        machine_faults=_machine_faults(draws, latest, steps),
        windows=_windows(draws, latest, waits_are_checked=not set_forward, without=without),
        hostile=draws.between(0.005, 0.1, "poison") if draws.happens(0.3, "poison") else 0.0,
        huge=0.02 if draws.happens(0.03, "huge") else 0.0,
        kills=[_kills(draws, n, jobs) for n in range(runners)],
        stops=[draws.spans(0.15, 400, latest, f"stops of {n}") for n in range(runners)],
        pauses=draws.between(1, 120, "pauses"),
        near=draws.happens(0.7, "near"),
    )


def _config(draws: SeededDraws, jobs: int, without: frozenset[str]) -> SandboxConfig:
    rates = {
        name: draws.between(most / 10, most, "rate", name)
        for name, most in RATES.items()
        if name not in without and draws.happens(0.25, "fate", name)
    }
    short = draws.happens(0.12, "credits")
    return SandboxConfig(
        seed=draws.seed,
        durations=draws.one_of(((2.0, 20.0), (15.0, 120.0), (15.0, 300.0)), "durations"),
        limit=round(draws.between(3, 30, "limit")) if draws.happens(0.2, "limited") else None,
        rates=rates,
        retry_after=round(draws.between(1, 90, "retry after")),
        credits=Decimal(jobs) / 50 if short else None,
        deposits=((draws.between(600, CALM, "deposit"), Decimal(jobs)),) if short else (),
        late=_late(draws),
        visibility=_visibility(draws),
        variants=_variants(draws),
    )


def _variants(draws: SeededDraws) -> dict[str, str]:
    played = {"run_batch": "missing"} if draws.happens(0.05, "no batches") else {}
    played["over_limit"] = draws.one_of(("queued", "refused", "refused_in_detail"), "over limit")
    return played | ({"run_ids": "reversed"} if draws.happens(0.15, "shuffled") else {})


def _visibility(draws: SeededDraws) -> Visibility:
    """Draw what the API does not show; a list that hides some runs leaves creates undecided."""

    def spans(name: str) -> tuple[tuple[float, float], ...]:
        return tuple((span.begins, span.ends) for span in draws.spans(0.1, 400, CALM, name))

    hidden = draws.one_of(("PENDING", "RUNNING", "COMPLETED", "FAILED"), "hidden")
    searched = round(draws.between(10, 90, "searched"))
    return Visibility(
        cache=draws.one_of((None, None, None, "cached", "cached_stubbornly"), "cache"),
        searched=searched if draws.happens(0.1, "searched") else None,
        hidden=frozenset({hidden} if draws.happens(0.1, "hidden") else ()),
        polls_blind=spans("polls blind"),
        lists_blind=spans("lists blind"),
    )


def _late(draws: SeededDraws) -> float:
    if draws.happens(0.5, "listed at once"):
        return 0.0
    if draws.happens(0.6, "listed in time"):
        return draws.between(1, 45, "late")
    return draws.between(70, 300, "very late")


def _clock_steps(draws: SeededDraws, latest: float) -> list[tuple[float, float]]:
    if not draws.happens(0.2, "clock"):
        return []
    sizes = (-HOUR, -400.0, -8.0, 8.0, HOUR, 8 * HOUR)
    count = draws.one_of((1, 1, 2, 3), "steps")
    drawn = [
        (draws.share("step at", n) ** 2 * latest / 2, draws.one_of(sizes, "step", n))
        for n in range(count)
    ]
    return sorted(drawn)


def _machine_faults(
    draws: SeededDraws, latest: float, steps: Sequence[tuple[float, float]]
) -> MachineFaults:
    return MachineFaults(
        sleeps=draws.spans(0.2, HOUR, latest, "sleeps"),
        steps=steps,
        full=draws.spans(0.15, 600, latest, "disk full"),
        locked=draws.spans(0.15, 300, latest, "locked"),
        unseen=draws.spans(0.15, 600, latest, "unseen"),
    )


def _windows(
    draws: SeededDraws, latest: float, *, waits_are_checked: bool, without: frozenset[str]
) -> list[FaultWindow]:
    """Draw which faults the network has: each in a window of its own, for a share of requests."""
    found = []
    for name in FAULTS:
        if not draws.happens(0.18, "fault", name) or not (
            waits_are_checked or "throttled" not in name
        ):
            continue
        if name in without:
            continue
        span = draws.span(HOUR, latest, "fault", name)
        share_of = draws.between(0.03, 1.0, "share", name)
        found.append(FaultWindow(name, span.begins, span.ends, share_of))
    if draws.happens(0.1, "an hour without network"):
        begins = draws.share("offline") * 900
        found.insert(0, FaultWindow("refused", begins, min(begins + HOUR, latest), 1.0))
    return found


def _kills(draws: SeededDraws, runner: int, jobs: int) -> list[int]:
    """Draw after how many steps each process of a runner but its last one is killed."""
    if draws.happens(0.3, "unhurt", runner):
        return []
    # A job takes some twenty steps, so that most kills happen before the batch ends.
    latest = STEPS_PER_JOB * jobs
    processes = 1 + int(draws.share("lives", runner) * 6)
    return [round(draws.between(1, latest, "fuse", runner, n)) for n in range(processes)]
