"""Status, retry and cancel: what a user sees of a batch, and does to it."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from signal import SIGINT, SIGKILL
from typing import Any

import pytest

from batchrunner.app.clock import now
from tests.e2e.conftest import Ran
from tests.e2e.programs import (
    batchrunner,
    check_books,
    pages,
    served,
    started,
    status_of,
    wait_until,
    write_jobs,
)

STUCK = ["http://faults.test/stuck?1", "http://faults.test/stuck?2", "http://faults.test/stuck?3"]


def test_status_shows_all_batches_or_one(tmp_path: Path) -> None:
    for name in ("one", "two"):
        batchrunner("load", write_jobs(tmp_path, pages(2), name=name), cwd=tmp_path)
    every = batchrunner("status", "--json", cwd=tmp_path)
    assert [batch["batch"] for batch in every.json()] == ["one", "two"]
    assert every.err == ""
    nobody: dict[str, Any] = {"workers": []}
    assert every.json() == [status_of(tmp_path, name) | nobody for name in ("one", "two")]
    lines = batchrunner("status", cwd=tmp_path).out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["one", "two"]
    unknown = batchrunner("status", "three", cwd=tmp_path)
    assert unknown.code == 2
    assert "one, two" in unknown.err
    vague = batchrunner("export", cwd=tmp_path)
    assert (vague.code, vague.out) == (2, "")


@pytest.mark.sweep
def test_failed_jobs_are_put_back_by_category_by_id_or_all(failures: Ran, tmp_path: Path) -> None:
    folder = shutil.copytree(failures.folder, tmp_path / "copy")

    def retried(*args: str) -> int:
        ended = batchrunner("retry", "failures", *args, cwd=folder)
        assert ended.code == 0
        return int(ended.err.split()[0])

    assert retried("--category", "blocked") == 2
    assert retried("--job", "agent_failure") == 1
    assert retried() == 9, "all but the one that may be paid for already"
    assert retried("--category", "unanswered") == 1
    assert status_of(folder, "failures")["jobs"]["available"] == 13
    assert batchrunner("retry", "failures", "--job", "nobody", cwd=folder).code == 2


@pytest.mark.sweep
def test_a_job_that_is_put_back_is_run_again_with_its_next_number(tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, ["http://faults.test/agent_failure/1", *pages(1)])
    with served(tmp_path) as remote:
        here: Any = {"cwd": tmp_path, "env": remote.env}
        assert batchrunner("run", jobs, **here).code == 1
        assert batchrunner("retry", "--job", "job-0", cwd=tmp_path).code == 0
        assert batchrunner("run", jobs, **here).code == 0
        runs = remote.runs()
    assert len(runs) == 3
    check_books(tmp_path, 2, runs)
    assert status_of(tmp_path)["retried"] == {"agent_failure": 1}


def test_waiting_jobs_are_cancelled_without_a_key(tmp_path: Path) -> None:
    batchrunner("load", write_jobs(tmp_path, pages(3)), cwd=tmp_path)
    assert batchrunner("cancel", "--job", "job-1", cwd=tmp_path).code == 0
    assert status_of(tmp_path)["jobs"]["cancelled"] == 1
    assert batchrunner("cancel", cwd=tmp_path).code == 0, "a script was asked something"
    assert status_of(tmp_path)["jobs"]["cancelled"] == 3
    shown = batchrunner("status", cwd=tmp_path).out
    assert "cancelled before a run (3): batchrunner retry jobs --category run_cancelled" in shown
    assert "job-1" in shown
    batchrunner("retry", "--category", "run_cancelled", cwd=tmp_path)
    assert status_of(tmp_path)["jobs"]["available"] == 3, "the advice does not help"


@pytest.mark.sweep
def test_results_that_are_there_are_not_replaced_by_none(tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, pages(1))
    results = tmp_path / "jobs.results.csv"
    results.write_text("id\nold\n")
    with served(tmp_path) as remote:
        here: Any = {"cwd": tmp_path, "env": remote.env}
        soon = (now() + timedelta(seconds=60)).isoformat()
        ended = batchrunner("run", jobs, "--until", soon, **here)
        assert "jobs.results.csv has results already and no job is done" in ended.err
        assert results.read_text() == "id\nold\n"


@pytest.mark.sweep
def test_cancel_ends_the_runs_that_a_killed_runner_left(tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, [*STUCK, *pages(2)], concurrency=3)
    with served(tmp_path) as remote:
        with started("run", jobs, cwd=tmp_path, env=remote.env) as runner:
            runner.says("started 3 runs")
            runner.send(SIGKILL)
        without_key = batchrunner("cancel", cwd=tmp_path, env={"TINYFISH_BASE_URL": remote.url})
        assert without_key.code == 3
        assert "there is no API key" in without_key.err
        cancelled = batchrunner("cancel", cwd=tmp_path, env=remote.env)
        runs = remote.runs()
    assert cancelled.code == 0, cancelled.err
    assert [run.status for run in runs] == ["CANCELLED"] * 3
    assert status_of(tmp_path)["jobs"]["cancelled"] == 5
    check_books(tmp_path, 5, runs)


@pytest.mark.sweep
def test_cancel_has_the_runner_at_work_cancel_its_runs_and_end(tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, [*STUCK, *pages(2)], concurrency=3)
    with served(tmp_path) as remote:
        with started("run", jobs, cwd=tmp_path, env=remote.env) as runner:
            runner.says("started 3 runs")
            cancelled = batchrunner("cancel", cwd=tmp_path)
            ended = runner.end()
        runs = remote.runs()
    assert (cancelled.code, ended.code) == (0, 1)
    assert "the runner at work cancels them" in cancelled.err
    assert [run.status for run in runs] == ["CANCELLED"] * 3
    assert "5 cancelled" in ended.err
    check_books(tmp_path, 5, runs)


@pytest.mark.sweep
def test_a_running_batch_is_paused_and_resumed_from_another_terminal(tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, pages(12), concurrency=2)
    with (
        served(tmp_path) as remote,
        started("run", jobs, cwd=tmp_path, env=remote.env) as runner,
    ):
        runner.says("started 2 runs")
        paused = batchrunner("pause", "--reason", "\x1b[2Jlunch", cwd=tmp_path)
        assert paused.code == 0
        assert "batchrunner resume jobs" in paused.err
        runner.says("lunch (batchrunner resume lets it go on)")
        status = batchrunner("status", cwd=tmp_path).out
        assert "paused since" in status
        assert "\x1b" not in status
        assert status_of(tmp_path)["paused"]["reason"] == "\x1b[2Jlunch"
        made = len(remote.runs())
        wait_until(lambda: status_of(tmp_path)["jobs"]["running"] == 0, "the runs landed")
        assert len(remote.runs()) == made < 12
        assert batchrunner("resume", cwd=tmp_path).code == 0
        ended = runner.end()
        runs = remote.runs()
    assert ended.code == 0, ended.err
    assert "resumed" in ended.err
    check_books(tmp_path, 12, runs)
    assert status_of(tmp_path)["paused"] is None
    assert "was not paused" in batchrunner("resume", cwd=tmp_path).err


@pytest.mark.sweep
def test_a_paused_batch_says_at_its_start_that_it_waits(tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, pages(2))
    batchrunner("load", jobs, cwd=tmp_path)
    batchrunner("pause", cwd=tmp_path)
    with (
        served(tmp_path) as remote,
        started("run", jobs, cwd=tmp_path, env=remote.env) as runner,
    ):
        runner.says("paused since")
        assert remote.runs() == []
        runner.send(SIGINT)
        assert runner.end().code == 130
    nobody = batchrunner("resume", cwd=tmp_path)
    assert "nobody is at work" in nobody.err


@pytest.mark.sweep
def test_the_bound_of_a_running_batch_is_changed_from_another_terminal(tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, [*STUCK, *pages(4)], concurrency=3)
    with (
        served(tmp_path) as remote,
        started("run", jobs, cwd=tmp_path, env=remote.env) as runner,
    ):
        runner.says("started 3 runs")
        higher = batchrunner("set", "--concurrency", "7", cwd=tmp_path)
        assert "concurrency of 'jobs': 3 → 7" in higher.err
        wait_until(lambda: len(remote.runs()) == 7, "the others are started")
        lower = batchrunner("set", "jobs", "--concurrency", "1", cwd=tmp_path)
        assert "7 → 1" in lower.err
        batchrunner("cancel", cwd=tmp_path)
        runner.end()
    assert status_of(tmp_path)["concurrency"] == 1
    kept = batchrunner("load", jobs, cwd=tmp_path)
    assert "`concurrency` stays 1" in kept.err
    write_jobs(tmp_path, pages(4), concurrency=5, max_attempts=2)
    anew = batchrunner("load", jobs, cwd=tmp_path)
    assert "`concurrency` of the batch is changed: 1 → 5" in anew.err
    assert "`max_attempts` of the batch is changed: 3 → 2" in anew.err
    write_jobs(tmp_path, pages(4), concurrency="auto", max_attempts=2)
    anew = batchrunner("load", jobs, cwd=tmp_path)
    assert "`concurrency` of the batch is changed: 5 → auto" in anew.err
    assert batchrunner("set", "--concurrency", "0", cwd=tmp_path).code == 2


@pytest.mark.sweep
def test_jobs_that_are_loaded_while_a_runner_works_are_run_by_it(tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, STUCK[:1])
    with (
        served(tmp_path) as remote,
        started("run", jobs, cwd=tmp_path, env=remote.env) as runner,
    ):
        runner.says("started 1 run")
        loaded = batchrunner("load", write_jobs(tmp_path, [STUCK[0], *pages(3)]), cwd=tmp_path)
        assert "3 jobs added" in loaded.err
        wait_until(lambda: status_of(tmp_path)["jobs"]["succeeded"] == 3, "the new jobs ran")
        batchrunner("cancel", "--host", "faults.test", cwd=tmp_path)
        ended = runner.end()
        runs = remote.runs()
    assert ended.code == 1
    check_books(tmp_path, 4, runs)


@pytest.mark.sweep
def test_jobs_are_cancelled_by_host_and_by_the_failure_that_they_met(tmp_path: Path) -> None:
    urls = ["http://faults.test/system_failure/9", *pages(2)]
    jobs = write_jobs(tmp_path, urls, backoff="1h", max_attempts=9)
    with served(tmp_path) as remote:
        with started("run", jobs, cwd=tmp_path, env=remote.env) as runner:
            runner.says("system_failure")
            none = batchrunner("cancel", "--category", "blocked", cwd=tmp_path)
            assert (none.code, none.err) == (0, "0 jobs cancelled\n")
            gone = batchrunner("cancel", "--category", "system_failure", cwd=tmp_path)
            assert (gone.code, gone.err) == (0, "1 job cancelled\n")
            assert runner.end().code == 1
        runs = remote.runs()
    check_books(tmp_path, 3, runs)
    nowhere = batchrunner("cancel", "--host", "https://shop.test/", cwd=tmp_path)
    assert nowhere.code == 2


@pytest.mark.sweep
def test_a_batch_stays_with_the_api_that_its_runs_are_on(tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, ["https://example.com/"])
    elsewhere = {"TINYFISH_API_KEY": "key", "TINYFISH_BASE_URL": "https://api.invalid"}
    with served(tmp_path, script={"*example.com*": "stuck"}) as remote:
        with started("run", jobs, cwd=tmp_path, env=remote.env) as runner:
            runner.says("started 1 run")
        refused = batchrunner("run", jobs, cwd=tmp_path, env=elsewhere)
        assert refused.code == 2
        assert "was run on sandbox, and this is https://api.invalid" in refused.err
    other = write_jobs(tmp_path, ["https://example.com/"], name="other")
    with started("run", other, cwd=tmp_path, env=elsewhere) as runner:
        runner.says("cannot be reached")
    back = batchrunner("run", other, "--sandbox", "--db", "batchrunner.db", cwd=tmp_path)
    assert back.code == 2
    assert "was run on https://api.invalid, and this is sandbox" in back.err


@pytest.mark.sweep
def test_retry_leaves_the_unanswered_alone_and_says_how_to_pay_again(tmp_path: Path) -> None:
    urls = ["http://faults.test/dropped_after"]
    jobs = write_jobs(tmp_path, urls, marker=False)
    with served(tmp_path) as remote:
        assert batchrunner("run", jobs, "-q", cwd=tmp_path, env=remote.env).code == 1
        assert remote.created() == 1
    ended = batchrunner("retry", "jobs", cwd=tmp_path)
    assert "0 jobs of 'jobs' put back" in ended.err
    assert "batchrunner retry jobs --category unanswered" in ended.err
