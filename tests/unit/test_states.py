"""The state diagrams of docs/ledger.md are what the store and the runner do."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count, product
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import select

from batchrunner.model import (
    AttemptDecision,
    Batch,
    FailureCategory,
    Finish,
    JobState,
    OpenAttempt,
    Retry,
    Settings,
    Snooze,
    Succeeded,
    Transition,
)
from batchrunner.sandbox import SandboxConfig
from batchrunner.store.attempts import apply_poll
from batchrunner.store.batches import load_jobs
from batchrunner.store.controls import cancel_jobs, retry_jobs
from batchrunner.store.judgements import rewrite_judgements, stored_results
from batchrunner.store.reports import batch_counts
from batchrunner.store.schema import SubmissionState, submissions
from batchrunner.store.store import Store
from tests.fakes import NOW, claim, enlist, failed, job_file, keys, run, start
from tests.simulation.answer_changes import Fickle, change_answers
from tests.simulator.simulated_batch import (
    KillSwitch,
    ProcessKilled,
    SimulatedBatch,
    pages,
    simulate,
)

LEDGER = Path(__file__).parents[2] / "docs" / "ledger.md"
#: Where a diagram begins and ends.
OUTSIDE = "[*]"

_DIAGRAM = re.compile(r"```mermaid\nstateDiagram-v2\n(.*?)```", re.DOTALL)
_EDGE = re.compile(r"(?P<start>\S+) --> (?P<end>[^\s:]+)(?:: (?P<label>.+))?")

Edge = tuple[str, str]
T = TypeVar("T")


def diagrams() -> list[dict[Edge, set[str]]]:
    """Return the labels of each edge of each diagram."""
    found = []
    for diagram in _DIAGRAM.findall(LEDGER.read_text(encoding="utf-8")):
        edges: dict[Edge, set[str]] = {}
        for line in diagram.strip().splitlines():
            edge = _EDGE.fullmatch(line.strip())
            assert edge is not None, f"not an edge: {line}"
            labels = (edge["label"] or "").split(", ")
            edges.setdefault((edge["start"], edge["end"]), set()).update(labels)
        found.append(edges)
    return found


# ---- jobs: each verb is tried in each state ----


@dataclass
class Story:
    """A batch of one job, and the newest attempt at it."""

    store: Store
    batch: Batch
    attempt: OpenAttempt | None = None
    asked_to_cancel: bool = False

    @property
    def state(self) -> str:
        counts = self.store.read(batch_counts, self.batch.id)
        (state,) = [state for state, count in counts.jobs.items() if count]
        return str(state)

    def load(self) -> None:
        self.store.write(load_jobs, job_file(name=self.batch.name), NOW)

    def claim(self) -> None:
        claim(self.store, self.batch)

    def start(self) -> None:
        (self.attempt,) = start(self.store, self.batch)

    def cancel(self) -> None:
        self.store.write(cancel_jobs, self.batch.id, [], NOW)
        self.asked_to_cancel = self.state == JobState.RUNNING

    def retry(self) -> None:
        self.store.write(retry_jobs, self.batch.id, [], keys(1), NOW)

    def judge(self) -> None:
        """Judge the stored result to be the opposite of what it was judged to be."""
        flipped = [
            (one, failed(FailureCategory.BLOCKED) if one.category is None else Succeeded())
            for one in stored_results(self.store, self.batch.id)
        ]
        self.store.write(rewrite_judgements, flipped)

    def apply(self, transition: Transition) -> None:
        if self.attempt is not None:
            seen = run(self.attempt.run_id, result="{}")
            decision = AttemptDecision(attempt=self.attempt, transition=transition, run=seen)
            apply_poll(self.store, "alice", [decision], [], NOW)


Step = Callable[[Story], None]


def applying(transition: Transition) -> Step:
    return lambda story: story.apply(transition)


TRANSITIONS: list[Transition] = [
    Finish(state=JobState.SUCCEEDED),
    Finish(state=JobState.FAILED, failure=failed(FailureCategory.GOAL_FAILURE)),
    Finish(state=JobState.CANCELLED, failure=failed()),
    Retry(at=NOW, failure=failed()),
    Snooze(at=NOW, failure=failed()),
]
VERBS: list[tuple[str, Step]] = [
    ("load", Story.load),
    ("claim", Story.claim),
    ("cancel", Story.cancel),
    ("retry", Story.retry),
    ("judge", Story.judge),
    *((type(each).__name__, applying(each)) for each in TRANSITIONS),
]
#: What brings a fresh job into a state from which every verb is tried.
BEGINNINGS: list[tuple[Step, ...]] = [
    (),
    (Story.cancel,),
    (Story.start,),
    (Story.start, Story.cancel),
    *((Story.start, applying(each)) for each in TRANSITIONS),
]


def moves_of_jobs() -> dict[Edge, set[str]]:
    store, numbers = Store.open(":memory:"), count(1)
    enlist(store, "alice")
    moves: dict[Edge, set[str]] = {}
    for beginning, (name, verb) in product(BEGINNINGS, VERBS):
        loaded = store.write(load_jobs, job_file(name=f"batch {next(numbers)}"), NOW)
        story = Story(store, loaded.batch)
        moves.setdefault((OUTSIDE, story.state), set()).add("load")
        for step in beginning:
            step(story)
        before, asked = story.state, story.asked_to_cancel
        verb(story)
        if story.state != before:
            late = " after cancel" if asked and name in ("Retry", "Snooze") else ""
            moves.setdefault((before, story.state), set()).add(name + late)
    store.close()
    return moves


@pytest.mark.sweep
def test_the_diagram_of_job_states_is_what_the_store_does() -> None:
    assert diagrams()[0] == moves_of_jobs()


def test_the_diagram_of_job_states_has_every_state() -> None:
    drawn = {state for edge in diagrams()[0] for state in edge} - {OUTSIDE}
    assert drawn == {str(state) for state in JobState}


# ---- submissions: the runner is watched at work ----


@dataclass
class Eyes:
    """See what becomes of submissions."""

    store: Store
    moves: set[Edge] = field(default_factory=set)
    _known: dict[int, Any] = field(default_factory=dict)

    def look(self) -> None:
        columns = (submissions.c.id, submissions.c.state, submissions.c.fruitless_searches)
        with self.store._database.read() as tx:
            rows = list(tx.execute(select(*columns)))
        for row in rows:
            before = self._known.get(row.id)
            if before != row:
                self.moves.add((before.state if before else OUTSIDE, row.state))
            self._known[row.id] = row


@dataclass
class Witnessed(KillSwitch):
    """Looks after each transaction."""

    eyes: Eyes | None = None

    async def offload(self, call: Callable[[], T], /) -> T:
        try:
            return await super().offload(call)
        finally:
            assert self.eyes is not None
            self.eyes.look()


FAULTS = ["rejected", "dropped_after/1", "error_before/1"]
LATE = SandboxConfig(durations=(3, 9), late=5)


async def watched(
    settings: Settings,
    fuses: range = range(0),
    faults: Sequence[str] = FAULTS,
    world: SandboxConfig = LATE,
) -> set[Edge]:
    """Run a small batch of faults to its end, killed at these steps before."""
    urls = [*pages(2), *(f"http://faults.test/{fault}" for fault in faults)]
    night = SimulatedBatch.of(urls, world, settings)
    eyes = Eyes(night.store)
    for fuse in fuses:
        with pytest.raises(ProcessKilled):
            await night.run(Witnessed(kill_at=fuse, eyes=eyes))
    await night.run(Witnessed(eyes=eyes))
    return eyes.moves


@pytest.fixture(scope="module")
def moves_of_submissions() -> set[Edge]:
    """Watch nights with markers, without, and with kills; each submission rides alone."""
    quick = Settings(concurrency=1, backoff=timedelta(seconds=1))
    unmarked = Settings(concurrency=1, marker=False)
    seen: set[Edge] = simulate(lambda: watched(quick))
    seen |= simulate(lambda: watched(unmarked))
    seen |= simulate(lambda: watched(quick, range(1, 16)))
    # An answer with its ids in another order, of which one leads to a run that nobody shows.
    together, shuffled = (
        Settings(backoff=timedelta(seconds=1)),
        SandboxConfig(variants={"run_ids": "reversed"}),
    )
    seen |= simulate(lambda: watched(together, faults=["lost"], world=shuffled))
    return seen | simulate(fickle)


async def fickle() -> set[Edge]:
    """Run a batch of whose runs every look shows other goals."""
    night = SimulatedBatch.of(pages(2), SandboxConfig(durations=(200, 200)), Settings())
    change_answers(night, Fickle())
    eyes = Eyes(night.store)
    await night.run(Witnessed(eyes=eyes))
    return eyes.moves


@pytest.mark.sweep
def test_the_diagram_of_submission_states_is_what_the_runner_does(
    moves_of_submissions: set[Edge],
) -> None:
    assert set(diagrams()[1]) == moves_of_submissions


def test_the_diagram_of_submission_states_has_every_state() -> None:
    drawn = {state for edge in diagrams()[1] for state in edge} - {OUTSIDE}
    assert drawn == {str(state) for state in SubmissionState}
