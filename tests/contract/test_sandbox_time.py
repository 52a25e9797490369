"""Time in the sandbox: durations, the queue above the limit, and what outlives a restart."""

from __future__ import annotations

import json
import statistics
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import trio.testing
from openapi import judging
from sandbox_stage import Clock, Stage, after

from batchrunner.sandbox import Journal, Sandbox, SandboxConfig

pytestmark = pytest.mark.anyio

PAGE = "https://shop.test/"


@pytest.fixture
def anyio_backend() -> str:
    return "trio"


async def times(stage: Stage, run_ids: list[str]) -> list[tuple[str, Any, Any]]:
    found = await stage.post("/v1/runs/batch", {"run_ids": run_ids})
    by_id = {run["run_id"]: run for run in found["data"]}
    runs = [by_id[run_id] for run_id in run_ids]
    return [(run["status"], run["started_at"], run["finished_at"]) for run in runs]


async def test_runs_above_the_limit_wait_and_start_at_the_instant_a_slot_is_free() -> None:
    stage = Stage(limit=2)
    first = await stage.create(PAGE, PAGE, PAGE)
    stage.clock.tick(4)
    second = await stage.create(PAGE, PAGE)
    assert await times(stage, first + second) == [
        ("RUNNING", after(0), None),
        ("RUNNING", after(0), None),
        ("PENDING", None, None),
        ("PENDING", None, None),
        ("PENDING", None, None),
    ]
    stage.clock.tick(17)  # nobody looked in between
    assert await times(stage, first + second) == [
        ("COMPLETED", after(0), after(10)),
        ("COMPLETED", after(0), after(10)),
        ("COMPLETED", after(10), after(20)),
        ("COMPLETED", after(10), after(20)),
        ("RUNNING", after(20), None),
    ]


@pytest.mark.parametrize("looks", [[100.0], [2.5] * 40, [9.999, 0.001, 0.001, 40, 49.999]])
async def test_what_happens_does_not_depend_on_when_somebody_looks(looks: list[float]) -> None:
    stage = Stage(limit=3, durations=(5.0, 30.0))
    run_ids = await stage.create(*[f"{PAGE}{number}" for number in range(8)])
    for pause in looks:
        stage.clock.tick(pause)
        await stage.get("/v1/runs")
    other = Stage(limit=3, durations=(5.0, 30.0))
    assert await other.create(*[f"{PAGE}{number}" for number in range(8)]) == run_ids
    other.clock.tick(sum(looks))
    assert await times(stage, run_ids) == await times(other, run_ids)


async def test_a_cancel_gives_the_slot_to_the_next_in_line_at_once() -> None:
    stage = Stage(limit=1)
    running, waiting, next_in_line = await stage.create(PAGE, PAGE, PAGE)
    stage.clock.tick(3)
    await stage.post("/v1/runs/batch/cancel", {"run_ids": [waiting]})
    await stage.post("/v1/runs/batch/cancel", {"run_ids": [running]})
    assert await times(stage, [running, waiting, next_in_line]) == [
        ("CANCELLED", after(0), after(3)),
        ("CANCELLED", None, after(3)),
        ("RUNNING", after(3), None),
    ]


async def test_the_agent_goes_once_for_each_run_however_many_ask() -> None:
    stage = Stage()
    await stage.create(*[f"{PAGE}{number}" for number in range(40)])
    stage.clock.tick(10)
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(stage.get, "/v1/runs")
    assert sorted(stage.agent.sent) == sorted(f"{PAGE}{number}" for number in range(40))


async def test_settling_brings_the_journal_up_to_date() -> None:
    stage = Stage()
    await stage.create(PAGE, PAGE)
    stage.clock.tick(10)
    await stage.sandbox.settle()
    assert [run.performed for run in stage.sandbox.journal.runs] == [True, True]


def test_durations_are_spread_between_their_bounds_and_belong_to_the_url() -> None:
    config = SandboxConfig(seed=3, durations=(15.0, 300.0))
    drawn = [config.duration(f"{PAGE}{number}", 0) for number in range(5000)]
    assert min(drawn) == 15.0
    assert max(drawn) == 300.0
    assert 60 < statistics.median(drawn) < 75
    assert config.duration(PAGE, 0) == config.duration(PAGE, 0) != config.duration(PAGE, 1)
    assert SandboxConfig(durations=(2.0, 2.0)).duration(PAGE, 0) == 2.0


