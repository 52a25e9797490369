"""Reads job files and rows, and loads their jobs into a batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from batchrunner.app.api_access import SANDBOX, ApiAccess
from batchrunner.app.input_file import read_beside
from batchrunner.app.input_request import InputRequest
from batchrunner.app.read_input import read_input
from batchrunner.app.row_values import ROWS, json_text, without_empty
from batchrunner.app.schema_classes import SchemaClasses
from batchrunner.errors import InputError, UsageError
from batchrunner.inputs.yaml import JobFileErrors, parse, report
from batchrunner.model import AUTO, JobFile, LoadResult, Settings
from batchrunner.model.comparison import Comparison

#: Settings that are mappings: that they changed is said, and not to what.
_NESTED = ("policy", "quality", "diff")


@dataclass(frozen=True, kw_only=True)
class LoadReport:
    """What loading a job file or rows did."""

    added: int
    known: int  #: were there already
    duplicates: int = 0  #: were given more than once
    changed: tuple[str, ...] = ()  #: first ids that had another url, goal or options before
    comparison: Comparison | None = None  #: what it changed, in numbers
    notes: tuple[str, ...] = ()  #: settings that are changed, or kept as they were set since
    warnings: tuple[str, ...] = ()  #: what looks wrong in the file


def read_job_file(path: Path) -> JobFile:
    """
    Read a job file, or a table whose columns say what they are.

    Raises:
        InputError: It has problems; all of them are in one report.
        UsageError: There is no such file, or it is a folder, a device and the like.
        CannotContinue: It cannot be read.
    """
    return read_input(InputRequest(paths=(path,)))


def rows_as_job_file(
    rows: Iterable[Mapping[str, Any]],
    name: str,
    *,
    settings: Mapping[str, Any] | None = None,
    defaults: Mapping[str, Any] | None = None,
) -> JobFile:
    """
    Return the batch that rows describe, each with the keys of a job in a job file.

    A value that is not a number (as pandas fills empty cells) counts as no value.

    Raises:
        InputError: Rows have problems; all of them are in one report.
        UsageError: A value is none that JSON has.
    """
    classes = SchemaClasses()
    jobs = [classes.written_out(without_empty(row)) for row in rows]
    defaults = classes.written_out(defaults)
    whole = {"name": name, "settings": settings, "defaults": defaults, "jobs": jobs}
    given = {key: value for key, value in whole.items() if value is not None}
    text = json_text(given, indent=1)
    return replace(_parsed(text, file=ROWS, name=name), from_file=False)


def _parsed(content: bytes | str, *, file: str, name: str) -> JobFile:
    try:
        return parse(content, file=file, name=name, read_beside=partial(read_beside, Path()))
    except JobFileErrors as errors:
        raise InputError(report(errors), errors.problems) from errors


def load_report(result: LoadResult, job_file: JobFile, *, budget_given: bool = False) -> LoadReport:
    """Return what loading did; with *budget_given*, another option sets the budget."""
    return LoadReport(
        added=result.added,
        known=result.known,
        duplicates=job_file.duplicates,
        changed=result.changed,
        comparison=result.comparison,
        notes=tuple(_settings_notes(result, job_file.settings, budget_given=budget_given)),
        warnings=job_file.warnings,
    )


def refuse_sandbox_urls(urls: Iterable[tuple[str, int]], api: ApiAccess) -> None:
    """
    Refuse to pay for pages that exist only in the sandbox; urls come with their lines.

    Raises:
        UsageError: There is such a page, and the API is not on this machine.
    """
    if api.origin == SANDBOX:
        return
    for url, line in urls:
        if (urlsplit(url).hostname or "").endswith(".test"):
            raise UsageError(
                f"{url} (line {line}) exists only in the sandbox",
                next="add --sandbox, or write a real address",
            )


def _settings_notes(result: LoadResult, given: Settings, *, budget_given: bool) -> Iterator[str]:
    """Give which settings of a batch that was there are changed, and which are kept."""
    now = result.batch.settings
    if result.before is not None:
        for name in (each.name for each in fields(now)):
            was, is_ = getattr(result.before, name), getattr(now, name)
            if was != is_:
                change = "" if name in _NESTED else f": {_plain(name, was)} → {_plain(name, is_)}"
                yield f"`{name}` of the batch is changed{change}"
    for name in ("concurrency",) if budget_given else ("concurrency", "budget"):
        kept, said = getattr(now, name), getattr(given, name)
        if kept != said:
            yield (
                f"`{name}` stays {_plain(name, kept)}, as it was set since; "
                f"what is loaded says {_plain(name, said)}, as before"
            )


def _plain(name: str, value: object) -> str:
    if name == "concurrency" and value == AUTO:
        return "auto"
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g} s"
    return "none" if value is None else str(value)
