"""What people ask the API for: strange answers are odd, never fatal, and nothing secret is kept."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from api_wire import KEY, FakeApi, raw

from batchrunner.model import ApiFaultKind, RequestFailed, RunStatus
from batchrunner.tinyfish.console_client import ConsoleClient, query_of
from batchrunner.tinyfish.console_views import (
    MAX_STEPS_SHOWN,
    PROFILES,
    VAULT_ITEMS,
    read_entries,
    read_page,
    read_run_details,
)
from batchrunner.tinyfish.http import Reply

pytestmark = pytest.mark.anyio


def reply(body: Any, status: int = 200) -> Reply:
    return Reply(status=status, headers={}, body=json.dumps(body).encode())


def reader(fake: FakeApi) -> ConsoleClient:
    return ConsoleClient("https://api.test", KEY, transport=fake.api._http._client._transport)


def page(*run_ids: str, **pagination: Any) -> httpx.Response:
    data = [{"run_id": run_id, "status": "RUNNING"} for run_id in run_ids]
    return httpx.Response(200, json={"data": data, "pagination": pagination})


async def listed(fake: FakeApi) -> list[str]:
    async with reader(fake) as asking:
        pages = [each async for each in asking.pages({"limit": "2", "goal": "x"})]
    return [shown.run.run_id for each in pages for shown in each.runs]


# ---- the list ----


def test_a_query_asks_for_what_was_given_and_for_nothing_else() -> None:
    at = datetime(2026, 9, 2, 21, tzinfo=UTC)
    assert query_of(limit=20) == {"sort_direction": "desc", "limit": "20"}
    assert query_of(
        status=RunStatus.FAILED,
        goal="linkedin",
        created_after=at,
        created_before=at,
        oldest_first=True,
        limit=5,
        cursor="abc",
    ) == {
        "status": "FAILED",
        "goal": "linkedin",
        "created_after": "2026-09-02T21:00:00.000Z",
        "created_before": "2026-09-02T21:00:00.000Z",
        "sort_direction": "asc",
        "limit": "5",
        "cursor": "abc",
    }


async def test_pages_are_followed_with_the_filters_repeated() -> None:
    fake = FakeApi(page("a", "b", next_cursor="c1", has_more=True), page("c", has_more=False))
    assert await listed(fake) == ["a", "b", "c"]
    assert dict(fake.requests[1].url.params) == {"limit": "2", "goal": "x", "cursor": "c1"}


async def test_a_cursor_that_comes_again_ends_the_list() -> None:
    fake = FakeApi(
        page("a", next_cursor="c1"), page("b", next_cursor="c2"), page("c", next_cursor="c1")
    )
    assert await listed(fake) == ["a", "b", "c"]


@pytest.mark.parametrize("pagination", [None, [], {"total": "many", "next_cursor": 7}])
def test_a_page_without_sound_pagination_is_the_last(pagination: Any) -> None:
    found = read_page(reply({"data": [{"run_id": "a"}, 7, {"id": None}], "pagination": pagination}))
    assert [shown.run.run_id for shown in found.runs] == ["a"]
    assert (found.cursor, found.total) == (None, None)


@pytest.mark.parametrize("body", [{}, {"data": None}, {"data": {}}, {"runs": []}])
def test_an_answer_without_a_list_is_no_empty_list(body: Any) -> None:
    with pytest.raises(RequestFailed) as raised:
        read_page(reply(body))
    assert raised.value.fault.kind is ApiFaultKind.MALFORMED


# ---- one run ----


async def test_a_run_is_shown_with_what_it_was_asked_to_show() -> None:
    fake = FakeApi(httpx.Response(200, json={"run_id": "a/b", "status": "RUNNING", "steps": []}))
    async with reader(fake) as asking:
        shown = await asking.show("a/b", screenshots="base64", html="url")
    assert shown.run.run_id == "a/b"
    assert fake.requests[0].url.raw_path == b"/v1/runs/a%2Fb?screenshots=base64&html=url"


def test_older_spellings_are_shown_under_the_newest_names() -> None:
    older = {"runId": "r", "status": "COMPLETED", "resultJson": {"a": 1}, "streamingUrl": "s"}
    shown = read_run_details(json.dumps(older))
    assert shown is not None
    assert (shown.run.run_id, shown.run.result, shown.run.streaming_url) == ("r", '{"a": 1}', "s")
    assert shown.more == {"run_id": "r", "status": "COMPLETED", "streaming_url": "s"}


def test_what_is_printed_is_what_was_sent_in_ascii_and_on_one_line() -> None:
    sent = '{"run_id": "r",\n "result": {"price": 12.50, "name": "Käse \u202e"},\n "new": 1}'
    shown = read_run_details(sent)
    assert shown is not None
    assert shown.text.isascii()
    assert "\n" not in shown.text
    assert '"price": 12.50' in shown.text
    assert json.loads(shown.text) == json.loads(sent)


@pytest.mark.parametrize("steps", [None, 7, "steps", {"a": 1}, [None, 7, "x", []]])
def test_steps_that_are_none_are_passed_over(steps: Any) -> None:
    shown = read_run_details(json.dumps({"run_id": "r", "steps": steps}))
    assert shown is not None
    assert shown.steps == ()


def test_no_run_has_steps_without_end() -> None:
    shown = read_run_details(
        json.dumps({"run_id": "r", "steps": [{"action": "x"}] * (MAX_STEPS_SHOWN + 5)})
    )
    assert shown is not None
    assert len(shown.steps) == MAX_STEPS_SHOWN


# ---- an account's lists ----

ITEM = {
    "itemId": "cred:c:v:i",
    "connectionId": "c",
    "label": "Shop",
    "vaultName": "Work",
    "domains": ["shop.test", {"deep": "hush"}],
    "fieldMetadata": [
        {"fieldId": "f", "label": "password", "type": "CONCEALED", "value": "hush"},
        "hush",
    ],
    "hasTotp": True,
    "password": "hush",
    "label2": {"secret": "hush"},
}


def test_only_names_are_read_from_a_vault() -> None:
    (item,) = read_entries(reply({"items": [ITEM, 7]}), VAULT_ITEMS)
    assert "hush" not in json.dumps(item)
    assert (item["itemId"], item["domains"], item["hasTotp"]) == ("cred:c:v:i", ["shop.test"], True)
    assert item["fieldMetadata"] == [{"fieldId": "f", "label": "password", "type": "CONCEALED"}]


def test_profiles_are_listed_without_what_makes_their_fingerprint() -> None:
    profile = {"id": "prof_1", "name": "Shop", "fingerprint_seed": "hush", "is_default": True}
    (found,) = read_entries(reply({"profiles": [profile]}), PROFILES)
    assert found == {"id": "prof_1", "name": "Shop", "is_default": True}


@pytest.mark.parametrize("body", [{}, {"items": None}, {"items": {}}, {"data": []}])
def test_an_account_without_an_answer_does_not_count_as_empty(body: Any) -> None:
    with pytest.raises(RequestFailed):
        read_entries(reply(body), VAULT_ITEMS)


async def test_the_wallet_is_shown_as_the_api_sent_it() -> None:
    fake = FakeApi(raw(b'{"available_balance": "12.50", "currency": "USD", "new": 1}'))
    async with reader(fake) as asking:
        plainly, text = await asking.wallet_details()
    assert plainly["available_balance"] == "12.50"
    assert json.loads(text)["new"] == 1
