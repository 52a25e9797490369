"""A few runs for which the API refuses a whole request: the client finds them."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
import pytest
from api_wire import FakeApi

from batchrunner.model import RequestFailed, Run, RunStatus, Unreadable
from batchrunner.tinyfish.request_parts import MAX_SPLIT_REQUESTS, MAX_UNKNOWN_FIRST

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def refuses(bad: set[str], status: int = 400) -> Callable[[httpx.Request], httpx.Response]:
    """Refuse each request that names a bad run, whatever else it names."""

    def answer(request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)["run_ids"]
        if bad & set(asked):
            return httpx.Response(status, json={"error": {"code": "X", "message": "A bad id"}})
        shown = [{"run_id": run_id, "status": "RUNNING"} for run_id in asked]
        return httpx.Response(200, json={"data": shown, "results": shown})

    return answer


HUNDRED = [f"run-{number:03}" for number in range(100)]


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_one_bad_id_is_found_and_ninety_nine_are_seen(status: int) -> None:
    fake = FakeApi(refuses({"run-042"}, status))
    async with fake.api as api:
        found = await api.get_many(HUNDRED)
    assert sorted(found) == HUNDRED
    assert found.pop("run-042") == Unreadable(run_id="run-042", message="A bad id")
    assert all(isinstance(run, Run) for run in found.values())
    assert len(fake.requests) <= 16


async def test_one_bad_id_keeps_no_other_run_from_being_cancelled() -> None:
    fake = FakeApi(refuses({"run-007"}))
    async with fake.api as api:
        cancelled = await api.cancel_many(HUNDRED)
    assert cancelled == dict.fromkeys([r for r in HUNDRED if r != "run-007"], RunStatus.RUNNING)


async def test_a_refusal_that_is_about_no_single_run_is_reported_as_it_came() -> None:
    fake = FakeApi(refuses(set(HUNDRED)))
    async with fake.api as api:
        with pytest.raises(RequestFailed, match="A bad id"):
            await api.get_many(HUNDRED)
    assert len(fake.requests) <= MAX_SPLIT_REQUESTS


async def test_of_many_bad_ids_not_all_are_looked_for_in_one_look() -> None:
    fake = FakeApi(refuses(set(HUNDRED[::2])))
    async with fake.api as api:
        found = await api.get_many(HUNDRED)
    assert len(fake.requests) <= MAX_SPLIT_REQUESTS
    assert 0 < len(found) < 100


@pytest.mark.parametrize("status", [401, 429, 500, 503])
async def test_other_errors_are_no_runs_fault_and_not_asked_about_in_halves(status: int) -> None:
    fake = FakeApi(refuses({"run-042"}, status))
    async with fake.api as api:
        with pytest.raises(RequestFailed):
            await api.get_many(HUNDRED)
    assert len(fake.requests) == 1


def passes_no_request_for_many(
    status: int, unknown: set[str]
) -> Callable[[httpx.Request], httpx.Response]:
    """Refuse each request for many runs; show each run by itself that is not unknown."""

    def answer(request: httpx.Request) -> httpx.Response:
        run_id = request.url.path.rpartition("/")[2]
        if request.method == "POST":
            return httpx.Response(status, json={"error": {"code": "X", "message": "No such path"}})
        if run_id in unknown:
            return httpx.Response(404, json={"error": {"code": "NOT_FOUND", "message": "No run"}})
        return httpx.Response(200, json={"run_id": run_id, "status": "RUNNING"})

    return answer


@pytest.mark.parametrize("status", [403, 404, 405, 501])
async def test_where_no_request_for_many_runs_passes_each_is_read_by_itself(status: int) -> None:
    gone = {"run-000", "run-001", "run-042"}
    fake = FakeApi(passes_no_request_for_many(status, gone))
    async with fake.api as api:
        found = await api.get_many(HUNDRED)
    assert sorted(found) == [run_id for run_id in HUNDRED if run_id not in gone]
    assert len(fake.requests) == 1 + len(HUNDRED)


@pytest.mark.parametrize(("asked", "requests"), [(100, 1 + MAX_UNKNOWN_FIRST), (3, 4)])
async def test_where_nothing_is_found_the_first_refusal_is_reported(
    asked: int, requests: int
) -> None:
    fake = FakeApi(passes_no_request_for_many(404, set(HUNDRED)))
    async with fake.api as api:
        with pytest.raises(RequestFailed, match="No such path"):
            await api.get_many(HUNDRED[:asked])
    assert len(fake.requests) == requests
