"""A file that is edited between restarts, on virtual time: each question is answered once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, delete, select, update

from batchrunner.model import AttemptDecision, JobFile, JobSpec, Settings
from batchrunner.model.comparison import EditDecision
from batchrunner.sandbox import SandboxConfig
from batchrunner.store.attempts import apply_decisions
from batchrunner.store.batches import load_jobs
from batchrunner.store.conditions import is_current
from batchrunner.store.edits import follow_file
from batchrunner.store.schema import attempts, jobs
from tests.simulation.checked_batch import CheckedBatch
from tests.simulation.planting import Bug, Planter, check_caught
from tests.simulation.short_batches import SHORT_RUNS, run_to_end
from tests.simulator.simulated_batch import KillSwitch, ProcessKilled, now, pages, simulate

URLS = [
    *pages(4),
    "http://faults.test/system_failure/1",
    "http://faults.test/system_failure/2",
    "http://faults.test/dropped_after/1",
    "http://faults.test/error_after/1",
]
SPECS = tuple(
    JobSpec(key=f"job-{n}", url=url, goal="Read the name and the price")
    for n, url in enumerate(URLS)
)
OTHER = tuple(each._replace(goal="Read the name") for each in SPECS)
#: The files of a batch, one after the other: each edit follows a kill.
FILES: tuple[tuple[JobSpec, ...], ...] = (
    OTHER,  # the goal of all changes
    OTHER[:3] + OTHER[5:],  # two lines are deleted, of jobs that fail at first
    (*OTHER[::-1], JobSpec(key="new", url=pages(9)[8], goal="Read the name")),  # they are back
    SPECS,  # all that was edited is undone
)
DECIDED = EditDecision(run_changed=True, withdraw=True)


async def edited_batch(kills: Sequence[int]) -> None:
    """Kill a batch at these steps; after each, edit its file and go on."""
    simulated = CheckedBatch.of(
        URLS, SandboxConfig(durations=SHORT_RUNS, retry_after=2), Settings(concurrency=4)
    )
    for kill_at, specs in zip(kills, FILES, strict=True):
        try:
            await simulated.run(KillSwitch(kill_at))
        except ProcessKilled:
            simulated.check_always()
        edit(simulated, specs)
        simulated.check_always()
    await run_to_end(simulated)
    check_answers(simulated)
    with simulated.store._database.read() as tx:
        shown = set(tx.execute(select(jobs.c.key, jobs.c.goal).where(is_current)))
    assert shown == {(job.key, job.goal) for job in FILES[-1]}, "a job asks what its file does not"


def edit(simulated: CheckedBatch, specs: tuple[JobSpec, ...]) -> None:
    """Load an edited file, as somebody does while no runner works."""
    file = JobFile(name="batch", settings=simulated.batch.settings, specs=specs)
    simulated.store.write(load_jobs, file, now(), DECIDED)
    simulated.loaded = len(specs)


def check_answers(simulated: CheckedBatch) -> None:
    """Check that each question was answered once at most, and each job has its own answer."""
    asked = {run.run_id: run.goal for run in simulated.sandbox.journal.runs}
    with simulated.store._database.read() as tx:
        query = select(jobs.c.key, jobs.c.goal, attempts.c.run_id)
        good = query.join(attempts, attempts.c.job_id == jobs.c.id)
        rows = list(tx.execute(good.where(attempts.c.outcome == "succeeded")))
    for row in rows:
        assert asked[row.run_id].startswith(f"{row.goal}\n"), "an answer to another question"
    answered = Counter((row.key, row.goal) for row in rows)
    assert max(answered.values()) == 1, "a question was answered twice"


@pytest.mark.parametrize("kills", [(120, 200, 150, 400), (260, 150, 400, 150)])
def test_edits_between_kills_pay_for_no_question_twice(kills: Sequence[int]) -> None:
    simulate(partial(edited_batch, kills))


@pytest.mark.sweep
@pytest.mark.parametrize("first", range(80, 420, 40))
def test_edits_at_many_moments_pay_for_no_question_twice(first: int) -> None:
    for second in (120, 200, 300):
        simulate(partial(edited_batch, (first, second, first, second)))


# ---- planted bugs ----


async def withdrawn_in_flight() -> None:
    """Withdraw a job at many moments of its run, which fails at first."""
    for kill_at in (100, 150, 250):
        simulated = CheckedBatch.of(
            URLS[3:5], SandboxConfig(durations=SHORT_RUNS, retry_after=2), Settings(concurrency=4)
        )
        try:
            await simulated.run(KillSwitch(kill_at))
        except ProcessKilled:
            edit(simulated, (JobSpec(key="job-0", url=URLS[3], goal=SPECS[0].goal),))
        await run_to_end(simulated)


async def undone_edit() -> None:
    """Undo an edit when some jobs have answered the edited question."""
    simulated = CheckedBatch.of(URLS[:4], SandboxConfig(durations=SHORT_RUNS), Settings())
    await run_to_end(simulated)
    edit(simulated, OTHER[:4])
    check_answers(simulated)
    with pytest.raises(ProcessKilled):
        await simulated.run(KillSwitch(150))
    edit(simulated, SPECS[:4])
    await run_to_end(simulated)
    check_answers(simulated)


def test_an_edit_that_is_undone_buys_nothing() -> None:
    simulate(undone_edit)


def retry_what_was_withdrawn(planter: Planter) -> None:
    def apply(
        tx: Connection, owner_id: str, decisions: Sequence[AttemptDecision], now: datetime
    ) -> Any:
        these = jobs.c.id.in_([each.attempt.job.id for each in decisions])
        tx.execute(update(jobs).where(these).values(withdrawn=False))
        return apply_decisions(tx, owner_id, decisions, now)

    planter.replace(apply_decisions, apply)


def change_what_was_tried_in_place(planter: Planter) -> None:
    def follow(tx: Connection, *args: Any) -> Any:
        found = follow_file(tx, *args)
        twin, old = jobs.alias(), jobs.c.superseded
        same = (twin.c.batch_id == jobs.c.batch_id, twin.c.key == jobs.c.key, ~twin.c.superseded)
        goal = select(twin.c.goal).where(*same).scalar_subquery()
        tx.execute(update(jobs).where(old).values(goal=goal))
        old_one = select(twin.c.id).where(twin.c.key == jobs.c.key, twin.c.superseded)
        tx.execute(delete(jobs).where(~old, old_one.exists()))
        tx.execute(update(jobs).where(old).values(superseded=False))
        return found

    planter.replace(follow_file, follow)


def forget_earlier_answers(planter: Planter) -> None:
    def follow(tx: Connection, *args: Any) -> Any:
        tx.execute(update(jobs).where(jobs.c.superseded).values(digest=None))
        return follow_file(tx, *args)

    planter.replace(follow_file, follow)


BUGS = [
    Bug(retry_what_was_withdrawn, withdrawn_in_flight, r"a job was lost: 1 were loaded, and 2"),
    Bug(change_what_was_tried_in_place, undone_edit, "an answer to another question"),
    Bug(forget_earlier_answers, undone_edit, "a question was answered twice"),
]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_each_planted_bug_is_caught(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    check_caught(bug, monkeypatch)
