"""Plays nights full of faults, checks every promise, and counts what fired."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import anyio

from batchrunner.runner.events import AttemptsRescued, ClockJumped, Event, LateRunsFound
from batchrunner.runner.runner import ExitReason, innermost
from batchrunner.sandbox.faults import REQUEST_FAULTS
from batchrunner.sandbox.sandbox import Middleware, no_middleware
from batchrunner.selftest.invariants import (
    InvariantViolated,
    StoreSnapshot,
    check_decided,
    invariant,
)
from batchrunner.store.leases import LeaseLost
from batchrunner.store.schema import SubmissionState
from tests.simulator.fixture_agent import FixtureAgent
from tests.simulator.machine_faults import SimulatedMachine, SimulatedProcess
from tests.simulator.network.hostile_results import HOSTILE_RESULTS, HUGE
from tests.simulator.network.proxy import FAULTS, FAULTS_LEAVING_DOUBT, FaultyNetwork
from tests.simulator.parallel import in_parallel
from tests.simulator.scenario import CALM, ENDLESS, RATES, Scenario, draw_scenario
from tests.simulator.simulated_batch import ProcessKilled, SimulatedBatch, pages, simulate

#: Fates of requests that create runs and do not tell of them.
UNANSWERED = frozenset(
    name for name, fate in REQUEST_FAULTS.items() if fate.creates and fate.status != 200
)
#: Seconds in which a night must come to its end after its faults are over.
MAX_VIRTUAL_SECONDS = 4 * 3600.0

#: Every fault that a night may have, by where it strikes. None that never fired is proved harmless.
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
}
#: What the program must have been seen to do about them; counted beside the faults.
ANSWER = "answer"
ANSWERS = (
    "runs found by their marker",
    "creates found absent",
    "late runs adopted",
    "late runs cancelled",
    "runs of the dead taken over",
    "zombies turned away",
    "sleep noticed",
    "stopped for the key",
)


@dataclass(frozen=True, kw_only=True)
class SimulationResult:
    """A night in which every promise held."""

    seed: int
    jobs: int
    ended: bool  #: it came to its end; else it was left in the middle of endless faults
    runs_created: int
    orphans: int
    kills: int
    hours: float  #: of virtual time
    fired: Counter[tuple[str, str]]  #: by where and what


def simulate_seed(seed: int, jobs: int = 200) -> SimulationResult:
    """
    Play the night of a seed.

    Raises:
        Broken: A promise did not hold, or a runner crashed.
    """
    try:
        played: SimulationResult = simulate(_Simulation(draw_scenario(seed, jobs)).play)
    except InvariantViolated as broken:
        raise InvariantViolated(f"in the night of seed {seed}, {broken}") from broken
    except Exception as error:
        raise InvariantViolated(
            f"in the night of seed {seed}, a runner crashed: {error!r}"
        ) from error
    return played


def simulate_seeds(seed: int, nights: int, jobs: int = 200) -> Iterator[SimulationResult]:
    """Play the nights of this seed and those that follow it, on all cores; as they end."""
    return in_parallel(partial(simulate_seed, jobs=jobs), range(seed, seed + nights))


def faults_not_fired(played: Iterable[SimulationResult]) -> list[tuple[str, str]]:
    """Return what was never met in these nights, of all that may be: nothing is proved of it."""
    fired: Counter[tuple[str, str]] = Counter()
    for night in played:
        fired.update(night.fired)
    return [each for each, count in fired.items() if not count]


class _Simulation:
    """One night of many runners and many faults."""

    def __init__(self, plan: Scenario, middleware: Middleware = no_middleware) -> None:
        self._plan = plan
        self._middleware = middleware
        self._fired: Counter[str] = Counter()
        self._done: Counter[str] = Counter()

    async def play(self) -> SimulationResult:
        self._begin()
        limit = CALM + MAX_VIRTUAL_SECONDS if self._plan.ends else ENDLESS
        with anyio.move_on_after(limit) as patience:
            await self._all_runners()
        ended = not patience.cancelled_caught
        if self._plan.ends:
            invariant(ended, "the batch did not come to its end")
        await self._night.sandbox.settle()
        if ended:
            self._night.check_end()
            if not self._night.network or not self._night.network.may(FAULTS_LEAVING_DOUBT):
                check_decided(self._night.store, self._night.batch.id)
        else:
            self._night.check_always()
        return self._played(ended)

    def _begin(self) -> None:
        plan = self._plan
        self._night = night = SimulatedBatch.of(
            pages(plan.jobs),
            plan.world,
            plan.settings,
            keys=frozenset({"key"}),
            agent=FixtureAgent(),
            middleware=self._middleware,
        )
        night.one_clock = not plan.weather.steps
        night.waits = night.one_clock and not any(plan.fuses)
        night.network = FaultyNetwork(
            night.sandbox.transport(),
            fired=self._fired,
            spells=plan.spells,
            seed=plan.seed,
            poison=plan.poison,
            huge=plan.huge,
            waits=night.waits,
        )
        self._machine = SimulatedMachine(night.store, plan.weather, plan.seed, self._fired)

    async def _all_runners(self) -> None:
        try:
            async with anyio.create_task_group() as runners:
                for number in range(len(self._plan.fuses)):
                    runners.start_soon(self._runner, number)
        except BaseExceptionGroup as group:
            raise innermost(group) from None

    async def _runner(self, number: int) -> None:
        """Start one process after the other, until one of them says that all is done."""
        fuses = iter(self._plan.fuses[number])
        while True:
            fuse = next(fuses, None)
            if await self._live(fuse, number) is ExitReason.FINISHED:
                return
            self._night.check_always()
            await anyio.sleep(self._plan.pauses)

    async def _live(self, fuse: int | None, number: int) -> ExitReason | None:
        """Live one process's life; None: it was cut off."""
        night, machine = self._night, self._machine
        process = SimulatedProcess(fuse, machine=machine, stops=self._plan.stops[number])
        await machine.awake()
        try:
            ending = await night.run(
                process,
                now=machine.wall,
                monotonic=machine.monotonic,
                exited_owners=night.gone if self._plan.near else lambda _: [],
            )
        except ProcessKilled:
            where = "in a transaction" if process.in_transaction else "between steps"
            self._fired[f"killed {where}"] += 1
            return None
        except LeaseLost:
            self._done["zombies turned away"] += 1
            return None
        self._done["stopped for the key"] += ending is ExitReason.STOPPED
        return ending

    # ---- what is told of it ----

    def _played(self, ended: bool) -> SimulationResult:
        night = self._night
        tally = night.store.tally(night.batch.id)
        return SimulationResult(
            seed=self._plan.seed,
            jobs=self._plan.jobs,
            ended=ended,
            runs_created=len(night.sandbox.journal.runs),
            orphans=tally.orphans,
            kills=sum(self._fired[name] for name in KINDS["machine"] if "killed" in name),
            hours=anyio.current_time() / 3600,
            fired=self._counted(),
        )

    def _counted(self) -> Counter[tuple[str, str]]:
        fates = self._fates()
        counted: Counter[tuple[str, str]] = Counter()
        for where, names in KINDS.items():
            source = fates if where in ("API", "credits") else self._fired
            counted.update({(where, name): source[name] for name in names})
        answers = self._answers()
        counted.update({(ANSWER, name): answers[name] for name in ANSWERS})
        return counted

    def _fates(self) -> Counter[str]:
        """Count what the sandbox did to runs and requests."""
        ledger, world = self._night.sandbox.journal, self._plan.world
        met = Counter(run.fault for run in ledger.runs)
        met.update(request.fault for request in ledger.requests if request.fault)
        broke = [request.at for request in ledger.requests if request.fault == "no_credits"]
        met["out of credits"] = len(broke)
        after = [run for run in ledger.runs if broke and run.created_at > broke[-1]]
        met["credits back"] = int(bool(world.deposits and after))
        return met

    def _answers(self) -> Counter[str]:
        """Count what the program did about it."""
        night, done = self._night, Counter(self._done)
        for event in night.events:
            done.update(_told(event))
        books = StoreSnapshot.of(night.store, night.batch.id)
        states = Counter(submission.state for submission in books.submissions.values())
        done["creates found absent"] = states[SubmissionState.ABSENT]
        known = {attempt.run_id for attempt in books.attempts}
        unanswered = [each for each in night.sandbox.journal.requests if each.fault in UNANSWERED]
        done["runs found by their marker"] = sum(
            run.run_id in known for request in unanswered for run in request.runs
        )
        return done


def _told(event: Event) -> Counter[str]:
    match event:
        case AttemptsRescued(attempts=attempts):
            return Counter({"runs of the dead taken over": attempts})
        case LateRunsFound(adopted=adopted, orphans=orphans):
            return Counter({"late runs adopted": adopted, "late runs cancelled": orphans})
        case ClockJumped():
            return Counter({"sleep noticed": 1})
        case _:
            return Counter()
