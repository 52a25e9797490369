"""What is captured of runs: who may see it, for how long, and what can be wrong with it."""

from __future__ import annotations

import gzip
from typing import Any

import httpx
import pytest
from sandbox_stage import Flowing, Stage, played

from batchrunner.sandbox.faults import ARTIFACT_FAULTS

pytestmark = pytest.mark.anyio

PAGE = "https://shop.test/"
ALL = {"screenshots": True, "html": True, "recording": True}
SIGNED = {"step_addresses": "signed"}


@pytest.fixture
def anyio_backend() -> str:
    return "trio"


async def seen(stage: Stage, url: str = PAGE, capture: dict[str, bool] = ALL) -> dict[str, Any]:
    [run_id] = await stage.create(url, capture_config=capture)
    stage.clock.tick(10)
    run: dict[str, Any] = await stage.bare(f"/v1/runs/{run_id}")
    return run


async def test_each_step_has_a_picture_of_its_own() -> None:
    stage = Stage()
    run = await seen(stage)
    path = f"/v1/runs/{run['run_id']}/steps"
    pictures = [
        (await stage.client.get(f"{path}/{step['id']}/screenshot")).content for step in run["steps"]
    ]
    assert len(set(pictures)) == len(pictures) == 2
    assert all(each.startswith(b"\xff\xd8") and each.endswith(b"\xff\xd9") for each in pictures)


async def test_what_was_not_captured_is_not_there() -> None:
    stage = Stage()
    run = await seen(stage, capture={"screenshots": True})
    path = f"/v1/runs/{run['run_id']}/steps/{run['steps'][0]['id']}"
    assert (await stage.client.get(f"{path}/html")).status_code == 404
    assert (run["steps"][0]["html"], run["video_url"]) == (None, None)


async def test_addresses_of_steps_want_a_login_and_no_key() -> None:
    stage = Stage()
    step = (await seen(stage))["steps"][0]
    assert (await stage.ask(step["screenshot"])).status_code == 401
    came = await stage.ask(step["screenshot"], headers={"X-API-Key": "", "Cookie": "session=me"})
    assert came.headers["content-type"] == "image/jpeg"


async def test_signed_addresses_work_for_15_minutes_and_only_as_they_are() -> None:
    stage = Stage(variants=SIGNED)
    run = await seen(stage)
    addresses = [run["video_url"], run["steps"][0]["screenshot"], run["steps"][1]["html"]]
    medias = ["video/mp4", "image/jpeg", "text/html; charset=utf-8"]

    async def statuses() -> list[int]:
        return [
            (await stage.ask(each, headers={"X-API-Key": ""})).status_code for each in addresses
        ]

    assert [(await stage.ask(each)).headers["content-type"] for each in addresses] == medias
    for tampered in ("?expires=99999999999", "", "?expires=x&signature=x"):
        assert (await stage.ask(addresses[0].split("?")[0] + tampered)).status_code == 403
    other = addresses[0].replace(run["run_id"], "other")
    assert (await stage.ask(other)).status_code == 403
    stage.clock.tick(899)
    assert await statuses() == [200] * 3
    stage.clock.tick(1)
    assert await statuses() == [403] * 3
    again = await stage.run(run["run_id"])
    assert (await stage.ask(again["video_url"])).status_code == 200


async def test_a_recording_is_an_mp4_with_a_picture_for_each_step() -> None:
    stage = Stage()
    film = (await stage.ask((await seen(stage))["video_url"])).content
    assert film[4:12] == b"ftypisom"
    assert film.count(b"\xff\xd8\xff\xe0") == 2


async def test_a_live_view_lives_as_long_as_its_run() -> None:
    stage = Stage(limit=1)
    running, waiting = await stage.create(PAGE, PAGE)
    address = (await stage.run(running))["streaming_url"]
    page = await stage.ask(address, headers={"X-API-Key": ""})
    assert "RUNNING" in page.text
    assert (await stage.ask(address.replace(running, waiting))).status_code == 404
    stage.clock.tick(10)
    assert (await stage.ask(address)).status_code == 404
    assert (await stage.run(running))["streaming_url"] is None


async def test_what_a_run_was_asked_is_text_in_its_live_view() -> None:
    stage = Stage()
    body = rb'{"url": "https://a.test/", "goal": "<script>alert(1)</script> \ud83d"}'
    run_id = (await stage.bare("/v1/automation/run-async", "POST", content=body))["run_id"]
    assert "<script>" not in (await stage.ask(f"/live/{run_id}")).text


