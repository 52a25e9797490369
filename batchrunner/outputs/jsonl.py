"""Finished jobs → JSONL: one JSON object per line."""

from __future__ import annotations

from collections.abc import Iterator
from json.encoder import encode_basestring_ascii
from typing import IO, Any

from batchrunner.model import FinishedJob
from batchrunner.outputs.cells import as_json
from batchrunner.outputs.column_names import column_names
from batchrunner.outputs.columns import ADVICE, ARTIFACTS, FIELDS, RESULT, set_aside_note
from batchrunner.outputs.export_format import Format, Written
from batchrunner.outputs.json_values import Json, Number, strict, strict_line, strict_string, write
from batchrunner.outputs.sheet import Sheet
from batchrunner.outputs.shown_result import ShownRows
from batchrunner.outputs.table import ExportTable
from batchrunner.text.json_size import ALWAYS_PARSED_LENGTH, is_parsable

#: The key for the text of a result that is not JSON.
UNREADABLE_KEY = "result_unreadable"
#: The key for a note on a result that is too large to be parsed.
SET_ASIDE_KEY = "result_set_aside"
#: The key for the revision of a job that was given another form or was run anew.
REVISION_KEY = "revision"
_KEYS = [*FIELDS, RESULT, ARTIFACTS, *ADVICE, UNREADABLE_KEY, SET_ASIDE_KEY, REVISION_KEY]


def write_jsonl(table: ExportTable, file: IO[bytes]) -> Written:
    """
    Write one JSON object per job, in pure ASCII; its result is the JSON value that the API sent.

    Every object has the keys of FIELDS, the carried columns and `result`. Where a result is not
    JSON, `result` is null and one more key, `result_unreadable`, has its text. Where it is too
    large to be parsed, `result_set_aside` says how to print it. A job with artifacts has their
    paths under `artifacts`, and one that was run anew its `revision`, from 2 on. What the API
    advised has the keys of ADVICE, where there is any.
    Where columns are selected, an object has these and no others.
    """
    if table.view.columns:
        return _write_selected(table, file)
    rows = ShownRows(table)
    names, _ = column_names(_KEYS, table.columns, [])
    is_as_sent = not table.view.unwrap and table.view.explode is None
    carried = [(own, f",{_string(name)}:") for own, name in zip(table.columns, names, strict=True)]
    for job, value in rows if not is_as_sent else rows.unread():
        line = _quick_line(job, carried) if is_as_sent else None
        if line is not None:
            file.write(line.encode("ascii"))
            continue
        for part in _line(job, carried, _result(job) if is_as_sent else _shown(job, value)):
            file.write(part.encode("ascii"))
    renamed = [pair for pair in zip(table.columns, names, strict=True) if pair[0] != pair[1]]
    return Written(
        jobs=rows.jobs, rows=rows.rows, renamed=tuple(renamed), exploded=rows.exploded_jobs
    )


FORMAT = Format(
    name="jsonl",
    help="one JSON object per line",
    write=write_jsonl,
    suffixes=(".jsonl", ".ndjson"),
)


def _write_selected(table: ExportTable, file: IO[bytes]) -> Written:
    sheet = Sheet(table)
    keys = [_string(name) for name in sheet.names]
    for row in sheet.rows():
        members = [f"{key}:{_json(cell)}" for key, cell in zip(keys, row.cells, strict=True)]
        file.write(f"{{{','.join(members)}}}\n".encode("ascii"))
    return sheet.written()


def _quick_line(job: FinishedJob, carried: list[tuple[str, str]]) -> str | None:
    """Return the whole line of most jobs; None where the result needs a closer look."""
    if job.result is None or len(job.result) > ALWAYS_PARSED_LENGTH:
        return None
    result = strict_line(job.result)
    return None if result is None else f"{_head(job, carried)}{result}{_tail(job)}"


def _line(job: FinishedJob, carried: list[tuple[str, str]], result: Iterator[str]) -> Iterator[str]:
    yield _head(job, carried)
    yield from result
    yield _tail(job)


def _head(job: FinishedJob, carried: list[tuple[str, str]]) -> str:
    """Return an object up to its result."""
    head = _FIELDS % tuple([_value(get(job)) for get in _GETTERS])
    if carried:
        columns = job.columns
        head += "".join([key + _carried(columns.get(name)) for name, key in carried])
    return head + _RESULT


def _tail(job: FinishedJob) -> str:
    """Return what follows the result."""
    revision = f',"{REVISION_KEY}":{job.revision}' if job.revision > 1 else ""
    return f"{_artifacts(job)}{_advice(job)}{revision}}}\n"


_GETTERS = [*FIELDS.values()]
_FIELDS = "{" + ",".join(f'"{name}":%s' for name in FIELDS)
_RESULT = f',"{RESULT}":'


def _carried(value: Any) -> str:
    return _string(value) if value.__class__ is str else _json(as_json(value))


def _advice(job: FinishedJob) -> str:
    if job.help is None and job.run_error is None:
        return ""
    said = {name: get(job) for name, get in ADVICE.items()}
    return "".join(f',"{name}":{_string(text)}' for name, text in said.items() if text)


def _artifacts(job: FinishedJob) -> str:
    paths = ",".join(map(_string, job.artifacts))
    return f',"{ARTIFACTS}":[{paths}]' if paths else ""


def _value(value: str | int | None) -> str:
    if value is None:
        return "null"
    return str(value) if isinstance(value, int) else _string(value)


def _json(value: Any) -> str:
    if isinstance(value, str) and not isinstance(value, Number):
        return _string(value)
    text = write(value)
    try:
        return "".join(strict(text))
    except ValueError:  # nested deeper than other programs read
        return _string(text)


def _shown(job: FinishedJob, value: Json) -> Iterator[str]:
    # Text is text that no view changes, or a note.
    is_text = isinstance(value, str) and not isinstance(value, Number)
    return _result(job) if is_text else iter((_json(value),))


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