async def test_ids_differ_between_seeds() -> None:
    ids = [run_id for seed in range(3) for run_id in await Stage(seed=seed).create(PAGE, PAGE)]
    assert len(set(ids)) == 6


@pytest.mark.sweep
def test_a_night_passes_on_a_virtual_clock() -> None:
    clock = trio.testing.MockClock(autojump_threshold=0)
    stage_clock = Clock()

    async def night() -> float:
        begin = trio.current_time()

        def now() -> Any:
            return stage_clock.at + (trio.current_time() - begin) * timedelta(seconds=1)

        sandbox = Sandbox.in_process(
            SandboxConfig(limit=1, durations=(600.0, 600.0)), now, middleware=judging
        )
        async with httpx.AsyncClient(
            transport=sandbox.transport(), base_url="http://sandbox", headers={"X-API-Key": "k"}
        ) as client:
            item = {"url": "https://faults.test/normal", "goal": "Read the page"}
            await client.post("/v1/automation/run-batch", json={"runs": [item] * 50})
            while not all(run.status.is_final for run in sandbox.journal.runs):
                await trio.sleep(60)
                await client.get("/v1/runs", params={"limit": 1})
        return trio.current_time() - begin

    assert trio.run(night, clock=clock) == 30_000


async def test_a_sandbox_goes_on_where_it_was_left(tmp_path: Path) -> None:
    path, clock = tmp_path / "journal.jsonl", Clock()
    urls = [PAGE, "https://faults.test/agent_failure", *[PAGE] * 4]
    with closing(Journal(path)) as journal:
        stage = Stage(journal=journal, clock=clock, limit=2)
        run_ids = await stage.create(*urls)
        clock.tick(2)
        await stage.post(f"/v1/runs/{run_ids[4]}/cancel")
        clock.tick(9)
        await stage.run(run_ids[0])
        before = [run for run in journal.runs if run.status.is_final]
    assert path.stat().st_mode & 0o777 == 0o600

    clock.tick(20)
    with closing(Journal(path)) as journal:
        stage = Stage(journal=journal, clock=clock, limit=2)
        assert [journal.find(run.run_id) for run in before] == before
        assert len(before) == 3
        assert await times(stage, run_ids) == [
            ("COMPLETED", after(0), after(10)),
            ("FAILED", after(0), after(10)),
            ("COMPLETED", after(10), after(20)),
            ("COMPLETED", after(10), after(20)),
            ("CANCELLED", None, after(2)),
            ("COMPLETED", after(20), after(30)),
        ]
        assert len(stage.agent.sent) == 3  # the first came back before the restart
        assert len(journal.requests) == 1


async def test_counted_faults_are_counted_over_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    urls = [f"https://faults.test/{fault}/2" for fault in ("agent_failure", "unreachable")]
    seen = []
    for _ in range(3):
        with closing(Journal(path)) as journal:
            stage = Stage(journal=journal, tolerated=frozenset({502}))
            await stage.create(*urls)
            unreachable = journal.runs[1].run_id
            status = (await stage.client.get(f"/v1/runs/{unreachable}")).status_code
            seen.append((journal.runs[-2].fault, status))
            assert len({run.run_id for run in journal.runs}) == len(journal.runs)
    assert seen == [("agent_failure", 502), ("agent_failure", 502), ("normal", 200)]


async def test_a_clock_that_steps_back_leaves_one_history(tmp_path: Path) -> None:
    path, clock = tmp_path / "journal.jsonl", Clock()
    with closing(Journal(path)) as journal:
        stage = Stage(journal=journal, clock=clock, limit=1)
        await stage.create(PAGE)
        clock.tick(11)
        await stage.get("/v1/runs")
        clock.tick(-5)
        [late] = await stage.create(PAGE)
        assert (await stage.run(late))["started_at"] == after(11)
        before = journal.runs
    with closing(Journal(path)) as journal:
        Stage(journal=journal, clock=clock, limit=1)
        assert journal.runs == before


