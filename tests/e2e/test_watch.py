"""Watching: a run is shown as it happens, and a new one is paid for once, whatever happens."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from batchrunner.store.health import consistency_errors
from batchrunner.store.store import Store
from tests.e2e.programs import batchrunner, served, started, wait_until, write_jobs

NEW = ["watch", "--url", "http://shop.test/products/1", "--goal", "Read the page"]


@pytest.mark.sweep
def test_a_single_run_is_shown_as_it_happens_and_is_paid_for_once(tmp_path: Path) -> None:
    with served(tmp_path) as remote:
        first = batchrunner(*NEW, cwd=tmp_path, env=remote.env)
        assert first.code == 0
        for words in ("has begun", "live view, while it runs: ", "COMPLETED", "result"):
            assert words in first.out
        again = batchrunner(*NEW, cwd=tmp_path, env=remote.env)
        assert again.code == 0
        assert "has begun" not in again.out
        assert "COMPLETED" in again.out
        assert remote.created() == 1


@pytest.mark.sweep
def test_a_failed_run_is_not_tried_again(tmp_path: Path) -> None:
    with served(tmp_path) as remote:
        args = ["watch", "--url", "http://faults.test/system_failure/1", "--goal", "Read the page"]
        for _ in range(2):
            ended = batchrunner(*args, cwd=tmp_path, env=remote.env)
            assert ended.code == 1
            assert "means            system_failure" in ended.out
        assert remote.created() == 1


@pytest.mark.sweep
def test_whoever_dies_while_watching_has_not_paid_twice(tmp_path: Path) -> None:
    with served(tmp_path, durations=(3, 3)) as remote:
        with started(*NEW, cwd=tmp_path, env=remote.env) as program:
            program.says("has begun")
            program.send(signal.SIGKILL)
        again = batchrunner(*NEW, cwd=tmp_path, env=remote.env)
        assert again.code == 0
        assert "COMPLETED" in again.out
        assert remote.created() == 1
    with_books = Store.open(str(tmp_path / "batchrunner.db"))
    assert with_books.read(consistency_errors) == {}
    with_books.close()


def test_a_refusal_is_reported_and_starts_nothing(tmp_path: Path) -> None:
    with served(tmp_path) as remote:
        args = ["watch", "--url", "http://faults.test/no_credits/1", "--goal", "Read the page"]
        ended = batchrunner(*args, cwd=tmp_path, env=remote.env)
        assert ended.code == 3
        assert "has no run that is over" in ended.err
        assert "tip:" in ended.err
        assert remote.created() == 0
        wrong = ["watch", "--url", "shop.test", "--goal", "Read"]
        assert batchrunner(*wrong, cwd=tmp_path, env=remote.env).code == 2


@pytest.mark.sweep
def test_a_run_that_goes_on_is_followed_to_its_end(tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, ["http://shop.test/products/1"])
    with (
        served(tmp_path, durations=(15, 15)) as remote,
        started("run", jobs, "-q", cwd=tmp_path, env=remote.env) as running,
    ):
        wait_until(lambda: remote.created() == 1, "the run is created")
        by_job = batchrunner("watch", "--job", "job-0", cwd=tmp_path, env=remote.env)
        assert by_job.code == 0
        assert "live view, while it runs: " in by_job.out
        assert "is RUNNING" in by_job.out
        assert "is COMPLETED" in by_job.out
        assert running.end().code == 0
        (run,) = remote.runs()
        by_id = batchrunner("watch", run.run_id, cwd=tmp_path, env=remote.env)
        assert by_id.code == 0
        assert remote.created() == 1


def test_what_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    with served(tmp_path) as remote:
        for args in (["nobody"], [], ["x", "--job", "y"], ["--url", "https://a.test"]):
            assert batchrunner("watch", *args, cwd=tmp_path, env=remote.env).code == 2, args
        write_jobs(tmp_path, ["http://shop.test/products/1"])
        assert batchrunner("load", "jobs.yaml", cwd=tmp_path).code == 0
        none = batchrunner("watch", "--job", "job-0", cwd=tmp_path, env=remote.env)
        assert (none.code, "has no run yet" in none.err) == (2, True)
