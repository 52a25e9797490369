"""Changes a scenario so that a named fault, or a named reaction of the program, occurs; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any, TypeAlias

from batchrunner.sandbox.visibility import Visibility
from tests.simulator.fuzz import KINDS, REACTION, REACTIONS, SimulationResult, simulate_scenario
from tests.simulator.machine_faults import TimeSpan
from tests.simulator.network.hostile_results import HUGE
from tests.simulator.network.proxy import FaultWindow
from tests.simulator.scenario import CALM, Scenario, draw_scenario

#: Where a fault occurs, and its name; or REACTION and the name of a reaction.
FaultName: TypeAlias = tuple[str, str]
Change: TypeAlias = Callable[[Scenario], Scenario]

#: Seeds of forced scenarios: far from those that are drawn.
FIRST_SEED = 1_000_000
#: By name: what a fault of visibility hides when it is forced.
VISIBLE: Mapping[str, Visibility] = {
    "listed_late": Visibility(late_spread=20.0),
    "cached": Visibility(cache="cached"),
    "cached_stubbornly": Visibility(cache="cached_stubbornly"),
    "searched_in_part": Visibility(searched=30),
    "status_hidden": Visibility(hidden=frozenset({"RUNNING"})),
    "polls_blind": Visibility(polls_blind=((10.0, 60.0),)),
    "lists_blind": Visibility(lists_blind=((0.0, 120.0),)),
}
#: Scenarios for one fault before it counts as one that cannot occur.
MAX_SCENARIOS = 6
JOBS = 15


def simulate_until(fault: FaultName) -> list[SimulationResult]:
    """
    Simulate batches that force a fault until it fires; return their results.

    Raises:
        InvariantViolated: A promise was broken, or a runner crashed.
    """
    results: list[SimulationResult] = []
    for scenario in forced_scenarios(fault):
        results.append(simulate_scenario(scenario))
        if results[-1].fired[fault]:
            break
    return results


def forced_scenarios(fault: FaultName) -> Iterator[Scenario]:
    """Yield different scenarios that each force a fault."""
    change = CHANGES[fault]
    for number in range(MAX_SCENARIOS):
        yield change(_without_faults(draw_scenario(FIRST_SEED + number, JOBS)))


def _without_faults(scenario: Scenario) -> Scenario:
    """Return a scenario without its faults, which could hide the one that is forced."""
    config = replace(
        scenario.config,
        rates={},
        credits=None,
        deposits=(),
        late=0.0,
        visibility=Visibility(),
        variants={},
    )
    return replace(
        scenario,
        ends=True,
        config=replace(config, durations=(15.0, 60.0), limit=None),
        settings=replace(scenario.settings, concurrency=8, max_attempts=5),
        machine_faults=replace(
            scenario.machine_faults, sleeps=(), steps=(), full=(), locked=(), unseen=()
        ),
        windows=(),
        hostile=0.0,
        huge=0.0,
        kills=[[]],
        stops=[[]],
        near=True,
    )


# ---- changes ----


def _config(scenario: Scenario, **fields: Any) -> Scenario:
    return replace(scenario, config=replace(scenario.config, **fields))


def _rate(scenario: Scenario, name: str) -> Scenario:
    return _config(scenario, rates={name: 0.4})


def _window(scenario: Scenario, name: str) -> Scenario:
    """Add a window of a network fault; lost answers, so that there are searches to meet it."""
    lossy = _config(scenario, rates={"dropped_after": 0.15})
    return replace(lossy, windows=[FaultWindow(name, 0, CALM / 3, 0.5)])


def _machine(scenario: Scenario, **faults: Any) -> Scenario:
    return replace(scenario, machine_faults=replace(scenario.machine_faults, **faults))


def _kills(scenario: Scenario) -> Scenario:
    return replace(scenario, kills=[[100 + 37 * n + scenario.seed % 7 for n in range(8)]])


def _stopped(scenario: Scenario) -> Scenario:
    """Stop one of two runners for longer than its lease, so that the other one takes over."""
    return replace(scenario, kills=[[], []], stops=[[TimeSpan(40, 240)], []], near=False)


def _late(scenario: Scenario) -> Scenario:
    """List some runs long after others: their creates are given up, and their jobs sent again."""
    lossy = _config(
        scenario,
        rates={"dropped_after": 0.4},
        visibility=Visibility(late_spread=600.0),
        durations=(100.0, 200.0),
    )
    return replace(lossy, settings=replace(lossy.settings, concurrency=3))


def _full_disk(scenario: Scenario) -> Scenario:
    """Fill the disk while results are long, so that the database needs room."""
    return replace(_machine(scenario, full=[TimeSpan(10, 300)]), huge=0.3)


def _out_of_credits(scenario: Scenario) -> Scenario:
    return _config(scenario, credits=Decimal(JOBS) / 100, deposits=((600.0, Decimal(JOBS)),))


def _limited(scenario: Scenario, answer: str) -> Scenario:
    """Let the account accept fewer runs than the batch may have in flight."""
    return _config(scenario, limit=3, variants={"over_limit": answer})


def _key_refused(scenario: Scenario) -> Scenario:
    """Refuse the key for longer than it is tried again."""
    return replace(scenario, windows=[FaultWindow("revoked_key", 30, 600, 1.0)])


def _machine_faults() -> Mapping[str, Change]:
    span = [TimeSpan(30, 150)]
    return {
        "suspended": partial(_machine, sleeps=span),
        "stopped and woken": _stopped,
        "clock set forward": partial(_machine, steps=[(40, 3600.0)]),
        "clock set back": partial(_machine, steps=[(40, -3600.0)]),
        "disk full": _full_disk,
        "database locked": partial(_machine, locked=span),
        "commit unseen": partial(_machine, unseen=span),
        "killed between steps": _kills,
        "killed in a transaction": _kills,
    }


def _reactions() -> Mapping[str, Change]:
    return {
        "runs found by their marker": partial(_rate, name="dropped_after"),
        "creates found absent": partial(_rate, name="dropped_before"),
        "late runs adopted": partial(_rate, name="throttled_after"),
        "late runs cancelled": _late,
        "unknown runs cancelled": partial(_rate, name="replayed"),
        "runs of dead owners taken over": _kills,
        "writes after a lost lease refused": _stopped,
        "clock jumps noticed": partial(_machine, sleeps=[TimeSpan(30, 150)]),
        "stopped for the key": _key_refused,
        "account's limit learned": partial(_limited, answer="refused"),
    }


def _all_changes() -> dict[FaultName, Change]:
    changes: dict[FaultName, Change] = {}
    changes |= {("API", name): partial(_rate, name=name) for name in KINDS["API"]}
    changes |= {("network", name): partial(_window, name=name) for name in KINDS["network"]}
    for name in KINDS["result"]:
        shares = {"huge": 0.2} if name == HUGE else {"hostile": 1.0}
        changes["result", name] = partial(_shares, **shares)
    changes |= {("machine", name): change for name, change in _machine_faults().items()}
    changes |= {("credits", name): _out_of_credits for name in KINDS["credits"]}
    changes |= {("visibility", name): partial(_hidden, name=name) for name in VISIBLE}
    changes |= {
        ("account", "over_limit"): partial(_limited, answer="refused"),
        ("account", "over_limit_in_detail"): partial(_limited, answer="refused_in_detail"),
    }
    return changes | {(REACTION, name): change for name, change in _reactions().items()}


def _hidden(scenario: Scenario, name: str) -> Scenario:
    """Hide runs in one way; lost answers, so that there are searches to meet it."""
    return _config(scenario, rates={"dropped_after": 0.2}, visibility=VISIBLE[name])


def _shares(scenario: Scenario, **shares: float) -> Scenario:
    return replace(scenario, hostile=shares.get("hostile", 0.0), huge=shares.get("huge", 0.0))


CHANGES = _all_changes()
assert CHANGES.keys() == {
    *((where, name) for where, names in KINDS.items() for name in names),
    *((REACTION, name) for name in REACTIONS),
}
