"""Runs are matched to attempts by the markers in their goals, never by their order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrunner.model import Job, Run, RunStatus, Submission, SubmittedAttempt, marker_in
from batchrunner.runner.run_matching import match_runs, may_belong_to, output_schema_of, run_request

DAWN = datetime(2026, 9, 2, 21, 0, tzinfo=UTC)


def submission(
    count: int, *, marked: bool = True, token: str = "tok", **options: Any
) -> Submission:
    return Submission(
        id=1,
        marker_token=token,
        intended_at=DAWN,
        marked=marked,
        attempts=tuple(
            SubmittedAttempt(
                attempt_id=1000 + place,
                batch_index=place,
                job=Job(id=place, key=f"k{place}", attempt=1, failures=0),
                url=f"https://a.test/{place}",
                goal="Read the price",
                options=options,
                marker=f"[ref br-{token}-{place}]" if marked else None,
            )
            for place in range(1, count + 1)
        ),
    )


def run(run_id: str, goal: str | None, at: datetime | None = DAWN) -> Run:
    return Run(run_id=run_id, status=RunStatus.PENDING, goal=goal, created_at=at)


def runs_of(sent: Submission) -> list[Run]:
    return [run(f"r{ride.batch_index}", run_request(ride)["goal"]) for ride in sent.attempts]


def test_a_request_is_the_jobs_own_with_a_marker_and_without_the_shared_schema() -> None:
    sent = submission(2, output_schema={"type": "object"}, use_vault=True)
    assert run_request(sent.attempts[1]) == {
        "url": "https://a.test/2",
        "goal": "Read the price\n\n[ref br-tok-2]",
        "use_vault": True,
    }
    assert output_schema_of(sent) == {"type": "object"}
    assert output_schema_of(submission(1)) is None


def test_a_submission_without_markers_leaves_goals_as_they_are() -> None:
    sent = submission(1, marked=False)
    assert run_request(sent.attempts[0])["goal"] == "Read the price"
    assert match_runs(sent, runs_of(sent))[0] == {}


@given(st.integers(1, 100), st.data())
def test_every_run_is_matched_in_any_order(count: int, data: st.DataObject) -> None:
    sent = submission(count)
    shown = data.draw(st.permutations(runs_of(sent)))
    assert match_runs(sent, shown)[0] == {
        1000 + place: f"r{place}" for place in range(1, count + 1)
    }


def test_some_runs_are_matched_where_others_are_missing() -> None:
    sent = submission(12)
    assert match_runs(sent, [runs_of(sent)[at] for at in (11, 0)])[0] == {1012: "r12", 1001: "r1"}


@pytest.mark.parametrize(
    "goal",
    [
        None,
        "",
        "Read the price",
        "[ref br-tok-]",
        "[ref br-tok-0]",
        "[ref br-tok-99]",
        "[ref br-tok-100000000001]",
        "[ref br-tok-" + "9" * 5000 + "]",
        "[ref br-tok-٢]",
        "[ref br-other-1]",
        "[ref br-tokk-1]",
    ],
)
def test_foreign_runs_match_no_attempt(goal: str | None) -> None:
    assert match_runs(submission(3), [run("stranger", goal)])[0] == {}


def test_index_1_does_not_match_index_10() -> None:
    assert match_runs(submission(1), [run("r10", "[ref br-tok-10]")])[0] == {}


@pytest.mark.parametrize("shown", ["[ref BR-TOK-1]", "READ  THE PRICE [REF\nBR-TOK-1] "])
def test_neither_case_nor_white_space_of_a_shown_goal_matters(shown: str) -> None:
    assert match_runs(submission(1), [run("r1", shown)])[0] == {1001: "r1"}


def test_of_two_runs_with_one_marker_the_older_is_taken() -> None:
    sent = submission(1)
    goal = run_request(sent.attempts[0])["goal"]
    older, newer = run("old", goal, DAWN), run("new", goal, DAWN + timedelta(seconds=1))
    assert (
        match_runs(sent, [older, newer])
        == match_runs(sent, [newer, older])
        == ({1001: "old"}, {"new"})
    )


def test_runs_without_a_time_can_be_compared_with_those_that_have_one() -> None:
    sent = submission(2)
    first, second = runs_of(sent)
    assert match_runs(sent, [second, run("r1", first.goal, None)])[0] == {1001: "r1", 1002: "r2"}


def test_of_several_markers_in_a_goal_the_last_is_ours() -> None:
    goal = "Read the price\n\n[ref br-0123456789ab-1]\n\n[ref br-ba9876543210-2]"
    assert marker_in(goal) == "[ref br-ba9876543210-2]"


SENT = "Read the price\n\n[ref br-tok-12]"


@given(st.integers(0, len(SENT) - 1), st.sampled_from(["", "...", "\u2026", " \u2026"]))
def test_a_goal_that_is_cut_before_its_marker_ends_may_be_ours(kept: int, end: str) -> None:
    cut = SENT[:kept].rstrip() + end
    assert may_belong_to(submission(12), cut)
    assert match_runs(submission(12), [run("r", cut)]) == ({}, set())


@pytest.mark.parametrize(
    "goal",
    [
        None,
        "",
        "READ  THE\tPRICE [ref",
        "Read the price [ref br-tok-",
        "\u2026 br-tok-1",
        "BR-TOK-1]",
    ],
)
def test_a_goal_without_a_marker_may_be_ours(goal: str | None) -> None:
    assert may_belong_to(submission(3), goal)


@pytest.mark.parametrize(
    "goal",
    [
        "Read the name",
        "Read the price of it",
        "Read the price\n\n[ref br-other-1]",
        "Read the price\n\n[ref br-tok-1]",
        "Read the price\n\n[ref br-tok-99]",
    ],
)
def test_a_goal_that_shows_whose_it_is_is_certain(goal: str) -> None:
    assert not may_belong_to(submission(3), goal)


def test_our_webhook_is_named_if_a_job_names_none() -> None:
    hook, own = "https://hooks.test/a", "https://hooks.test/mine"
    ours, theirs = submission(1), submission(1, webhook_url=own)
    assert run_request(ours.attempts[0], hook)["webhook_url"] == hook
    assert run_request(theirs.attempts[0], hook)["webhook_url"] == own
    assert "webhook_url" not in run_request(ours.attempts[0])
