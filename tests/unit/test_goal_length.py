"""A refusal of a goal that is too long says what made it too long, and what to do."""

from __future__ import annotations

import pytest

from batchrunner.model import Job, SubmittedAttempt
from batchrunner.model.markers import MARKER_LENGTH, marker
from batchrunner.policy.goal_length import explain_too_long

ADDED = MARKER_LENGTH + 2


def attempt(length: int, *, marked: bool = True) -> SubmittedAttempt:
    return SubmittedAttempt(
        attempt_id=1,
        batch_index=1,
        job=Job(id=1, key="k", attempt=1, failures=0),
        url="https://a.test/",
        goal="x" * length,
        marker=marker("batch00-submiss00", 1, "abcde01234") if marked else None,
    )


@pytest.mark.parametrize(
    "message",
    [
        'Field "goal": Too big: expected string to have <=500 characters',
        "goal must be at most 500 characters long, got 537",
        "runs.0.goal: String must contain at most 500 character(s)",
        "The prompt exceeds the maximum length (500)",
    ],
)
def test_a_marker_that_makes_a_goal_too_long_is_named_with_its_remedy(message: str) -> None:
    said = explain_too_long(message, attempt(495))
    assert said.startswith(message)
    assert "only the marker makes the goal too long: 495 + 42 characters, against 500" in said
    assert "`marker: false`" in said
    assert f"Shorten the goal to {500 - ADDED}" in said


def test_a_goal_that_is_too_long_by_itself_is_not_blamed_on_the_marker() -> None:
    said = explain_too_long("goal: at most 1,500 characters", attempt(2000))
    assert "2,000 characters without its marker: shorten it to 1,458" in said
    assert "marker: false" not in said


def test_without_a_number_both_causes_are_named() -> None:
    said = explain_too_long("The goal is too long", attempt(495))
    assert "495 characters" in said
    assert "adds 42" in said
    assert "`marker: false`" in said


def test_without_a_marker_only_the_goal_can_be_shortened() -> None:
    said = explain_too_long("The goal is too long", attempt(600, marked=False))
    assert "(the goal has 600 characters: shorten it)" in said


@pytest.mark.parametrize(
    "message",
    [
        'Field "url": Too big: expected string to have <=500 characters',
        'Field "goal": must not be empty',
        "The goal breaks a rule",
    ],
)
def test_other_refusals_stay_as_they_are(message: str) -> None:
    assert explain_too_long(message, attempt(495)) == message
