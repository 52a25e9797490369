"""Where a file's jobs were run before is said before anything is spent, with both commands."""

from __future__ import annotations

import os
import shlex
import shutil
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from batchrunner.app.api_access import SANDBOX
from batchrunner.app.clock import now
from batchrunner.store.attempts import apply_poll
from batchrunner.store.batch_reads import list_batches
from batchrunner.store.batches import bind_to_api
from batchrunner.store.controls import set_concurrency
from batchrunner.store.leases import end_owner
from batchrunner.store.reports import batch_counts
from batchrunner.store.store import Store
from tests.e2e.programs import Ended, batchrunner
from tests.fakes import enlist, start, success

DATABASE = "batchrunner.sandbox.db"
PAGES = [f"http://shop.test/products/{number}" for number in (7, 8)]


def write(path: Path, urls: Iterable[str] = PAGES, goal: str = "Read the name") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f'- {{url: "{url}", goal: {goal}}}\n' for url in urls))
    return path


def run(file: str, cwd: Path, *options: str) -> Ended:
    return batchrunner("run", file, "--sandbox", "-q", *options, cwd=cwd)


def load(file: str, cwd: Path, *options: str) -> Ended:
    return batchrunner("load", file, *options, cwd=cwd)


def pay(path: Path, most: int | None = None) -> None:
    """Let open jobs of a database succeed on the sandbox, as a run would."""
    with closing(Store.open(str(path))) as store:
        time, owner_id = now(), uuid4().hex
        enlist(store, owner_id, now=time)
        for batch in store.read(list_batches):
            store.write(bind_to_api, batch.id, SANDBOX)
            if most is not None:
                store.write(set_concurrency, batch.id, most)
            decisions = [success(each) for each in start(store, batch, owner_id, time)]
            apply_poll(store, owner_id, decisions, [], time)
        store.write(end_owner, owner_id, time)


def batches(path: Path) -> dict[str, int]:
    """Return the batches of a database with their numbers of jobs."""
    with closing(Store.open(str(path))) as store:
        found = store.read(list_batches)
        return {each.name: store.read(batch_counts, each.id).total for each in found}


def commands(ended: Ended) -> list[list[str]]:
    """Return the arguments of the commands that a message shows, as a shell would."""
    found = [line.partition("batchrunner ")[2] for line in ended.err.splitlines()]
    return [shlex.split(each) for each in found if each]


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    """A folder in which the batch `prices` was run, on the sandbox and in its database."""
    write(tmp_path / "prices.yaml")
    assert load("prices.yaml", tmp_path, "--sandbox").code == 0
    pay(tmp_path / DATABASE)
    return tmp_path


def test_a_renamed_file_stops_and_both_commands_work(ran: Path) -> None:
    (ran / "prices.yaml").rename(ran / "prices-2026.yaml")
    stopped = run("prices-2026.yaml", ran)
    assert stopped.code == 2
    assert "the batch 'prices'" in stopped.err
    assert "which is gone" in stopped.err
    assert batches(ran / DATABASE) == {"prices": 2}
    there, again = commands(stopped)
    ended = batchrunner(*there, cwd=ran)
    assert (ended.code, "nothing to run" in ended.err) == (0, True)
    ended = run("prices-2026.yaml", ran)
    assert (ended.code, "nothing to run" in ended.err) == (0, True), "the file is that batch's now"
    assert batches(ran / DATABASE) == {"prices": 2}
    shutil.move(ran / "prices-2026.yaml", ran / "third.yaml")
    again = [each.replace("prices-2026", "third") for each in again if each != "-q"]
    assert batchrunner("load", *again[1:], cwd=ran).code == 0
    assert batches(ran / DATABASE) == {"prices": 2, "third": 2}, "--new-batch loads it anew"


