"""JSON objects as rows: one a line (JSONL), in an array, or in the only list of an object."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from batchrunner.inputs.job_fields import JOB_FIELDS, SECTIONS
from batchrunner.inputs.source import MAX_BYTES
from batchrunner.inputs.tables.csv_cells import text_place
from batchrunner.inputs.tables.header import MAX_COLUMNS
from batchrunner.inputs.tables.json_text import (
    JsonFault,
    Member,
    after_space,
    items,
    members,
    read_value,
)
from batchrunner.inputs.tables.place import Place, problem_at
from batchrunner.inputs.tables.table import Column, Row, Table, TableKind
from batchrunner.inputs.tables.text import Text
from batchrunner.model.problems import JobFileErrors

_KEY = re.compile(r'"([^"\\]*)"\s*:')
#: Levels of objects in which the list of an object is looked for.
_LIST_DEPTH: Final = 3


class _Record(NamedTuple):
    """One value of the file, its text, and where that begins."""

    line: int  #: from 1
    column: int  #: from 1
    text: str  #: the lines that it is on
    start: int  #: where it is in `text`
    is_alone: bool = True  #: nothing else may be on its lines


class JsonTable(Table):
    """A table whose rows are JSON objects: a column for each key, in the order of the file."""

    def __init__(self, text: Text, kind: TableKind) -> None:
        super().__init__(file=text.content.name, kind=kind, digest=text.digest)
        self._text = text

    @abstractmethod
    def _records(self) -> Iterator[_Record]:
        """Give the values of the file in their order."""

    def _rows(self) -> Iterator[Row]:
        """Give the rows; what is no object has a problem."""
        names = [column.name for column in self.columns]
        for record in self._records():
            try:
                value = _as_object(read_value(record.text, record.start), record)
                yield Row(record.line, [value.get(name) for name in names], record)
            except JsonFault as fault:
                problem = problem_at(
                    fault.message, self.file, _place(record, fault.at), tip=fault.tip
                )
                yield Row(record.line, [None] * len(names), record, problem)

    def place(self, row: Row, number: int | None) -> Place:
        """Return where the value of a key is, or the object without it."""
        record = row.source
        if not isinstance(record, _Record):
            return Place(row.line, 1, "", 1)
        member = None if number is None else self._member(record, self.columns[number].name)
        if member is None:
            return _place(record, record.start)
        return _place(record, member.start, member.end - member.start)

    def _member(self, record: _Record, name: str) -> Member | None:
        if not record.text.startswith("{", record.start):
            return None
        try:
            found = members(record.text, record.start)
            return next((each for each in found if each.name == name), None)
        except ValueError:
            return None  # it is not JSON, which the row's problem says

    def _is_changed(self) -> bool:
        return self._text.content.is_changed()

    def close(self) -> None:
        """Let go of the file."""
        self._text.content.close()

    def _find_columns(self) -> None:
        """Read all keys, in the order in which they first appear."""
        found: dict[str, Column] = {}
        for record in self._records():
            try:
                value = _as_object(read_value(record.text, record.start), record)
            except JsonFault:
                continue  # the row has the problem
            if all(map(found.__contains__, value)):
                continue
            for name in value:
                if name not in found:
                    found[name] = Column(name, len(found), record.line, record.column)
            if len(found) > MAX_COLUMNS:
                message = f"the objects have more than {MAX_COLUMNS:,} different keys"
                self._refuse(message, record, "write what differs as a value, not as a key")
        self.columns = tuple(found.values())
        first = next(self._records(), None)
        self.header_row = Row(first.line if first else 1, (), first)

    def _refuse(
        self, message: str, record: _Record, tip: str | None, at: int | None = None
    ) -> None:
        place = _place(record, record.start if at is None else at)
        raise JobFileErrors((problem_at(message, self.file, place, tip=tip),))


class JsonLinesTable(JsonTable):
    """JSONL: one JSON object a line."""

    def __init__(self, text: Text) -> None:
        super().__init__(text, "jsonl")
        text.check_lines()
        self._find_columns()

    @staticmethod
    def fits(sample: str) -> bool:
        """Return whether the first line is a whole object, and others follow."""
        lines = [line for line in sample.splitlines() if line.strip()]
        if len(lines) < 2 or not lines[0].lstrip().startswith("{"):
            return False
        try:
            _, end = read_value(lines[0])
        except JsonFault:
            return lines[1].lstrip().startswith("{")
        return not lines[0][end:].strip()

    def _records(self) -> Iterator[_Record]:
        with self._text.lines() as lines:
            for number, line in enumerate(lines, start=1):
                if line.startswith("{"):
                    yield _Record(number, 1, line, 0)
                elif (start := after_space(line, 0)) < len(line):
                    yield _Record(number, start + 1, line, start)


class JsonTextTable(JsonTable):
    """JSON whose values are in one text: an array, or objects one after another."""

    def __init__(self, text: Text, whole: str, spans: Sequence[tuple[int, int]]) -> None:
        super().__init__(text, "json")
        self._whole = whole
        self._spans = spans
        self._find_columns()

    def _records(self) -> Iterator[_Record]:
        line, before = 1, 0
        for start, end in self._spans:
            line += self._whole.count("\n", before, start)
            before = start
            line_start = self._whole.rfind("\n", 0, start) + 1
            line_start = max(line_start, start - 1000)
            column = start - self._whole.rfind("\n", 0, start)
            line_end = self._whole.find("\n", end, end + 1000)
            text = self._whole[line_start : line_end if line_end >= 0 else end + 1000]
            yield _Record(line, column, text, start - line_start, is_alone=False)


def _as_object(found: tuple[Any, int], record: _Record) -> dict[str, Any]:
    value, end = found
    if type(value) is str and len(record.text) > record.start:
        value = {"url": value}
    if not isinstance(value, dict):
        tip = 'write {"url": "…", "goal": "…"}'
        raise JsonFault(f"this is {_kind(value)}, not an object", record.start, tip)
    rest = record.text[end:].strip() if record.is_alone else ""
    if rest == ",":
        raise JsonFault("a comma follows the object", end, "remove it: JSONL has none")
    if rest:
        raise JsonFault(
            "text follows the object", after_space(record.text, end), "one object a line"
        )
    return value


def _kind(value: Any) -> str:
    if isinstance(value, list):
        return "a list"
    return "nothing" if value is None else "a single value"


def _place(record: _Record, at: int, width: int = 1) -> Place:
    found = text_place(record.text, at)
    first = record.column - 1 - record.start
    column = found.column + (first if not found.line_offset else 0)
    line = record.line + found.line_offset
    return Place(line, column, found.line_text, found.column, width)


# ---- one text ----


def open_json(text: Text, *, is_table: bool) -> Table | None:
    """
    Return the table in a JSON text; None if it is a job file, written as JSON.

    Raises:
        JobFileErrors: It is not JSON, or has no list of rows.
    """
    whole = text.read(MAX_BYTES + 1)
    file = text.content.name
    start = after_space(whole, 0)
    if len(whole) > MAX_BYTES:
        command = text.content.shell_input("jq -c '.[]'")
        message = "JSON of more than 64 MB is read only one object a line"
        tip = f"make JSONL of it: {command} > table.jsonl"
        raise JobFileErrors((problem_at(message, file, Place(1, 1, "", 1), tip=tip),))
    try:
        spans = _row_spans(whole, start, text, is_table=is_table)
    except JsonFault as fault:
        if not is_table and _has_only_job_keys(whole):
            return None  # YAML allows more, such as a comma at the end
        at = text_place(whole, fault.at)
        place = Place(at.line_offset + 1, at.column, at.line_text, at.column)
        raise JobFileErrors((problem_at(fault.message, file, place, tip=fault.tip),)) from None
    return None if spans is None else JsonTextTable(text, whole, spans)


def _has_only_job_keys(whole: str) -> bool:
    keys = {found[1] for found in _KEY.finditer(whole)}
    return bool(keys) and keys <= JOB_FIELDS.keys() | SECTIONS.keys()


def _row_spans(
    whole: str, start: int, text: Text, *, is_table: bool
) -> list[tuple[int, int]] | None:
    """Return where the rows are; None if the text is a job file."""
    if whole.startswith("[", start):
        found = list(items(whole, start))
        are_jobs = all(isinstance(v, dict) and v.keys() <= JOB_FIELDS.keys() for v, _, _ in found)
        if are_jobs and not is_table:
            return None
        if found and all(isinstance(value, list) for value, _, _ in found):
            command = text.content.shell_input("jq -r '.[] | @csv'")
            tip = f"make CSV of it: {command} > table.csv"
            raise JsonFault("this is a list of lists, not of objects", start, tip)
        return [(first, last) for _, first, last in found]
    value, end = read_value(whole, start)
    if after_space(whole, end) < len(whole):
        return list(_objects(whole, start))
    if not is_table and value.keys() & {"jobs", "defaults", "settings"}:
        return None
    return _list_inside(value, whole, start, end, text)


def _objects(whole: str, start: int) -> Iterator[tuple[int, int]]:
    """Give where each of several objects one after another is."""
    at = start
    while at < len(whole):
        if not whole.startswith("{", at):
            raise JsonFault("text follows the end of the JSON", at, "remove it")
        _, end = read_value(whole, at)
        yield at, end
        at = after_space(whole, end)


def _list_inside(
    value: dict[str, Any], whole: str, start: int, end: int, text: Text
) -> list[tuple[int, int]]:
    paths = list(_lists(value, ()))
    if len(paths) > 1:
        first = paths[0]
        names = ", ".join(f"`{'.'.join(path)}`" for path in paths[:5])
        command = text.content.shell_input(f"jq -c '.{'.'.join(first)}[]'")
        tip = f"choose one, for example: {command} > table.jsonl"
        raise JsonFault(f"the object has several lists of rows: {names}", start, tip)
    if paths:
        at = start
        for name in paths[0]:
            at = next(each.start for each in members(whole, at) if each.name == name)
        return [(first, last) for _, first, last in items(whole, at)]
    if len(value) > 1 and all(isinstance(each, dict) and each for each in value.values()):
        tip = "with pandas, write it by df.to_json(path, orient='records')"
        raise JsonFault("the object has columns, not rows", start, tip)
    return [(start, end)]


def _lists(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Give the paths of lists of objects that are in an object."""
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        yield path
    elif isinstance(value, dict) and len(path) < _LIST_DEPTH:
        for name, each in value.items():
            yield from _lists(each, (*path, name))
