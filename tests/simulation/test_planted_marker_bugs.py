"""Each bug that is planted in markers, their removal or recovering breaks the rule named."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

import pytest

from batchrunner.model import JobSpec
from batchrunner.model.marker_removal import unmarked_run, without_marker
from batchrunner.model.markers import job_digest, marked_goal, marker
from batchrunner.policy.goal_length import explain_too_long
from batchrunner.policy.recovery import FoundRun, KnownJobs, is_fresh, known_jobs, replay_order
from tests.simulation.marked_batches import goal_too_long, marker_expected, marker_returned
from tests.simulation.planting import Bug, Planter, check_caught, each_of
from tests.simulation.recovering import equal_jobs, looked_up, lost_half_way
from tests.simulator.simulated_batch import simulate


def name_jobs_by_their_database(planter: Planter) -> None:
    def salted(token: str, position: int, job: str) -> str:
        return marker(token, position, job_digest(token, job, {}))

    planter.replace(marker, salted)


def recover_only_what_is_over(planter: Planter) -> None:
    def over(runs: Iterable[FoundRun]) -> list[FoundRun]:
        return [run for run in replay_order(runs) if run.status.is_final]

    planter.replace(replay_order, over)


def recover_one_run_per_job(planter: Planter) -> None:
    def newest(runs: Iterable[FoundRun]) -> list[FoundRun]:
        return replay_order(runs)[-1:]

    planter.replace(replay_order, newest)


def adopt_runs_of_equal_jobs(planter: Planter) -> None:
    def first_of_each(specs: Iterable[JobSpec]) -> KnownJobs:
        named = {job_digest(spec.url, spec.goal, spec.options): spec for spec in specs}
        return KnownJobs(by_digest=named, collided=[])

    planter.replace(known_jobs, first_of_each)


def run_fresh_jobs_anew(planter: Planter) -> None:
    planter.replace(is_fresh, lambda run: not run.status.is_final)


def run_live_jobs_anew(planter: Planter) -> None:
    planter.replace(is_fresh, lambda run: run.status.is_final and is_fresh(run))


def judge_with_markers(planter: Planter) -> None:
    planter.replace(unmarked_run, lambda run, _: run)


def export_markers(planter: Planter) -> None:
    planter.replace(without_marker, lambda result, _: result)


def blame_the_goal(planter: Planter) -> None:
    planter.replace(explain_too_long, lambda message, _: message)


def send_long_goals_unmarked(planter: Planter) -> None:
    def short_enough(goal: str, mark: str | None) -> str:
        whole = marked_goal(goal, mark)
        return whole if len(whole) <= 500 else goal

    planter.replace(marked_goal, short_enough)


BUGS: Sequence[Bug] = [
    Bug(name_jobs_by_their_database, lost_half_way, "recover left a run out"),
    Bug(recover_only_what_is_over, lost_half_way, "recover left a run out"),
    Bug(recover_one_run_per_job, partial(lost_half_way, at=11), "recover left a run out"),
    Bug(adopt_runs_of_equal_jobs, equal_jobs, "that may be another job's"),
    Bug(run_fresh_jobs_anew, looked_up, "runs of last night were not found"),
    Bug(run_live_jobs_anew, looked_up, "runs that are alive were not found"),
    Bug(
        judge_with_markers,
        marker_expected("tags", {"at_least": 2}),
        "a marker met an expectation|a marker is in an export",
    ),
    Bug(export_markers, marker_returned, "a marker is in an export"),
    Bug(blame_the_goal, goal_too_long("beside"), "the goal is blamed"),
    Bug(send_long_goals_unmarked, goal_too_long("beside"), "a goal was sent without its marker"),
]

every_bug = each_of(BUGS)


@pytest.mark.sweep
@every_bug
def test_the_batch_passes_without_the_bug(bug: Bug) -> None:
    simulate(bug.scenario)


@every_bug
def test_the_bug_is_caught(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    check_caught(bug, monkeypatch)
