"""What a run says that ended before its batch did, and the command that goes on."""

from __future__ import annotations

import io
from datetime import datetime, timedelta

import pytest
from rich.console import Console

from batchrunner.cli.exit_codes import bought_once
from batchrunner.cli.output.batch_text import batch_as_json, bounds_line
from batchrunner.cli.output.exit_text import continue_command, exit_lines
from batchrunner.cli.output.progress import Display, LiveDisplay
from batchrunner.model import (
    Batch,
    BatchCounts,
    Canary,
    Failed,
    FailureCategory,
    JobState,
    ParkedHost,
)
from batchrunner.model.quality import QualityReason, QualityWord
from batchrunner.runner.events import RequestsDelayed
from batchrunner.runner.runner import ExitReason
from batchrunner.store.batches import find_batch, load_jobs
from batchrunner.store.controls import pause_batch
from batchrunner.store.quality_watch import stop_for_quality
from batchrunner.store.reports import batch_counts
from batchrunner.store.store import Store
from batchrunner.text.format import local
from tests.fakes import NOW, after, enlist, job_file

ARGS = ["run", "jobs.yaml", "--until", "07:00", "--db", "a.db"]


@pytest.fixture
def loaded() -> tuple[Store, Batch]:
    store = Store.open(":memory:")
    return store, store.write(load_jobs, job_file(3, canary=Canary(jobs=1)), NOW).batch


def test_a_canary_says_what_it_brought_and_resume_comes_first(
    loaded: tuple[Store, Batch],
) -> None:
    store, batch = loaded
    store.write(pause_batch, batch.id, "the canary: 1 of 5 jobs succeeded", NOW)
    batch = store.read(find_batch, batch.name) or batch
    (line,) = exit_lines(
        store, batch, ExitReason.CANARY_FAILED, store.read(batch_counts, batch.id), "a.db"
    )
    assert "the canary: 1 of 5 jobs succeeded" in line
    command = continue_command(
        batch, ExitReason.CANARY_FAILED, ["run", "jobs.yaml", "--db", "a.db"], "a.db"
    )
    assert command == ("batchrunner resume prices --db a.db && batchrunner run jobs.yaml --db a.db")


@pytest.mark.parametrize("args", [ARGS, [*ARGS[:2], "--until=07:00", *ARGS[4:]]])
def test_a_deadline_that_is_too_near_is_left_out(
    loaded: tuple[Store, Batch], args: list[str]
) -> None:
    store, batch = loaded
    (line,) = exit_lines(
        store, batch, ExitReason.OUT_OF_TIME, store.read(batch_counts, batch.id), "a.db"
    )
    assert "nothing was started" in line
    assert "2m 00s" in line
    command = continue_command(batch, ExitReason.OUT_OF_TIME, args, "a.db")
    assert command == "batchrunner run jobs.yaml --db a.db"


def parked(host: str, waiting: int, probe_at: datetime) -> ParkedHost:
    return ParkedHost(
        host=host,
        since=NOW,
        failures=10,
        probe_at=probe_at,
        failed_probes=0,
        given_up=False,
        waiting=waiting,
    )


def standing(**jobs: int) -> BatchCounts:
    return BatchCounts(jobs={state: jobs.get(state.value, 0) for state in JobState})


def picture(counts: BatchCounts, hosts: list[ParkedHost]) -> str:
    written = io.StringIO()
    display = LiveDisplay(Console(file=written, force_terminal=True, width=120), "prices")
    with display.shown():
        display.update(standing(available=20), NOW)
        display.update(counts, NOW + timedelta(seconds=60), hosts)
    return written.getvalue()


def test_parked_hosts_stand_under_the_picture_and_stop_the_estimate() -> None:
    hosts = [parked("slow.test", 3, after(900)), parked("dead.test", 2, after(600))]
    still = picture(standing(succeeded=15, available=5), hosts)
    assert f"‖ dead.test is parked until {local(after(600))}, 5 jobs wait (+1 host)" in still
    assert " left" not in still
    assert " left" in picture(standing(succeeded=14, available=5, running=1), hosts)


def test_an_outage_of_the_network_comes_with_advice_once() -> None:
    written = io.StringIO()
    display = Display(Console(file=written, width=120))
    failure = Failed(category=FailureCategory.UNREACHABLE, message="The API cannot be reached")
    for _ in range(3):
        display.notify(RequestsDelayed(until=NOW, failure=failure))
    throttled = Failed(category=FailureCategory.THROTTLED, message="Slow down")
    Display(Console(file=written)).notify(RequestsDelayed(until=NOW, failure=throttled))
    assert written.getvalue().count("batchrunner doctor checks the network") == 1


def test_batches_that_run_side_by_side_are_said_to_have_a_limit_each() -> None:
    assert bounds_line({}) is None
    assert bounds_line({"prices": 3}) is None
    assert bounds_line({"prices": 3}, "prices") is None
    for line in (bounds_line({"a\x1b": 1, "b": 10}), bounds_line({"a\x1b": 1}, "b")):
        assert line is not None
        assert "each batch has its own limit" in line
        assert "(1 run)" in line
        assert "\x1b" not in line


def test_a_stop_for_bad_data_names_why_and_both_commands(
    loaded: tuple[Store, Batch],
) -> None:
    store, batch = loaded
    enlist(store, "alice")
    why = QualityReason(kind="empty", word=QualityWord.BAD, text="`price` is empty in 12 of 12")
    assert store.write(stop_for_quality, "alice", batch.id, [why], (), None, NOW)
    stopped = store.read(find_batch, batch.name)
    assert stopped is not None
    counts = store.read(batch_counts, batch.id)
    lines = list(exit_lines(store, stopped, ExitReason.BAD_QUALITY, counts, "a.db"))
    assert lines[1] == "  `price` is empty in 12 of 12"
    assert lines[-1] == "look at its rows: batchrunner quality prices --db a.db"
    (reason,) = batch_as_json(store, stopped)["quality_stop"]["reasons"]
    assert reason["text"] == why.text
    args = ["run", "jobs.yaml", "--db", "a.db"]
    assert continue_command(stopped, ExitReason.BAD_QUALITY, args, "a.db") == (
        "batchrunner resume prices --db a.db && batchrunner run jobs.yaml --db a.db"
    )


def test_advice_to_repeat_a_command_buys_nothing_twice() -> None:
    tip = "give the same command again to go on"
    assert bought_once(tip, ["run", "jobs.yaml"]) == tip
    for rerun in (["--rerun", "suspect"], ["--rerun=all"]):
        assert "without --rerun" in bought_once(tip, ["run", "jobs.yaml", *rerun])
    assert bought_once("batchrunner status", ["run", "--rerun=all"]) == "batchrunner status"
