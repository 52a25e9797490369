"""A batch and the account that its runs are on: another account's key never pays for them again."""

from __future__ import annotations

from pathlib import Path

import pytest

import batchrunner as br
from batchrunner.model import JobState
from batchrunner.store.account_keys import known_keys
from tests.e2e.programs import (
    CANARY,
    Remote,
    batch_in,
    batchrunner,
    check_books,
    pages,
    served,
    started,
    status_of,
    wait_until,
    write_jobs,
)
from tests.sweeps import some

OTHER = "sk-another-5b1d"
#: Runs that are alive while another key is tried, in seconds.
LONG = (6.0, 6.0)


def left_alive(folder: Path, jobs: Path, remote: Remote) -> None:
    """Start three runs and leave them."""
    access = br.ApiAccess(url=remote.url, key=CANARY)
    with br.open(folder / "batchrunner.db") as db:
        batch = db.load(jobs)
        with batch.run(api=access) as running:
            wait_until(lambda: batch.status().counts.jobs[JobState.RUNNING] == 3, "three runs")
            wait_until(lambda: remote.created() == 3, "three runs at the API")
            running._thread.control.leave()


@pytest.mark.sweep
def test_runs_of_another_account_are_neither_lost_nor_paid_for_again(tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, pages(4), concurrency=3)
    with served(tmp_path, durations=LONG, apart=True) as remote:
        left_alive(tmp_path, jobs, remote)
        env = {**remote.env, "TINYFISH_API_KEY": OTHER}
        refused = batchrunner("run", jobs, cwd=tmp_path, env=env)
        assert remote.created() == 3
        assert status_of(tmp_path)["jobs"]["running"] == 3
        again = batchrunner("run", jobs, cwd=tmp_path, env=remote.env)
        runs = remote.runs()
    assert refused.code == 3
    assert "this key finds none of them" in refused.err
    assert "--leave-runs" in refused.err
    assert again.code == 0
    check_books(tmp_path, 4, runs)
    assert len(runs) == 4
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in files if OTHER.encode() in path.read_bytes()] == []


@pytest.mark.sweep
def test_runs_that_are_left_on_another_account_are_not_tried_again_silently(tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, pages(4), concurrency=3)
    with served(tmp_path, durations=LONG, apart=True) as remote:
        left_alive(tmp_path, jobs, remote)
        env = {**remote.env, "TINYFISH_API_KEY": OTHER}
        ended = batchrunner("run", jobs, "--leave-runs", cwd=tmp_path, env=env)
        assert remote.created() == 4
        former = batchrunner("run", jobs, cwd=tmp_path, env=remote.env)
    assert ended.code == 1, ended.said
    assert "gave up 3 runs of another account" in ended.err
    assert "audited: no difference (4 runs here, 1 at the API, 3 of another account" in ended.err
    stands = status_of(tmp_path)
    assert (stands["jobs"]["succeeded"], stands["failed"]) == (1, {"unanswered": 3})
    assert all(entry["run_id"] for entry in stands["failures"])
    assert former.code == 1
    assert "nothing to run" in former.err


@pytest.mark.sweep
@pytest.mark.parametrize("apart", some([False, True], 1), ids=["another key", "the same key"])
def test_a_key_of_the_same_account_goes_on_with_its_runs(tmp_path: Path, apart: bool) -> None:
    jobs = write_jobs(tmp_path, pages(4), concurrency=3)
    with served(tmp_path, durations=(3.0, 3.0), apart=apart) as remote:
        left_alive(tmp_path, jobs, remote)
        env = remote.env if apart else {**remote.env, "TINYFISH_API_KEY": OTHER}
        ended = batchrunner("run", jobs, cwd=tmp_path, env=env)
        runs = remote.runs()
    assert ended.code == 0, ended.said
    assert len(runs) == 4
    with batch_in(tmp_path, "jobs") as (store, batch):
        assert len(store.read(known_keys, batch.id)) == (1 if apart else 2)


@pytest.mark.sweep
def test_a_batch_with_nothing_open_goes_on_with_any_account(tmp_path: Path) -> None:
    with served(tmp_path, apart=True) as remote:
        one = batchrunner("run", write_jobs(tmp_path, pages(2)), cwd=tmp_path, env=remote.env)
        env = {**remote.env, "TINYFISH_API_KEY": OTHER}
        two = batchrunner("run", write_jobs(tmp_path, pages(4)), cwd=tmp_path, env=env)
        assert remote.created() == 4
    assert (one.code, two.code) == (0, 0)
    assert "audited: no difference (4 runs here, 2 at the API, 2 of another account" in two.err


@pytest.mark.sweep
def test_a_runner_that_waits_for_its_hour_takes_nothing_over_from_another_account(
    tmp_path: Path,
) -> None:
    jobs = write_jobs(tmp_path, pages(3))
    with served(tmp_path, durations=LONG, apart=True) as remote:
        hour = ["--start-at", "2099-01-01T00:00+00:00"]
        with started("run", jobs, *hour, cwd=tmp_path, env=remote.env) as waiting:
            waiting.says("nothing is submitted before")
            env = {**remote.env, "TINYFISH_API_KEY": OTHER}
            with started("run", jobs, cwd=tmp_path, env=env) as other:
                other.says("started 3 runs")
            ended = waiting.end()
        assert status_of(tmp_path)["jobs"]["running"] == 3
        again = batchrunner("run", jobs, cwd=tmp_path, env=env)
        assert remote.created() == 3
    assert ended.code == 3
    assert "another key" in ended.err
    assert again.code == 0
