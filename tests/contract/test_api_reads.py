"""Reading, searching and cancelling: unreadable answers are requested in parts, or reported."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from api_wire import FakeApi, raw

from batchrunner.model import (
    ApiFault,
    ApiFaultKind,
    NotFound,
    RequestFailed,
    Run,
    RunListing,
    RunStatus,
    Unreadable,
)
from batchrunner.tinyfish.client import MAX_SEARCH_PAGES

pytestmark = pytest.mark.anyio

MISSING = {"error": {"code": "NOT_FOUND", "message": "Run not found"}}


#: Where an answer is given up half-way, httpx leaves generators behind, of which trio warns.
ON_ASYNCIO = pytest.mark.parametrize("anyio_backend", ["asyncio"])


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def answers(body: Any, status: int = 200) -> httpx.Response:
    return httpx.Response(status, json=body)


def runs(*run_ids: str, **fields: Any) -> list[dict[str, Any]]:
    return [{"run_id": run_id, "status": "RUNNING", **fields} for run_id in run_ids]


async def read(fake: FakeApi, *run_ids: str, **more: Any) -> dict[str, Any]:
    async with fake.api as api:
        return await api.get_many(run_ids, **more)


async def search(fake: FakeApi) -> list[str]:
    return [run.run_id for run in (await listed(fake)).runs]


async def listed(fake: FakeApi) -> RunListing:
    async with fake.api as api:
        return await api.search("br-tok-")


async def fault_of(fake: FakeApi, call: Callable[[Any], Any]) -> ApiFault:
    async with fake.api as api:
        with pytest.raises(RequestFailed) as raised:
            await call(api)
    return raised.value.fault


# ---- many at once ----


async def test_what_is_shown_is_found_by_id_and_not_by_order() -> None:
    fake = FakeApi(answers({"data": runs("c", "a", "b"), "not_found": None}))
    found = await read(fake, "a", "b", "c")
    assert list(found) == ["a", "b", "c"]
    assert all(isinstance(run, Run) and run.run_id == run_id for run_id, run in found.items())
    assert json.loads(fake.requests[0].content) == {"run_ids": ["a", "b", "c"]}


@pytest.mark.parametrize("missing", [None, [], "b", {"b": 1}, [None, 7]])
async def test_an_id_of_which_nothing_is_said_is_not_in_the_answer(missing: Any) -> None:
    found = await read(FakeApi(answers({"data": runs("a"), "not_found": missing})), "a", "b")
    assert list(found) == ["a"]


async def test_not_found_is_reported_only_for_requested_runs_that_are_not_shown() -> None:
    fake = FakeApi(answers({"data": runs("a", "stranger"), "not_found": ["b", "a", "other", None]}))
    found = await read(fake, "a", "b", "c")
    assert list(found) == ["a", "b"]
    assert isinstance(found["a"], Run)
    assert found["b"] == NotFound(run_id="b")


async def test_without_a_list_of_those_not_found_the_others_are_there() -> None:
    assert list(await read(FakeApi(answers({"data": runs("a")})), "a")) == ["a"]


@pytest.mark.parametrize("body", [{}, [], {"data": None}, {"data": {}}, {"runs": []}, "x", None])
async def test_an_answer_without_runs_is_not_the_apis(body: Any) -> None:
    fault = await fault_of(FakeApi(answers(body)), lambda api: api.get_many(["a"]))
    assert fault.kind is ApiFaultKind.MALFORMED
    assert await fault_of(FakeApi(answers(body)), lambda api: api.search("x")) == fault


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
async def test_an_error_of_a_read_is_reported_and_loses_no_run(status: int) -> None:
    body = {"error": {"code": "X", "message": "No"}}
    error, page = lambda _: answers(body, status), lambda _: raw(b"<html>404</html>", status)
    fault = await fault_of(FakeApi(error), lambda api: api.get_many(["a"]))
    assert (fault.kind, fault.status) == (ApiFaultKind.STATUS, status)
    fault = await fault_of(FakeApi(page), lambda api: api.get_many(["a"]))
    assert (fault.kind, fault.status) == (ApiFaultKind.MALFORMED, status)


# ---- too much at once ----


def shows(results: dict[str, str]) -> Callable[[httpx.Request], httpx.Response]:
    """Show any runs that are asked for, with these results."""

    def answer(request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)["run_ids"]
        data = [
            {"run_id": run_id, "status": "COMPLETED", "result": results.get(run_id, "small")}
            for run_id in asked
        ]
        body = json.dumps({"data": data, "not_found": None}).encode()
        return raw(gzip.compress(body), content_encoding="gzip")

    return answer


@ON_ASYNCIO
async def test_the_one_run_that_is_too_large_is_found_and_the_others_are_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("batchrunner.tinyfish.http.MAX_ANSWER_BYTES", 20_000)
    run_ids = [f"r{at}" for at in range(100)]
    fake = FakeApi(shows({"r41": "x" * 20_000}))
    found = await read(fake, *run_ids)
    assert list(found) == run_ids
    assert [run_id for run_id, seen in found.items() if isinstance(seen, Unreadable)] == ["r41"]
    assert len(fake.requests) <= 15


@ON_ASYNCIO
async def test_many_large_runs_are_all_seen_in_smaller_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("batchrunner.tinyfish.http.MAX_ANSWER_BYTES", 20_000)
    run_ids = [f"r{at}" for at in range(16)]
    found = await read(FakeApi(shows(dict.fromkeys(run_ids, "x" * 8_000))), *run_ids)
    assert [type(seen) for seen in found.values()] == [Run] * 16


@ON_ASYNCIO
async def test_a_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(b" " * 40 * 1024 * 1024)
    fake = FakeApi(lambda request: raw(bomb, content_encoding="gzip"))
    found = await read(fake, "a")
    assert isinstance(found["a"], Unreadable)
    assert "32 MB" in found["a"].message


@pytest.mark.parametrize("encoding", ["gzip, gzip", "gzip,gzip", "deflate, gzip"])
async def test_what_is_packed_twice_is_not_unpacked(encoding: str) -> None:
    twice = gzip.compress(gzip.compress(b'{"data": []}'))
    fake = FakeApi(raw(twice, content_encoding=encoding))
    fault = await fault_of(fake, lambda api: api.get_many(["a"]))
    assert fault.kind is ApiFaultKind.MALFORMED


# ---- one ----


async def test_one_run_is_read_without_its_pictures() -> None:
    fake = FakeApi(answers({"run_id": "a/b", "status": "COMPLETED", "result": {"n": 1}}))
    async with fake.api as api:
        assert (await api.get("a/b")).result == '{"n":1}'
    url = fake.requests[0].url
    assert url.raw_path == b"/v1/runs/a%2Fb?screenshots=none&html=none"


async def test_one_run_that_is_not_there_is_known_by_its_status() -> None:
    fault = await fault_of(FakeApi(answers(MISSING, 404)), lambda api: api.get("a"))
    assert (fault.kind, fault.status) == (ApiFaultKind.STATUS, 404)


@pytest.mark.parametrize("body", [{}, {"status": "COMPLETED"}, [], "x"])
async def test_what_is_no_run_is_none(body: Any) -> None:
    fault = await fault_of(FakeApi(answers(body)), lambda api: api.get("a"))
    assert fault.kind is ApiFaultKind.MALFORMED


# ---- searching ----


def page(found: list[dict[str, Any]], cursor: Any, **more: Any) -> httpx.Response:
    return answers({"data": found, "pagination": {"next_cursor": cursor, **more}})


async def test_a_search_goes_through_all_pages_with_its_filters_repeated() -> None:
    fake = FakeApi(page(runs("a", "b"), "c1"), page([], "c2"), page(runs("b", "c"), None))
    assert await search(fake) == ["a", "b", "c"]
    asked = [dict(request.url.params) for request in fake.requests]
    assert [query.pop("cursor", None) for query in asked] == [None, "c1", "c2"]
    filters = {
        "goal": "br-tok-",
        "sort_direction": "asc",
        "limit": "100",
        "created_after": asked[0]["created_after"],
    }
    assert asked == [filters] * 3
    assert asked[0]["created_after"] < "2015", "it only makes the address new: it hides no run"


@pytest.mark.parametrize("pagination", [None, [], {}, {"next_cursor": ""}, {"next_cursor": 7}])
async def test_a_page_that_says_nothing_of_another_is_the_last(pagination: Any) -> None:
    fake = FakeApi(answers({"data": runs("a"), "pagination": pagination}))
    assert await search(fake) == ["a"]
    assert await search(FakeApi(answers({"data": runs("a")}))) == ["a"]


async def test_a_page_that_is_the_last_is_so_whatever_its_cursor() -> None:
    assert await search(FakeApi(page(runs("a"), "more", has_more=False))) == ["a"]


@pytest.mark.parametrize("cursor", [None, "again"])
async def test_a_page_that_insists_on_more_and_says_not_where_is_no_whole_list(cursor: Any) -> None:
    for total in ({}, {"total": 2}, {"total": "1"}):
        fake = FakeApi(page(runs("a"), cursor, has_more=True, **total))
        found = await listed(fake)
        assert ([run.run_id for run in found.runs], found.complete) == (["a"], False)
    # It does not know what it says: all that it counts are here.
    assert (await listed(FakeApi(page(runs("a"), cursor, has_more=True, total=1)))).complete


async def test_a_cursor_that_leads_to_itself_is_the_end() -> None:
    fake = FakeApi(page(runs("a"), "again"))
    assert await search(fake) == ["a"]
    assert len(fake.requests) == 2


async def test_a_list_without_an_end_is_no_whole_list() -> None:
    fake = FakeApi(lambda request: page(runs("a"), f"c{len(fake.requests)}"))
    found = await listed(fake)
    assert ([run.run_id for run in found.runs], found.complete) == (["a"], False)
    assert len(fake.requests) == MAX_SEARCH_PAGES


async def test_a_list_that_goes_round_is_gone_through_once() -> None:
    fake = FakeApi(lambda request: page(runs("a"), f"c{len(fake.requests) % 3}"))
    assert (await listed(fake)).complete
    assert len(fake.requests) == 4


@pytest.mark.parametrize(
    ("entry", "unsure", "nameless"),
    [
        ({"run_id": 7, "goal": "Read\n\n[ref br-tok-1]"}, ("7",), 0),
        ("run-7", ("run-7",), 0),
        (7, ("7",), 0),
        (None, (), 1),
        ([], (), 1),
        ({"status": "RUNNING"}, (), 1),
        ({"run_id": "x" * 201}, (), 1),
        ({"run_id": "a\0b"}, (), 1),
        ({"run_id": True}, (), 1),
    ],
)
async def test_what_a_list_shows_and_cannot_be_read_is_reported(
    entry: Any, unsure: tuple[str, ...], nameless: int
) -> None:
    found = await listed(FakeApi(page([*runs("a"), entry], None)))
    assert [run.run_id for run in found.runs] == ["a"]
    assert (found.unclear, found.nameless, found.complete) == (unsure, nameless, True)


async def test_a_number_is_the_id_of_the_run_that_was_asked_for_by_it() -> None:
    found = await read(FakeApi(answers({"data": runs(7), "not_found": [8]})), "7", "8")  # type: ignore[arg-type]
    assert [type(seen) for seen in found.values()] == [Run, NotFound]


@ON_ASYNCIO
async def test_pages_that_are_too_large_are_asked_for_with_fewer_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("batchrunner.tinyfish.http.MAX_ANSWER_BYTES", 20_000)

    def answer(request: httpx.Request) -> httpx.Response:
        limit, at = int(request.url.params["limit"]), int(request.url.params.get("cursor", "0"))
        shown = [f"r{number}" for number in range(at, min(at + limit, 100))]
        body = {"data": runs(*shown, result="x" * 6_000), "pagination": {"next_cursor": None}}
        if at + limit < 100:
            body["pagination"] = {"next_cursor": str(at + limit)}
        return raw(json.dumps(body).encode())

    assert await search(FakeApi(answer)) == [f"r{number}" for number in range(100)]


@pytest.mark.sweep
@ON_ASYNCIO
async def test_a_list_with_a_run_that_no_page_can_show_is_not_whole() -> None:
    huge = gzip.compress(b" " * 40 * 1024 * 1024)
    fake = FakeApi(lambda request: raw(huge, content_encoding="gzip"))
    assert await listed(fake) == RunListing(runs=(), complete=False)


# ---- cancelling ----


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"run_id": "a", "status": "CANCELLED", "cancelled_at": "x", "message": None}, "CANCELLED"),
        ({"run_id": "a", "status": "CANCELLED", "message": "Run already cancelled"}, "CANCELLED"),
        ({"run_id": "a", "status": "COMPLETED", "message": "Run already finished"}, "COMPLETED"),
        ({"run_id": "a", "status": "failed", "cancelled_at": None}, "FAILED"),
    ],
)
async def test_a_cancelled_run_is_reported_as_it_is(body: Any, status: str) -> None:
    one = FakeApi(answers(body))
    async with one.api as api:
        assert await api.cancel("a") is RunStatus(status)
    assert (one.requests[0].method, one.requests[0].url.path) == ("POST", "/v1/runs/a/cancel")
    many = FakeApi(answers({"results": [body], "not_found": ["b"]}))
    async with many.api as api:
        assert await api.cancel_many(["a", "b"]) == {"a": RunStatus(status)}
    assert json.loads(many.requests[0].content) == {"run_ids": ["a", "b"]}


async def test_a_run_that_is_not_there_cannot_be_cancelled() -> None:
    async with FakeApi(answers(MISSING, 404)).api as api:
        assert await api.cancel("a") is None


async def test_a_page_that_is_not_the_apis_does_not_say_that_a_run_is_not_there() -> None:
    fault = await fault_of(FakeApi(raw(b"<html>404</html>", 404)), lambda api: api.cancel("a"))
    assert fault.kind is ApiFaultKind.MALFORMED


@pytest.mark.parametrize("body", [{}, {"results": None}, {"results": {}}, {"results": "x"}, []])
async def test_an_answer_that_says_nothing_of_what_was_cancelled_is_reported(body: Any) -> None:
    fault = await fault_of(FakeApi(answers(body)), lambda api: api.cancel_many(["a"]))
    assert fault.kind is ApiFaultKind.MALFORMED


async def test_whom_the_api_does_not_know_is_not_cancelled() -> None:
    async with FakeApi(answers({"results": [], "not_found": ["a"]})).api as api:
        assert await api.cancel_many(["a"]) == {}


@ON_ASYNCIO
async def test_runs_beyond_enough_results_are_left_to_the_next_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("batchrunner.tinyfish.http.MAX_ANSWER_BYTES", 20_000)
    run_ids = [f"r{at}" for at in range(16)]
    fake = FakeApi(shows(dict.fromkeys(run_ids, "x" * 15_000)))
    found = await read(fake, *run_ids, enough_bytes=40_000)
    assert list(found) == run_ids[:3]


@ON_ASYNCIO
async def test_a_long_answer_is_read_in_a_thread_and_is_the_same() -> None:
    page = '<p class="a">😀 ж</p>' * 100_000
    answer = {"data": [{"run_id": "r", "status": "COMPLETED", "result": {"html": page}}]}
    body = json.dumps(answer, ensure_ascii=False).encode()
    found = await read(FakeApi(lambda request: raw(body)), "r")
    run = found["r"]
    assert isinstance(run, Run)
    assert run.result is not None
    assert run.result.isascii()
    assert json.loads(run.result) == {"html": page}


@ON_ASYNCIO
async def test_a_long_answer_that_is_not_utf_8_makes_its_run_unreadable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("batchrunner.tinyfish.raw_json.MAX_SAFE_LENGTH", 5_000_000)
    body = b'{"data": [{"run_id": "r", "status": "COMPLETED", "result": "%s"}]}' % (
        b"\xff" * 2_000_000
    )
    found = await read(FakeApi(lambda request: raw(body)), "r")
    assert isinstance(found["r"], Unreadable)
