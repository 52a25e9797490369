"""Each answer to what the sources leave open makes a difference, and the one that it says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest
from openapi import STRAYS
from sandbox_stage import Flowing, Stage, played

from batchrunner.sandbox import VARIANTS, SandboxConfig

PAGE = "https://shop.test/"
RUN_ASYNC = "/v1/automation/run-async"
RUN_BATCH = "/v1/automation/run-batch"
STEALTHY = {"proxy_config": {"enabled": True, "country_code": "CH"}}
SCHEMA = {"type": "object", "properties": {"price": {"type": "number"}}}


def item(fault: str = "normal", **options: Any) -> dict[str, Any]:
    return {"url": f"https://faults.test/{fault}", "goal": "Read 100% of it", **options}


async def created(stage: Stage, fault: str = "normal", wait: float = 10, **options: Any) -> str:
    answer = await stage.bare(RUN_ASYNC, "POST", json=item(fault, **options))
    stage.clock.tick(wait)
    return str(answer["run_id"])


async def shown(stage: Stage, fault: str = "normal", wait: float = 10, **options: Any) -> Any:
    return await stage.bare(f"/v1/runs/{await created(stage, fault, wait, **options)}")


async def status(stage: Stage, path: str = RUN_ASYNC, **body: Any) -> int:
    return (await stage.ask(path, "POST", json=body or item())).status_code


async def refused_batch(stage: Stage) -> Any:
    answer = await stage.ask(RUN_BATCH, "POST", json={"runs": [item(), item("rejected")]})
    body = answer.json()
    error = body.get("error")
    path = (body.get("errors") or [{}])[0].get("index")
    return answer.status_code, sorted(body), error and sorted(error), path


async def over_limit(stage: Stage) -> list[int]:
    await created(stage, wait=0)
    answer = await stage.ask(RUN_ASYNC, "POST", json=item())
    return [answer.status_code, len((answer.json()["error"] or {}).get("details", ()))]


async def retry_after(stage: Stage) -> bool:
    answer = await stage.ask(RUN_ASYNC, "POST", json=item("throttled"))
    return "retry-after" in answer.headers


async def ids_in_order(stage: Stage) -> bool:
    answer = await stage.bare(RUN_BATCH, "POST", json={"runs": [item(), item()]})
    return [run.run_id for run in stage.sandbox.journal.runs] == answer["run_ids"]


async def batch_status(stage: Stage) -> int:
    return await status(stage, RUN_BATCH, runs=[item()])


async def envelope(stage: Stage) -> list[str]:
    return sorted((await stage.ask("/v1/runs/nobody")).json())


async def broke(stage: Stage) -> Any:
    answer = await stage.ask(RUN_ASYNC, "POST", json=item())
    return answer.status_code, answer.json()["error"]["code"]


async def failed_charge(stage: Stage) -> bool:
    await shown(stage, "agent_failure")
    return stage.sandbox.journal.charged > 0


async def names(stage: Stage) -> bool:
    return "streamingUrl" in await shown(stage, wait=0)


async def run_error(stage: Stage) -> list[str]:
    return sorted((await shown(stage, "system_failure"))["error"])


async def failure_wait(stage: Stage) -> Any:
    return (await shown(stage, "system_failure"))["error"].get("retry_after", "not there")


async def run_help(stage: Stage) -> list[bool]:
    run = await shown(stage, "agent_failure")
    return ["help_url" in run["error"], "help_url" in run]


async def profile_hint(stage: Stage) -> Any:
    return [(await shown(stage, fault)).get("profile_hint") for fault in ("normal", "blocked")]


async def result_error(stage: Stage) -> bool:
    return (await shown(stage))["error"] is None


async def error_codes(stage: Stage) -> list[str]:
    runs = [await shown(stage, fault) for fault in ("system_failure", "agent_failure")]
    return [run["error"]["code"] for run in runs]


async def result(stage: Stage) -> Any:
    return (await shown(stage))["result"]


async def steps_so_far(stage: Stage) -> str:
    return type((await shown(stage, wait=0))["num_of_steps"]).__name__


async def has(key: str, stage: Stage) -> bool:
    return key in await shown(stage)


async def listed(stage: Stage) -> int:
    await created(stage)
    return len((await stage.bare("/v1/runs"))["data"][0])


async def order(stage: Stage) -> list[int]:
    ids = [await created(stage) for _ in range(6)]
    answer = await stage.bare("/v1/runs/batch", "POST", json={"run_ids": ids})
    return [ids.index(run["run_id"]) for run in answer["data"]]


async def repeated(stage: Stage) -> int:
    run_id = await created(stage)
    answer = await stage.bare("/v1/runs/batch", "POST", json={"run_ids": [run_id, run_id]})
    return len(answer["data"])


async def odd_ids(stage: Stage) -> int:
    return await status(stage, "/v1/runs/batch", run_ids=["what is this?"])


async def bounds(stage: Stage) -> int:
    run = await shown(stage)
    answer = await stage.bare("/v1/runs", params={"created_after": run["created_at"]})
    return int(answer["pagination"]["total"])


async def goal_search(stage: Stage) -> list[int]:
    await created(stage)
    found = [await stage.bare("/v1/runs", params={"goal": text}) for text in ("0%", "read%it")]
    return [answer["pagination"]["total"] for answer in found]


async def goal_case(stage: Stage) -> int:
    await created(stage)
    found = await stage.bare("/v1/runs", params={"goal": "READ"})
    return int(found["pagination"]["total"])


async def screenshot(stage: Stage, **capture: bool) -> Any:
    options = {"capture_config": capture} if capture else {}
    picture = (await shown(stage, **options))["steps"][0]["screenshot"]
    return picture and picture.partition("?")[1]


async def live_after(stage: Stage) -> Any:
    run_id = await created(stage)
    answers = [(await stage.ask(f"/live/{run_id}")).status_code]
    stage.clock.tick(86_400)
    return [*answers, (await stage.ask(f"/live/{run_id}")).status_code]


async def overdue(stage: Stage) -> str:
    return str((await shown(stage, wait=601))["status"])


async def wallet(stage: Stage) -> int:
    return len(await stage.bare("/v1/wallet"))


async def vault(stage: Stage) -> list[int]:
    listed = (await stage.ask("/v1/vault/items")).status_code
    synced = (await stage.ask("/v1/vault/items/sync", "POST")).status_code
    return [listed, synced, await status(stage, **item(use_vault=True))]


async def profiles(stage: Stage) -> list[int]:
    count = len((await stage.bare("/v1/profiles"))["profiles"])
    return [count, await status(stage, **item(use_profile=True))]


def of(act: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Callable[[Stage], Any]:
    return lambda stage: act(*args, stage, **kwargs)


FULL = ["category", "code", "message", "retry_after"]
CREDITS = {"credits": Decimal("0.001")}
SHOTS: Any = of(screenshot, screenshots=True)
FOR_LONG = {"durations": (700.0, 700.0)}

#: variant → what is looked at, in which config, and what is seen for each answer in its order
SEEN: dict[str, tuple[Callable[[Stage], Any], dict[str, Any], list[Any]]] = {
    "over_limit": (over_limit, {"limit": 1}, [[200, 0], [429, 0], [429, 2]]),
    "retry_after": (retry_after, {}, [True, False]),
    "run_batch": (batch_status, {}, [200, 404]),
    "run_ids": (ids_in_order, {}, [True, False]),
    "batch_error": (
        refused_batch,
        {},
        [
            (400, ["error", "run_ids"], ["code", "details", "message"], None),
            (400, ["error"], ["code", "details", "message"], None),
            (400, ["errors", "run_ids"], None, 1),
            (200, ["error", "run_ids"], ["code", "message"], None),
        ],
    ),
    "envelope": (envelope, {}, [["error"], ["error_code", "message", "request_id"]]),
    "no_credits": (
        broke,
        CREDITS,
        [(402, "INSUFFICIENT_CREDITS"), (403, "FORBIDDEN"), (403, "INSUFFICIENT_CREDITS")],
    ),
    "failed_runs": (failed_charge, {}, [True, False]),
    "names": (names, {}, [False, True]),
    "run_error": (run_error, {}, [FULL, ["message"]]),
    "failure_wait": (failure_wait, {}, [30, None, "not there"]),
    "run_help": (run_help, {}, [[False, False], [True, False], [False, True]]),
    "profile_hint": (
        profile_hint,
        {},
        [
            [None, None],
            [
                None,
                {
                    "message": "This site may work with a browser profile",
                    "setup_url": "https://agent.tinyfish.ai/profiles",
                    "reason": "bot_challenge",
                },
            ],
        ],
    ),
    "result_error": (result_error, {}, [True, False]),
    "error_code": (
        error_codes,
        {},
        [
            ["service_busy", "TASK_FAILED"],
            ["service_busy", "task_failed"],
            ["SERVICE_BUSY", "TASK_FAILED"],
        ],
    ),
    "result": (result, {}, [{"price": 18.5}, '{"price": 18.5}', {"result": {"price": 18.5}}]),
    "steps_so_far": (steps_so_far, {}, ["NoneType", "list"]),
    "schema_validation": (of(has, "schema_validation"), {}, [True, False]),
    "profile_keys": (of(has, "profile_id"), {}, [True, False]),
    "listed_runs": (listed, {}, [15, 6]),
    "data_order": (order, {}, [None, [0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0]]),
    "repeated_ids": (repeated, {}, [1, 2]),
    "odd_ids": (odd_ids, {}, [200, 400]),
    "bounds": (bounds, {}, [0, 1]),
    "goal_search": (goal_search, {}, [[1, 0], [1, 1]]),
    "goal_case": (goal_case, {}, [1, 0]),
    "goal_length": (of(status, **item(goal="x" * 501)), {}, [200, 400]),
    "unknown_keys": (of(status, **item(strange=1)), {}, [400, 200]),
    "proxy_countries": (of(status, **item(**STEALTHY)), {}, [200, 400]),
    "beta": (of(status, **item(output_schema=SCHEMA)), {}, [200, 403]),
    "run_timeout": (overdue, FOR_LONG, ["RUNNING", "FAILED"]),
    "captures": (screenshot, {}, [None, ""]),
    "screenshots": (SHOTS, {}, ["", None]),
    "step_addresses": (SHOTS, {}, ["", "?"]),
    "live_view": (live_after, {}, [[404, 404], [200, 404]]),
    "webhook_url": (of(status, **item(webhook_url="http://a.test/")), {}, [400, 200]),
    "wallet": (wallet, CREDITS, [6, 3]),
    "vault": (
        vault,
        {},
        [[200, 200, 200], [404, 404, 400], [200, 401, 401], [503, 503, 503]],
    ),
    "profiles": (profiles, {}, [[1, 200], [0, 400]]),
}


@pytest.fixture
def anyio_backend() -> str:
    return "trio"


@pytest.mark.anyio
@pytest.mark.parametrize("variant", SEEN)
async def test_an_answer_makes_the_difference_that_it_says(variant: str) -> None:
    look, config, expected = SEEN[variant]
    answers = list(VARIANTS[variant].answers)
    seen = []
    for answer in answers:
        stage = Stage(**config, variants={variant: answer})
        seen.append(await look(stage))
    if variant == "data_order":
        expected = [seen[0], *expected[1:]]  # by id, which is any order
    assert seen == expected
    assert len({repr(each) for each in seen}) == len(answers)


def waited(**variants: str) -> Any:
    """Give what run-sse and /run answer: the first status and the last event, and the frames."""

    async def main() -> Any:
        stage = Stage(clock=Flowing(), variants=variants)
        answer = await stage.ask("/v1/automation/run", "POST", json=item("agent_failure"))
        stream = await stage.ask("/v1/automation/run-sse", "POST", json=item("agent_failure"))
        return answer.status_code, stream.text

    return played(main)


def test_answers_about_waiting_make_a_difference() -> None:
    assert (waited()[0], waited(sync_status="500")[0]) == (200, 500)
    assert '"error": {' in waited()[1]
    assert '"error": "The agent' in waited(stream_error="text")[1]
    assert '"help_url"' in waited(run_help="beside")[1].partition("COMPLETE")[2]
    assert '"helpUrl"' in waited(names="camel", run_help="beside")[1]
    assert '"runId"' in waited(names="camel")[1]
    assert '"resultJson"' in waited(names="camel")[1]


def test_every_variant_is_tested() -> None:
    elsewhere = {"sync_status", "sync_cancel", "stream_start", "stream_error"}
    assert set(SEEN) | elsewhere == set(VARIANTS)
    assert {(name, VARIANTS[name].usual) for name in VARIANTS}.isdisjoint(STRAYS)


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ({"over_limits": "refused"}, "unknown variant 'over_limits'"),
        ({"over_limit": "refuse"}, "no such answer to over_limit: 'refuse'; there are queued, "),
    ],
)
def test_a_variant_that_is_not_there_is_refused(variants: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SandboxConfig(variants=variants)
