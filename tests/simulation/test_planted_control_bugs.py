"""Each bug that is planted in how absences, refusals and lost runs are believed is caught."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any

import anyio
import httpx
import pytest

from batchrunner.model import FailureCategory, JobState, Settings
from batchrunner.policy.control_runs import (
    ControlEvidence,
    after_control_search,
    is_later,
)
from batchrunner.policy.create_outcome import DOUBT_PATIENCE, is_certain
from batchrunner.policy.run_decision import believed_after
from batchrunner.policy.slots import SlotHolders
from batchrunner.runner.vanished_runs import VanishedRuns
from batchrunner.sandbox import SandboxConfig
from batchrunner.sandbox.visibility import Visibility
from batchrunner.store.orphans import lost_runs
from batchrunner.store.refusals import unconfirmed_refusals
from batchrunner.store.reports import batch_counts
from batchrunner.store.search_checks import later_runs
from batchrunner.tinyfish.client import TinyFishClient
from tests.simulation.checked_batch import CheckedBatch
from tests.simulation.planting import Bug, Planter, check_caught
from tests.simulator.simulated_batch import EPOCH, pages, simulate

LOST = "http://faults.test/dropped_after/1"
NOT_CREATED = "http://faults.test/dropped_before/1"
FEW = Settings(concurrency=3, backoff=timedelta(seconds=2))
TWICE = "although its run existed|was bought twice"


async def one_run_each(urls: list[str], settings: Settings = FEW, **config: Any) -> None:
    """Run a batch, in which no job may be bought twice and none may be left undecided."""
    goal = config.pop("goal", None)
    conditions = SandboxConfig(**{"durations": (20.0, 60.0), "retry_after": 20, **config})
    simulated = CheckedBatch.of(urls, conditions, settings)
    if goal is not None:
        change_goals(simulated, goal)
    with anyio.fail_after(3 * 3600):
        await simulated.run()
    twice = [
        url
        for url, times in Counter(r.url for r in simulated.sandbox.journal.runs).items()
        if times > 1
    ]
    assert not twice, f"{twice} was bought twice"
    simulated.check_end()
    failed = simulated.store.read(batch_counts, simulated.batch.id).failed
    assert FailureCategory.UNANSWERED not in failed, "a job was left undecided"
    assert anyio.current_time() < DOUBT_PATIENCE.total_seconds(), "the doubt held the others up"


def change_goals(simulated: CheckedBatch, goal: str) -> None:
    from sqlalchemy import update

    from batchrunner.store.schema import jobs

    with simulated.store._database.write() as tx:
        of_faults = jobs.c.url.like("%faults.test%")
        tx.execute(update(jobs).where(of_faults | (jobs.c.position % 2 == 0)).values(goal=goal))


lost_create = partial(one_run_each, [*pages(2), LOST, *pages(10)[2:]])
absent_create = partial(one_run_each, [NOT_CREATED, *pages(6)], Settings(concurrency=1))


# ---- absences ----


def trust_older_control_runs(planter: Planter) -> None:
    real = later_runs
    planter.replace(is_later, lambda run, missing: True)
    planter.replace(real, lambda tx, batch_id, since: real(tx, batch_id, EPOCH))


def trust_any_lateness(planter: Planter) -> None:
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


# ---- slots ----


def hold_slots_for_ever(planter: Planter) -> None:
    planter.replace(SlotHolders.free_slots, lambda holders, limit: limit - holders.open)


# ---- refusals ----


def believe_every_refusal(planter: Planter) -> None:
    planter.replace(is_certain, lambda fault: True)


def find_no_refusal_to_confirm(planter: Planter) -> None:
    planter.replace(unconfirmed_refusals, lambda *_: [])


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
    Bug(trust_older_control_runs, partial(lost_create, late=90), TWICE),
    Bug(
        trust_any_lateness,
        partial(lost_create, late=70, visibility=Visibility(late_spread=30), seed=2),
        TWICE,
    ),
    Bug(
        trust_any_depth,
        partial(lost_create, goal="Read the name " * 30, visibility=Visibility(searched=200)),
        TWICE,
    ),
    Bug(
        trust_any_status,
        partial(
            lost_create,
            durations=(150, 150),
            visibility=Visibility(hidden=frozenset({"RUNNING"})),
        ),
        TWICE,
    ),
    Bug(
        search_the_same_address_again,
        partial(lost_create, late=10, visibility=Visibility(cache="cached_stubbornly")),
        "left undecided|held the others up",
    ),
    Bug(hold_slots_for_ever, absent_create, "left undecided|held the others up"),
    Bug(
        believe_every_refusal,
        partial(one_run_each, [*pages(1), "http://faults.test/throttled_after/1", *pages(3)[1:]]),
        TWICE,
    ),
    Bug(
        find_no_refusal_to_confirm,
        partial(one_run_each, ["http://faults.test/null_after/1", *pages(3)]),
        "did not end|before a job was final|TimeoutError|belongs to no attempt",
    ),
    Bug(
        believe_not_found_after_half_a_minute,
        partial(one_run_each, pages(6), visibility=Visibility(polls_blind=((10, 60),))),
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
    Bug(forget_lost_runs, lost_run_reappears, "left alive|not in the books"),
]

every_bug = pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)


@pytest.mark.sweep
@every_bug
def test_the_batch_passes_without_the_bug(bug: Bug) -> None:
    simulate(bug.scenario)


@every_bug
def test_the_bug_is_caught(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    check_caught(bug, monkeypatch)
