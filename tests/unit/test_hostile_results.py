"""Results that would fill the memory: what each part of the program does with them."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from batchrunner.app.job_results import job_results, result_rows
from batchrunner.classify import SET_ASIDE, classify
from batchrunner.judge.field_paths import find
from batchrunner.judge.result_values import MAX_NAME_LENGTH, leaves
from batchrunner.model import Finish, FinishedJob, JobState, Run, RunStatus, Settings, Succeeded
from batchrunner.outputs import FORMATS, ExportTable
from batchrunner.outputs.field_names import MAX_NAME_LENGTH as MAX_COLUMN_LENGTH
from batchrunner.policy.retry import decide
from batchrunner.policy.retry_rules import Policy
from batchrunner.text import json_size
from batchrunner.text.json_size import is_parsable
from tests.builders import job as some_job
from tests.fakes import NOW
from tests.hostile_results import BUGS, SHAPES
from tests.sweeps import some

#: Shapes that took most memory when nothing was limited, and one that is judged to its end.
WORST = ("a long key with many items", "a long key with many members", "deep lists")
SEVERAL = [list(SHAPES)[start : start + 7] for start in range(0, len(SHAPES), 7)]


def go_over(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Go over hostile results in a process with a memory limit."""
    command = [sys.executable, "-m", "tests.hostile_results", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.sweep
def test_the_worst_results_take_little_memory_beside_themselves() -> None:
    done = go_over("--mb", "0.4", *WORST)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.sweep
@pytest.mark.parametrize("shapes", SEVERAL, ids=lambda shapes: shapes[0])
@pytest.mark.parametrize("how", [(), ("--parsable",)], ids=["31 MB", "parsable"])
def test_results_of_every_shape_take_at_most_256_mb(
    shapes: list[str], how: tuple[str, ...]
) -> None:
    done = go_over(*how, *shapes)
    sys.stdout.write(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.sweep
@pytest.mark.parametrize("bug", some(sorted(BUGS, reverse=True), 1))
def test_a_planted_bug_takes_too_much(bug: str) -> None:
    done = go_over("--mb", "12", "--plant", bug, "empty objects")
    assert done.returncode != 0
    assert "MemoryError" in done.stderr or "over 256 MB" in done.stderr


# ---- what is set aside ----


@pytest.fixture
def tight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let little text be parsed."""
    monkeypatch.setattr(json_size, "ALWAYS_PARSED_LENGTH", 100)
    monkeypatch.setattr(json_size, "MAX_PARSED_BYTES", 20_000)


def finished(result: str, key: str = "lamp") -> FinishedJob:
    return FinishedJob(
        position=1,
        key=key,
        url="https://a.example/1",
        goal="g",
        state=JobState.SUCCEEDED,
        attempts=1,
        result=result,
    )


def cells(*jobs: FinishedJob) -> list[dict[str, str]]:
    file = io.BytesIO()
    FORMATS["csv"].write(ExportTable(jobs=lambda: jobs), file)
    return list(csv.DictReader(io.StringIO(file.getvalue().decode(), newline=""), strict=True))


LARGE = json.dumps([{}] * 500)
SMALL = json.dumps({"price": 1.5})


@pytest.mark.usefixtures("tight")
def test_an_export_shows_a_note_in_place_of_one_result_and_all_others_whole() -> None:
    aside, plain = cells(finished(LARGE, "my lamp"), finished(SMALL))
    assert "`batchrunner result --job 'my lamp'` prints it" in aside["result"]
    assert (aside["result.price"], plain["result.price"], plain["result"]) == ("", "1.5", "")


@pytest.mark.usefixtures("tight")
def test_rows_and_objects_have_a_note_in_place_of_the_value() -> None:
    aside, plain = result_rows([finished(LARGE), finished(SMALL)])
    assert aside["result"] is None
    assert aside["result_set_aside"].startswith("set aside: ")
    assert (plain["result"], "result_set_aside" in plain) == ({"price": 1.5}, False)
    assert [each.result for each in job_results([finished(LARGE)])] == [None]


@pytest.mark.usefixtures("tight")
def test_the_job_succeeds_and_says_that_its_result_was_not_judged() -> None:
    outcome = classify(Run(run_id="r", status=RunStatus.COMPLETED, result=LARGE))
    assert isinstance(outcome, Succeeded)
    assert outcome.remark is not None
    assert outcome.remark.code == SET_ASIDE
    assert "`batchrunner result` prints it" in outcome.remark.message
    ended = decide(Policy.of(Settings()), some_job(), outcome, NOW)
    assert isinstance(ended, Finish)
    assert (ended.state, ended.remark) == (JobState.SUCCEEDED, outcome.remark)


@pytest.mark.usefixtures("tight")
def test_what_the_api_says_against_a_large_result_counts() -> None:
    broken = Run(run_id="r", status=RunStatus.COMPLETED, result=LARGE, schema_errors=("no",))
    assert not isinstance(classify(broken), Succeeded)


# ---- the estimate ----


@pytest.mark.parametrize("shape", SHAPES)
def test_text_of_ordinary_length_is_parsed_whatever_its_shape(shape: str) -> None:
    assert is_parsable(SHAPES[shape](200_000)[: json_size.ALWAYS_PARSED_LENGTH])


def test_signs_inside_strings_do_not_count() -> None:
    page = json.dumps({"html": '<a href="x">{}, [1, 2, 3]: ok</a>' * 100_000})
    assert len(page) > 3_000_000
    assert is_parsable(page)
    assert is_parsable(page.replace("\\", ""))


# ---- paths, names and texts ----


def test_a_path_is_made_when_it_is_shown_and_a_long_name_is_cut() -> None:
    name = "k" * 20_000
    found = list(leaves({"a": [{"b": 1}, []], name: [1, 2], "": {"c": None}}))
    assert [leaf.path for leaf in found] == [
        "a[1]",
        "a[0].b",
        f"{name[:MAX_NAME_LENGTH]}[0]",
        f"{name[:MAX_NAME_LENGTH]}[1]",
        ".c",
    ]
    assert [leaf.path for leaf in leaves("x")] == ["."]


def test_matches_of_a_path_come_one_by_one() -> None:
    class Endless(list[int]):
        def __iter__(self) -> Iterator[int]:
            while True:
                yield 1

    matches = find({"a": Endless([1])}, "a[]")
    assert [next(matches).path for _ in range(3)] == ["a[0]", "a[1]", "a[2]"]


def test_what_lies_below_a_long_name_has_no_column_but_is_in_the_whole_result() -> None:
    result = json.dumps({"title": "ok", "k" * (MAX_COLUMN_LENGTH + 1): {"a": 1, "b": 2}})
    (row,) = cells(finished(result))
    assert row["result.title"] == "ok"
    assert row["result"] == result
    assert not [name for name in row if len(name) > MAX_COLUMN_LENGTH]


def test_a_long_cell_is_the_same_as_a_short_one(monkeypatch: pytest.MonkeyPatch) -> None:
    text = '=a "quoted"\n, \ud83d\u0000 text'
    (usual,) = cells(finished(json.dumps({"a": text, "b": [text] * 3})))
    monkeypatch.setattr("batchrunner.outputs.csv._CHUNK_LENGTH", 4)
    assert cells(finished(json.dumps({"a": text, "b": [text] * 3}))) == [usual]
