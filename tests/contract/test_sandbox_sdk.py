"""The official Python client cannot tell the sandbox from the API: each of its calls, both ways."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest
import tinyfish
from openapi import Judging
from tinyfish import AgentConfig, AsyncTinyFish, BrowserProfile, CaptureConfig, TinyFish

from batchrunner.sandbox import SandboxConfig
from batchrunner.sandbox.http.server import Served, serve

pytestmark = pytest.mark.anyio

RUN: dict[str, Any] = {"goal": "Read the name and the price", "url": "https://shop.test/products/7"}
CONFIGS: dict[str, Any] = {
    "browser_profile": BrowserProfile.STEALTH,
    "agent_config": AgentConfig(max_steps=40, max_duration_seconds=60),
    "capture_config": CaptureConfig(screenshots=True, html=True, recording=True),
    "use_vault": True,
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    config = SandboxConfig(durations=(0.05, 0.05), credits=Decimal(100))
    judging = Judging()
    with serve(config, middleware=judging) as served:
        yield served
    assert not judging.mistakes, judging.mistakes


@pytest.fixture
def client(served: Served) -> Iterator[TinyFish]:
    with TinyFish(api_key="sk-test", base_url=served.url) as client:
        yield client


def asynchronous(served: Served) -> AsyncTinyFish:
    return AsyncTinyFish(api_key="sk-test", base_url=served.url)


def kinds(events: list[Any]) -> list[str]:
    return [str(event.type) for event in events if event.type != "HEARTBEAT"]


WHOLE = ["STARTED", "STREAMING_URL", "PROGRESS", "COMPLETE"]


def test_agent_run(client: TinyFish) -> None:
    done = client.agent.run(**RUN, **CONFIGS)
    assert (done.status, done.error) == ("COMPLETED", None)
    assert done.result
    assert done.num_of_steps >= 2


def test_agent_queue_and_runs_get(client: TinyFish) -> None:
    queued = client.agent.queue(**RUN)
    assert queued.error is None
    assert queued.run_id is not None
    assert client.runs.get(queued.run_id).run_id == queued.run_id


def test_agent_stream(client: TinyFish) -> None:
    with client.agent.stream(**RUN) as stream:
        events = list(stream)
    shown = kinds(events)
    assert list(dict.fromkeys(shown)) == WHOLE
    assert events[-1].result_json
    assert client.runs.get(events[0].run_id).status == "COMPLETED"


def test_runs_list_follows_its_cursor(client: TinyFish) -> None:
    for _ in range(3):
        client.agent.queue(**{**RUN, "goal": "Read this thrice"})
    page = client.runs.list(goal="READ THIS THRICE", limit=2, sort_direction="asc")
    assert (len(page.data), page.pagination.total) == (2, 3)
    rest = client.runs.list(
        goal="READ THIS THRICE", limit=2, sort_direction="asc", cursor=page.pagination.next_cursor
    )
    assert (len(rest.data), rest.pagination.has_more) == (1, False)


async def test_agent_run_async(served: Served) -> None:
    async with asynchronous(served) as client:
        done = await client.agent.run(**RUN, **CONFIGS)
    assert done.status == "COMPLETED"


async def test_agent_queue_and_runs_get_and_list_async(served: Served) -> None:
    async with asynchronous(served) as client:
        queued = await client.agent.queue(**RUN)
        assert queued.run_id is not None
        assert (await client.runs.get(queued.run_id)).run_id == queued.run_id
        listed = await client.runs.list(status="PENDING", limit=1)
        assert listed.data == []


async def test_agent_stream_async(served: Served) -> None:
    async with asynchronous(served) as client, client.agent.stream(**RUN) as stream:
        events = [event async for event in stream]
    assert list(dict.fromkeys(kinds(events))) == WHOLE


@pytest.mark.parametrize("fault", ["system_failure", "agent_failure", "billing_failure", "unknown"])
def test_a_failed_run_is_reported_in_every_way(client: TinyFish, fault: str) -> None:
    body = {"goal": "Read", "url": f"https://faults.test/{fault}"}
    done = client.agent.run(**body)
    assert done.status == "FAILED"
    with client.agent.stream(**body) as stream:
        last = list(stream)[-1]
    assert done.error is not None
    assert last.error.category == done.error.category
    assert client.runs.get(done.run_id or "").error == done.error


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("rejected", tinyfish.BadRequestError),
        ("gated", tinyfish.PermissionDeniedError),
        ("no_credits", tinyfish.PaymentRequiredError),
    ],
)
def test_a_refusal_is_the_error_that_it_should_be(
    client: TinyFish, path: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        client.agent.queue(goal="Read", url=f"https://faults.test/{path}")


def test_what_is_not_there_and_who_has_no_key(client: TinyFish, served: Served) -> None:
    with pytest.raises(tinyfish.NotFoundError):
        client.runs.get("nobody")


def test_the_wallet(client: TinyFish) -> None:
    assert client.wallet.get().currency == "USD"


async def test_the_wallet_async(served: Served) -> None:
    async with asynchronous(served) as client:
        assert (await client.wallet.get()).auto_reload is not None


def test_the_vault(client: TinyFish) -> None:
    vault = client.vault
    [first] = vault.connections.list().connections
    made = vault.connections.connect_bitwarden(
        client_id="id", client_secret="secret", master_password="master"
    )
    items = vault.items.list().items
    assert {item.connection_id for item in items} == {first.id, made.connection_id}
    assert vault.items.sync().sync_summary.added == 0
    chosen = [items[0].item_id]
    done = client.agent.run(**RUN, use_vault=True, credential_item_ids=chosen)
    assert done.status == "COMPLETED"
    with pytest.raises(tinyfish.BadRequestError, match="not found"):
        client.agent.queue(**RUN, use_vault=True, credential_item_ids=["cred:strange"])
    assert vault.connections.disconnect(made.connection_id).disconnected
    with pytest.raises(tinyfish.NotFoundError):
        vault.connections.disconnect(made.connection_id)
    with pytest.raises(tinyfish.BadRequestError):
        vault.connections.connect_1password(token="not a token")


async def test_the_vault_async(served: Served) -> None:
    async with asynchronous(served) as client:
        made = await client.vault.connections.connect_1password(token="ops_x")
        assert len((await client.vault.items.list()).items) >= len(made.items) == 2
        assert (await client.vault.connections.list()).connections
        assert (await client.vault.items.sync()).sync_summary.removed == 0


def test_profiles(client: TinyFish) -> None:
    run = client.runs.get(client.agent.queue(**RUN, use_profile=True).run_id or "")
    assert run.status in ("RUNNING", "COMPLETED")
    profile = "prof_strange"
    with pytest.raises(tinyfish.BadRequestError, match="Profile not found"):
        client.agent.queue(**RUN, use_profile=True, profile_id=profile)
    with pytest.raises(tinyfish.NotFoundError):
        client.profiles.setup.start(profile)


async def test_a_profile_is_set_up_async(served: Served) -> None:
    async with httpx.AsyncClient(base_url=served.url, headers={"X-API-Key": "x"}) as plain:
        [profile] = [each["id"] for each in (await plain.get("/v1/profiles")).json()["profiles"]]
    async with asynchronous(served) as client:
        session = await client.profiles.setup.start(profile, timeout_seconds=60)
        assert session.timeout_seconds == 60
        saved = await client.profiles.setup.save(
            profile, session_id=session.session_id, signed_in_sites=["shop.test"]
        )
        assert saved.user_confirmed_sites is not None
        again = await client.profiles.setup.start(profile)
        ended = await client.profiles.setup.cancel(profile, session_id=again.session_id)
        assert ended.cancelled
