"""Escalation: where attempts start, where they continue, and what is learned of hosts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrunner.model import (
    FailureCategory,
    Finish,
    Job,
    JobState,
    Retry,
    RetryRule,
    Snooze,
    Transition,
)
from batchrunner.model.categories import CATEGORIES
from batchrunner.model.hosts import host_of
from batchrunner.policy.escalation import (
    STEP_CLOSED_AFTER,
    STEP_PROBE_EVERY,
    StepHistory,
    escalation_id,
    escalation_results,
    is_probe,
    learned_step,
    showable_overrides,
    start_of_attempt,
)
from batchrunner.policy.retry import decide
from batchrunner.policy.retry_rules import Policy
from tests.builders import failure, job

NOW = datetime(2026, 9, 3, 3, 0, tzinfo=UTC)
URL = "https://shop.example/lamp"
BLOCKED = FailureCategory.BLOCKED
STEALTH = {"browser_profile": "stealth"}
PROXY = {"browser_profile": "stealth", "proxy_config": {"enabled": True}}
#: A job that does not test whether its host has become easier, and one that does.
NO_PROBE = next(f"job-{n}" for n in range(99) if not is_probe(f"job-{n}"))
PROBE = next(f"job-{n}" for n in range(99) if is_probe(f"job-{n}"))


def unstarted(key: str = NO_PROBE, **more: Any) -> Job:
    return job(**{"key": key, "attempt": 0, **more})


def evidence(*seen: StepHistory) -> dict[tuple[str, str], Sequence[StepHistory]]:
    return {("shop.example", escalation_id(BLOCKED, CATEGORIES[BLOCKED].rule, {})): seen}


def closed(step: int, passed: int = 0) -> StepHistory:
    return StepHistory(step=step, passed=passed, consecutive_failures=STEP_CLOSED_AFTER)


def passing(step: int) -> StepHistory:
    return StepHistory(step=step, passed=1, consecutive_failures=0)


histories = st.lists(
    st.builds(
        StepHistory,
        step=st.integers(0, 4),
        passed=st.integers(0, 3),
        consecutive_failures=st.integers(0, 5),
    ),
    unique_by=lambda seen: seen.step,
)

# ---- what is learned of a host ----


@pytest.mark.parametrize(
    ("seen", "step"),
    [
        ([], 0),
        ([closed(0)], 0),
        ([closed(0), passing(1)], 1),
        ([closed(0), closed(1), passing(2)], 2),
        (
            [
                closed(0),
                StepHistory(step=1, passed=0, consecutive_failures=STEP_CLOSED_AFTER - 1),
                passing(2),
            ],
            1,
        ),
        (
            [StepHistory(step=0, passed=9, consecutive_failures=STEP_CLOSED_AFTER - 1), passing(1)],
            0,
        ),
        ([closed(0), closed(1), closed(2)], 0),
        ([closed(0), closed(1, passed=5)], 1),
    ],
    ids=[
        "nothing is known",
        "nothing helps yet",
        "the first step helps",
        "the second helps",
        "the first has not failed often enough",
        "a wall now and then",
        "nothing helps at all",
        "the highest that ever helped is kept",
    ],
)
def test_new_jobs_skip_closed_steps_up_to_one_that_passed(
    seen: list[StepHistory], step: int
) -> None:
    assert learned_step(seen, 2) == step


@given(histories, st.integers(0, 4))
def test_steps_are_skipped_only_with_failures_below_and_a_success_at_or_above(
    seen: list[StepHistory], top: int
) -> None:
    step = learned_step(seen, top)
    by_step = {each.step: each for each in seen}
    assert 0 <= step <= top
    assert all(by_step[below].consecutive_failures >= STEP_CLOSED_AFTER for below in range(step))
    assert not step or any(each.passed for each in seen if each.step >= step)


def test_one_job_in_ten_is_a_probe() -> None:
    probes = sum(is_probe(f"k{n}") for n in range(10_000))
    assert abs(probes - 10_000 / STEP_PROBE_EVERY) < 150


# ---- where an attempt starts ----


def test_a_job_starts_on_the_learned_step_and_a_probe_one_below() -> None:
    policy, seen = Policy(), evidence(closed(0), closed(1), passing(2))
    start = start_of_attempt(policy, unstarted(), URL, {}, seen)
    assert (start.escalation_steps, start.option_overrides) == ({BLOCKED: 2}, PROXY)
    start = start_of_attempt(policy, unstarted(PROBE), URL, {}, seen)
    assert (start.escalation_steps, start.option_overrides) == ({BLOCKED: 1}, STEALTH)
    escalated = start_of_attempt(
        policy, unstarted(PROBE, escalation_steps={BLOCKED: 2}), URL, {}, seen
    )
    assert escalated.option_overrides == PROXY, "a job that has failed below is no probe"
    assert (
        start_of_attempt(policy, unstarted(), "https://other.example/", {}, seen).option_overrides
        == {}
    )


def test_the_default_escalation_keeps_the_jobs_own_options() -> None:
    own = {"proxy_config": {"enabled": True, "country_code": "DE"}}
    start = start_of_attempt(Policy(), unstarted(escalation_steps={BLOCKED: 1}), URL, own, {})
    assert start.option_overrides == STEALTH
    assert start.escalation_steps == {BLOCKED: 2}, (
        "the second step would run with the same options again"
    )
    lite = {"browser_profile": "lite"}
    first = start_of_attempt(Policy(), unstarted(), URL, lite, {})
    assert (first.escalation_steps, first.option_overrides) == ({BLOCKED: 1}, {})
    second = start_of_attempt(Policy(), unstarted(escalation_steps={BLOCKED: 2}), URL, lite, {})
    assert second.option_overrides == {"proxy_config": {"enabled": True}}


def test_a_written_escalation_replaces_the_jobs_own_options() -> None:
    policy = Policy(rules={BLOCKED: RetryRule(then=({"proxy_config": {"enabled": False}},))})
    own = {"proxy_config": {"enabled": True}, "use_vault": True}
    start = start_of_attempt(policy, unstarted(escalation_steps={BLOCKED: 1}), URL, own, {})
    assert start.option_overrides == {"proxy_config": {"enabled": False}}


def test_a_job_with_stealth_of_its_own_starts_on_that_step() -> None:
    start = start_of_attempt(Policy(), unstarted(), URL, STEALTH, {})
    assert (start.escalation_steps, start.option_overrides) == ({BLOCKED: 1}, {}), (
        "its success says nothing about step 0"
    )


def test_history_of_another_escalation_does_not_count() -> None:
    policy = Policy(rules={BLOCKED: RetryRule(attempts=2, then=({"use_vault": True},))})
    assert (
        start_of_attempt(
            policy, unstarted(), URL, {}, evidence(closed(0), passing(1))
        ).escalation_steps
        == {}
    )


def test_history_of_jobs_with_other_options_does_not_count() -> None:
    """A job with its own proxy says nothing about jobs without one."""
    own = {"proxy_config": {"enabled": True, "country_code": "DE"}}
    start = start_of_attempt(Policy(), unstarted(), URL, own, evidence(closed(0), passing(1)))
    assert start.escalation_steps == {}
    assert (
        start.escalation_ids != start_of_attempt(Policy(), unstarted(), URL, {}, {}).escalation_ids
    )


def test_escalations_of_two_categories_add_up() -> None:
    goal, steps = FailureCategory.GOAL_FAILURE, {"agent_config": {"max_steps": 300}}
    policy = Policy(rules={goal: RetryRule(attempts=2, then=(steps,))})
    start = start_of_attempt(policy, unstarted(escalation_steps={BLOCKED: 1, goal: 1}), URL, {}, {})
    assert start.option_overrides == {**STEALTH, **steps}


# ---- where it continues ----


def test_each_wall_leads_one_step_up_until_attempts_are_used_up() -> None:
    tried, seen = unstarted(), []
    for number in range(1, 4):
        start = start_of_attempt(Policy(), tried, URL, {}, {})
        seen.append(start.option_overrides)
        running = unstarted(
            attempt=number,
            failures=number - 1,
            failures_by_category={BLOCKED: number - 1},
            escalation_steps=start.escalation_steps,
        )
        transition = decide(Policy(), running, failure(BLOCKED), NOW)
        if isinstance(transition, Retry):
            tried = unstarted(
                attempt=number,
                failures=number,
                failures_by_category={BLOCKED: number},
                escalation_steps=transition.escalation_steps,
            )
    assert seen == [{}, STEALTH, PROXY]
    assert isinstance(transition, Finish)


def test_a_failure_that_is_no_wall_stays_on_its_step() -> None:
    running = unstarted(
        attempt=2, failures=1, failures_by_category={BLOCKED: 1}, escalation_steps={BLOCKED: 1}
    )
    transition = decide(Policy(), running, failure(FailureCategory.SYSTEM_FAILURE), NOW)
    assert isinstance(transition, Retry)
    assert transition.escalation_steps == {BLOCKED: 1}


# ---- what an attempt shows ----


@pytest.mark.parametrize(
    ("transition", "passed"),
    [
        (Finish(state=JobState.SUCCEEDED), [True]),
        (Retry(at=NOW, failure=failure(BLOCKED)), [False]),
        (Finish(state=JobState.FAILED, failure=failure(BLOCKED)), [False]),
        (Retry(at=NOW, failure=failure(FailureCategory.GOAL_FAILURE)), []),
        (Finish(state=JobState.CANCELLED, failure=failure(FailureCategory.RUN_CANCELLED)), []),
        (Snooze(at=NOW, failure=failure(FailureCategory.UNREACHABLE)), []),
    ],
)
def test_only_walls_and_successes_show_something(
    transition: Transition, passed: list[bool]
) -> None:
    results = escalation_results(
        unstarted(escalation_steps={BLOCKED: 1}, escalation_ids={BLOCKED: "abc"}), URL, transition
    )
    assert [(each.passed, each.step, each.host) for each in results] == [
        (each, 1, "shop.example") for each in passed
    ]


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Shop.Example/a?b", "shop.example"),
        ("http://user:pw@shop.example:8080/", "shop.example:8080"),
        ("http://[::1]/", "::1"),
        ("http://[1:2/", "http://[1:2/"),
        ("http://a.test:99999/", "http://a.test:99999/"),
        ("http://" + "a" * 400, "a" * 300),
    ],
)
def test_every_url_has_a_host(url: str, host: str) -> None:
    assert host_of(url) == host


@given(st.text(max_size=400))
def test_no_url_is_too_strange_to_have_a_host(url: str) -> None:
    assert len(host_of(url)) <= 300


def test_no_secret_of_the_users_proxy_is_shown() -> None:
    proxy = {"enabled": True, "type": "custom", "url": "http://u:p@a.test", "password": "secret"}
    assert showable_overrides({**STEALTH, "proxy_config": proxy}) == {
        **STEALTH,
        "proxy_config": {"enabled": True, "type": "custom"},
    }
