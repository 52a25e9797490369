"""The direct reader of our own JSONL gives what the table reader gives, or leaves it the file."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrunner.app.result_sets import FileResults
from batchrunner.differences import ComparedResult
from batchrunner.errors import InputError
from batchrunner.inputs.exported_results import ExportedResults
from batchrunner.inputs.own_export import KEYS, NotOurs, is_own, own_results
from batchrunner.inputs.tables import TableOptions, open_table
from batchrunner.judge.answer import read_answer
from batchrunner.model import FailureCategory, FinishedJob, JobState, Verdict
from batchrunner.outputs import FORMATS, ExportTable

ONE = FinishedJob(1, "b", "https://a.example/", "Get it", JobState.SUCCEEDED, 1, result="[1]")
RESULTS = st.sampled_from(
    ['{"a": 1e999}', "no JSON", "[1.50, 2]", '{"a":{"a":"M\\u00fcller"}}', "7" * 310]
) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
).map(json.dumps)
JOBS = st.fixed_dictionaries(
    {
        "position": st.just(1),
        "key": st.text(min_size=1, max_size=5),
        "url": st.sampled_from(["https://a.example/", "https://b.example/ü"]),
        "goal": st.text(min_size=1, max_size=9),
        "state": st.sampled_from([state for state in JobState if state.is_final]),
        "attempts": st.just(1),
        "category": st.none() | st.sampled_from(FailureCategory),
        "verdict": st.none() | st.sampled_from(Verdict),
        "result": st.none() | RESULTS,
    }
).map(lambda fields: FinishedJob(**fields))


def exported(*jobs: FinishedJob) -> bytes:
    file = io.BytesIO()
    FORMATS["jsonl"].write(ExportTable(jobs=lambda: jobs), file)
    return file.getvalue()


def read_values(found: list[ComparedResult]) -> list[Any]:
    """Return results with their values in place of their texts, whose spaces may differ."""
    return [
        (each._replace(text=None), each.text and repr(read_answer(each.text).value))
        for each in found
    ]


@given(st.lists(JOBS, min_size=1, max_size=4), st.sampled_from(KEYS))
def test_both_readers_give_the_same(jobs: list[FinishedJob], by: str) -> None:
    data = exported(*jobs)
    try:
        direct = list(own_results(data.splitlines(keepends=True), by))
    except NotOurs:
        return
    with open_table(io.BytesIO(data), file="a.jsonl", options=TableOptions(is_table=True)) as table:
        assert read_values(direct) == read_values(list(ExportedResults(table, by)))


def test_an_export_of_ours_is_read_directly_and_nothing_else_is() -> None:
    assert is_own(exported(ONE))
    others = (b"", b"\n", b"[]", b'{"id": "a"}', b'{"id": 1}', b"\xef\xbb\xbf" + exported(ONE))
    assert not any(map(is_own, others))


@pytest.mark.parametrize(("odd", "keys"), [(b"\n", ["b"]), (b'{"id": "c"}\n', ["b", "c"])])
def test_an_odd_line_leaves_the_whole_file_to_the_table_reader(
    tmp_path: Path, odd: bytes, keys: list[str]
) -> None:
    (tmp_path / "ours.jsonl").write_bytes(exported(ONE))
    (tmp_path / "odd.jsonl").write_bytes(exported(ONE) + odd)
    (ours,) = FileResults(tmp_path / "ours.jsonl").sorted_results("id")
    assert (ours.key, ours.text) == ("b", "[1]")
    found = FileResults(tmp_path / "odd.jsonl").sorted_results("id")
    assert [each.key for each in found] == keys


def test_a_line_that_is_no_json_is_named_as_by_the_table_reader(tmp_path: Path) -> None:
    (tmp_path / "odd.jsonl").write_bytes(exported(ONE) + b"no JSON\n")
    with pytest.raises(InputError, match="no JSON"):
        list(FileResults(tmp_path / "odd.jsonl").sorted_results("id"))
