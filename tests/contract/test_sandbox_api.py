"""Every endpoint of the sandbox, held to the contract."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from openapi import mistakes
from sandbox_stage import DAWN, Stage, after

pytestmark = pytest.mark.anyio

PAGE = "https://shop.test/"
ITEM = {"url": PAGE, "goal": "Read the price"}
RUN_ASYNC = "/v1/automation/run-async"
RUN_BATCH = "/v1/automation/run-batch"


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_a_run_from_creation_to_result() -> None:
    stage = Stage()
    schema = {"type": "object", "properties": {"price": {"type": "number"}}}
    body = {**ITEM, "output_schema": schema, "capture_config": {"html": True, "screenshots": True}}
    run_id = (await stage.post(RUN_ASYNC, body))["run_id"]

    running = await stage.run(run_id)
    assert running["status"] == "RUNNING"
    assert running["num_of_steps"] is None
    assert running["streaming_url"] is not None

    stage.clock.tick(10)
    done = await stage.run(run_id)
    assert done["status"] == "COMPLETED"
    assert done["result"] == {"price": 18.5}
    assert (done["started_at"], done["finished_at"]) == (after(0), after(10))
    assert done["output_schema"] == schema
    assert done["schema_validation"] == {"valid": True, "re_prompt_attempts": 0, "errors": []}
    assert done["num_of_steps"] == len(done["steps"]) == 2
    assert stage.sandbox.journal.charged == Decimal("0.032")


async def test_the_forms_of_steps() -> None:
    stage = Stage()
    capture = {"html": True, "screenshots": True}
    [run_id] = await stage.create(PAGE, capture_config=capture)
    stage.clock.tick(10)
    step = (await stage.run(run_id))["steps"][0]
    assert step["screenshot"].startswith("https://")
    assert step["html"].startswith("https://")

    bare = await stage.get(f"/v1/runs/{run_id}", screenshots="none", html="none")
    assert bare["steps"][0]["screenshot"] is None
    assert bare["steps"][0]["html"] is None
    inline = await stage.get(f"/v1/runs/{run_id}", screenshots="base64")
    assert inline["steps"][0]["screenshot"].startswith("data:image/jpeg;base64,")

    kept = await stage.client.get(f"/v1/runs/{run_id}/steps/{step['id']}/html")
    assert kept.text == "<p>18.50</p>"
    picture = await stage.client.get(f"/v1/runs/{run_id}/steps/{step['id']}/screenshot")
    assert picture.content.startswith(b"\xff\xd8")
    strange = await stage.client.get(f"/v1/runs/{run_id}/steps/none/html")
    assert strange.status_code == 404


async def test_a_batch_is_created_in_the_order_of_its_runs() -> None:
    stage = Stage()
    urls = [f"{PAGE}{number}" for number in range(100)]
    run_ids = await stage.create(*urls)
    assert [run.run_id for run in stage.sandbox.journal.runs] == run_ids
    assert [run.url for run in stage.sandbox.journal.runs] == urls
    assert [request.urls for request in stage.sandbox.journal.requests] == [tuple(urls)]


async def test_many_runs_are_read_at_once() -> None:
    stage = Stage()
    run_ids = await stage.create(*[PAGE] * 3)
    asked = [run_ids[2], "nobody", run_ids[0], run_ids[2]]
    answer = await stage.post("/v1/runs/batch", {"run_ids": asked})
    assert {run["run_id"] for run in answer["data"]} == {run_ids[0], run_ids[2]}
    assert len(answer["data"]) == 2
    assert answer["not_found"] == ["nobody"]
    all_found = await stage.post("/v1/runs/batch", {"run_ids": run_ids})
    assert all_found["not_found"] is None


async def test_pages_skip_and_repeat_nothing_where_created_at_is_equal() -> None:
    stage = Stage()
    run_ids = await stage.create(*[PAGE] * 25)
    stage.clock.tick(1)
    run_ids += await stage.create(*[PAGE] * 5)
    for direction in ("asc", "desc"):
        seen: list[dict[str, Any]] = []
        query: dict[str, Any] = {"limit": 7, "sort_direction": direction}
        while True:
            page = await stage.get("/v1/runs", **query)
            seen += page["data"]
            assert page["pagination"]["total"] == 30
            if not page["pagination"]["has_more"]:
                break
            query["cursor"] = page["pagination"]["next_cursor"]
        assert sorted(run["run_id"] for run in seen) == sorted(run_ids)
        times = [run["created_at"] for run in seen]
        assert times == sorted(times, reverse=direction == "desc")


async def test_filters_of_the_list() -> None:
    stage = Stage(limit=2, late=1.0)
    run_ids = await stage.create(*[PAGE] * 12)
    stage.clock.tick(0.5)
    assert (await stage.get("/v1/runs"))["data"] == []
    stage.clock.tick(0.5)

    async def total(**query: Any) -> int:
        return int((await stage.get("/v1/runs", **query))["pagination"]["total"])

    assert await total() == len(run_ids)
    assert await total(status="RUNNING") == 2
    assert await total(status="PENDING") == 10
    assert await total(goal="PRICE (1") == 3
    assert await total(goal="%") == 0
    assert await total(created_after=DAWN.isoformat()) == 0
    assert await total(created_after=after(-0.001)) == 12
    assert await total(created_before=after(0.001)) == 12
    assert len((await stage.get("/v1/runs", limit=1))["data"]) == 1


async def test_cancelling_is_idempotent_and_tells_each_state() -> None:
    stage = Stage(limit=1)
    done, running, waiting = await stage.create(*[PAGE] * 3)
    stage.clock.tick(15)

    async def cancel(run_id: str) -> tuple[Any, ...]:
        answer = await stage.post(f"/v1/runs/{run_id}/cancel")
        return answer["status"], answer["cancelled_at"], answer["message"]

    assert await cancel(done) == ("COMPLETED", None, "Run already finished")
    assert await cancel(running) == ("CANCELLED", after(15), None)
    stage.clock.tick(1)
    assert await cancel(running) == ("CANCELLED", after(15), "Run already cancelled")
    assert (await stage.run(waiting))["started_at"] == after(15)

    answer = await stage.post("/v1/runs/batch/cancel", {"run_ids": [waiting, done, "nobody"]})
    assert {each["run_id"]: each["status"] for each in answer["results"]} == {
        waiting: "CANCELLED",
        done: "COMPLETED",
    }
    assert answer["not_found"] == ["nobody"]
    assert (await stage.client.post("/v1/runs/nobody/cancel")).status_code == 404


async def test_a_cancelled_run_costs_its_part() -> None:
    stage = Stage(limit=1)
    half, untouched = await stage.create(PAGE, PAGE)
    stage.clock.tick(5)
    await stage.post("/v1/runs/batch/cancel", {"run_ids": [untouched, half]})
    run, other = stage.sandbox.journal.runs
    assert 0 < run.steps <= 6
    assert run.charge == run.steps * Decimal("0.016") == stage.sandbox.journal.charged
    assert (other.steps, other.charge) == (0, 0)


async def test_the_wallet_pays_for_steps_until_it_is_empty() -> None:
    stage = Stage(credits=Decimal("0.030"))
    await stage.create(PAGE)
    stage.clock.tick(10)
    assert (await stage.get("/v1/wallet"))["available_balance"] == "-0.002"
    refused = await stage.client.post(RUN_BATCH, json={"runs": [ITEM]})
    assert refused.status_code == 402
    assert refused.json()["error"]["code"] == "INSUFFICIENT_CREDITS"
    assert len(stage.sandbox.journal.runs) == 1


async def test_an_account_without_credits_has_no_wallet() -> None:
    answer = await Stage().client.get("/v1/wallet")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "FEATURE_NOT_AVAILABLE"


@pytest.mark.parametrize(
    ("headers", "code", "message"),
    [
        ({"X-API-Key": ""}, "MISSING_API_KEY", "X-API-Key header is required"),
        ({"X-API-Key": "sk-other"}, "INVALID_API_KEY", "Invalid or expired API key"),
    ],
)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/runs"), ("POST", RUN_BATCH), ("GET", "/v1/wallet")]
)
async def test_a_right_key_is_required(
    method: str, path: str, headers: dict[str, str], code: str, message: str
) -> None:
    stage = Stage(keys=frozenset({"sk-test"}))
    answer = await stage.client.request(method, path, headers=headers)
    assert answer.status_code == 401
    assert answer.json() == {"error": {"code": code, "message": message}}
    assert stage.sandbox.journal.requests == ()


@pytest.mark.parametrize(
    ("item", "path", "message"),
    [
        ({"goal": "x"}, ["url"], "Invalid input: expected string, received undefined"),
        ({"url": "shop.test", "goal": "x"}, ["url"], "Invalid URL"),
        ({"url": "ftp://shop.test", "goal": "x"}, ["url"], "Invalid URL"),
        ({"url": "https://a b", "goal": "x"}, ["url"], "Invalid URL"),
        ({"url": PAGE}, ["goal"], "Invalid input: expected string, received undefined"),
        ({**ITEM, "goal": 5}, ["goal"], "Invalid input: expected string, received number"),
        (
            {**ITEM, "goal": ""},
            ["goal"],
            "Too small: expected string to have >=1 characters",
        ),
        (
            {**ITEM, "browser_profile": "fast"},
            ["browser_profile"],
            'Invalid option: expected one of "lite"|"stealth"',
        ),
        (
            {**ITEM, "proxy_config": {}},
            ["proxy_config", "enabled"],
            "Invalid input: expected boolean, received undefined",
        ),
        (
            {**ITEM, "proxy_config": {"enabled": True, "type": "custom"}},
            ["proxy_config", "url"],
            "url is required when type is custom",
        ),
        (
            {**ITEM, "proxy_config": {"enabled": True, "country_code": "de"}},
            ["proxy_config", "country_code"],
            "Invalid string: must match pattern /^[A-Z]{2}$/",
        ),
        (
            {**ITEM, "agent_config": {"max_steps": 501}},
            ["agent_config", "max_steps"],
            "Too big: expected number to be <=500",
        ),
        (
            {**ITEM, "agent_config": {"max_duration_seconds": 0.5}},
            ["agent_config", "max_duration_seconds"],
            "Invalid input: expected int, received number",
        ),
        (
            {**ITEM, "capture_config": None},
            ["capture_config"],
            "Invalid input: expected object, received null",
        ),
        ({**ITEM, "webhook_url": "http://hooks.test"}, ["webhook_url"], "Invalid URL"),
        (
            {**ITEM, "credential_item_ids": ["a"]},
            ["credential_item_ids"],
            "credential_item_ids requires use_vault to be true",
        ),
        (
            {**ITEM, "use_vault": True, "credential_item_ids": []},
            ["credential_item_ids"],
            "Too small: expected array to have >=1 items",
        ),
        (
            {**ITEM, "profile_id": "prof_1"},
            ["profile_id"],
            "profile_id requires use_profile to be true",
        ),
        ({**ITEM, "is_stress_test": True}, [], 'Unrecognized key: "is_stress_test"'),
    ],
)
async def test_a_bad_run_is_refused_by_its_path(
    item: dict[str, Any], path: list[str], message: str
) -> None:
    stage = Stage()
    assert mistakes(item, "/components/schemas/RunRequest") != []
    alone = await stage.client.post(RUN_ASYNC, json=item)
    among = await stage.client.post(RUN_BATCH, json={"runs": [ITEM, ITEM, item]})
    for answer, prefix in ((alone, []), (among, ["runs", 2])):
        assert answer.status_code == 400
        error = answer.json()["error"]
        assert error["details"][0]["path"] == [*prefix, *path]
        assert error["details"][0]["message"] == message
        field = ".".join(map(str, [*prefix, *path]))
        assert error["message"] == (f'Field "{field}": {message}' if field else message)
    assert stage.sandbox.journal.runs == ()
    assert [request.status for request in stage.sandbox.journal.requests] == [400, 400]


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        (RUN_BATCH, {"runs": []}, 'Field "runs": Too small: expected array to have >=1 items'),
        (
            RUN_BATCH,
            {"runs": [ITEM] * 101},
            'Field "runs": Too big: expected array to have <=100 items',
        ),
        (
            RUN_BATCH,
            {"runs": [{**ITEM, "output_schema": {}}]},
            'Field "runs.0": Unrecognized key: "output_schema"',
        ),
        (RUN_BATCH, [], "Invalid input: expected object, received array"),
        (RUN_ASYNC, {**ITEM, "a": 1, "b": 2}, 'Unrecognized keys: "a", "b"'),
        (
            "/v1/runs/batch",
            {"run_ids": []},
            'Field "run_ids": Too small: expected array to have >=1 items',
        ),
        (
            "/v1/runs/batch/cancel",
            {"run_ids": ["a"] * 101},
            'Field "run_ids": Too big: expected array to have <=100 items',
        ),
        ("/v1/runs/batch", {"run_ids": ["a"], "html": "none"}, 'Unrecognized key: "html"'),
    ],
)
async def test_a_bad_body_is_refused(path: str, body: Any, message: str) -> None:
    answer = await Stage().client.post(path, json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == message


@pytest.mark.parametrize("content", [b"", b"{", b'{"url": NaN}', b"[" * 100_000, b"\xff"])
async def test_a_body_that_is_not_json_is_refused(content: bytes) -> None:
    answer = await Stage().client.post(RUN_ASYNC, content=content)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "INVALID_INPUT"


NESTED: dict[str, Any] = {"type": "string"}
for _ in range(10):
    NESTED = {"type": "object", "properties": {"a": NESTED}}


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (
            {"oneOf": []},
            'output_schema field "oneOf" is not supported at #. Use "anyOf" instead.',
        ),
        (
            {"anyOf": [{"type": "object"}]},
            'output_schema top-level "anyOf" is not supported at #. '
            'Top-level schema must declare "type": "object".',
        ),
        ({"type": "array"}, 'output_schema top-level "type" must be "object" at #.'),
        (
            {"properties": {"title": {"type": ["string", "null"]}}},
            "output_schema type arrays are not supported at #/properties/title. "
            "Use 'type: \"string\", nullable: true' instead.",
        ),
        (
            {"additionalProperties": False},
            'output_schema field "additionalProperties" is not supported at #.',
        ),
        (NESTED, "output_schema exceeds the maximum nesting depth of 10."),
        (
            {"properties": {"a" * 70_000: {"type": "string"}}},
            "output_schema exceeds the maximum size of 64 KB.",
        ),
        (
            {"properties": {"a": True}},
            "output_schema node must be an object at #/properties/a.",
        ),
        (
            {"properties": {"a": {"type": "number", "enum": ["1"]}}},
            'output_schema field "enum" requires type "string" at #/properties/a.',
        ),
        (
            {"properties": {"a": {"type": "string", "minimum": 1}}},
            'output_schema field "minimum" requires type "number" or "integer" at #/properties/a.',
        ),
        (
            {"properties": {"a": {"type": "string", "format": "email"}}},
            'output_schema field "format" must be one of date, date-time, duration, time '
            "at #/properties/a.",
        ),
        (
            {"required": ["a"]},
            'output_schema field "required" names unknown property "a" at #.',
        ),
        (
            {"propertyOrdering": []},
            'output_schema field "propertyOrdering" requires "properties" at #.',
        ),
        (
            {"properties": {"a": {"anyOf": [{"type": "list"}]}}},
            'output_schema field "type" must be one of object, array, string, number, integer, '
            "boolean at #/properties/a/anyOf/0.",
        ),
        ({"properties": 5}, 'output_schema field "properties" must be an object at #.'),
        ({"required": 5}, 'output_schema field "required" must be an array of strings at #.'),
    ],
)
async def test_an_output_schema_outside_the_subset_is_refused(
    schema: dict[str, Any], message: str
) -> None:
    stage = Stage()
    for path, body in ((RUN_ASYNC, ITEM), (RUN_BATCH, {"runs": [ITEM]})):
        answer = await stage.client.post(path, json={**body, "output_schema": schema})
        assert answer.status_code == 400
        assert answer.json()["error"]["message"] == message
    assert stage.sandbox.journal.runs == ()


async def test_all_of_the_subset_is_taken() -> None:
    schema = {
        "type": "object",
        "nullable": True,
        "required": ["items"],
        "propertyOrdering": ["name", "items"],
        "properties": {
            "name": {"type": "string", "nullable": True, "enum": ["a", "b"]},
            "when": {"type": "string", "format": "date-time"},
            "items": {
                "type": "array",
                "minItems": 1,
                "maxItems": 10,
                "items": {"type": "number", "minimum": 0, "maximum": 9.5},
            },
            "either": {"anyOf": [{"type": "object", "required": ["far"]}, {"type": "boolean"}]},
        },
    }
    stage = Stage()
    body = {"runs": [ITEM], "output_schema": schema}
    [run_id] = (await stage.post(RUN_BATCH, body))["run_ids"]
    assert (await stage.run(run_id))["output_schema"] == schema


async def test_all_options_are_taken() -> None:
    stage = Stage()
    item = (await stage.bare("/v1/vault/items"))["items"][0]
    [profile] = (await stage.bare("/v1/profiles"))["profiles"]
    options = {
        "browser_profile": "stealth",
        "proxy_config": {"enabled": True, "type": "tetra", "country_code": "DE"},
        "agent_config": {"max_steps": 20, "max_duration_seconds": 240, "mode": "strict"},
        "capture_config": {"screenshots": True, "recording": True},
        "use_vault": True,
        "credential_item_ids": [item["itemId"]],
        "use_profile": True,
        "profile_id": profile["id"],
        "webhook_url": "https://hooks.test/done",
        "api_integration": "nightly",
        "feature_flags": {"enable_agent_memory": True, "other": 1},
    }
    run_id = (await stage.post(RUN_ASYNC, {**ITEM, **options}))["run_id"]
    stage.clock.tick(10)
    run = await stage.run(run_id)
    assert run["browser_config"] == {"proxy_enabled": True, "proxy_country_code": "DE"}
    assert (run["profile_attached"], run["profile_id"]) == (True, profile["id"])
    assert run["video_url"] is not None


@pytest.mark.parametrize(
    ("path", "query", "message"),
    [
        ("/v1/runs", "batch=1", 'Unrecognized key: "batch"'),
        ("/v1/runs", "limit=0", 'Field "limit": Too small: expected number to be >=1'),
        ("/v1/runs", "limit=101", 'Field "limit": Too big: expected number to be <=100'),
        ("/v1/runs", "limit=x", 'Field "limit": Invalid input: expected number, received NaN'),
        ("/v1/runs", "limit=1.5", 'Field "limit": Invalid input: expected int, received number'),
        (
            "/v1/runs",
            "limit=1&limit=2",
            'Field "limit": Invalid input: expected string, received array',
        ),
        ("/v1/runs", "cursor=%C3%A9", 'Field "cursor": Invalid cursor'),
        ("/v1/runs", "cursor=e30=", 'Field "cursor": Invalid cursor'),
        ("/v1/runs", "created_after=today", 'Field "created_after": Invalid ISO datetime'),
        (
            "/v1/runs",
            "created_before=2026-09-02T21:00:00",
            'Field "created_before": Invalid ISO datetime',
        ),
        (
            "/v1/runs",
            "goal=" + "a" * 501,
            'Field "goal": Too big: expected string to have <=500 characters',
        ),
        (
            "/v1/runs",
            "sort_direction=up",
            'Field "sort_direction": Invalid option: expected one of "asc"|"desc"',
        ),
        (
            "/v1/runs/some",
            "screenshots=png",
            'Field "screenshots": Invalid option: expected one of "url"|"base64"|"none"',
        ),
        (
            "/v1/runs/so%20me",
            "",
            'Field "id": Invalid string: must match pattern /^[A-Za-z0-9_-]+$/',
        ),
    ],
)
async def test_a_bad_query_is_refused(path: str, query: str, message: str) -> None:
    answer = await Stage().client.get(f"{path}?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == message


async def test_what_is_not_there_is_reported_in_the_envelope() -> None:
    stage = Stage(variants={"run_batch": "missing"}, tolerated=frozenset({404, 405}))
    for method, path, status in (
        ("POST", RUN_BATCH, 404),
        ("GET", "/v1/nothing", 404),
        ("DELETE", "/v1/runs", 405),
    ):
        answer = await stage.client.request(method, path, json={"runs": [ITEM]})
        assert answer.status_code == status
        assert mistakes(answer.json(), "/components/schemas/ApiError") == []
        assert ("allow" in answer.headers) == (status == 405)
    unknown = await stage.client.get("/v1/runs/nobody")
    assert unknown.json() == {"error": {"code": "NOT_FOUND", "message": "Run not found"}}


async def test_any_text_comes_back_as_it_was_sent() -> None:
    stage = Stage()
    goal = 'Zürich 🐟 \u0000 "quoted" \u2028'
    run_id = (await stage.post(RUN_ASYNC, {**ITEM, "goal": goal}))["run_id"]
    assert (await stage.run(run_id))["goal"] == goal


async def test_a_goal_of_half_a_character_breaks_nothing() -> None:
    stage = Stage()
    content = b'{"url": "https://shop.test/", "goal": "\\ud83d"}'
    answer = await stage.client.post(RUN_ASYNC, content=content)
    assert (await stage.run(answer.json()["run_id"]))["goal"] == "\ud83d"
