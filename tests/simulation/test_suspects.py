"""Simulated batches with suspect results: bought once, delivered, and never lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, update

from batchrunner.app.rejudge import rejudge
from batchrunner.judge import judge_result
from batchrunner.model import (
    Expectations,
    Failed,
    FailureCategory,
    Finish,
    Job,
    JobState,
    Judgement,
    Outcome,
    Retry,
    RetryRule,
    Settings,
    StoredResult,
    Transition,
    Verdict,
)
from batchrunner.policy.retry import decide
from batchrunner.policy.retry_rules import Policy
from batchrunner.sandbox import SandboxConfig
from batchrunner.store.edits import rerun_jobs
from batchrunner.store.judgements import rewrite_judgements
from batchrunner.store.reports import batch_counts, finished_jobs
from batchrunner.store.revisions import restore_delivered
from batchrunner.store.schema import jobs
from tests.simulation.checked_batch import CheckedBatch
from tests.simulation.planting import Bug, Planter, check_caught, each_of
from tests.simulation.short_batches import SETTINGS, SHORT_RUNS, run_to_end
from tests.simulator.simulated_batch import now, pages, simulate

SUSPECT = pages(3)[-1]
AGAIN = replace(SETTINGS, policy={Verdict.SUSPECT: RetryRule(attempts=2)})


def batch_with_suspects(
    settings: Settings = SETTINGS, script: dict[str, str] | None = None
) -> CheckedBatch:
    script = {SUSPECT: "suspect"} if script is None else script
    conditions = SandboxConfig(durations=SHORT_RUNS, retry_after=20, script=script)
    return CheckedBatch.of([SUSPECT, *pages(2)], conditions, settings)


async def bought_again(second: str | None) -> CheckedBatch:
    """Buy a suspect result again on request; the second run meets this fault."""
    script = {SUSPECT: "suspect"}
    simulated = batch_with_suspects(script=script)
    await run_to_end(simulated)
    simulated.store.write(rerun_jobs, simulated.batch.id, now(), suspect=True)
    del script[SUSPECT]
    if second is not None:
        script[SUSPECT] = second
    await run_to_end(simulated)
    return simulated


def bought(simulated: CheckedBatch) -> dict[str, int]:
    runs = Counter(run.url for run in simulated.sandbox.journal.runs)
    return {"suspect": runs.pop(SUSPECT), "others": max(runs.values())}


def delivered(simulated: CheckedBatch) -> tuple[str, str | None, str | None]:
    (job,) = [
        job for job in finished_jobs(simulated.store, simulated.batch.id) if job.url == SUSPECT
    ]
    return job.state.value, job.verdict, job.result


FLAGGED = ("succeeded", "suspect", '{"results":[]}')


async def judged_after_its_end(settings: Settings = SETTINGS) -> None:
    simulated = batch_with_suspects(settings)
    await run_to_end(simulated)
    rejudge(simulated.store, simulated.batch, {}, apply=True)
    await run_to_end(simulated)


def test_a_suspect_result_is_bought_exactly_once() -> None:
    async def scenario() -> None:
        simulated = batch_with_suspects()
        await run_to_end(simulated)
        assert bought(simulated) == {"suspect": 1, "others": 1}
        assert delivered(simulated) == FLAGGED
        rejudge(simulated.store, simulated.batch, {}, apply=True)
        await run_to_end(simulated)
        assert bought(simulated) == {"suspect": 1, "others": 1}
        assert delivered(simulated) == FLAGGED

    simulate(scenario)


def test_a_policy_buys_it_as_often_as_it_says() -> None:
    async def scenario() -> None:
        simulated = batch_with_suspects(AGAIN)
        await run_to_end(simulated)
        assert bought(simulated) == {"suspect": 2, "others": 1}
        assert delivered(simulated) == FLAGGED
        counts = simulated.store.read(batch_counts, simulated.batch.id)
        assert sum(counts.suspect.values()) == 1

    simulate(scenario)


@pytest.mark.sweep
@pytest.mark.parametrize("second", ["goal_failure", "system_failure", "cancelled", "rejected"])
def test_a_second_result_that_is_worse_leaves_the_first_one(second: str) -> None:
    async def scenario() -> None:
        simulated = await bought_again(second)
        assert delivered(simulated) == FLAGGED
        assert bought(simulated)["others"] == 1

    simulate(scenario)


def test_a_better_second_result_takes_its_place() -> None:
    async def scenario() -> None:
        assert delivered(await bought_again(None))[:2] == ("succeeded", "good")

    simulate(scenario)


# ---- planted bugs ----


def retry_a_suspect_without_a_policy(planter: Planter) -> None:
    def eager(policy: Policy, job: Job, outcome: Outcome, at: Any) -> Transition:
        transition = decide(policy, job, outcome, at)
        if isinstance(transition, Finish) and transition.verdict is Verdict.SUSPECT:
            return replace(transition, again_at=at if not job.earlier_suspects else None)
        return transition

    planter.replace(decide, eager)


def try_a_suspect_again_in_the_same_revision(planter: Planter) -> None:
    def as_today(policy: Policy, job: Job, outcome: Outcome, at: Any) -> Transition:
        transition = decide(policy, job, outcome, at)
        if isinstance(transition, Finish) and transition.verdict is Verdict.SUSPECT:
            failure = Failed(category=FailureCategory.GOAL_FAILURE, message="It looks wrong")
            return Retry(at=at, failure=failure) if job.attempt == 1 else transition
        return transition

    planter.replace(decide, as_today)


def fail_a_suspect(planter: Planter) -> None:
    def strict(
        result: str | None, expectations: Expectations, errors: Sequence[str] | None = None
    ) -> Judgement:
        judgement = judge_result(result, expectations, errors)
        if judgement.verdict is not Verdict.SUSPECT:
            return judgement
        failure = Failed(category=FailureCategory.INVALID_RESULT, message="It looks wrong")
        return Judgement(verdict=Verdict.BAD, findings=judgement.findings, failure=failure)

    planter.replace(judge_result, strict)


def deliver_a_suspect_without_a_flag(planter: Planter) -> None:
    def lenient(*args: Any) -> Judgement:
        judgement = judge_result(*args)
        suspect = judgement.verdict is Verdict.SUSPECT
        return Judgement(verdict=Verdict.GOOD) if suspect else judgement

    planter.replace(judge_result, lenient)


def run_a_suspect_again_when_it_is_judged(planter: Planter) -> None:
    def put_back(tx: Connection, judgements: Sequence[tuple[StoredResult, Outcome]]) -> int:
        written = rewrite_judgements(tx, judgements)
        suspect = [result.job_id for result, _ in judgements]
        put = {"state": JobState.AVAILABLE, "finished_at": None}
        tx.execute(update(jobs).where(jobs.c.id.in_(suspect)).values(put))
        return written

    planter.replace(rewrite_judgements, put_back)


def lose_what_was_delivered(planter: Planter) -> None:
    planter.replace(restore_delivered, lambda *_, **__: None)


async def bought_again_in_vain() -> None:
    await bought_again("goal_failure")


async def judged_by_stricter_rules() -> None:
    """Judge results as suspect that were good when their runs ended."""
    simulated = batch_with_suspects()
    await run_to_end(simulated)
    expect = {None: {"allow": ["empty"]}}
    rejudge(simulated.store, simulated.batch, expect, apply=True)
    rejudge(simulated.store, simulated.batch, {}, apply=True)
    await run_to_end(simulated)


BUGS = [
    Bug(retry_a_suspect_without_a_policy, judged_after_its_end, "bought again without a policy"),
    Bug(
        try_a_suspect_again_in_the_same_revision, judged_after_its_end, "not delivered and flagged"
    ),
    Bug(fail_a_suspect, judged_after_its_end, "not delivered and flagged"),
    Bug(deliver_a_suspect_without_a_flag, judged_after_its_end, "not delivered and flagged"),
    Bug(
        run_a_suspect_again_when_it_is_judged,
        judged_by_stricter_rules,
        "UNIQUE constraint failed: attempts.job_id",
    ),
    Bug(lose_what_was_delivered, bought_again_in_vain, "a suspect result was lost"),
]

every_bug = each_of(BUGS)


@pytest.mark.sweep
@every_bug
def test_the_batch_passes_without_the_bug(bug: Bug) -> None:
    simulate(bug.scenario)


@every_bug
def test_the_bug_is_caught(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    check_caught(bug, monkeypatch)
