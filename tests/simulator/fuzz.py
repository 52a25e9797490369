"""Simulates batches full of drawn faults, checks every invariant, and counts which faults fired."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import anyio

from batchrunner.runner.events import (
    AccountLimitMet,
    AttemptsRescued,
    ClockJumped,
    Event,
    LateRunsFound,
    UnknownRunsFound,
)
from batchrunner.runner.runner import ExitReason, innermost
from batchrunner.sandbox.faults import REQUEST_FAULTS
from batchrunner.sandbox.sandbox import Middleware, no_middleware
from batchrunner.sandbox.visibility import VISIBILITY_FAULTS, Visibility
from batchrunner.selftest.invariants import (
    InvariantViolated,
    StoreSnapshot,
    check_decided,
    invariant,
)
from batchrunner.store.errors import LeaseLost
from batchrunner.store.reports import batch_counts
from batchrunner.store.schema import SubmissionState
from tests.simulator.fixture_agent import FixtureAgent
from tests.simulator.machine_faults import SimulatedMachine, SimulatedProcess
from tests.simulator.network.hostile_results import HOSTILE_RESULTS, HUGE
from tests.simulator.network.proxy import FAULTS, FAULTS_LEAVING_RUNS_UNDECIDED, FaultyNetwork
from tests.simulator.parallel import in_parallel
from tests.simulator.scenario import CALM, ENDLESS, RATES, Scenario, draw_scenario
from tests.simulator.simulated_batch import ProcessKilled, SimulatedBatch, pages, simulate

#: Faults of requests that create runs and do not answer with their ids.
UNANSWERED = frozenset(
    name for name, fault in REQUEST_FAULTS.items() if fault.creates and fault.status != 200
)
#: Seconds in which a batch must end after its faults are over.
MAX_VIRTUAL_SECONDS = 4 * 3600.0

#: Every fault that may occur, by where it does. A fault that never fired proves nothing.
KINDS: dict[str, Sequence[str]] = {
    "API": tuple(RATES),
    "network": tuple(FAULTS),
    "result": (*HOSTILE_RESULTS, HUGE),
    "machine": (
        "suspended",
        "stopped and woken",
        "clock set forward",
        "clock set back",
        "disk full",
        "database locked",
        "commit unseen",
        "killed between steps",
        "killed in a transaction",
    ),
    "credits": ("out of credits", "credits back"),
    "visibility": tuple(VISIBILITY_FAULTS),
    "account": ("over_limit", "over_limit_in_detail"),
}
#: What the program must have done about them, counted like the faults.
REACTION = "reaction"
REACTIONS = (
    "runs found by their marker",
    "creates found absent",
    "late runs adopted",
    "late runs cancelled",
    "unknown runs cancelled",
    "runs of dead owners taken over",
    "writes after a lost lease refused",
    "clock jumps noticed",
    "stopped for the key",
    "account's limit learned",
)


@dataclass(frozen=True, kw_only=True)
class SimulationResult:
    """A simulated batch in which every invariant held."""

    seed: int
    jobs: int
    ended: bool  #: False: its faults never end, and it was left in the middle
    runs_created: int
    orphans: int
    kills: int
    hours: float  #: of virtual time
    fired: Counter[tuple[str, str]]  #: by where and what


def simulate_seed(seed: int, jobs: int = 200) -> SimulationResult:
    """
    Simulate the batch of a seed.

    Raises:
        InvariantViolated: A promise was broken, or a runner crashed.
    """
    return simulate_scenario(draw_scenario(seed, jobs))


def simulate_scenario(scenario: Scenario) -> SimulationResult:
    """
    Simulate a batch with these faults.

    Raises:
        InvariantViolated: A promise was broken, or a runner crashed.
    """
    seed = scenario.seed
    try:
        result: SimulationResult = simulate(FuzzedBatch(scenario).run)
    except InvariantViolated as violated:
        raise InvariantViolated(f"in the batch of seed {seed}, {violated}") from violated
    except Exception as error:
        raise InvariantViolated(
            f"in the batch of seed {seed}, a runner crashed: {error!r}"
        ) from error
    return result


def simulate_seeds(seed: int, batches: int, jobs: int = 200) -> Iterator[SimulationResult]:
    """Simulate the batches of this seed and the next ones, on all cores; yield as they end."""
    return in_parallel(partial(simulate_seed, jobs=jobs), range(seed, seed + batches))


def faults_not_fired(results: Iterable[SimulationResult]) -> list[tuple[str, str]]:
    """Return the faults and reactions that never occurred: nothing is proved about them."""
    fired: Counter[tuple[str, str]] = Counter()
    for result in results:
        fired.update(result.fired)
    return [each for each, count in fired.items() if not count]


class FuzzedBatch:
    """A batch with many runners and many faults."""

    def __init__(self, scenario: Scenario, middleware: Middleware = no_middleware) -> None:
        self._scenario = scenario
        self._middleware = middleware
        self._fired: Counter[str] = Counter()
        self._reactions: Counter[str] = Counter()

    async def run(self) -> SimulationResult:
        """Run the batch until it ends, or for a while, and check every invariant."""
        scenario = self._scenario
        self._begin()
        limit = CALM + MAX_VIRTUAL_SECONDS if scenario.ends else ENDLESS
        with anyio.move_on_after(limit) as timeout:
            await self._all_runners()
        ended = not timeout.cancelled_caught
        if scenario.ends:
            invariant(ended, "the batch did not end")
        simulated = self.simulated
        await simulated.sandbox.settle()
        if ended:
            simulated.check_end()
            hides = scenario.config.visibility != Visibility()
            if not hides and not self._network.may(FAULTS_LEAVING_RUNS_UNDECIDED):
                check_decided(simulated.store, simulated.batch.id)
        else:
            simulated.check_always()
        return self._result(ended)

    def _begin(self) -> None:
        scenario = self._scenario
        self.simulated = simulated = SimulatedBatch.of(
            pages(scenario.jobs),
            scenario.config,
            scenario.settings,
            keys=frozenset({"key"}),
            agent=FixtureAgent(),
            middleware=self._middleware,
        )
        simulated.one_clock = not scenario.machine_faults.steps
        simulated.waits = simulated.one_clock and not any(scenario.kills)
        simulated.network = self._network = FaultyNetwork(
            simulated.sandbox.transport(),
            fired=self._fired,
            windows=scenario.windows,
            seed=scenario.seed,
            hostile=scenario.hostile,
            huge=scenario.huge,
            waits=simulated.waits,
        )
        self._machine = SimulatedMachine(
            simulated.store, scenario.machine_faults, scenario.seed, self._fired
        )

    async def _all_runners(self) -> None:
        try:
            async with anyio.create_task_group() as runners:
                for number in range(len(self._scenario.kills)):
                    runners.start_soon(self._runner, number)
        except BaseExceptionGroup as group:
            raise innermost(group) from None

    async def _runner(self, number: int) -> None:
        """Start one process after the other, until one of them finds that all is done."""
        kills = iter(self._scenario.kills[number])
        while True:
            if await self._process(next(kills, None), number) is ExitReason.FINISHED:
                return
            self.simulated.check_always()
            await anyio.sleep(self._scenario.pauses)

    async def _process(self, kill_at: int | None, number: int) -> ExitReason | None:
        """Run one process to its end; return None if it was killed or lost its lease."""
        simulated, machine = self.simulated, self._machine
        process = SimulatedProcess(kill_at, machine=machine, stops=self._scenario.stops[number])
        await machine.awake()
        try:
            reason = await simulated.run(
                process,
                now=machine.wall,
                monotonic=machine.monotonic,
                exited_owners=simulated.exited if self._scenario.near else lambda _: [],
            )
        except ProcessKilled:
            where = "in a transaction" if process.in_transaction else "between steps"
            self._fired[f"killed {where}"] += 1
            return None
        except LeaseLost:
            self._reactions["writes after a lost lease refused"] += 1
            return None
        self._reactions["stopped for the key"] += reason is ExitReason.STOPPED
        return reason

    # ---- figures ----

    def _result(self, ended: bool) -> SimulationResult:
        simulated = self.simulated
        return SimulationResult(
            seed=self._scenario.seed,
            jobs=self._scenario.jobs,
            ended=ended,
            runs_created=len(simulated.sandbox.journal.runs),
            orphans=simulated.store.read(batch_counts, simulated.batch.id).orphans,
            kills=sum(self._fired[name] for name in KINDS["machine"] if "killed" in name),
            hours=anyio.current_time() / 3600,
            fired=self._counted(),
        )

    def _counted(self) -> Counter[tuple[str, str]]:
        api_faults = self._api_faults()
        counted: Counter[tuple[str, str]] = Counter()
        for where, names in KINDS.items():
            source = api_faults if where in ("API", "credits", "account") else self._fired
            source = self.simulated.sandbox.visibility_faults if where == "visibility" else source
            counted.update({(where, name): source[name] for name in names})
        reactions = self._count_reactions()
        counted.update({(REACTION, name): reactions[name] for name in REACTIONS})
        return counted

    def _api_faults(self) -> Counter[str]:
        """Count the faults that the sandbox applied to runs and requests."""
        journal = self.simulated.sandbox.journal
        met = Counter(run.fault for run in journal.runs)
        met.update(request.fault for request in journal.requests if request.fault)
        refused = [request.at for request in journal.requests if request.fault == "no_credits"]
        met["out of credits"] = len(refused)
        after = [run for run in journal.runs if refused and run.created_at > refused[-1]]
        met["credits back"] = int(bool(self._scenario.config.deposits and after))
        return met

    def _count_reactions(self) -> Counter[str]:
        """Count what the program did about the faults."""
        simulated, reactions = self.simulated, Counter(self._reactions)
        for event in simulated.events:
            reactions.update(_reactions_in(event))
        snapshot = StoreSnapshot.of(simulated.store, simulated.batch.id)
        states = Counter(submission.state for submission in snapshot.submissions.values())
        reactions["creates found absent"] = states[SubmissionState.ABSENT]
        known = {attempt.run_id for attempt in snapshot.attempts}
        requests = simulated.sandbox.journal.requests
        reactions["runs found by their marker"] = sum(
            run.run_id in known
            for request in requests
            if request.fault in UNANSWERED
            for run in request.runs
        )
        return reactions


def _reactions_in(event: Event) -> Counter[str]:
    match event:
        case AttemptsRescued(attempts=attempts):
            return Counter({"runs of dead owners taken over": attempts})
        case LateRunsFound(adopted=adopted, orphans=orphans):
            return Counter({"late runs adopted": adopted, "late runs cancelled": orphans})
        case AccountLimitMet():
            return Counter({"account's limit learned": 1})
        case UnknownRunsFound(orphans=orphans):
            return Counter({"unknown runs cancelled": orphans})
        case ClockJumped():
            return Counter({"clock jumps noticed": 1})
        case _:
            return Counter()
