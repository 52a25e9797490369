"""Each bug that is planted in how absences, refusals and lost runs are believed is caught."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from typing import Any

import anyio
import httpx
import pytest
from sqlalchemy import update

from batchrunner.model import FailureCategory, JobState, Settings
from batchrunner.policy.audit import Taking, take_unknown
from batchrunner.policy.control_runs import (
    ControlEvidence,
    ControlRun,
    after_control_search,
    is_later,
)
from batchrunner.policy.create_outcome import UNANSWERED_PATIENCE
from batchrunner.policy.run_decision import believed_after
from batchrunner.policy.slots import SlotHolders
from batchrunner.runner.vanished_runs import VanishedRuns
from batchrunner.sandbox import SandboxConfig
from batchrunner.sandbox.visibility import Visibility
from batchrunner.store.orphans import lost_runs
from batchrunner.store.refusals import hold_refused, unconfirmed_refusals
from batchrunner.store.reports import batch_counts
from batchrunner.store.schema import jobs
from batchrunner.store.search_checks import later_runs
from batchrunner.store.submissions import settle_submission
from batchrunner.tinyfish.client import TinyFishClient
from tests.simulation.checked_batch import CheckedBatch
from tests.simulation.planting import Bug, Planter, check_caught, each_of
from tests.simulator.simulated_batch import EPOCH, pages, simulate

LOST = "http://faults.test/dropped_after/1"
NOT_CREATED = "http://faults.test/dropped_before/1"
FEW = Settings(concurrency=3, backoff=timedelta(seconds=2))
TWICE = "although its run existed|was bought twice"


async def one_run_each(
    urls: list[str],
    settings: Settings = FEW,
    *,
    goal: str | None = None,
    decides: bool = True,
    **config: Any,
) -> None:
    """Run a batch in which no job may be bought twice, nor, if it *decides*, be left undecided."""
    conditions = SandboxConfig(**{"durations": (20.0, 60.0), "retry_after": 20, **config})
    simulated = CheckedBatch.of(urls, conditions, settings)
    if goal is not None:
        change_goals(simulated, goal)
    with anyio.move_on_after(2 * UNANSWERED_PATIENCE.total_seconds()) as limit:
        await simulated.run()
    assert not limit.cancelled_caught, "the batch did not end"
    bought = Counter(run.url for run in simulated.sandbox.journal.runs)
    twice = [url for url, times in bought.items() if times > 1]
    assert not twice, f"{twice} was bought twice"
    simulated.check_end()
    failed = simulated.store.read(batch_counts, simulated.batch.id).failed
    assert FailureCategory.UNANSWERED not in failed or not decides, "a job was left undecided"


def change_goals(simulated: CheckedBatch, goal: str) -> None:
    """Give an early job this goal, and the one whose answer is lost."""
    with simulated.store._database.write() as tx:
        chosen = jobs.c.url.like("%faults.test%") | (jobs.c.position == 2)
        tx.execute(update(jobs).where(chosen).values(goal=goal))


lost_create = partial(one_run_each, [*pages(3), LOST, *pages(12)[3:]])
absent_create = partial(one_run_each, [NOT_CREATED, *pages(6)], Settings(concurrency=1))


# ---- absences ----


def trust_older_control_runs(planter: Planter) -> None:
    real = later_runs

    def older_runs(tx: Any, batch_id: int, since: datetime) -> list[ControlRun]:
        return [run for run in real(tx, batch_id, EPOCH) if run.intended_at < since]

    planter.replace(is_later, lambda run, missing: True)
    planter.replace(real, older_runs)
    forget_lateness(planter)


def forget_lateness(planter: Planter) -> None:
    real = after_control_search

    def unmeasured(*args: Any) -> ControlEvidence:
        return replace(real(*args), lateness=timedelta(0))

    planter.replace(real, unmeasured)


def trust_any_depth(planter: Planter) -> None:
    planter.replace(ControlEvidence.sees, lambda *_: True)


def trust_any_status(planter: Planter) -> None:
    real = after_control_search

    def stateless(*args: Any) -> ControlEvidence:
        found = real(*args)
        return replace(found, running=bool(found.found), completed=bool(found.found))

    planter.replace(real, stateless)


def search_the_same_address_again(planter: Planter) -> None:
    real = TinyFishClient.search

    async def search(api: TinyFishClient, *args: Any, **kwargs: Any) -> Any:
        api._searches = count()
        return await real(api, *args, **kwargs)

    planter.replace(real, search)
    take_nothing_in_audits(planter)


def take_nothing_in_audits(planter: Planter) -> None:
    """Leave out the audits: they adopt what a search should have found."""
    planter.replace(take_unknown, lambda *_: Taking(adopt={}, orphans={}))


# ---- slots ----


def hold_slots_for_ever(planter: Planter) -> None:
    planter.replace(SlotHolders.free_slots, lambda holders, limit: limit - holders.open)


# ---- refusals ----


def believe_every_refusal(planter: Planter) -> None:
    real = settle_submission
    planter.replace(real, lambda *args, unconfirmed: real(*args))


def claim_before_a_refusal_is_confirmed(planter: Planter) -> None:
    planter.replace(hold_refused, lambda *_: None)


def find_no_refusal_to_confirm(planter: Planter) -> None:
    planter.replace(unconfirmed_refusals, lambda *_: [])
    take_nothing_in_audits(planter)


# ---- runs that no longer appear in polls ----


def ask_nothing_else_about_a_run_that_vanished(planter: Planter) -> None:
    async def confirm(_: VanishedRuns, attempts: Any) -> frozenset[str]:
        return frozenset(each.run_id for each in attempts)

    planter.replace(VanishedRuns.confirm, confirm)


def believe_not_found_after_half_a_minute(planter: Planter) -> None:
    planter.replace(believed_after, lambda _: timedelta(seconds=30))
    ask_nothing_else_about_a_run_that_vanished(planter)


def forget_lost_runs(planter: Planter) -> None:
    planter.replace(lost_runs, lambda *_: [])


async def lost_run_reappears() -> None:
    """Hide one run from polls and lists for so long that it is lost, and show it again."""
    config = SandboxConfig(durations=(900, 900))
    simulated = CheckedBatch.of(pages(4), config, Settings(concurrency=2))
    hidden: list[str] = []
    inner = simulated.sandbox.transport()

    class Hiding(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            answer = await inner.handle_async_request(request)
            if answer.status_code != 200 or anyio.current_time() > 800:
                return answer
            body = answer.json()
            runs = [run for run in body.get("data") or [] if isinstance(run, dict)]
            if runs and not hidden:
                hidden.append(runs[0]["run_id"])
            if not any(run["run_id"] in hidden for run in runs):
                return answer
            body["data"] = [run for run in runs if run["run_id"] not in hidden]
            if "not_found" in body:
                body["not_found"] = hidden
            return httpx.Response(200, json=body, headers={"date": answer.headers["date"]})

    simulated.sandbox.transport = Hiding  # type: ignore[method-assign]
    with anyio.fail_after(3 * 3600):
        await simulated.run()
    assert simulated.store.read(batch_counts, simulated.batch.id).retried, "no run was lost"
    simulated.sandbox.transport = lambda: inner  # type: ignore[method-assign]
    simulated.check_end()
    assert simulated.jobs() == {JobState.SUCCEEDED: 4}
    final = {run.run_id: run.status.is_final for run in simulated.sandbox.journal.runs}
    assert final[hidden[0]], "a run was left alive"
    orphans = simulated.store.read(batch_counts, simulated.batch.id).orphans
    assert len(final) == 4 + orphans, "a run that was paid for is not in the books"


BUGS = [
    Bug(trust_older_control_runs, partial(lost_create, late=90, durations=(100, 200)), TWICE),
    Bug(
        trust_any_depth,
        partial(
            lost_create,
            goal="Read the name " * 30,
            visibility=Visibility(searched=200),
            decides=False,
        ),
        TWICE,
    ),
    Bug(
        trust_any_status,
        partial(
            lost_create,
            durations=(15, 300),
            seed=3105,  # with which the lost run takes the longest by far
            visibility=Visibility(hidden=frozenset({"RUNNING"})),
        ),
        TWICE,
    ),
    Bug(
        search_the_same_address_again,
        partial(lost_create, late=10, visibility=Visibility(cache="cached_stubbornly")),
        "left undecided",
    ),
    Bug(hold_slots_for_ever, absent_create, "left undecided"),
    Bug(
        believe_every_refusal,
        partial(one_run_each, [*pages(1), "http://faults.test/throttled_after/1", *pages(3)[1:]]),
        TWICE,
    ),
    Bug(
        claim_before_a_refusal_is_confirmed,
        partial(one_run_each, [*pages(1), "http://faults.test/throttled_after/1", *pages(3)[1:]]),
        TWICE,
    ),
    Bug(
        find_no_refusal_to_confirm,
        partial(one_run_each, ["http://faults.test/rejected_after/1", *pages(3)]),
        "the batch did not end",
    ),
    Bug(
        believe_not_found_after_half_a_minute,
        partial(
            one_run_each,
            pages(6),
            durations=(60, 90),
            visibility=Visibility(polls_blind=((10, 150),)),
        ),
        TWICE,
    ),
    Bug(
        ask_nothing_else_about_a_run_that_vanished,
        partial(
            one_run_each,
            pages(4),
            durations=(60, 90),
            visibility=Visibility(polls_blind=((10, 680),)),
        ),
        TWICE,
    ),
    Bug(
        forget_lost_runs,
        lost_run_reappears,
        "left alive|not in the books|closed before its run had ended",
    ),
]

#: Bugs that show soon; the others are caught in the sweep.
QUICK = (believe_every_refusal, believe_not_found_after_half_a_minute)

every_bug = each_of(BUGS)
some_bugs = pytest.mark.parametrize(
    "bug",
    [
        pytest.param(bug, marks=() if bug.plant in QUICK else pytest.mark.sweep, id=bug.name)
        for bug in BUGS
    ],
)


@pytest.mark.sweep
@every_bug
def test_the_batch_passes_without_the_bug(bug: Bug) -> None:
    simulate(bug.scenario)


@some_bugs
def test_the_bug_is_caught(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    check_caught(bug, monkeypatch)
