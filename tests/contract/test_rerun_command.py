"""`load --rerun` as a user gives it, in this process: nothing changes before it is checked."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import chdir, closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from batchrunner.app.clock import store_now
from batchrunner.cli import cli
from batchrunner.model import JobState
from batchrunner.store.attempts import apply_poll
from batchrunner.store.batches import find_batch
from batchrunner.store.database import Database
from batchrunner.store.edits import states_of
from batchrunner.store.reports import batch_counts
from batchrunner.store.store import Store
from tests.fakes import enlist, failure, start, success
from tests.quick_migrations import quick_migrations

Run = Callable[[str], Result]
JOBS = """
- {{id: a, url: "https://shop.example/a", goal: {goal}}}
- {{id: b, url: "https://shop.example/b", goal: Get the price}}
- {{id: bad, url: "https://shop.example/c", goal: Get the price}}
"""


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Give a way to load jobs.yaml again, whose jobs are done: two good, one failed."""

    def command(words: str) -> Result:
        ended = CliRunner().invoke(cli, ["load", "jobs.yaml", *shlex.split(words)])
        assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exception
        return ended

    with chdir(tmp_path), quick_migrations():
        Path("jobs.yaml").write_text(JOBS.format(goal="Get the price"))
        assert command("").exit_code == 0
        with closing(Store(Database.open("batchrunner.db"))) as store:
            enlist(store, "alice", now=store_now(store))
            batch = store.read(find_batch, "jobs")
            assert batch is not None
            first, second, third = start(store, batch, now=store_now(store))
            done = [success(first), success(second), failure(third)]
            apply_poll(store, "alice", done, [], store_now(store))
        yield command


def jobs_loaded() -> tuple[int, dict[str, JobState]]:
    with closing(Store(Database.open("batchrunner.db"))) as store:
        batch = store.read(find_batch, "jobs")
        assert batch is not None
        names = ["a", "b", "bad", "new"]
        return store.read(batch_counts, batch.id).total, store.read(states_of, batch.id, names)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--rerun nosuch", "has no job nosuch"),
        ("--rerun a --rerun nosuch", "has no job nosuch"),
        ("--rerun bad --rerun a", "job bad has not succeeded"),
    ],
)
def test_an_id_that_cannot_run_again_is_refused_before_anything_changes(
    run: Run, words: str, said: str
) -> None:
    before = jobs_loaded()
    new = '- {id: new, url: "https://shop.example/n", goal: Get the price}\n'
    Path("jobs.yaml").write_text(JOBS.format(goal="Get the lowest price") + new)
    ended = run(words)
    assert ended.exit_code == 2
    assert said in ended.stderr
    assert jobs_loaded() == before


def test_an_id_that_the_same_load_adds_is_known(run: Run) -> None:
    new = '- {id: new, url: "https://shop.example/n", goal: Get the price}\n'
    Path("jobs.yaml").write_text(JOBS.format(goal="Get the price") + new)
    assert run("--rerun new").exit_code == 0
    assert jobs_loaded()[1]["new"] is JobState.AVAILABLE


def test_jobs_that_are_asked_as_before_although_the_file_asks_otherwise_are_named(run: Run) -> None:
    Path("jobs.yaml").write_text(JOBS.format(goal="Get the lowest price"))
    assert "warning" not in run("--keep changed").stderr
    ended = run("--rerun a --rerun b")
    assert ended.exit_code == 0
    assert "2 finished jobs to run again" in ended.stderr
    assert "warning: 1 of them is asked as before" in ended.stderr
    assert "--rerun changed" in ended.stderr


def test_a_job_that_the_file_asks_as_it_was_is_no_surprise(run: Run) -> None:
    assert "asked as before" not in run("--rerun b").stderr


def test_the_jobs_of_a_copied_file_that_failed_elsewhere_are_counted_too(run: Run) -> None:
    Path("copy.yaml").write_text(Path("jobs.yaml").read_text())
    ended = CliRunner().invoke(cli, ["load", "copy.yaml"])
    assert ended.exit_code == 2
    assert "67% of these jobs are in the batch 'jobs' (loaded from" in ended.stderr
    assert "; 33% have failed there: a new batch pays again" in ended.stderr


def test_a_status_that_leaves_examples_out_names_the_command_that_has_them_all(run: Run) -> None:
    specs = "".join(
        f'- {{id: x{n}, url: "https://shop.example/x{n}", goal: g}}\n' for n in range(5)
    )
    Path("five jobs.yaml").write_text(specs)
    words = ["load", "five jobs.yaml", "--name", "five jobs", "--db", "other.db"]
    assert CliRunner().invoke(cli, words).exit_code == 0
    with closing(Store(Database.open("other.db"))) as store:
        enlist(store, "alice", now=store_now(store))
        batch = store.read(find_batch, "five jobs")
        assert batch is not None
        done = [failure(each) for each in start(store, batch, now=store_now(store))]
        apply_poll(store, "alice", done, [], store_now(store))
    shown = CliRunner().invoke(cli, ["status", "five jobs", "--db", "other.db"])
    command = "batchrunner status 'five jobs' --db other.db --json"
    assert f"… and 2 more (all of them: {command})" in shown.output
    assert CliRunner().invoke(cli, shlex.split(command)[1:]).exit_code == 0
