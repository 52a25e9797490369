"""Ctrl-C, and what else may end a runner before its batch has ended."""

from __future__ import annotations

import signal
import socket
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM
from threading import Event

import pytest

from batchrunner.app.run_batch import BatchRunEnded
from batchrunner.app.stop_control import StopControl
from batchrunner.cli.signals import run_until_signal
from batchrunner.model import BatchCounts, JobState
from batchrunner.runner.runner import ExitReason
from tests.e2e.programs import (
    PROCESS_SECONDS,
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
def test_ctrl_c_waits_for_what_is_in_flight_and_the_same_command_goes_on(tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, pages(10), concurrency=4)
    with served(tmp_path, durations=(0.8, 1.0)) as remote:
        with started("run", jobs, cwd=tmp_path, env=remote.env) as runner:
            runner.says("started 4 runs")
            runner.send(SIGINT)
            ended = runner.end()
        first, created = status_of(tmp_path), remote.created()
        assert ended.code == 130
        assert "nothing more is submitted" in ended.err
        assert (created, first["jobs"]["succeeded"], first["jobs"]["available"]) == (4, 4, 6)
        assert len((tmp_path / "jobs.results.csv").read_text().splitlines()) == 5
        again = batchrunner("run", jobs, cwd=tmp_path, env=remote.env)
        runs = remote.runs()
    assert again.code == 0
    assert "took over" not in again.err
    check_books(tmp_path, 10, runs)
    assert len(runs) == 10


@pytest.mark.sweep
@pytest.mark.parametrize(
    ("signals", "code"),
    [
        ((SIGINT, SIGINT), 130),
        pytest.param((SIGTERM,), 143, marks=pytest.mark.sweep),
        pytest.param((SIGHUP,), 129, marks=pytest.mark.sweep),
    ],
    ids=["SIGINT", "SIGTERM", "SIGHUP"],
)
def test_a_runner_that_leaves_at_once_leaves_its_runs_to_the_next(
    tmp_path: Path, signals: tuple[signal.Signals, ...], code: int
) -> None:
    jobs = write_jobs(tmp_path, pages(4), concurrency=3)
    with served(tmp_path, durations=(8.0, 8.0)) as remote:
        with started("run", jobs, cwd=tmp_path, env=remote.env) as runner:
            runner.says("started 3 runs")
            for number in signals:
                runner.send(number)
                if number is SIGINT and "stopping" not in "".join(runner.err):
                    runner.says("stopping")
                    Event().wait(0.5)  # sooner, it counts as the same Ctrl-C
            ended = runner.end()
        left = status_of(tmp_path)
        assert ended.code == code
        assert left["jobs"]["running"] == 3, "it waited for them"
        again = batchrunner("run", jobs, cwd=tmp_path, env=remote.env)
        runs = remote.runs()
    assert again.code == 0
    assert "took over 3" in again.err
    check_books(tmp_path, 4, runs)
    assert len(runs) == 4


def test_under_nohup_a_hang_up_is_ignored() -> None:
    before = signal.signal(SIGHUP, signal.SIG_IGN)

    def work(control: StopControl) -> BatchRunEnded:
        signal.raise_signal(SIGHUP)
        counts = BatchCounts(jobs=dict.fromkeys(JobState, 0))
        return BatchRunEnded(reason=ExitReason.FINISHED, counts=counts)

    try:
        assert run_until_signal(work)[1] == 0
        assert signal.getsignal(SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(SIGHUP, before)


@pytest.mark.sweep
def test_ctrl_c_ends_a_runner_that_only_waits_for_a_late_retry(tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, ["http://faults.test/unknown"], backoff="25m", max_attempts=5)
    with served(tmp_path) as remote:
        with started("run", jobs, cwd=tmp_path, env=remote.env) as runner:
            runner.says("An unknown error occurred")
            runner.send(SIGINT)
            ended = runner.end()
        created = remote.created()
    assert (ended.code, created) == (130, 1)
    assert status_of(tmp_path)["retrying"] == 1


@pytest.mark.sweep
def test_ctrl_c_ends_a_command_that_runs_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(PROCESS_SECONDS)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        env = {"TINYFISH_API_KEY": "key", "TINYFISH_BASE_URL": url}
        with started("runs", "list", cwd=tmp_path, env=env) as asking:
            connection, _ = silent.accept()
            asking.send(SIGINT)
            ended = asking.end()
            connection.close()
    assert (ended.code, ended.said) == (130, "interrupted\n")


@pytest.mark.sweep
@pytest.mark.parametrize("number", some([SIGTERM, SIGINT], 1))
def test_a_sandbox_ends_quietly(tmp_path: Path, number: signal.Signals) -> None:
    with started("sandbox", "--port", "0", cwd=tmp_path) as sandbox:
        sandbox.says("serving the sandbox")
        sandbox.send(number)
        assert sandbox.end().code == 0