@pytest.mark.parametrize("answer", ["n", "y"])
def test_on_a_terminal_it_is_asked(ran: Path, answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchrunner.cli.place_questions.is_terminal", lambda: True)
    write(ran / "copy.yaml")
    ended = batchrunner("load", "copy.yaml", "--sandbox", cwd=ran, given=f"{answer}\n")
    assert "pay again" in ended.err
    assert ("copy" in batches(ran / DATABASE)) == (answer == "y")


def test_the_same_jobs_under_another_name_stop_before_a_load_too(ran: Path) -> None:
    for file in ("copy.yaml", "prices.yaml"):
        write(ran / file)
        ended = load(file, ran, "--name", "other", "--sandbox")
        assert (ended.code, "the batch 'prices'" in ended.err) == (2, True)
    assert batches(ran / DATABASE) == {"prices": 2}


def test_a_renamed_file_with_a_mended_goal_is_recognised_by_its_urls(ran: Path) -> None:
    (ran / "prices.yaml").unlink()
    write(ran / "mended.yaml", goal="Read the name of the product")
    stopped = run("mended.yaml", ran)
    assert (stopped.code, "the batch 'prices'" in stopped.err) == (2, True)


def test_another_question_about_the_same_pages_is_loaded_and_said(ran: Path) -> None:
    write(ran / "stock.yaml", goal="Read how many are in stock")
    ended = load("stock.yaml", ran, "--sandbox")
    assert ended.code == 0
    assert "note: 100% of these urls are in the batch 'prices'" in ended.err


def test_a_file_with_some_jobs_of_another_batch_is_loaded_and_said(ran: Path) -> None:
    write(ran / "more.yaml", [PAGES[0], *(f"http://shop.test/products/{n}" for n in (9, 10))])
    ended = load("more.yaml", ran, "--sandbox")
    assert ended.code == 0
    assert "note: about 33% of these jobs are in the batch 'prices'" in ended.err


def test_a_renamed_file_of_a_batch_that_is_half_done_stops(tmp_path: Path) -> None:
    urls = [f"http://shop.test/products/{number}" for number in range(1, 13)]
    write(tmp_path / "jobs.yaml", urls)
    assert load("jobs.yaml", tmp_path, "--sandbox").code == 0
    pay(tmp_path / DATABASE, most=2)
    (tmp_path / "jobs.yaml").rename(tmp_path / "renamed.yaml")
    stopped = load("renamed.yaml", tmp_path, "--sandbox")
    assert (stopped.code, "the batch 'jobs'" in stopped.err) == (2, True)


def test_jobs_that_were_only_loaded_are_no_reason_to_stop(tmp_path: Path) -> None:
    for name in ("one.yaml", "two.yaml"):
        write(tmp_path / name)
        assert load(name, tmp_path).code == 0


def test_two_folders_on_one_database_are_two_batches(tmp_path: Path) -> None:
    write(tmp_path / "a/jobs.yaml")
    write(tmp_path / "b/jobs.yaml", ["http://pricing.test/"])
    for folder in ("a", "b", "b", "a"):
        ended = load(f"{folder}/jobs.yaml", tmp_path, "--db", "all.db")
        assert ended.code == 0
        assert ("is the batch 'jobs-b'" in ended.err) == (folder == "b")
        pay(tmp_path / "all.db")
    assert batches(tmp_path / "all.db") == {"jobs": 2, "jobs-b": 1}
    named = load("b/jobs.yaml", tmp_path, "--db", "all.db", "--name", "plans")
    assert named.code == 2, "under a name of its own it would be paid for again"


def test_a_copied_folder_stops_and_a_moved_one_goes_on(tmp_path: Path) -> None:
    write(tmp_path / "a/jobs.yaml")
    shared = ("--db", "all.db")
    load("a/jobs.yaml", tmp_path, *shared)
    pay(tmp_path / "all.db")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    copied = run("b/jobs.yaml", tmp_path, *shared)
    assert (copied.code, "the batch 'jobs'" in copied.err) == (2, True)
    shutil.rmtree(tmp_path / "a")
    moved = run("b/jobs.yaml", tmp_path, *shared)
    assert moved.code == 0
    assert "which is gone: it goes on" in moved.err
    assert batches(tmp_path / "all.db") == {"jobs": 2}


@pytest.mark.parametrize("name", [DATABASE, "mine.sqlite"])
def test_a_database_beside_the_file_is_named_before_a_new_one_is_made(
    ran: Path, tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    if name != DATABASE:
        (ran / DATABASE).rename(ran / name)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    stopped = run(str(ran / "prices.yaml"), elsewhere)
    assert stopped.code == 2
    shown = os.path.relpath(ran / name, elsewhere)
    assert f"of another database, {shown}" in stopped.err
    assert not list(elsewhere.iterdir()), "no database is left"
    there, _ = commands(stopped)
    assert there[-2:] == ["--db", shown]
    chosen = load(str(ran / "prices.yaml"), elsewhere, "--db", "mine.db")
    assert (chosen.code, "note: these jobs are in" in chosen.err) == (0, True)


def test_runs_on_another_api_are_no_reason_to_stop(ran: Path) -> None:
    write(ran / "again.yaml")
    real = {"TINYFISH_API_KEY": "no"}
    ended = batchrunner("run", "again.yaml", "--db", DATABASE, cwd=ran, env=real)
    assert "exists only in the sandbox" in ended.err


def test_a_database_that_cannot_be_read_is_named(ran: Path, tmp_path_factory: Any) -> None:
    with closing(sqlite3.connect(ran / DATABASE)) as old:
        old.execute("ALTER TABLE jobs RENAME COLUMN goal TO aim")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    ended = load(str(ran / "prices.yaml"), elsewhere)
    assert (ended.code, f"note: {ran / DATABASE} is a database, too" in ended.err) == (0, True)
