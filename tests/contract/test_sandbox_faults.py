"""The sandbox's faults of runs, requests, reads and artifacts, and how a user asks for them."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest
from sandbox_stage import Stage, after

from batchrunner.sandbox import FAULTS, Journal, SandboxConfig
from batchrunner.sandbox.faults import ARTIFACT_FAULTS, FaultTarget
from batchrunner.sandbox.run_engine import RunEngine

pytestmark = pytest.mark.anyio

PAGE = "https://shop.test/"
RUN_BATCH = "/v1/automation/run-batch"


@pytest.fixture
def anyio_backend() -> str:
    return "trio"


def failed(code: str | None, category: str, retry_after: int | None = None) -> dict[str, Any]:
    return {"code": code, "category": category, "retry_after": retry_after}


#: fault → status, result, and what the error says, at the end of the run's time
ENDS: dict[str, tuple[str, Any, dict[str, Any] | None]] = {
    "normal": ("COMPLETED", {"price": 18.5}, None),
    "system_failure": ("FAILED", None, failed("service_busy", "SYSTEM_FAILURE", 8)),
    "agent_failure": ("FAILED", None, failed("TASK_FAILED", "AGENT_FAILURE")),
    "billing_failure": ("FAILED", None, failed("INSUFFICIENT_CREDITS", "BILLING_FAILURE")),
    "unknown": ("FAILED", None, failed(None, "UNKNOWN")),
    "overdue": ("FAILED", None, failed("TIMEOUT", "SYSTEM_FAILURE", 8)),
    "goal_failure": (
        "COMPLETED",
        {"status": "failure", "reason": "The page does not show what the goal asks for"},
        None,
    ),
    "blocked": (
        "COMPLETED",
        {"status": "failure", "reason": "Access denied: the page shows a captcha"},
        None,
    ),
    "suspect": ("COMPLETED", {"results": []}, None),
    "made_up": ("COMPLETED", {"price": 7318.46}, None),
    "no_result": ("COMPLETED", None, None),
    "wrong_shape": ("COMPLETED", {"answer": "see the page"}, None),
    "cancelled": ("CANCELLED", None, None),
    "stuck": ("RUNNING", None, None),
    "queued": ("PENDING", None, None),
}

#: fault → HTTP status (None: no answer), and whether the runs exist afterwards
ANSWERS: dict[str, tuple[int | None, bool]] = {
    "rejected": (400, False),
    "rejected_unnamed": (400, False),
    "gated": (403, False),
    "no_credits": (402, False),
    "no_credits_legacy": (403, False),
    "no_credits_forbidden": (403, False),
    "throttled": (429, False),
    "rate_limited": (429, False),
    "over_limit": (429, False),
    "over_limit_in_detail": (429, False),
    "unavailable": (503, False),
    "error_before": (500, False),
    "error_after": (500, True),
    "dropped_before": (None, False),
    "dropped_after": (None, True),
    "hung_after": (None, True),
    "throttled_after": (429, True),
    "rejected_after": (400, True),
    "null_after": (200, True),
}


def test_every_fault_is_tested() -> None:
    elsewhere = {"lost", "lingering", "unreachable", "replayed", *ODD_ENDS, *ARTIFACT_FAULTS}
    assert set(FAULTS) == {*ENDS, *ANSWERS, *elsewhere}


#: fault → status, whether it has a result, and whether it shows its end, at the end of its time
ODD_ENDS: dict[str, tuple[str, bool, bool]] = {
    "misspelled": ("completed ", True, True),
    "expired": ("EXPIRED", False, True),
    "expired_with_result": ("EXPIRED", True, True),
    "expired_silently": ("EXPIRED", False, False),
}


@pytest.mark.parametrize("fault", ODD_ENDS)
async def test_a_run_may_end_with_a_status_that_no_page_names(fault: str) -> None:
    stage = Stage(script={f"https://faults.test/{fault}": fault})
    [run_id] = await stage.create(f"https://faults.test/{fault}")
    assert (await stage.bare(f"/v1/runs/{run_id}"))["status"] == "RUNNING"
    stage.clock.tick(10)
    run = await stage.bare(f"/v1/runs/{run_id}")
    shown = run["status"], run["result"] is not None, run["finished_at"] is not None
    assert shown == ODD_ENDS[fault]
    cancelled = await stage.bare(f"/v1/runs/{run_id}/cancel", "POST")
    assert cancelled == {
        "run_id": run_id,
        "status": ODD_ENDS[fault][0],
        "cancelled_at": None,
        "message": "Run already finished",
    }


async def test_only_a_limit_on_requests_and_one_of_two_limits_on_runs_have_details() -> None:
    stage = Stage()
    for fault, has_details in (
        ("throttled", False),
        ("over_limit", False),
        ("rate_limited", True),
        ("over_limit_in_detail", True),
    ):
        item = {"url": f"https://faults.test/{fault}", "goal": "Read"}
        answer = await stage.client.post("/v1/automation/run-async", json=item)
        assert answer.headers["retry-after"]
        assert bool(answer.json()["error"].get("details")) is has_details


@pytest.mark.parametrize("fault", ENDS)
async def test_a_run_ends_as_its_fault_says(fault: str) -> None:
    stage = Stage(retry_after=7.5)
    [run_id] = await stage.create(f"https://faults.test/{fault}")
    stage.clock.tick(10)
    run = await stage.run(run_id)
    status, result, error = ENDS[fault]
    assert (run["status"], run["result"]) == (status, result)
    shown = run["error"]
    assert error == (shown and {**failed(None, ""), **{key: shown.get(key) for key in error or ()}})
    assert stage.agent.sent == (
        [f"https://faults.test/{fault}"] if fault in ("normal", "made_up") else []
    )
    [kept] = stage.sandbox.journal.runs
    assert kept.charge == kept.steps * Decimal("0.016")
    assert (kept.charge > 0) == kept.status.is_final


async def test_a_run_cancelled_by_somebody_ends_half_way() -> None:
    stage = Stage()
    [run_id] = await stage.create("https://faults.test/cancelled")
    stage.clock.tick(10)
    assert (await stage.run(run_id))["finished_at"] == after(5)


@pytest.mark.parametrize("fault", ["stuck", "queued"])
async def test_an_endless_run_ends_when_it_is_cancelled(fault: str) -> None:
    stage = Stage()
    [run_id] = await stage.create(f"https://faults.test/{fault}")
    stage.clock.tick(100_000)
    assert (await stage.post(f"/v1/runs/{run_id}/cancel"))["message"] is None
    assert (await stage.run(run_id))["status"] == "CANCELLED"


async def test_a_queued_run_does_not_hold_up_the_others_and_a_stuck_one_keeps_its_slot() -> None:
    stage = Stage(limit=2)
    _, _, *others = await stage.create(
        "https://faults.test/queued", "https://faults.test/stuck", PAGE, PAGE
    )
    stage.clock.tick(20)
    assert [(await stage.run(each))["finished_at"] for each in others] == [after(10), after(20)]


async def test_a_request_that_is_sent_twice_creates_its_runs_twice_and_is_answered_once() -> None:
    stage = Stage()
    [run_id] = await stage.create("https://faults.test/replayed/1")
    first, second = stage.sandbox.journal.runs
    assert (first.run_id, first.replayed, second.replayed) == (run_id, False, True)
    assert first.body == second.body
    assert [request.status for request in stage.sandbox.journal.requests] == [200, None]
    listed = (await stage.get("/v1/runs"))["data"]
    assert {run["run_id"] for run in listed} == {first.run_id, second.run_id}


async def test_a_lost_run_is_unknown_to_every_read_and_costs_nothing() -> None:
    stage = Stage()
    [run_id] = await stage.create("https://faults.test/lost")
    stage.clock.tick(10)
    assert (await stage.client.get(f"/v1/runs/{run_id}")).status_code == 404
    assert (await stage.client.post(f"/v1/runs/{run_id}/cancel")).status_code == 404
    assert (await stage.get("/v1/runs"))["data"] == []
    answer = await stage.post("/v1/runs/batch", {"run_ids": [run_id]})
    assert answer == {"data": [], "not_found": [run_id]}
    assert [run.charge for run in stage.sandbox.journal.runs] == [0]


async def test_a_result_of_the_wrong_shape_is_reported_if_a_schema_was_given() -> None:
    stage = Stage()
    item = {"url": "https://faults.test/wrong_shape", "goal": "Read the price"}
    schema = {"type": "object", "properties": {"price": {"type": "number"}}}
    body = {"runs": [item], "output_schema": schema}
    [run_id] = (await stage.post(RUN_BATCH, body))["run_ids"]
    [bare] = await stage.create(item["url"])
    stage.clock.tick(10)
    validation = (await stage.run(run_id))["schema_validation"]
    assert validation["valid"] is False
    assert len(validation["errors"]) == 1
    assert (await stage.run(bare))["schema_validation"] is None


async def test_a_run_that_outlives_its_own_limit_fails() -> None:
    stage = Stage()
    [run_id] = await stage.create(PAGE, agent_config={"max_duration_seconds": 4})
    stage.clock.tick(10)
    run = await stage.run(run_id)
    assert (run["status"], run["finished_at"]) == ("FAILED", after(4))
    assert run["error"]["code"] == "TIMEOUT"


@pytest.mark.parametrize("fault", ANSWERS)
async def test_a_request_is_answered_as_its_fault_says_and_then_normally(fault: str) -> None:
    stage = Stage(retry_after=7.5)
    item = {"url": f"https://faults.test/{fault}/1", "goal": "Read the price"}
    body = {"runs": [{"url": PAGE, "goal": "Read the price"}, item]}
    status, creates = ANSWERS[fault]

    async def send() -> int | None:
        try:
            return (await stage.client.post(RUN_BATCH, json=body, timeout=0.01)).status_code
        except (httpx.RemoteProtocolError, httpx.ReadTimeout):
            return None

    assert await send() == status
    assert len(stage.sandbox.journal.runs) == (2 if creates else 0)
    assert await send() == 200
    assert len(stage.sandbox.journal.runs) == (4 if creates else 2)
    assert [(r.fault, r.status) for r in stage.sandbox.journal.requests] == [
        (fault, status),
        (None, 200),
    ]


async def test_runs_of_a_dropped_request_run_and_are_found_by_their_goal() -> None:
    stage = Stage()
    with pytest.raises(httpx.RemoteProtocolError):
        await stage.create("https://faults.test/dropped_after/1", PAGE)
    stage.clock.tick(10)
    found = await stage.get("/v1/runs", goal="read the price")
    assert [run["status"] for run in found["data"]] == ["COMPLETED", "COMPLETED"]
    assert len(stage.agent.sent) == 2


@pytest.mark.parametrize(
    ("path", "prefix"), [(RUN_BATCH, ["runs", 1]), ("/v1/automation/run-async", [])]
)
async def test_a_rejected_item_is_named_by_its_path(path: str, prefix: list[Any]) -> None:
    stage = Stage()
    good = {"url": PAGE, "goal": "x"}
    bad = {"url": "https://faults.test/rejected", "goal": "x"}
    answer = await stage.client.post(path, json={"runs": [good, bad, good]} if prefix else bad)
    [issue] = answer.json()["error"]["details"]
    assert issue["path"] == [*prefix, "url"]


async def test_what_the_refusals_say() -> None:
    stage = Stage(retry_after=7.5)

    async def refused(fault: str) -> httpx.Response:
        item = {"url": f"https://faults.test/{fault}", "goal": "x"}
        return await stage.client.post(RUN_BATCH, json={"runs": [item]})

    throttled = await refused("throttled")
    assert throttled.headers["Retry-After"] == "8"
    assert throttled.json()["error"]["message"] == "Rate limit exceeded. Try again in 8 seconds."
    gated = (await refused("gated")).json()
    assert gated["run_ids"] is None
    assert gated["error"]["message"].endswith("is not enabled for this account")
    assert "details" not in (await refused("rejected_unnamed")).json()["error"]
    assert "wallet_url" in (await refused("no_credits")).json()["error"]["details"]


async def test_reads_of_an_unreachable_run_meet_a_proxy_and_then_the_api() -> None:
    stage = Stage(tolerated=frozenset({502}))
    [run_id, other] = await stage.create("https://faults.test/unreachable/3", PAGE)
    looks = [
        await stage.client.get(f"/v1/runs/{run_id}"),
        await stage.client.get("/v1/runs"),
        await stage.client.post("/v1/runs/batch", json={"run_ids": [run_id, other]}),
    ]
    assert [(each.status_code, each.headers["content-type"]) for each in looks] == [
        (502, "text/html; charset=utf-8")
    ] * 3
    assert (await stage.run(run_id))["run_id"] == run_id
    assert len((await stage.get("/v1/runs"))["data"]) == 2


async def test_a_counted_fault_applies_to_the_first_runs_of_its_url() -> None:
    stage = Stage()
    url = "https://faults.test/agent_failure/2?job=7"
    await stage.create(url, "https://faults.test/agent_failure/2?job=8")
    await stage.create(url, url)
    faults = [run.fault for run in stage.sandbox.journal.runs if run.url == url]
    assert faults == ["agent_failure", "agent_failure", "normal"]


async def test_a_script_gives_faults_to_urls_and_goes_before_the_rates() -> None:
    stage = Stage(
        script={"https://shop.test/p/*": "no_result/1", "https://shop.test/*": "normal"},
        rates={"agent_failure": 1.0},
    )
    await stage.create(f"{PAGE}p/1", f"{PAGE}p/1", PAGE, "https://news.test/")
    faults = [run.fault for run in stage.sandbox.journal.runs]
    assert faults == ["no_result", "normal", "normal", "agent_failure"]


async def test_rates_are_shares_and_follow_from_the_seed() -> None:
    rates = {"system_failure": 0.2, "goal_failure": 0.3}

    async def drawn(seed: int) -> list[str]:
        stage = Stage(seed=seed, rates=rates)
        for start in range(0, 1000, 100):
            await stage.create(*[f"{PAGE}{number}" for number in range(start, start + 100)])
        return [run.fault for run in stage.sandbox.journal.runs]

    faults = await drawn(1)
    assert faults == await drawn(1)
    assert faults != await drawn(2)
    seen = Counter(faults)
    assert abs(seen["system_failure"] - 200) < 40
    assert abs(seen["goal_failure"] - 300) < 45


async def test_rates_apply_to_requests_and_reads_too() -> None:
    stage = Stage(rates={"error_before": 0.5, "unreachable": 0.5}, tolerated=frozenset({502}))
    creates: Counter[int] = Counter()
    looks: Counter[int] = Counter()
    for _ in range(60):
        body = {"runs": [{"url": PAGE, "goal": "x"}]}
        creates[(await stage.client.post(RUN_BATCH, json=body)).status_code] += 1
        looks[(await stage.client.get("/v1/runs")).status_code] += 1
    assert creates[200] + creates[500] == looks[200] + looks[502] == 60
    assert abs(creates[500] - 30) < 15
    assert abs(looks[502] - 30) < 15


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"durations": (5.0, 1.0)}, "durations must be"),
        ({"durations": (0.0, 1.0)}, "durations must be"),
        ({"limit": 0}, "limit must be"),
        ({"rates": {"flood": 0.1}}, "unknown fault 'flood'"),
        ({"rates": {"stuck": 0.6, "lost": 0.6}}, "rates of run faults must be"),
        ({"rates": {"stuck": -0.1}}, "rates of run faults must be"),
        ({"rates": {"stuck/2": 0.1}}, "unknown fault 'stuck/2'"),
        ({"script": {"*": "stuck/often"}}, "not a number of times"),
        ({"script": {"*": "blocked-unless-paid"}}, "no escape from blocked: 'paid'"),
        ({"script": {"*": "blocked-unless-"}}, "no escape from blocked"),
        ({"script": {"*": "throttled-unless-proxy"}}, "no escape from throttled"),
    ],
)
def test_an_impossible_config_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SandboxConfig(**wrong)


def test_every_target_of_faults_has_rows() -> None:
    assert set(FAULTS.values()) == set(FaultTarget)


NOW = datetime(2026, 9, 2, 21, 0, tzinfo=UTC)
STEALTH = {"browser_profile": "stealth"}
PROXY = {"proxy_config": {"enabled": True, "country_code": "US"}}


@pytest.mark.parametrize(
    ("fault", "options", "met"),
    [
        ("blocked-unless-stealth", {}, "blocked"),
        ("blocked-unless-stealth", {"browser_profile": "lite"}, "blocked"),
        ("blocked-unless-stealth", STEALTH, "normal"),
        ("blocked-unless-stealth", PROXY, "blocked"),
        ("blocked-unless-proxy", STEALTH, "blocked"),
        ("blocked-unless-proxy", {"proxy_config": {"enabled": False}}, "blocked"),
        ("blocked-unless-proxy", {**STEALTH, **PROXY}, "normal"),
        ("system_failure-unless-proxy/1", {}, "system_failure"),
        ("blocked-unless-stealth/0", {}, "normal"),
    ],
)
def test_a_fault_does_not_apply_to_runs_with_the_options_that_escape_it(
    fault: str, options: dict[str, Any], met: str
) -> None:
    account = RunEngine(config=SandboxConfig(), journal=Journal(), now=NOW)
    body = {"url": f"https://faults.test/{fault}", "goal": "Read", **options}
    (run,) = account.create([body], NOW).runs
    assert run.fault == met
