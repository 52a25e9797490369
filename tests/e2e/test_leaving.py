"""A runner that is told to leave: it waits for no lock, and says what it leaves."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from signal import SIGINT, SIGTERM
from threading import Event

import pytest

from tests.e2e.programs import (
    batchrunner,
    check_books,
    pages,
    served,
    started,
    status_of,
    write_jobs,
)
from tests.sweeps import some


@pytest.mark.sweep
@pytest.mark.parametrize("number", some([SIGINT, SIGTERM], 1))
def test_a_runner_leaves_although_another_program_keeps_the_database_locked(
    tmp_path: Path, number: signal.Signals
) -> None:
    jobs = write_jobs(tmp_path, pages(3), concurrency=3)
    with served(tmp_path, durations=(1.0, 1.0)) as remote:
        with started("run", jobs, cwd=tmp_path, env=remote.env) as runner:
            runner.says("started 3 runs")
            with closing(sqlite3.connect(tmp_path / "batchrunner.db", timeout=30)) as other:
                other.isolation_level = None
                other.execute("BEGIN EXCLUSIVE")
                runner.says("waiting for the database")
                runner.send(number)
                if number is SIGINT:
                    runner.says("stopping")
                    Event().wait(0.5)  # sooner, it counts as the same Ctrl-C
                    runner.send(number)
                ended = runner.end()
                other.execute("ROLLBACK")  # it has ended before: it did not wait for the lock
        again = batchrunner("run", jobs, cwd=tmp_path, env=remote.env)
        runs = remote.runs()
    assert ended.code == (130 if number is SIGINT else 143), ended.said
    assert "is locked by another program: nothing is lost" in ended.err
    assert again.code == 0
    check_books(tmp_path, 3, runs)
    assert len(runs) == 3


@pytest.mark.sweep
def test_who_leaves_early_is_told_what_goes_on_and_with_which_command(tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, pages(6), concurrency=3)
    with (
        served(tmp_path, durations=(60.0, 60.0)) as remote,
        started("run", jobs, "-o", "a b.csv", cwd=tmp_path, env=remote.env) as runner,
    ):
        runner.says("started 3 runs")
        with started("run", jobs, cwd=tmp_path, env=remote.env) as second:
            second.says("another runner is at work here: process")
            second.send(SIGTERM)
            second.end()
        runner.send(SIGTERM)
        ended = runner.end()
    assert f"go on with: batchrunner run {jobs} -o 'a b.csv'" in ended.err
    assert status_of(tmp_path)["jobs"]["succeeded"] == 0


@pytest.mark.sweep
def test_ctrl_c_says_what_is_waited_for_where_a_create_is_in_doubt(tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, ["http://faults.test/dropped_before"])
    with (
        served(tmp_path) as remote,
        started("run", jobs, cwd=tmp_path, env=remote.env) as runner,
    ):
        runner.says("searching for 1 run that may exist")
        runner.send(SIGINT)
        runner.says("waits for 1 run that may exist: the API has yet to say")
        runner.send(SIGINT)
        ended = runner.end()
    assert ended.code == 130
    assert "Ctrl-C again leaves that to the next start" in ended.err
    assert "go on with: batchrunner run" in ended.err
