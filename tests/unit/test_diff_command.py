"""`batchrunner diff` on files as a user gives it, in this process; and what it writes."""

from __future__ import annotations

import csv
import json
import shlex
from collections.abc import Callable, Iterator
from contextlib import chdir
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import batchrunner as br
from batchrunner.app.result_sets import FileResults
from batchrunner.cli import cli
from batchrunner.differences import ComparedResult, JobDiff, JobStatus, compare_jobs, merge_join
from batchrunner.differences.rules import DiffRules
from batchrunner.differences.summary import MAX_FIELDS, OTHER_FIELDS, DiffSummary
from batchrunner.errors import UsageError
from batchrunner.model import FinishedJob, JobState
from batchrunner.outputs import FORMATS, ExportTable, View
from batchrunner.outputs.difference_files import write_csv, write_jsonl, write_markdown
from batchrunner.outputs.difference_text import DiffText

Run = Callable[[str], Result]
FAILED = {"state": "failed", "category": "blocked", "result": None}


def line(id: str, result: Any = None, **more: Any) -> dict[str, Any]:
    url = f"https://shop.example/{id}"
    return {"id": id, "url": url, "goal": "g", "state": "succeeded", "result": result, **more}


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    def command(words: str) -> Result:
        ended = CliRunner().invoke(cli, ["diff", *shlex.split(words)])
        assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exception
        return ended

    before = [
        line("a", {"price": 100, "name": "A"}),
        line("b", {"price": 10, "seen": 1}),
        line("c", {"price": 1}),
        line("d", **FAILED),
        line("o", {}),
    ]
    after = [
        line("b", {"price": 10, "seen": 2}),
        line("a", {"price": 100.5, "name": "A\x1b[31m"}),
        line("c", **FAILED),
        line("d", {"price": 1}, verdict="suspect"),
        line("n", {"price": 5}),
    ]
    with chdir(tmp_path):
        for name, rows in (("before", before), ("after", after)):
            Path(f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        yield command


# ---- the command ----


def test_the_summary_comes_first_then_the_jobs_with_what_was_lost_before_all(run: Run) -> None:
    ended = run("before.jsonl after.jsonl")
    assert ended.exit_code == 0
    assert ended.output.splitlines() == [
        "before.jsonl → after.jsonl",
        "  0 the same, 2 changed, 1 added, 1 gone, 1 lost, 1 regained",
        "  1 job suspect now, 0 before",
        "  name: 1 changed",
        "  price: 1 changed",
        "  seen: 1 changed",
        "  largest moves:",
        "    seen: 1 → 2 (+100%)  b  https://shop.example/b",
        "    price: 100 → 100.5 (+0.5%)  a  https://shop.example/a",
        "",
        "lost: a result before, and none now (1)",
        "  c  https://shop.example/c  (blocked)",
        "",
        "gone: only in the first (1)",
        "  o  https://shop.example/o",
        "",
        "added: only in the second (1)",
        "  n  https://shop.example/n",
        "",
        "regained: no result before, and one now (1)",
        "  d  https://shop.example/d  (suspect)",
        "",
        "changed (2)",
        "  a  https://shop.example/a",
        "      price: 100 → 100.5 (+0.5%)",
        r'      name: "A" → "A\u001b[31m"',
        "  b  https://shop.example/b",
        "      seen: 1 → 2 (+100%)",
    ]


def test_tolerated_and_ignored_fields_are_no_difference_and_the_exit_code_says_it(run: Run) -> None:
    Path("only.jsonl").write_text(json.dumps(line("a", {"price": 100, "seen": 1})) + "\n")
    Path("now.jsonl").write_text(json.dumps(line("a", {"price": 100.5, "seen": 2})) + "\n")
    assert run("only.jsonl now.jsonl --exit-code").exit_code == 1
    ended = run("only.jsonl now.jsonl --exit-code --tolerance price=1% --ignore seen")
    assert ended.exit_code == 0
    assert "1 the same, 0 changed\n  1 value within the tolerance" in ended.output


def test_a_limit_names_fewer_jobs_and_the_command_that_names_all(run: Run) -> None:
    ended = run("before.jsonl after.jsonl --limit 1 --ignore 'a b'")
    assert "  … and 1 more\n" in ended.output
    again = "batchrunner diff before.jsonl after.jsonl --ignore 'a b' -o diff.csv"
    assert ended.output.endswith(f"all of them: {again}\n")
    assert "changed (2)" not in run("before.jsonl after.jsonl --limit 0").output


def test_files_have_all_differences_and_an_older_file_stays(run: Run) -> None:
    for name in ("d.csv", "d.jsonl", "d.md", "d.txt"):
        ended = run(f"before.jsonl after.jsonl -o {name}")
        assert ended.exit_code == 0, ended.output
        assert ended.output.startswith("before.jsonl → after.jsonl\n  0 the same")
        assert ended.output.endswith(f"wrote {name} (6 jobs that differ)\n")
    with Path("d.csv").open(newline="") as file:
        rows = [*csv.DictReader(file)]
    assert [(row["id"], row["status"], row["path"]) for row in rows] == [
        ("a", "changed", "price"),
        ("a", "changed", "name"),
        ("b", "changed", "seen"),
        ("c", "lost", ""),
        ("d", "regained", ""),
        ("n", "added", ""),
        ("o", "gone", ""),
    ]
    assert (rows[3]["outcome_before"], rows[3]["outcome_after"]) == ("succeeded", "blocked")
    lines = [json.loads(text) for text in Path("d.jsonl").read_text().splitlines()]
    assert lines[0]["changes"][0] == {
        "path": "price",
        "kind": "changed",
        "before": 100,
        "after": 100.5,
    }
    again = run("before.jsonl after.jsonl -o d.csv")
    assert again.exit_code == 2
    assert "--overwrite" in again.stderr
    assert run("before.jsonl after.jsonl -o d.csv --overwrite").exit_code == 0
    assert run("before.jsonl after.jsonl -o before.jsonl --overwrite").exit_code == 2


def test_standard_output_has_the_data_alone(run: Run) -> None:
    ended = run("before.jsonl after.jsonl --format jsonl")
    assert len(ended.stdout.splitlines()) == 6
    assert ended.stderr.startswith("before.jsonl → after.jsonl")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("before.jsonl", "there is nothing to compare before.jsonl with"),
        ("before.jsonl none.jsonl", "there is no file none.jsonl"),
        ("before.jsonl after.jsonl --tolerance price=ten", "'ten' is not a share such as `1%`"),
        ("before.jsonl after.jsonl --tolerance price", "FIELD=AMOUNT"),
        ("before.jsonl after.jsonl --by urll", "did you mean url? name the column"),
        ("before.jsonl after.jsonl -o diff.doc", "the format of diff.doc is not clear"),
        ("before.jsonl jobs.yaml", "jobs.yaml is a job file, which has no results"),
        ("before.jsonl broken.jsonl", "--> broken.jsonl:2:12"),
        ("before.jsonl broken.jsonl", "2 problems in broken.jsonl"),
    ],
)
def test_mistakes_are_answered_with_what_to_do(run: Run, words: str, said: str) -> None:
    Path("jobs.yaml").write_text("- url: https://shop.example\n  goal: g\n")
    Path("broken.jsonl").write_text('{"id": "a", "result": 1}\n{"id": "b",, "c": 1}\n{]}\n')
    ended = run(words)
    assert ended.exit_code == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.output


