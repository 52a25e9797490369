"""Turns a result into the values that the rows of a table show: read, unwrapped, exploded."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from batchrunner.model import FinishedJob
from batchrunner.outputs.columns import RESULT, set_aside_note
from batchrunner.outputs.field_names import below, path_of
from batchrunner.outputs.json_values import Json, read
from batchrunner.outputs.table import ExportTable
from batchrunner.text.json_size import is_parsable

#: Fields that wrap a result where they stand alone, in lower case.
WRAPPERS = frozenset({"result", "results", "data", "output", "answer", "response"})
#: Depth to which JSON text inside of strings is read.
MAX_DEPTH_OF_TEXT = 50

#: Elements of a list in which other lists are looked for.
_ITEMS_SEARCHED = 3
#: Stands for the elements of an empty list.
_EMPTY: dict[str, Json] = {}

_MAY_BE_JSON = re.compile(r'\s*[\[{"`~]')
_FENCE = re.compile(r"(```+|~~~+)[ \t]*(?:json[a-z0-9]*\b)?", re.IGNORECASE)


def shown_result(job: FinishedJob, *, unwrap: bool = False) -> Json:
    """
    Return the value of a job's result as tables show it.

    JSON text inside a string, also in a fenced block, is read as the object or list that it is.
    With *unwrap*, a sole field of WRAPPERS around an object or a list is left out, unless the job's
    `output_schema` names it. Text that is not JSON is returned as text, and a note in place of a
    result that is too large to be parsed.
    """
    if job.result is None:
        return None
    if not is_parsable(job.result):
        return set_aside_note(job)
    try:
        value = read(job.result)
    except ValueError:
        value = job.result
    value = opened(value)
    return _unwrapped(value, job.schema_fields) if unwrap else value


def opened(value: Json) -> Json:
    """Return the object or list of a string that is JSON text, and anything else as it is."""
    # A Number is a str, and begins with no such character.
    if not isinstance(value, str) or not _MAY_BE_JSON.match(value):
        return value
    text = _without_fence(value.strip())
    if text[:1] + text[-1:] not in ("{}", "[]", '""') or not is_parsable(text):
        return value
    try:
        inner = read(text)
    except ValueError:
        return value
    inner = opened(inner) if text[0] == '"' else inner
    return inner if isinstance(inner, dict | list) else value


def _without_fence(text: str) -> str:
    fence = _FENCE.match(text)
    if fence is None or not text.endswith(fence[1]):
        return text
    return text[fence.end() : -len(fence[1])].strip()


def _unwrapped(value: Json, named: frozenset[str]) -> Json:
    while isinstance(value, dict) and len(value) == 1:
        ((name, inner),) = value.items()
        inner = opened(inner)
        if name.lower() not in WRAPPERS or name in named or not isinstance(inner, dict | list):
            break
        value = inner
    return value


def list_paths(value: Json, parent: str = RESULT, depth: int = 0) -> Iterator[str]:
    """Give the paths of the lists in a result, as --explode takes them; some more than once."""
    value = opened(value)
    if isinstance(value, list):
        yield parent
    if depth >= MAX_DEPTH_OF_TEXT:
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from list_paths(inner, below(parent, name), depth + 1)
    elif isinstance(value, list):
        for item in value[:_ITEMS_SEARCHED]:
            if isinstance(item, dict):
                yield from list_paths(item, parent, depth + 1)


class Exploder:
    """Makes one row of each element of the list at a path, and counts the jobs that had one."""

    def __init__(self, path: Sequence[str]) -> None:
        self._path = tuple(path)
        self._found = False
        self.jobs = 0

    def rows(self, value: Json) -> Iterator[Json]:
        """
        Give the result once per element, with the element in place of the list.

        Lists on the way to the path are exploded as well. A result without a list there, or with an
        empty one, is given once: what else it has is not lost.
        """
        self._found = False
        for row in self._exploded(value, 0):
            yield None if row is _EMPTY else row
        self.jobs += self._found

    def _exploded(self, value: Json, step: int) -> Iterator[Json]:
        value = opened(value)
        if isinstance(value, list):
            self._found = self._found or step == len(self._path)
            if not value:
                yield _EMPTY
            for item in value:
                yield from self._exploded(item, step) if step < len(self._path) else (item,)
        elif step < len(self._path) and isinstance(value, dict) and self._path[step] in value:
            key = self._path[step]
            for item in self._exploded(value[key], step + 1):
                if item is not _EMPTY:
                    yield {**value, key: item}
                else:
                    yield {name: value[name] for name in value if name != key} or _EMPTY
        else:
            yield value


class ShownRows:
    """The rows of a table: each job with the result that its row shows; counts both."""

    def __init__(self, table: ExportTable) -> None:
        path = table.view.explode
        self._table = table
        self._explode = None if path is None else Exploder(path_of(path))
        self.jobs = self.rows = 0

    @property
    def exploded_jobs(self) -> int:
        """Return the number of jobs with a list at the path that is exploded."""
        return self._explode.jobs if self._explode else 0

    def __iter__(self) -> Iterator[tuple[FinishedJob, Json]]:
        """Give each job with its result, once per element if a list is exploded."""
        if self._explode:
            self._explode.jobs = 0
        for job, _ in self.unread():
            value = shown_result(job, unwrap=self._table.view.unwrap)
            if self._explode is None:
                yield job, value
                continue
            self.rows -= 1
            for row in self._explode.rows(value):
                self.rows += 1
                yield job, row

    def unread(self) -> Iterator[tuple[FinishedJob, Json]]:
        """Give each job, and read no result."""
        self.jobs = self.rows = 0
        for job in self._table.jobs():
            self.jobs += 1
            self.rows += 1
            yield job, None
