"""Differences between two sets of results → JSONL, CSV or Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from json.encoder import encode_basestring_ascii
from typing import IO, Final

from batchrunner.differences import MISSING, Change, JobDiff
from batchrunner.outputs.cells import utf8
from batchrunner.outputs.difference_values import plain_text, value_text
from batchrunner.outputs.formula_guard import guard
from batchrunner.outputs.json_values import strict, strict_string
from batchrunner.outputs.markdown import escaped

#: The columns of a row: one for each change, and one for a job that has none.
COLUMNS: Final = (
    "id",
    "url",
    "status",
    "path",
    "kind",
    "before",
    "after",
    "outcome_before",
    "outcome_after",
)
#: Longest value, in characters; a longer one loses its end.
MAX_VALUE_LENGTH, MAX_MARKDOWN_LENGTH = 32_000, 200

Write = Callable[[Iterable[JobDiff], IO[bytes]], None]


def _rows(jobs: Iterable[JobDiff], most: int) -> Iterator[list[str]]:
    for job in jobs:
        for change in job.changes or (None,):
            yield _row(job, change, most)


def _row(job: JobDiff, change: Change | None, most: int) -> list[str]:
    values = ("", "", "", "") if change is None else _cells(change, most)
    return [
        job.job.id,
        job.job.url,
        job.status.value,
        *values,
        job.before.outcome if job.before else "",
        job.after.outcome if job.after else "",
    ]


def _cells(change: Change, most: int) -> tuple[str, ...]:
    before, after = plain_text(change.before, most), plain_text(change.after, most)
    return change.path, change.kind.value, before, after


def write_csv(jobs: Iterable[JobDiff], file: IO[bytes]) -> None:
    """Write a header and a row for each change."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in _rows(jobs, MAX_VALUE_LENGTH):
        writer.writerow([guard(utf8(cell.replace("\0", "␀"))) for cell in row])
        file.write(text.getvalue().encode())
        text.seek(0)
        text.truncate()
    file.write(text.getvalue().encode())


def write_jsonl(jobs: Iterable[JobDiff], file: IO[bytes]) -> None:
    """Write one JSON object for each job, in pure ASCII."""
    for job in jobs:
        outcomes = {
            "outcome_before": job.before.outcome if job.before else None,
            "outcome_after": job.after.outcome if job.after else None,
        }
        texts = {"id": job.job.id, "url": job.job.url, "status": job.status.value, **outcomes}
        members = _members(texts)
        changes = ",".join(map(_change, job.changes))
        file.write(f'{{{members},"changes":[{changes}]}}\n'.encode("ascii"))


def _change(change: Change) -> str:
    members = [_members({"path": change.path, "kind": change.kind.value})]
    is_cut = change.whole
    for name, value in (("before", change.before), ("after", change.after)):
        if value is not MISSING:
            text, cut = value_text(value, MAX_VALUE_LENGTH)
            is_cut = is_cut or cut
            members.append(f'"{name}":{_string(text) if cut else "".join(strict(text))}')
    return f"{{{','.join(members)}{_WHOLE if is_cut else ''}}}"


#: Says that a value is not all of it, or that the results were not compared field by field.
_WHOLE = ',"whole":true'


def _members(texts: Mapping[str, str | None]) -> str:
    return ",".join(
        f'"{name}":{"null" if text is None else _string(text)}' for name, text in texts.items()
    )


def _string(text: str) -> str:
    string = encode_basestring_ascii(text)
    return strict_string(string) if "\\ud" in string else string


def write_markdown(jobs: Iterable[JobDiff], file: IO[bytes]) -> None:
    """Write a table for people, with long values cut."""
    file.write(_line(COLUMNS))
    file.write(_line(["---"] * len(COLUMNS)))
    for row in _rows(jobs, MAX_MARKDOWN_LENGTH):
        file.write(_line([escaped(utf8(cell)) for cell in row]))


def _line(cells: Sequence[str]) -> bytes:
    return f"| {' | '.join(cells)} |\n".encode()


#: Name of a format → its writer and the ends of file names that select it.
FORMATS: Mapping[str, tuple[Write, tuple[str, ...]]] = {
    "jsonl": (write_jsonl, (".jsonl", ".ndjson")),
    "csv": (write_csv, (".csv",)),
    "markdown": (write_markdown, (".md", ".markdown")),
}
