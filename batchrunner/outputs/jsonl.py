"""Finished jobs → JSONL: one JSON object per line."""

from __future__ import annotations

from json.encoder import encode_basestring_ascii
from typing import IO

from batchrunner.model import FinishedJob
from batchrunner.outputs.columns import ARTIFACTS, FIELDS, RESULT, Jobs
from batchrunner.outputs.export_format import Format, Written
from batchrunner.outputs.json_values import strict, strict_string

#: The key for the text of a result that is not JSON.
UNREADABLE_KEY = "result_unreadable"


def write_jsonl(jobs: Jobs, file: IO[bytes]) -> Written:
    """
    Write one JSON object per job, in pure ASCII; its result is the JSON value that the API sent.

    Every object has the keys of FIELDS and `result`. Where a result is not JSON, `result` is null
    and one more key, `result_unreadable`, has its text. A job with artifacts has their paths under
    `artifacts`.
    """
    count = 0
    for count, job in enumerate(jobs(), start=1):  # noqa: B007
        file.write(_line(job).encode("ascii"))
    return Written(jobs=count)


FORMAT = Format(
    name="jsonl",
    help="one JSON object per line",
    write=write_jsonl,
    suffixes=(".jsonl", ".ndjson"),
)


def _line(job: FinishedJob) -> str:
    fields = ",".join([f'"{name}":{_value(get(job))}' for name, get in FIELDS.items()])
    return f'{{{fields},"{RESULT}":{_result(job.result)}{_artifacts(job)}}}\n'


def _artifacts(job: FinishedJob) -> str:
    paths = ",".join(map(_string, job.artifacts))
    return f',"{ARTIFACTS}":[{paths}]' if paths else ""


def _value(value: str | int | None) -> str:
    if value is None:
        return "null"
    return _string(value) if isinstance(value, str) else str(value)


def _result(text: str | None) -> str:
    if text is None:
        return "null"
    try:
        return strict(text)
    except ValueError:
        return f'null,"{UNREADABLE_KEY}":{_string(text)}'


def _string(text: str) -> str:
    string = encode_basestring_ascii(text)
    return strict_string(string) if "\\ud" in string else string
