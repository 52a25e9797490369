"""`run --start-at … --until …`, by the real clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from signal import SIGINT

import pytest

from batchrunner.app.clock import now
from tests.e2e.programs import (
    batchrunner,
    check_books,
    pages,
    served,
    started,
    status_of,
    write_jobs,
)


def seconds_from_now(seconds: float) -> str:
    return (now() + timedelta(seconds=seconds)).isoformat()


@pytest.mark.sweep
def test_a_run_waits_for_its_beginning(tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, pages(2))
    beginning = seconds_from_now(8)
    with served(tmp_path) as remote:
        ended = batchrunner("run", jobs, "--start-at", beginning, cwd=tmp_path, env=remote.env)
        runs = remote.runs()
    assert ended.code == 0, ended.err
    assert all(run.created_at >= datetime.fromisoformat(beginning) for run in runs)
    check_books(tmp_path, 2, runs)


@pytest.mark.sweep
def test_ctrl_c_ends_the_wait(tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, pages(2))
    with (
        served(tmp_path) as remote,
        started("run", jobs, "--start-at", "22:00", cwd=tmp_path, env=remote.env) as runner,
    ):
        runner.says("nothing is submitted before")
        assert remote.runs() == []
        runner.send(SIGINT)
        ended = runner.end()
    assert ended.code == 130
    assert "--start-at 22:00 is " in ended.err


@pytest.mark.sweep
def test_with_too_little_time_nothing_is_submitted_and_the_exit_code_says_so(
    tmp_path: Path,
) -> None:
    jobs = write_jobs(tmp_path, pages(2))
    with served(tmp_path) as remote:
        until = ("--until", seconds_from_now(60))
        ended = batchrunner("run", jobs, *until, "--json", cwd=tmp_path, env=remote.env)
        assert (ended.code, ended.json()["ending"]) == (4, "out of time")
        assert "2 jobs left" in ended.err
        assert "--until is too near: nothing was started" in ended.err
        assert f"go on with: batchrunner run {jobs} --json\n" in ended.err
        assert remote.runs() == []
        there_is_time = ("--until", seconds_from_now(3600))
        again = batchrunner("run", jobs, *there_is_time, cwd=tmp_path, env=remote.env)
        assert again.code == 0, again.err
        check_books(tmp_path, 2, remote.runs())


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["--until", "2020-01-01T00:00"], "is over when the run begins"),
        (["--start-at", "2030-01-01T22:00", "--until", "2030-01-01T07:00"], "is over"),
        (["--until", "soon"], "neither HH:MM nor a date and time"),
        (["--start-at", "22:00 Mars"], "there is no time zone 'Mars'"),
    ],
)
def test_a_time_that_cannot_be_is_wrong_usage(tmp_path: Path, args: list[str], why: str) -> None:
    jobs = write_jobs(tmp_path, pages(1))
    ended = batchrunner("run", jobs, "--sandbox", *args, cwd=tmp_path)
    assert (ended.code, why in ended.err) == (2, True), ended.err
    assert not (tmp_path / "batchrunner.db").exists(), "nothing was loaded"


@pytest.mark.sweep
def test_an_end_without_a_date_is_the_next_one_after_the_beginning(tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, pages(1))
    times = ["--start-at", "2030-01-01T22:00Z", "--until", "07:00 UTC"]
    with (
        served(tmp_path) as remote,
        started("run", jobs, *times, cwd=tmp_path, env=remote.env) as runner,
    ):
        runner.says("waiting until")
        runner.send(SIGINT)
        ended = runner.end()
    assert "--until 07:00 UTC is Wed 2030-01-02" in ended.err
    assert status_of(tmp_path)["jobs"]["available"] == 1