def test_jobs_that_no_id_pairs_are_answered_with_another_column(run: Run) -> None:
    rows = [json.loads(text) for text in Path("before.jsonl").read_text().splitlines()]
    renamed = [{**row, "id": f"other-{row['id']}"} for row in rows]
    Path("renamed.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in renamed))
    ended = run("before.jsonl renamed.jsonl --limit 0")
    assert "batchrunner diff before.jsonl renamed.jsonl --by url" in ended.stderr
    assert "4 the same" in run("before.jsonl renamed.jsonl --by url").output


# ---- files ----


RESULTS = [
    '{"price": 12.5, "tags": ["a", "b"], "of": {"n": null, "yes": true}, "sku": "007"}',
    '{"data": {"a.b": "=1+1", "text": "line\\nend"}}',
    '[{"sku": "a"}]',
    '"some words"',
    "not JSON",
    "null",
    "{}",
]


def jobs() -> list[FinishedJob]:
    return [
        FinishedJob(
            position=at,
            key=f"job-{at}",
            url=f"https://shop.example/{at}",
            goal="g",
            state=JobState.SUCCEEDED,
            attempts=1,
            result=result,
        )
        for at, result in enumerate(RESULTS)
    ]


@pytest.mark.parametrize("one", ["jsonl", "csv", "tsv", "excel", "xlsx"])
@pytest.mark.parametrize("other", ["jsonl", "csv"])
def test_exports_in_any_format_are_the_same(tmp_path: Path, one: str, other: str) -> None:
    suffixes = {"excel": ".csv"}
    paths = []
    for at, name in enumerate((one, other)):
        for module in FORMATS[name].requires:
            pytest.importorskip(module)
        path = tmp_path / f"{at}{suffixes.get(name, f'.{name}')}"
        with path.open("wb") as file:
            FORMATS[name].write(ExportTable(jobs=jobs, view=View()), file)
        paths.append(path)
    found = br.diff(*paths)
    assert [(job.job.id, job.changes) for job in found] == []
    assert found.summary().compared == len(RESULTS)


def test_a_table_of_selected_columns_is_compared_by_its_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("sku;price;name\nx;1,5;A\ny;2;B\n")
    (tmp_path / "b.csv").write_text("sku,price,name\ny,2,C\nx,1.5,A\n")
    (job,) = br.diff(tmp_path / "a.csv", tmp_path / "b.csv", by="sku")
    assert [(each.path, each.before, each.after) for each in job.changes] == [("name", "B", "C")]


def run_of_api(id: str, goal: str, result: Any, status: str = "COMPLETED") -> dict[str, Any]:
    error = {"category": "AGENT_FAILURE", "message": "m"} if status == "FAILED" else None
    return {"run_id": id, "status": status, "goal": goal, "result": result, "error": error}


def test_lists_of_runs_of_the_api_are_paired_by_their_marker_or_their_goal(tmp_path: Path) -> None:
    marked = "Read it\n\n[ref br-abc1234-abcdefgh{}-01-0123456789]"
    before = [run_of_api("1", marked.format(1), {"p": 1}), run_of_api("2", "Other", {"p": 1})]
    after = [
        run_of_api("3", "Other", None, "FAILED"),
        run_of_api("4", marked.format(2), {"p": 2}),
        run_of_api("5", "New", None, "RUNNING"),
    ]
    for name, data in (("a", before), ("b", after)):
        page = {"data": data, "pagination": {"total": len(data), "has_more": False}}
        (tmp_path / f"{name}.json").write_text(json.dumps(page))
    found = br.diff(tmp_path / "a.json", tmp_path / "b.json")
    assert sorted(job.status.value for job in found) == ["added", "changed", "lost"]


def test_a_file_without_the_column_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("sku,price\nx,1\n")
    results = FileResults(tmp_path / "a.csv")
    with pytest.raises(UsageError, match=r"has no column 'id'.* it has sku, price"):
        [*results.sorted_results("id")]


# ---- what is written ----


def job(before: Any, after: Any, **more: Any) -> JobDiff:
    sides = [
        ComparedResult(key="k", id="k", url="https://shop.example", text=json.dumps(each), **more)
        for each in (before, after)
    ]
    return compare_jobs(*sides, DiffRules())


def written(write: Callable[..., None], *jobs: JobDiff) -> str:
    file = BytesIO()
    write(jobs, file)
    return file.getvalue().decode()


def test_what_a_spreadsheet_would_execute_is_guarded() -> None:
    found = job({"=cmd": "=1+1", "b": "x\ny"}, {"=cmd": "@SUM(1)", "b": "\ud800\0"})
    rows = [*csv.DictReader(written(write_csv, found).splitlines(keepends=True))]
    assert [row["before"] for row in rows] == ["'=1+1", "x\ny"]
    assert [row["after"] for row in rows] == ["'@SUM(1)", "\ufffd␀"]
    assert not rows[0]["path"].startswith("=")


def test_each_line_of_json_is_strict_and_ascii() -> None:
    found = job({"a": float("nan"), "b": "é", "c": 1}, {"a": 1, "b": "\ud800", "d": [None]})
    (text,) = written(write_jsonl, found).splitlines()
    assert text.isascii()
    changes = json.loads(text, parse_constant=pytest.fail)["changes"]
    assert [each.get("before") for each in changes] == [None, "é", 1, None]
    assert ["before" in each for each in changes] == [True, True, True, False]


def test_markdown_shows_a_value_on_one_line_without_markup() -> None:
    lines = written(write_markdown, job({"a": "x|y\n*b*"}, {"a": "<i>"})).splitlines()
    assert len(lines) == 3
    assert r"x\|y<br>\*b\*" in lines[2]
    assert "&lt;i>" in lines[2]


def test_long_values_lose_their_end_and_say_it() -> None:
    found = job({"a": "x" * 1_000_000, "b": [1] * 20_000}, {"a": "y", "b": 1})
    (text,) = written(write_jsonl, found).splitlines()
    assert len(text) < 100_000
    assert [each.get("whole") for each in json.loads(text)["changes"]] == [True, True]
    shown = DiffText()
    shown.add(found)
    assert max(map(len, shown.lines("a", "b"))) <= 200


def test_lines_for_a_terminal_have_no_control_characters() -> None:
    text = DiffText()
    text.add(job({"\x1b[2J": "\x1b]0;x\x07", "b": "\u202e"}, {"\x1b[2J": "\r", "b": "x"}))
    assert all(line.isprintable() for line in text.lines("\x1b[1ma", "b"))


# ---- jobs ----


def result(key: str, text: str | None = None, state: str = "succeeded") -> ComparedResult:
    return ComparedResult(key=key, id=key, text=text, state=state)


def test_a_merge_join_pairs_each_key_once_and_repeated_ones_in_their_order() -> None:
    before = [result(key) for key in ["a", "b", "b", "d", "é"]]
    after = [result(key) for key in ["a", "b", "c", "d", "\U0001f600"]]
    pairs = [(old and old.key, new and new.key) for old, new in merge_join(before, after)]
    assert pairs == [
        ("a", "a"),
        ("b", "b"),
        ("b", None),
        (None, "c"),
        ("d", "d"),
        ("é", None),
        (None, "\U0001f600"),
    ]


@pytest.mark.parametrize(
    ("before", "after", "status"),
    [
        (result("a", "1"), result("a", "1 "), JobStatus.SAME),
        (result("a", '{"data": {"p": 1}}'), result("a", '```json\n{"p": 1}\n```'), JobStatus.SAME),
        (result("a", "1"), None, JobStatus.GONE),
        (None, result("a", state="failed"), JobStatus.ADDED),
        (result("a", "1"), result("a", state="cancelled"), JobStatus.LOST),
        (result("a", state="failed"), result("a", "1"), JobStatus.REGAINED),
        (result("a", state="failed"), result("a", state="cancelled"), JobStatus.FAILED),
        (result("a", "1"), result("a", state="running"), JobStatus.OPEN),
    ],
)
def test_a_job_has_one_status(before: Any, after: Any, status: JobStatus) -> None:
    assert compare_jobs(before, after, DiffRules()).status is status


def test_a_result_that_cannot_be_parsed_changed_as_a_whole() -> None:
    deep = result("a", "[" * 200 + "]" * 200)
    found = compare_jobs(deep, result("a", "[]"), DiffRules())
    assert [(each.path, each.whole) for each in found.changes] == [(".", True)]


@pytest.mark.parametrize(("one", "other"), [("9" * 5000, "8" * 5000), ("1e999", "2e999")])
def test_numbers_beyond_all_floats_are_told_apart(one: str, other: str) -> None:
    before, after = result("a", f'{{"a": {one}, "b": 1}}'), result("a", f'{{"b": 1, "a": {one}}}')
    assert compare_jobs(before, after, DiffRules()).status is JobStatus.SAME
    changed = result("a", f'{{"a": {other}, "b": 1}}')
    assert compare_jobs(before, changed, DiffRules()).changes[0].whole


def test_a_summary_counts_jobs_by_field_and_keeps_the_largest_moves() -> None:
    summary = DiffSummary()
    for factor in range(1, 9):
        summary.add(job({"p": 10, "q": 10, "n": 0}, {"p": 10 + factor, "q": 10 * factor, "n": 0}))
    assert summary.fields["p"] == {"changed": 8}
    assert [(each.field, each.after) for each in summary.moves] == [
        ("q", 80),
        ("q", 70),
        ("p", 18),
        ("p", 17),
    ]
    for number in range(MAX_FIELDS + 50):
        summary.add(job({f"x{number}": 1}, {f"x{number}": None}))
    assert len(summary.fields) == MAX_FIELDS + 1
    assert summary.fields[OTHER_FIELDS]["emptied"] == 52
