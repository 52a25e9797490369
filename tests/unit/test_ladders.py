"""Laws of ladders: where attempts start, where they go on, and what is learned of hosts."""

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
from batchrunner.policy.escalation import (
    STEP_CLOSED_AFTER,
    STEP_PROBE_EVERY,
    StepHistory,
    changes_text,
    escalation_id,
    escalation_results,
    host_of,
    is_probe,
    learned_step,
    start_of_attempt,
)
from batchrunner.policy.retry import decide
from batchrunner.policy.retry_rules import DEFAULT_RULES, Policy
from tests.builders import failure, job

NOW = datetime(2026, 9, 3, 3, 0, tzinfo=UTC)
URL = "https://shop.example/lamp"
BLOCKED = FailureCategory.BLOCKED
STEALTH = {"browser_profile": "stealth"}
PROXY = {"browser_profile": "stealth", "proxy_config": {"enabled": True}}
#: A job that does not look whether its host has become easier, and one that does.
STEADY = next(f"job-{n}" for n in range(99) if not is_probe(f"job-{n}"))
CURIOUS = next(f"job-{n}" for n in range(99) if is_probe(f"job-{n}"))


def unstarted(key: str = STEADY, **more: Any) -> Job:
    return job(**{"key": key, "attempt": 0, **more})


def evidence(*seen: StepHistory) -> dict[tuple[str, str], Sequence[StepHistory]]:
    return {("shop.example", escalation_id(BLOCKED, DEFAULT_RULES[BLOCKED], {})): seen}


def closed(rung: int, passed: int = 0) -> StepHistory:
    return StepHistory(step=rung, passed=passed, consecutive_failures=STEP_CLOSED_AFTER)


def passing(rung: int) -> StepHistory:
    return StepHistory(step=rung, passed=1, consecutive_failures=0)


sights = st.lists(
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
    ("seen", "rung"),
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
        "the first rung helps",
        "the second helps",
        "the first has not failed often enough",
        "a wall now and then",
        "nothing helps at all",
        "the highest that ever helped is kept",
    ],
)
def test_a_host_is_lifted_past_closed_rungs_to_one_that_helped(
    seen: list[StepHistory], rung: int
) -> None:
    assert learned_step(seen, 2) == rung


@given(sights, st.integers(0, 4))
def test_no_host_is_lifted_without_failures_below_and_a_success_at_or_above(
    seen: list[StepHistory], top: int
) -> None:
    rung = learned_step(seen, top)
    by_rung = {each.step: each for each in seen}
    assert 0 <= rung <= top
    assert all(by_rung[below].consecutive_failures >= STEP_CLOSED_AFTER for below in range(rung))
    assert not rung or any(each.passed for each in seen if each.step >= rung)


def test_one_job_in_ten_looks_again() -> None:
    curious = sum(is_probe(f"k{n}") for n in range(10_000))
    assert abs(curious - 10_000 / STEP_PROBE_EVERY) < 150


# ---- where an attempt starts ----


def test_a_job_starts_where_its_host_has_taught_and_a_probe_one_below() -> None:
    policy, seen = Policy(), evidence(closed(0), closed(1), passing(2))
    begun = start_of_attempt(policy, unstarted(), URL, {}, seen)
    assert (begun.escalation_steps, begun.option_overrides) == ({BLOCKED: 2}, PROXY)
    begun = start_of_attempt(policy, unstarted(CURIOUS), URL, {}, seen)
    assert (begun.escalation_steps, begun.option_overrides) == ({BLOCKED: 1}, STEALTH)
    climbed = start_of_attempt(policy, unstarted(CURIOUS, rungs={BLOCKED: 2}), URL, {}, seen)
    assert climbed.option_overrides == PROXY, "who has failed below does not look again"
    assert (
        start_of_attempt(policy, unstarted(), "https://other.example/", {}, seen).option_overrides
        == {}
    )


def test_the_usual_ladder_leaves_what_a_job_says_itself() -> None:
    own = {"proxy_config": {"enabled": True, "country_code": "DE"}}
    begun = start_of_attempt(Policy(), unstarted(rungs={BLOCKED: 1}), URL, own, {})
    assert begun.option_overrides == STEALTH
    assert begun.escalation_steps == {BLOCKED: 2}, (
        "the second rung would run with the same options again"
    )
    lite = {"browser_profile": "lite"}
    first = start_of_attempt(Policy(), unstarted(), URL, lite, {})
    assert (first.escalation_steps, first.option_overrides) == ({BLOCKED: 1}, {})
    second = start_of_attempt(Policy(), unstarted(rungs={BLOCKED: 2}), URL, lite, {})
    assert second.option_overrides == {"proxy_config": {"enabled": True}}


