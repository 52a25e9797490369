"""Keys as accounts: each knows its own runs only, and no key is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from sandbox_stage import Stage

from batchrunner.sandbox import Journal

pytestmark = pytest.mark.anyio

PAGE = "https://shop.test/"
OTHER = {"X-API-Key": "sk-other-account"}


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def seen_by_the_other(stage: Stage, run_id: str) -> list[bool]:
    """Say whether another key's look, single look, list and cancel know a run."""
    asked = {"run_ids": [run_id]}
    stage.client.headers.update(OTHER)
    looked = await stage.post("/v1/runs/batch", asked)
    listed = await stage.get("/v1/runs")
    single = await stage.client.get(f"/v1/runs/{run_id}")
    cancelled = await stage.post("/v1/runs/batch/cancel", asked)
    return [
        bool(looked["data"]),
        bool(listed["data"]),
        single.status_code == 200,
        bool(cancelled["results"]),
    ]


async def test_another_account_knows_nothing_of_a_run() -> None:
    stage = Stage(apart=True)
    (run_id,) = await stage.create(PAGE)
    assert await seen_by_the_other(stage, run_id) == [False] * 4
    stage.client.headers["X-API-Key"] = "sk-test"
    assert (await stage.run(run_id))["status"] == "RUNNING"


async def test_all_keys_are_one_account_unless_they_are_to_be_apart() -> None:
    stage = Stage()
    (run_id,) = await stage.create(PAGE)
    assert await seen_by_the_other(stage, run_id) == [True] * 4


async def test_accounts_are_apart_over_restarts_and_their_keys_are_in_no_journal(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal.jsonl"
    before = Stage(journal=Journal(path), apart=True)
    (run_id,) = await before.create(PAGE)
    before.sandbox.journal.close()
    after = Stage(journal=Journal(path), apart=True)
    assert (await after.run(run_id))["status"] == "RUNNING"
    assert not any(await seen_by_the_other(after, run_id))
    assert "sk-" not in path.read_text()
    after.sandbox.journal.close()
