"""Finished jobs → JSONL, one object a line."""

from __future__ import annotations

from collections.abc import Generator
from json.encoder import encode_basestring_ascii

from batchrunner.model import FinishedJob
from batchrunner.outputs.columns import ARTIFACTS, FIELDS, RESULT, Jobs
from batchrunner.outputs.json_values import strict, strict_string

#: The key that holds a result which is not JSON, as text.
UNREADABLE = "result_unreadable"


def jsonl_lines(jobs: Jobs) -> Generator[str, None, int]:
    """
    Give one JSON object for each job, in pure ASCII, its result the JSON value that the API sent.

    All have the keys of FIELDS and `result`. Where a result is not JSON it is null, and its text
    stands under one key more, `result_unreadable`. A job with artifacts has their paths under
    `artifacts`. Returns 0: there are no cells to guard.
    """
    for job in jobs():
        yield _line(job)
    return 0


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
        return f'null,"{UNREADABLE}":{_string(text)}'


def _string(text: str) -> str:
    string = encode_basestring_ascii(text)
    return strict_string(string) if "\\ud" in string else string