def test_a_ladder_that_was_written_replaces_what_a_job_says() -> None:
    policy = Policy(rules={BLOCKED: RetryRule(then=({"proxy_config": {"enabled": False}},))})
    own = {"proxy_config": {"enabled": True}, "use_vault": True}
    begun = start_of_attempt(policy, unstarted(rungs={BLOCKED: 1}), URL, own, {})
    assert begun.option_overrides == {"proxy_config": {"enabled": False}}


def test_a_job_that_is_stealthy_by_itself_begins_on_that_rung() -> None:
    begun = start_of_attempt(Policy(), unstarted(), URL, STEALTH, {})
    assert (begun.escalation_steps, begun.option_overrides) == ({BLOCKED: 1}, {}), (
        "its success says nothing of rung 0"
    )


def test_what_was_learned_on_another_ladder_does_not_count() -> None:
    policy = Policy(rules={BLOCKED: RetryRule(attempts=2, then=({"use_vault": True},))})
    assert (
        start_of_attempt(
            policy, unstarted(), URL, {}, evidence(closed(0), passing(1))
        ).escalation_steps
        == {}
    )


def test_what_jobs_of_another_kind_have_learned_does_not_count() -> None:
    """A job that brings a proxy of its own says nothing about those that bring none."""
    own = {"proxy_config": {"enabled": True, "country_code": "DE"}}
    begun = start_of_attempt(Policy(), unstarted(), URL, own, evidence(closed(0), passing(1)))
    assert begun.escalation_steps == {}
    assert (
        begun.escalation_ids != start_of_attempt(Policy(), unstarted(), URL, {}, {}).escalation_ids
    )


def test_ladders_of_two_categories_add_up() -> None:
    goal, steps = FailureCategory.GOAL_FAILURE, {"agent_config": {"max_steps": 300}}
    policy = Policy(rules={goal: RetryRule(attempts=2, then=(steps,))})
    begun = start_of_attempt(policy, unstarted(rungs={BLOCKED: 1, goal: 1}), URL, {}, {})
    assert begun.option_overrides == {**STEALTH, **steps}


# ---- where it goes on ----


def test_each_wall_leads_one_rung_up_until_attempts_are_used_up() -> None:
    tried, seen = unstarted(), []
    for number in range(1, 4):
        begun = start_of_attempt(Policy(), tried, URL, {}, {})
        seen.append(begun.option_overrides)
        at_work = unstarted(
            attempt=number,
            failures=number - 1,
            met={BLOCKED: number - 1},
            rungs=begun.escalation_steps,
        )
        transition = decide(Policy(), at_work, failure(BLOCKED), NOW)
        if isinstance(transition, Retry):
            tried = unstarted(
                attempt=number,
                failures=number,
                met={BLOCKED: number},
                rungs=transition.escalation_steps,
            )
    assert seen == [{}, STEALTH, PROXY]
    assert isinstance(transition, Finish)


def test_a_failure_that_is_no_wall_stays_on_its_rung() -> None:
    at_work = unstarted(attempt=2, failures=1, met={BLOCKED: 1}, rungs={BLOCKED: 1})
    transition = decide(Policy(), at_work, failure(FailureCategory.SYSTEM_FAILURE), NOW)
    assert isinstance(transition, Retry)
    assert transition.escalation_steps == {BLOCKED: 1}


# ---- what an attempt tells ----


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
def test_only_walls_and_successes_tell_something(
    transition: Transition, passed: list[bool]
) -> None:
    told = escalation_results(
        unstarted(rungs={BLOCKED: 1}, ladders={BLOCKED: "abc"}), URL, transition
    )
    assert [(each.passed, each.step, each.host) for each in told] == [
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


def test_what_is_shown_of_your_own_proxy_is_no_secret() -> None:
    proxy = {"enabled": True, "type": "custom", "url": "http://u:p@a.test", "password": "secret"}
    assert changes_text({**STEALTH, "proxy_config": proxy}) == {
        **STEALTH,
        "proxy_config": {"enabled": True, "type": "custom"},
    }
