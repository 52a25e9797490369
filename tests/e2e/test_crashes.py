"""Processes that die, sleep or work side by side: nothing is lost, nothing is paid twice."""

from __future__ import annotations

import hashlib
import os
import secrets
from datetime import timedelta
from functools import partial
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP
from typing import Any

import pytest
from sqlalchemy import update

from batchrunner.app.clock import now
from batchrunner.sandbox import SandboxRun
from batchrunner.store.schema import owners
from tests.e2e.programs import (
    Remote,
    batch_in,
    batchrunner,
    check_books,
    most_at_once,
    pages,
    served,
    started,
    status_of,
    wait_until,
    write_jobs,
)

#: Runs that are created between the start of a runner and the moment that kills it, at least.
LEAST = 5
SWEEP = pytest.mark.sweep


def drawn(seed: str, kill: int, most: int) -> int:
    """Draw after how many more runs the nth kill falls."""
    lot = int.from_bytes(hashlib.sha256(f"{seed}/{kill}".encode()).digest()[:4])
    return LEAST + lot % (most - LEAST)


def has_created(remote: Remote, goal: int) -> bool:
    """Tell whether a sandbox has created that many runs."""
    return remote.created() >= goal


def missed(run: SandboxRun) -> bool:
    """Tell whether a run reports a failure: on a busy machine, a page may not answer in time."""
    return (run.result or {}).get("status") == "failure"


@pytest.mark.parametrize(
    ("count", "most", "bound"), [(60, 12, 6), pytest.param(300, 75, 50, marks=SWEEP)]
)
def test_jobs_survive_three_kills_and_are_paid_for_once(
    tmp_path: Path, count: int, most: int, bound: int
) -> None:
    seed = os.environ.get("E2E_SEED") or secrets.token_hex(4)
    print(f"E2E_SEED={seed} draws the same moments again")  # noqa: T201
    rates = {"system_failure": 0.05, "dropped_after": 0.03}
    jobs = write_jobs(tmp_path, pages(count), concurrency=bound, max_attempts=8, backoff="1s")
    with served(tmp_path, durations=(0.2, 1.0), rates=rates) as remote:
        command = ("run", jobs, "-o", "results.csv")
        for kill in range(3):
            goal = remote.created() + drawn(seed, kill, most)
            with started(*command, cwd=tmp_path, env=remote.env) as runner:
                wait_until(partial(has_created, remote, goal), f"{goal} runs")
                runner.send(SIGKILL)
        ended = batchrunner(*command, cwd=tmp_path, env=remote.env)
        runs = remote.runs()
    assert ended.code == 0, ended.err
    check_books(tmp_path, count, runs)
    reached = [run.url for run in runs if run.status == "COMPLETED" and not missed(run)]
    assert sorted(reached) == sorted(pages(count)), "a url was paid for twice, or never"
    assert most_at_once(runs) <= bound
    assert any(run.status == "FAILED" for run in runs), "no failure was played"
    assert len((tmp_path / "results.csv").read_text().splitlines()) == count + 1


@pytest.mark.sweep
def test_what_finished_while_the_runner_slept_is_collected(tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, pages(6), concurrency=3)
    with served(tmp_path) as remote:
        with started("run", jobs, cwd=tmp_path, env=remote.env) as runner:
            runner.says("started 3 runs")
            runner.send(SIGSTOP)
            wait_until(
                lambda: all(run.status.is_final for run in remote.runs()), "the runs have ended"
            )
            asleep = remote.created()
            runner.send(SIGCONT)
            ended = runner.end()
        runs = remote.runs()
    assert (asleep, ended.code) == (3, 0)
    check_books(tmp_path, 6, runs)
    assert len(runs) == 6


@pytest.mark.sweep
def test_two_runners_of_one_batch_share_its_jobs_and_its_bound(tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, pages(40), concurrency=8, backoff="1s")
    with served(tmp_path, rates={"system_failure": 0.05}) as remote:
        here: Any = {"cwd": tmp_path, "env": remote.env}
        with (
            started("run", jobs, "-o", "one.csv", **here) as one,
            started("run", jobs, "-o", "two.csv", **here) as two,
        ):
            codes = [one.end().code, two.end().code]
        runs = remote.runs()
    assert codes == [0, 0]
    check_books(tmp_path, 40, runs)
    assert most_at_once(runs) <= 8
    assert (tmp_path / "one.csv").read_text() == (tmp_path / "two.csv").read_text()


@pytest.mark.sweep
def test_a_sandbox_is_for_one_command_at_a_time(tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, ["http://faults.test/stuck"])
    with started("run", jobs, "--sandbox", cwd=tmp_path) as runner:
        runner.says("started 1 run")
        refused = batchrunner("run", jobs, "--sandbox", cwd=tmp_path)
    assert refused.code == 3
    assert "another command works with the sandbox of batchrunner.sandbox.db" in refused.err


@pytest.mark.sweep
def test_a_killed_sandbox_and_its_runner_go_on_together(tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, pages(5), concurrency=3)
    with started("run", jobs, "--sandbox", cwd=tmp_path) as runner:
        runner.says("started 3 runs")
        runner.send(SIGKILL)
    ended = batchrunner("run", jobs, "--sandbox", cwd=tmp_path)
    assert ended.code == 0
    assert "took over 3" in ended.err
    assert status_of(tmp_path)["attempts"] == 5


@pytest.mark.sweep
def test_a_runner_does_not_wait_for_the_lease_of_one_that_was_killed(tmp_path: Path) -> None:
    # Its lease is made so long that a runner that waited for it would never end.
    jobs = write_jobs(tmp_path, pages(4), concurrency=4)
    with served(tmp_path) as remote:
        with started("run", jobs, cwd=tmp_path, env=remote.env) as runner:
            runner.says("started 4 runs")
            runner.send(SIGKILL)
        with batch_in(tmp_path, "jobs") as (store, _), store._database.write() as tx:
            tx.execute(update(owners).values(lease_until=now() + timedelta(days=1)))
        ended = batchrunner("run", jobs, cwd=tmp_path, env=remote.env)
        runs = remote.runs()
    assert ended.code == 0
    assert "took over 4" in ended.err
    check_books(tmp_path, 4, runs)
    assert len(runs) == 4
