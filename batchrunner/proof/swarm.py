"""Plays nights full of faults, checks every promise, and counts what fired."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import anyio

from batchrunner.proof.agent import QuickAgent
from batchrunner.proof.cores import spread
from batchrunner.proof.machine import Machine, Process
from batchrunner.proof.network import DOUBTFUL, FAULTS, HUGE, POISONS, Network
from batchrunner.proof.night import Killed, Night, pages, simulate
from batchrunner.proof.plan import CALM, ENDLESS, RATES, Plan, plan
from batchrunner.proof.promises import Books, Broken, check_decided, promise
from batchrunner.runner import Ending, innermost
from batchrunner.runner.events import Event, Rescued, Slept, Strayed
from batchrunner.sandbox.fates import REQUEST_FATES
from batchrunner.schema import SubmissionState
from batchrunner.store import LeaseLost

#: Fates of requests that create runs and do not tell of them.
UNANSWERED = frozenset(
    name for name, fate in REQUEST_FATES.items() if fate.creates and fate.status != 200
)
#: Seconds in which a night must come to its end after its faults are over.
PATIENCE = 4 * 3600.0

#: Every fault that a night may have, by where it strikes. None that never fired is proved harmless.
KINDS: dict[str, Sequence[str]] = {
    "API": tuple(RATES),
    "network": tuple(FAULTS),
    "result": (*POISONS, HUGE),
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
class Played:
    """A night in which every promise held."""

    seed: int
    jobs: int
    ended: bool  #: it came to its end; else it was left in the middle of endless faults
    runs_created: int
    orphans: int
    kills: int
    hours: float  #: of virtual time
    fired: Counter[tuple[str, str]]  #: by where and what


def play(seed: int, jobs: int = 200) -> Played:
    """
    Play the night of a seed.

    Raises:
        Broken: A promise did not hold, or a runner crashed.
    """
    try:
        played: Played = simulate(_Swarm(plan(seed, jobs)).play)
    except Broken as broken:
        raise Broken(f"in the night of seed {seed}, {broken}") from broken
    except Exception as error:
        raise Broken(f"in the night of seed {seed}, a runner crashed: {error!r}") from error
    return played


def play_many(seed: int, nights: int, jobs: int = 200) -> Iterator[Played]:
    """Play the nights of this seed and those that follow it, on all cores; as they end."""
    return spread(partial(play, jobs=jobs), range(seed, seed + nights))


def silent(played: Iterable[Played]) -> list[tuple[str, str]]:
    """Return what was never met in these nights, of all that may be: nothing is proved of it."""
    fired: Counter[tuple[str, str]] = Counter()
    for night in played:
        fired.update(night.fired)
    return [each for each, count in fired.items() if not count]


class _Swarm:
    """One night of many runners and many faults."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._fired: Counter[str] = Counter()
        self._done: Counter[str] = Counter()

    async def play(self) -> Played:
        self._begin()
        limit = CALM + PATIENCE if self._plan.ends else ENDLESS
        with anyio.move_on_after(limit) as patience:
            await self._all_runners()
        ended = not patience.cancelled_caught
        if self._plan.ends:
            promise(ended, "the batch did not come to its end")
        await self._night.sandbox.settle()
        if ended:
            self._night.check_end()
            if not self._night.network or not self._night.network.may(DOUBTFUL):
                check_decided(self._night.store, self._night.batch.id)
        else:
            self._night.check_always()
        return self._played(ended)

    def _begin(self) -> None:
        plan = self._plan
        self._night = night = Night.of(
            pages(plan.jobs),
            plan.world,
            plan.settings,
            keys=frozenset({"key"}),
            agent=QuickAgent(),
        )
        night.one_clock = not plan.weather.steps
        night.waits = night.one_clock and not any(plan.fuses)
        night.network = Network(
            night.sandbox.transport(),
            fired=self._fired,
            spells=plan.spells,
            seed=plan.seed,
            poison=plan.poison,
            huge=plan.huge,
            waits=night.waits,
        )
        self._machine = Machine(night.store, plan.weather, plan.seed, self._fired)

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
            if await self._live(fuse, number) is Ending.FINISHED:
                return
            self._night.check_always()
            await anyio.sleep(self._plan.pauses)

    async def _live(self, fuse: int | None, number: int) -> Ending | None:
        """Live one process's life; None: it was cut off."""
        night, machine = self._night, self._machine
        process = Process(fuse, machine=machine, stops=self._plan.stops[number])
        await machine.awake()
        try:
            ending = await night.run(
                process,
                now=machine.wall,
                monotonic=machine.monotonic,
                gone=night.gone if self._plan.near else lambda _: [],
            )
        except Killed:
            where = "in a transaction" if process.in_transaction else "between steps"
            self._fired[f"killed {where}"] += 1
            return None
        except LeaseLost:
            self._done["zombies turned away"] += 1
            return None
        self._done["stopped for the key"] += ending is Ending.STOPPED
        return ending

    # ---- what is told of it ----

    def _played(self, ended: bool) -> Played:
        night = self._night
        tally = night.store.tally(night.batch.id)
        return Played(
            seed=self._plan.seed,
            jobs=self._plan.jobs,
            ended=ended,
            runs_created=len(night.sandbox.ledger.runs),
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
        ledger, world = self._night.sandbox.ledger, self._plan.world
        met = Counter(run.fate for run in ledger.runs)
        met.update(request.fate for request in ledger.requests if request.fate)
        broke = [request.at for request in ledger.requests if request.fate == "no_credits"]
        met["out of credits"] = len(broke)
        after = [run for run in ledger.runs if broke and run.created_at > broke[-1]]
        met["credits back"] = int(bool(world.deposits and after))
        return met

    def _answers(self) -> Counter[str]:
        """Count what the program did about it."""
        night, done = self._night, Counter(self._done)
        for event in night.events:
            done.update(_told(event))
        books = Books.of(night.store, night.batch.id)
        states = Counter(submission.state for submission in books.submissions.values())
        done["creates found absent"] = states[SubmissionState.ABSENT]
        known = {attempt.run_id for attempt in books.attempts}
        unanswered = [each for each in night.sandbox.ledger.requests if each.fate in UNANSWERED]
        done["runs found by their marker"] = sum(
            run.run_id in known for request in unanswered for run in request.runs
        )
        return done


def _told(event: Event) -> Counter[str]:
    match event:
        case Rescued(attempts=attempts):
            return Counter({"runs of the dead taken over": attempts})
        case Strayed(adopted=adopted, orphans=orphans):
            return Counter({"late runs adopted": adopted, "late runs cancelled": orphans})
        case Slept():
            return Counter({"sleep noticed": 1})
        case _:
            return Counter()
