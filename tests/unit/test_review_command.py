"""`batchrunner review`: what a person sees, and what each line of input does."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest
from click.testing import CliRunner, Result

import batchrunner as br
from batchrunner.cli import cli
from batchrunner.inputs.yaml import parse_expect
from batchrunner.model import Finding, Finish, JobState, Verdict
from batchrunner.store.attempts import apply_poll
from batchrunner.store.store import Store
from batchrunner.text.terminal import screen_safe
from tests.fakes import NOW, begin, spec, start, success, suspect

NO_PRICE = Finding(rule="placeholder", path="price", seen="null")
GOOD = {"name": "Lamp", "price": 9}
BAD = {"name": "404 Not Found", "price": None}


#: The empty database.
MIGRATED: list[Path] = []


@pytest.fixture(scope="module", autouse=True)
def _migrated(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Make one empty database to copy: to migrate one for each test takes long."""
    path = tmp_path_factory.mktemp("empty") / "batchrunner.db"
    Store.open(str(path)).close()
    MIGRATED.append(path)


def database(folder: Path, **results: Any) -> str:
    """Make a database whose jobs have these results; those that begin with `s` are suspect."""
    path = str(folder / "batchrunner.db")
    copyfile(MIGRATED[-1], path)
    Path(path).chmod(0o600)
    with closing(Store.open(path)) as store:
        specs = [spec(key, columns={"sku": f"no. {key}"}, goal="Read the price") for key in results]
        batch = begin(store, specs)
        decisions = []
        for attempt in start(store, batch):
            text = json.dumps(results[attempt.job.key])
            if attempt.job.key.startswith("s"):
                decisions.append(suspect(attempt, text, NO_PRICE))
            else:
                made = success(attempt, text)
                good = Finish(state=JobState.SUCCEEDED, verdict=Verdict.GOOD)
                decisions.append(made.__class__(attempt=attempt, transition=good, run=made.run))
        apply_poll(store, "alice", decisions, [], NOW)
    return path


def review(db: str, *args: str, input: str = "") -> Result:
    return CliRunner().invoke(cli, ["review", *args, "--db", db], input=input)


def verdicts(db: str) -> dict[str, str]:
    with br.open(db) as opened:
        return {row["id"]: row["verdict"] for row in opened.batch("prices").rows()}


def test_each_result_is_shown_with_all_that_helps_to_decide(tmp_path: Path) -> None:
    db = database(tmp_path, s1=BAD, a=GOOD)
    shown = review(db, input="q\n")
    assert shown.exit_code == 0
    for text in (
        "[1/2] suspect  s1",
        "page         https://shop.example/s1",
        "goal         Read the price",
        "input        sku: no. s1",
        "finding      placeholder: price is null",
        '>   "price": null',
    ):
        assert text in shown.stdout
    assert "[2/2]" not in shown.stdout
    assert "stopped at 1 of 2; the same command goes on" in shown.stderr


def test_lines_are_read_one_by_one_and_each_word_is_written_at_once(tmp_path: Path) -> None:
    db = database(tmp_path, s1=BAD, s2=BAD, a=GOOD)
    shown = review(db, input="a\nwhat?\nr price\nb\nb\nR name: it is an error page\n")
    assert verdicts(db) == {"s1": "bad", "s2": "bad", "a": "good"}
    assert shown.stdout.count("[1/3]") == 2
    assert "you said     accepted" in shown.stdout
    assert "name:\n      not:\n      - 404 Not Found" in shown.stdout
    assert "required:\n  - price" in shown.stdout
    again = review(db, input="")
    assert "2 results reviewed before" in again.stderr
    assert "[1/1] sample  a" in again.stdout


def test_a_stream_of_acceptances_accepts_everything(tmp_path: Path) -> None:
    db = database(tmp_path, s1=BAD, s2=BAD, a=GOOD)
    shown = review(db, input="a\n" * 100)
    assert shown.exit_code == 0
    assert set(verdicts(db).values()) == {"good"}
    assert "0 rejected, 3 accepted in all" in shown.stdout
    assert "nothing left to review" in review(db, input="a\n").stderr


def test_options_say_the_same_without_questions(tmp_path: Path) -> None:
    db = database(tmp_path, s1=BAD, s2=BAD, a=GOOD)
    words = ("--accept", "a", "--reject", "s1", "--reject", "s2", "--because", "price: null")
    done = review(db, *words, "--json")
    found = json.loads(done.stdout)
    assert found["changed"] == {"accepted": 1, "rejected": 2}
    assert (found["reviewed"], found["rows"]) == (3, [])
    assert found["learned"]["expect"] == {"required": ["price"]}
    assert verdicts(db) == {"s1": "bad", "s2": "bad", "a": "good"}
    undone = review(db, "--undo", "s1")
    assert "1 result undone" in undone.stderr
    assert verdicts(db)["s1"] == "suspect"


