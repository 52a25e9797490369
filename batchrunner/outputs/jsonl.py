"""Finished jobs → JSONL: one JSON object per line."""

from __future__ import annotations

from collections.abc import Iterator
from json.encoder import encode_basestring_ascii
from typing import IO

from batchrunner.model import FinishedJob
from batchrunner.outputs.columns import ARTIFACTS, FIELDS, RESULT, set_aside_note
from batchrunner.outputs.export_format import Format, Written
from batchrunner.outputs.json_values import strict, strict_string
from batchrunner.outputs.table import ExportTable
from batchrunner.text.json_size import is_parsable

#: The key for the text of a result that is not JSON.
UNREADABLE_KEY = "result_unreadable"
#: The key for a note on a result that is too large to be parsed.
SET_ASIDE_KEY = "result_set_aside"


def write_jsonl(table: ExportTable, file: IO[bytes]) -> Written:
    """
    Write one JSON object per job, in pure ASCII; its result is the JSON value that the API sent.

    Every object has the keys of FIELDS and `result`. Where a result is not JSON, `result` is null
    and one more key, `result_unreadable`, has its text. Where it is too large to be parsed,
    `result_set_aside` says how to print it. A job with artifacts has their paths under
    `artifacts`.
    """
    count = 0
    for count, job in enumerate(table.jobs(), start=1):  # noqa: B007
        for part in _line(job):
            file.write(part.encode("ascii"))
    return Written(jobs=count, rows=count)


FORMAT = Format(
    name="jsonl",
    help="one JSON object per line",
    write=write_jsonl,
    suffixes=(".jsonl", ".ndjson"),
)


def _line(job: FinishedJob) -> Iterator[str]:
    fields = ",".join([f'"{name}":{_value(get(job))}' for name, get in FIELDS.items()])
    yield f'{{{fields},"{RESULT}":'
    yield from _result(job)
    yield f"{_artifacts(job)}}}\n"


def _artifacts(job: FinishedJob) -> str:
    paths = ",".join(map(_string, job.artifacts))
    return f',"{ARTIFACTS}":[{paths}]' if paths else ""


def _value(value: str | int | None) -> str:
    if value is None:
        return "null"
    return _string(value) if isinstance(value, str) else str(value)


def _result(job: FinishedJob) -> Iterator[str]:
    if job.result is None:
        yield "null"
    elif not is_parsable(job.result):
        yield f'null,"{SET_ASIDE_KEY}":{_string(set_aside_note(job))}'
    else:
        try:
            yield from strict(job.result)
        except ValueError:
            yield f'null,"{UNREADABLE_KEY}":'
            yield _string(job.result)


def _string(text: str) -> str:
    string = encode_basestring_ascii(text)
    return strict_string(string) if "\\ud" in string else string