async def test_a_journal_of_an_earlier_version_loads(tmp_path: Path) -> None:
    path, clock = tmp_path / "journal.jsonl", Clock()
    with closing(Journal(path)) as journal:
        stage = Stage(journal=journal, clock=clock)
        await stage.create(PAGE, "https://faults.test/agent_failure")
        await stage.client.post("/v1/automation/run-batch", json={"runs": []})
        before, requests = journal.runs, journal.requests
    path.write_text(path.read_text().replace('"fault": ', '"fate": '))
    with closing(Journal(path)) as journal:
        Stage(journal=journal, clock=clock)
        assert (journal.runs, journal.requests) == (before, requests)


async def test_a_torn_last_line_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with closing(Journal(path)) as journal:
        stage = Stage(journal=journal)
        await stage.create(PAGE)
        kept = path.read_bytes()
        await stage.create(PAGE)
    path.write_bytes(path.read_bytes()[:-20])
    with closing(Journal(path)) as journal:
        stage = Stage(journal=journal)
        assert len(journal.runs) == 1
        await stage.create(PAGE)
    lines = path.read_bytes().splitlines()
    assert lines[: len(kept.splitlines())] == kept.splitlines()
    assert all(json.loads(line) for line in lines)
    with closing(Journal(path)) as journal:
        Stage(journal=journal)
        assert len(journal.runs) == 2


async def test_another_limit_holds_from_the_restart_on(tmp_path: Path) -> None:
    path, clock = tmp_path / "journal.jsonl", Clock()
    with closing(Journal(path)) as journal:
        run_ids = await Stage(journal=journal, clock=clock, limit=1).create(PAGE, PAGE, PAGE)
    clock.tick(5)
    with closing(Journal(path)) as journal:
        stage = Stage(journal=journal, clock=clock, limit=None)
        assert [start for _, start, _ in await times(stage, run_ids)] == [
            after(0),
            after(5),
            after(5),
        ]


async def test_a_deposit_counts_from_its_instant_on_and_buys_runs_again() -> None:
    stage = Stage(credits=Decimal(0), deposits=((60.0, Decimal("0.016")), (90.0, Decimal(1))))
    stage.clock.tick(59.999)
    assert (await stage.get("/v1/wallet"))["available_balance"] == "0"
    refused = await stage.client.post(
        "/v1/automation/run-batch", json={"runs": [{"url": PAGE, "goal": "Read the price"}]}
    )
    assert refused.status_code == 402
    stage.clock.tick(0.001)
    assert (await stage.get("/v1/wallet"))["available_balance"] == "0.016"
    await stage.create(PAGE)
    stage.clock.tick(30)
    charged = stage.sandbox.journal.charged
    balance = (await stage.get("/v1/wallet"))["available_balance"]
    assert Decimal(balance) == Decimal("1.016") - stage.sandbox.journal.charged
    assert charged == 0 < stage.sandbox.journal.charged, "the wallet tells what was due by now"


async def test_a_restart_pays_no_deposit_in_again_nor_later(tmp_path: Path) -> None:
    path, clock = tmp_path / "journal.jsonl", Clock()
    for waits, balance in ((0, "0"), (59.999, "0"), (0.001, "5"), (3600, "5")):
        clock.tick(waits)
        with closing(Journal(path)) as journal:
            stage = Stage(
                journal=journal, clock=clock, credits=Decimal(0), deposits=((60.0, Decimal(5)),)
            )
            assert (await stage.get("/v1/wallet"))["available_balance"] == balance


@pytest.mark.parametrize(
    ("wallet", "words"),
    [
        ({"deposits": ((1.0, Decimal(1)),)}, "deposits need credits"),
        ({"credits": Decimal(1), "deposits": ((-1.0, Decimal(1)),)}, "a deposit must be"),
        ({"credits": Decimal(1), "deposits": ((float("nan"), Decimal(1)),)}, "a deposit must be"),
        ({"credits": Decimal(1), "deposits": ((1.0, Decimal(0)),)}, "a deposit must be"),
        ({"credits": Decimal(1), "deposits": ((1.0, Decimal("NaN")),)}, "a deposit must be"),
        ({"credits": Decimal("Infinity")}, "credits must be an amount"),
    ],
)
def test_a_wallet_that_cannot_be_is_refused(wallet: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SandboxConfig(**wallet)
