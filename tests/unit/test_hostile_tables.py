"""Tables that are made to fill the memory get one clear message, and are read no further."""

from __future__ import annotations

import gzip
import io
import json
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchrunner.app.input_file import open_input_table
from batchrunner.inputs.tables import TableOptions, open_table
from tests.tables import Loaded, load

LIMITS = "batchrunner.inputs.tables"
MB = 1024**2


class Endless(io.RawIOBase):
    """A file of a size that no disk here has: *head*, and then one byte for ever."""

    def __init__(self, head: bytes, byte: bytes, size: int) -> None:
        self._head, self._byte, self._size, self._at = head, byte, size, 0
        self.bytes_read = 0

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self._at = self._size if whence == io.SEEK_END else offset
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        size = min(size, self._size - self._at)
        start = self._head[self._at : self._at + size]
        self._at += size
        self.bytes_read += size
        return start + self._byte * (size - len(start))


def message(loaded: Loaded) -> str:
    if loaded.refusal is not None:
        return str(loaded.refusal)
    (problem,) = loaded.problems
    return problem.message


@pytest.fixture
def peak() -> Iterator[list[int]]:
    """Measure the memory that a test takes, in MB."""
    found: list[int] = []
    tracemalloc.start()
    yield found
    found.append(tracemalloc.get_traced_memory()[1] // MB)
    tracemalloc.stop()
    assert found[0] < 60, f"{found[0]} MB"


@pytest.mark.usefixtures("peak")
def test_a_line_without_an_end_is_refused_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{LIMITS}.text.MAX_LINE_LENGTH", MB)
    data = b"url,goal\nhttps://a.example/,Read\n" + b"x" * (3 * MB)
    (problem,) = load(data).problems
    assert (problem.line, problem.message) == (3, "the line is longer than 1 MB")
    assert len(problem.source_line) < 1000


def test_an_endless_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{LIMITS}.text.MAX_UNPACKED_BYTES", 4 * MB)
    file = Endless(b"url,goal\n", b"\n", 1024 * MB)
    with pytest.raises(Exception, match="has more than 0 GB of text"):
        open_table(file, file="t.csv")
    assert file.bytes_read < 8 * MB


@pytest.mark.usefixtures("peak")
def test_a_gzip_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{LIMITS}.text.MAX_UNPACKED_BYTES", 4 * MB)
    bomb = gzip.compress(b"url\n" + b"https://a.example/\n" * MB)
    assert len(bomb) < 100_000
    assert "of text" in message(load(bomb))


def test_a_header_of_twenty_thousand_columns_is_refused() -> None:
    header = ",".join(f"c{number}" for number in range(20_000))
    assert "the header has 20,000 columns; 16,384 are allowed" in message(load(header + "\n"))


def test_a_row_of_a_hundred_thousand_cells_is_reported() -> None:
    loaded = load("url,goal\na,b\n" + "c" + ",d" * 99_999 + "\n")
    (problem,) = loaded.problems
    assert problem.message == "the row has 100,000 cells, and the header 2"
    assert loaded.rows == [["a", "b"]]


def test_a_huge_cell_is_reported_by_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    huge = "x" * (MB + 10)
    loaded = load(f"url,goal\na,{huge}\nc,d\n")
    (problem,) = loaded.problems
    assert (problem.line, problem.message) == (2, "a cell has more than 1,048,576 characters")
    assert loaded.rows == [["c", "d"]]


def test_a_quote_that_swallows_the_rest_of_a_large_file_is_reported_where_it_opens() -> None:
    rows = "https://a.example/,Read\n" * 100_000
    loaded = load(f'url,goal\nhttps://a.example/,"Read\n{rows}')
    (problem,) = loaded.problems
    assert (problem.line, problem.column) == (2, 20)
    assert problem.message == "this quote is never closed"


@pytest.mark.usefixtures("peak")
def test_a_row_of_many_cells_over_many_lines_is_not_in_memory() -> None:
    cell = '"' + "x" * 250_000 + '\n"'
    loaded = load("url,goal\n" + ",".join([cell] * 60) + "\n")
    (problem,) = loaded.problems
    assert (problem.line, problem.message) == (2, "the row has more than 8,388,608 characters")


DEEP = 100_000
DEEP_JSON = {
    "jsonl": '{"a":1}\n{"a":' + "[" * DEEP + "]" * DEEP + "}\n",
    "json": '[{"a":' + "[" * DEEP + "]" * DEEP + ', "b": 1}]',
    "object": '{"a":' + '{"a":' * DEEP + "1" + "}" * DEEP + "}",
    "open": '{"url":' + "[" * DEEP,
    "not so deep": '[{"a":' + "[" * 120 + "]" * 120 + "}]",
}


@pytest.mark.parametrize("text", DEEP_JSON.values(), ids=DEEP_JSON)
def test_deep_json_is_refused(text: str) -> None:
    loaded = load(text, is_table=True)
    assert "nested deeper than 100 levels" in message(loaded)


def test_json_of_many_keys_is_refused() -> None:
    lines = "".join(json.dumps({f"k{number}": 1}) + "\n" for number in range(16_400))
    assert "more than 16,384 different keys" in message(load(lines))


def test_a_large_json_array_is_refused_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{LIMITS}.json_table.MAX_BYTES", 1000)
    (problem,) = load('[{"url": "a", "sku": 1}' + " " * 1000 + "]").problems
    assert "is read only one object a line" in problem.message
    assert problem.tip == "make JSONL of it: jq -c '.[]' t.csv > table.jsonl"


@pytest.mark.parametrize("kind", ["csv", "jsonl", "urls"])
def test_a_large_file_is_not_in_memory(tmp_path: Path, kind: str) -> None:
    url = "https://a.example/" + "x" * 8000
    line = {"csv": f"{url},Read\n", "jsonl": f'{{"url":"{url}"}}\n', "urls": f"{url}\n"}[kind]
    path = tmp_path / "table"
    path.write_text(("url,goal\n" if kind == "csv" else "") + line * 2000)
    open_input_table(path, TableOptions()).close()  # what this imports does not count
    tracemalloc.start()
    with open_input_table(path, TableOptions()) as table:
        assert table.kind == kind
        assert sum(1 for _ in table.rows()) == 2000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * MB < path.stat().st_size


@pytest.mark.sweep
def test_a_file_that_changes_while_it_is_read_leaves_no_traceback(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("url,goal\n" + "a,b\n" * 100_000)
    with open_input_table(path, TableOptions()) as table:
        rows = table.rows()
        next(rows)
        os.truncate(path, 9 + 4 * 99_000)
        with path.open("r+b") as file:
            file.seek(9 + 4 * 90_000)
            file.write(b"\xff\xff")
        assert len(list(rows)) < 100_000
        (problem,) = table.log.problems()
    assert "changed while it was read" in problem.message