def test_json_lists_what_would_be_shown_and_changes_nothing(tmp_path: Path) -> None:
    db = database(tmp_path, s1=BAD, a=GOOD)
    found = json.loads(review(db, "--json").stdout)
    assert [(row["id"], row["kind"]) for row in found["rows"]] == [
        ("s1", "suspect"),
        ("a", "sample"),
    ]
    first = found["rows"][0]
    assert first["result"] == BAD
    assert first["columns"] == {"sku": "no. s1"}
    assert first["findings"] == [
        {"rule": "placeholder", "path": "price", "seen": "null", "wanted": ""}
    ]
    assert json.loads(review(db, "--json", "--sample", "0").stdout)["rows"] == [first]
    assert verdicts(db) == {"s1": "suspect", "a": "good"}


MISTAKES = {
    "there is no result to review of 'nobody'": ["--accept", "nobody"],
    "--because goes with --reject": ["--because", "why"],
    "the reason has 1001 characters": ["--reject", "a", "--because", "x" * 1001],
    "there is nothing to write": ["--write", "e.yaml"],
}


def test_mistakes_are_named_and_nothing_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    db = database(tmp_path, a=GOOD)
    for message, args in MISTAKES.items():
        done = review(db, *args)
        assert done.exit_code == 2
        assert message in done.stderr
    assert verdicts(db) == {"a": "good"}
    assert not (tmp_path / "e.yaml").exists()


def test_what_was_learned_goes_to_a_file_that_judge_reads(tmp_path: Path) -> None:
    db = database(tmp_path, s1=BAD, b=BAD, a=GOOD)
    target = tmp_path / "expect.yaml"
    done = review(db, "--reject", "s1", "--because", "price", "--write", str(target))
    assert done.exit_code == 0
    written = target.read_text()
    assert written.startswith("# Written by `batchrunner review`, from 1 rejected and 0 accepted")
    assert parse_expect(written, file="expect.yaml") == {"required": ["price"]}
    judge = ["judge", "--db", db, "--expect", str(target), "--json"]
    changes = json.loads(CliRunner().invoke(cli, judge).stdout)["changes"]
    assert [(change["id"], change["to"]) for change in changes] == [("b", "invalid_result")]
    assert review(db, "--reject", "b", "--write", str(target)).exit_code == 0


def test_a_job_file_is_never_replaced(tmp_path: Path) -> None:
    db = database(tmp_path, s1=BAD)
    own = tmp_path / "jobs.yaml"
    own.write_text("# my notes\njobs: []\n")
    done = review(db, "--reject", "s1", "--write", str(own))
    assert done.exit_code == 2
    assert "no review wrote it" in done.stderr
    assert "jobs-expect.yaml" in done.stderr
    assert own.read_text() == "# my notes\njobs: []\n"


HOSTILE = {
    "\x1b[2Jname": "\x1b]0;owned\x07\u202e",
    "price": None,
    "long": "x" * 100_000,
    "many": [{"deep": [[[[[[[[[[[[[[1]]]]]]]]]]]]]]}] * 500,
    "%s {0}": "\ud800",
}


def test_hostile_results_do_nothing_to_the_screen_and_can_be_rejected(tmp_path: Path) -> None:
    db = database(tmp_path, **{"s\x1b[31m": HOSTILE, "s2": "\x1b[2J" * 10, "s3": [[]] * 10_000})
    shown = review(db, input="r \x1b[2Jname\nr\nr . \x1b[2J\n")
    assert shown.exit_code == 0
    assert screen_safe(shown.output) == shown.output
    assert len(shown.stdout) < 20_000
    assert json.loads(review(db, "--json", "--sample", "9").stdout)["reviewed"] == 3
    learned = json.loads(review(db, "--json").stdout)["learned"]
    assert parse_expect(json.dumps(learned["expect"]), file="e.yaml") == learned["expect"]


def test_python_can_do_the_same(tmp_path: Path) -> None:
    db = database(tmp_path, s1=BAD, s2=BAD, a=GOOD)
    with br.open(db) as opened:
        batch = opened.batch("prices")
        rows = batch.review(sample=1)
        assert [row.job.key for row in rows] == ["s1", "s2", "a"]
        assert (batch.accept("s1"), batch.reject(["s2"], because="price")) == (1, 1)
        assert batch.learned_rules().rejected == 1
        assert batch.take_back(["s1", "s2"]) == 2
        assert len(batch.review(sample=0)) == 2
