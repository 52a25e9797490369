"""docs/editing.md says what each edit costs, and what the program says; both are tried here."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from sqlalchemy import func, select

from batchrunner.cli import cli
from batchrunner.store.attempts import apply_decisions
from batchrunner.store.batch_reads import list_batches
from batchrunner.store.controls import set_concurrency
from batchrunner.store.schema import jobs
from batchrunner.store.store import Store
from tests.fakes import after, enlist, start, success

PAGE = Path(__file__).parents[2] / "docs" / "editing.md"
JOBS = 30
GOAL = "Read the price"

File = dict[str, Any]


def plain_file() -> File:
    """Give the file that the edits begin with."""
    return {
        "defaults": {"goal": GOAL},
        "jobs": [{"url": f"https://shop.example/p/{n}"} for n in range(JOBS)],
    }


def three_goals() -> File:
    """Give a file with three goals for each url."""
    return {
        "jobs": [
            {"url": f"https://shop.example/p/{n // 3}", "goal": f"Read the {what} of lamp {n // 3}"}
            for n, what in zip(range(JOBS), ["price", "name", "size"] * JOBS, strict=False)
        ]
    }


def changed(**values: Any) -> Callable[[File], None]:
    return lambda file: file["defaults"].update(values)


def every_job(edit: Callable[[int, File], None]) -> Callable[[File], None]:
    return lambda file: [edit(n, job) for n, job in enumerate(file["jobs"])] and None


def some_goals(file: File) -> None:
    for job in file["jobs"][:3]:
        job["goal"] = "Read the name"


def cut(first: int, last: int) -> Callable[[File], None]:
    def edit(file: File) -> None:
        del file["jobs"][first:last]

    return edit


def capitals(_: int, job: File) -> None:
    job["url"] = job["url"].replace("shop.example", "SHOP.example:443")


def other_word(file: File) -> None:
    for job in file["jobs"][:3]:
        job["goal"] = job["goal"].replace("lamp 0", "lamp zero")


def nothing(_: File) -> None:
    """Edit nothing."""


TYPO = changed(goal="Read the prize")
#: Edit of the page → the edits, the options of the last load, and the jobs that are finished.
EDITS: dict[str, tuple[list[Callable[[File], None]], list[str], int]] = {
    "none: the same file again": ([nothing], [], JOBS),
    "a line added": (
        [lambda file: file["jobs"].append({"url": "https://shop.example/new"})],
        [],
        JOBS,
    ),
    "the lines in another order": ([lambda file: file["jobs"].reverse()], [], JOBS),
    "an `id` added to every job": (
        [every_job(lambda n, job: job.update(id=f"lamp-{n}"))],
        [],
        JOBS,
    ),
    "spaces and a line break in the goal": ([changed(goal=" Read  the\nprice ")], [], JOBS),
    "`:443` in every url, and the host in capitals": ([every_job(capitals)], [], JOBS),
    "`capture_config` added for all": (
        [changed(capture_config={"screenshots": True})],
        [],
        JOBS,
    ),
    "`running_limit` and `policy` added for all": (
        [changed(running_limit="5m", policy={"blocked": {"attempts": 2}})],
        [],
        JOBS,
    ),
    "`browser_profile: lite` added for all": ([changed(browser_profile="lite")], [], JOBS),
    "the goal of 3 jobs changed": ([some_goals], [], JOBS),
    "the same, then changed back": ([some_goals, nothing], [], JOBS),
    "a typo in `defaults.goal` corrected": ([TYPO], [], JOBS),
    "the same with `--rerun changed`": ([TYPO], ["--rerun", "changed"], JOBS),
    "the same with `--keep changed`": ([TYPO], ["--keep", "changed"], JOBS),
    "the same in a batch with 10 of 30 jobs finished": ([TYPO], [], 10),
    "`browser_profile: stealth` added for all": ([changed(browser_profile="stealth")], [], JOBS),
    "the url of one job corrected": (
        [lambda file: file["jobs"][0].update(url="https://shop.example/q/0")],
        [],
        JOBS,
    ),
    "a word changed that three goals of one url use": ([other_word], [], JOBS),
    "3 lines deleted": ([cut(0, 3)], [], JOBS),
    "the same in a batch that was not run yet": ([cut(0, 3)], [], 0),
    "3 lines deleted, then put back": ([cut(0, 3), nothing], [], JOBS),
    "the file cut off after 5 jobs by accident": ([cut(5, JOBS)], [], JOBS),
    "the same with `--append`": ([cut(5, JOBS)], ["--append"], JOBS),
    "the same with `--withdraw`": ([cut(5, JOBS)], ["--withdraw"], JOBS),
    "the file emptied": ([lambda file: file.clear()], [], JOBS),
    "the same list the next day": ([nothing], [], JOBS),
    "the same with `--rerun all`": ([nothing], ["--rerun", "all"], JOBS),
}


def table() -> dict[str, tuple[int, str]]:
    """Return the page's last table: edit → runs paid for, and what the program says."""
    rows = re.findall(r"^\| (.+?) \| ([0-9]+) \| (.+?) \|$", PAGE.read_text(), re.MULTILINE)
    return {edit: (int(paid), said) for edit, paid, said in rows}


def load(folder: Path, file: File, options: Iterable[str] = ()) -> str:
    """Write and load a file as a script does; return what the program said."""
    path = folder / "prices.yaml"
    path.write_text(yaml.safe_dump(file) if file else "")
    args = ["load", str(path), "--db", str(folder / "prices.db"), *options]
    return CliRunner().invoke(cli, args).output


def finish(path: Path, most: int) -> None:
    """Let this many jobs succeed, at 6 steps each."""
    with closing(Store.open(str(path))) as store:
        enlist(store, "alice")
        (batch,) = store.read(list_batches)
        store.write(set_concurrency, batch.id, most)
        held = start(store, batch, now=after(10**9))
        done = [success(each, steps=6) for each in held]
        store.write(apply_decisions, "alice", done, after(30))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[File, int], Path]:
    """Give what makes a folder with a batch that is finished so far."""
    made: dict[str, tuple[Path, Path]] = {}

    def prepare(file: File, finished: int) -> Path:
        key = f"{file} {finished}"
        if key not in made:
            # A file in another folder is another batch.
            folder, kept = tmp_path_factory.mktemp("edit"), tmp_path_factory.mktemp("kept") / "db"
            assert f"{JOBS} jobs added" in load(folder, file)
            if finished:
                finish(folder / "prices.db", finished)
            made[key] = folder, Path(shutil.copyfile(folder / "prices.db", kept))
        folder, kept = made[key]
        shutil.copyfile(kept, folder / "prices.db")
        return folder

    return prepare


def test_the_page_names_the_edits_that_are_tried() -> None:
    assert list(table()) == list(EDITS)
    assert len(EDITS) >= 16


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_costs_what_the_page_says(edit: str, prepared: Callable[[File, int], Path]) -> None:
    paid, said = table()[edit]
    edits, options, finished = EDITS[edit]
    before = three_goals if "three goals" in edit else plain_file
    folder = prepared(before(), finished)
    for number, each in enumerate(edits, 1):
        file = before()
        each(file)
        output = load(folder, file, options if number == len(edits) else ())
    assert said in " ".join(output.split())
    with closing(Store.open(str(folder / "prices.db"))) as store, store._database.read() as tx:
        query = select(func.count()).select_from(jobs).where(jobs.c.state == "available")
        waiting = tx.execute(query).scalar_one()
    assert waiting == paid