# ---- what can be wrong with them ----


async def taken(fault: str, what: str = "screenshot") -> httpx.Response:
    stage = Stage()
    run = await seen(stage, f"https://faults.test/{fault}")
    step = run["steps"][0]["id"]
    return await stage.ask(f"/v1/runs/{run['run_id']}/steps/{step}/{what}")


async def test_a_redirect_leads_to_another_host() -> None:
    answer = await taken("artifact_redirected")
    assert answer.status_code == 302
    assert answer.headers["location"].startswith("https://artifacts.elsewhere.test/")


async def test_addresses_lead_to_another_host() -> None:
    run = await seen(Stage(), "https://faults.test/artifact_elsewhere")
    for address in (run["video_url"], run["steps"][0]["screenshot"], run["steps"][0]["html"]):
        assert address.startswith("https://artifacts.elsewhere.test/")


async def test_ids_of_steps_lead_upwards() -> None:
    run = await seen(Stage(), "https://faults.test/artifact_traversal")
    assert all(step["id"].startswith("../../../") for step in run["steps"])


async def test_a_script_comes_for_a_picture() -> None:
    answer = await taken("artifact_mistyped")
    assert answer.headers["content-type"] == "image/svg+xml"
    assert b"<script>" in answer.content


async def test_a_body_has_no_end_that_anybody_would_wait_for() -> None:
    answer = await taken("artifact_endless")
    assert "content-length" not in answer.headers
    assert len(answer.content) == 64 << 20


async def test_a_small_body_unpacks_to_a_large_one() -> None:
    stage = Stage()
    run = await seen(stage, "https://faults.test/artifact_bomb")
    path = f"/v1/runs/{run['run_id']}/steps/{run['steps'][0]['id']}/html"
    async with (
        httpx.AsyncClient(
            transport=stage.sandbox.transport(),
            base_url="https://sandbox",
            headers=stage.client.headers,
        ) as client,
        client.stream("GET", path) as answer,
    ):
        packed = b"".join([part async for part in answer.aiter_raw()])
    assert len(packed) < 100_000
    assert len(gzip.decompress(packed)) == 64 << 20


async def test_a_body_breaks_off() -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        await taken("artifact_truncated")


def test_a_body_drips() -> None:
    async def main() -> None:
        stage = Stage(clock=Flowing(), durations=(1.0, 1.0))
        body = {"url": "https://faults.test/artifact_dripping", "goal": "x", "capture_config": ALL}
        run = await stage.post("/v1/automation/run", body)
        shown = await stage.run(run["run_id"])
        path = f"/v1/runs/{run['run_id']}/steps/{shown['steps'][0]['id']}/html"
        with pytest.raises(httpx.ReadTimeout):
            await stage.ask(path, timeout=8)
        assert (await stage.ask(path, timeout=None)).text == "<p>18.50</p>"

    played(main)


async def test_an_address_is_too_old_at_once() -> None:
    stage = Stage()
    run = await seen(stage, "https://faults.test/artifact_expired")
    answer = await stage.ask(run["video_url"])
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/xml")


async def test_a_counted_fate_spoils_the_first_artifacts_that_are_taken() -> None:
    stage = Stage()
    run = await seen(stage, "https://faults.test/artifact_redirected/2")
    path = f"/v1/runs/{run['run_id']}/steps/{run['steps'][0]['id']}/screenshot"
    assert [(await stage.ask(path)).status_code for _ in range(3)] == [302, 302, 200]


async def test_artifacts_can_be_spoiled_by_chance() -> None:
    stage = Stage(rates={"artifact_redirected": 0.5}, variants={"captures": "screenshots"})
    run_ids = await stage.create(*[f"{PAGE}{number}" for number in range(40)])
    stage.clock.tick(10)
    shown = [await stage.run(run_id) for run_id in run_ids]
    paths = [f"/v1/runs/{run['run_id']}/steps/{run['steps'][0]['id']}" for run in shown]
    answers = [(await stage.ask(f"{path}/screenshot")).status_code for path in paths]
    assert 8 < answers.count(302) < 32


def test_every_such_fate_is_tested() -> None:
    tested = {"redirected", "elsewhere", "traversal", "mistyped", "endless", "bomb", "truncated"}
    assert set(ARTIFACT_FAULTS) == {f"artifact_{name}" for name in (*tested, "dripping", "expired")}
