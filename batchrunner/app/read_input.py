"""Reads job files and tables as one batch."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

from batchrunner.app.input_file import open_input_table, read_beside
from batchrunner.app.input_request import STANDARD_INPUT, InputRequest, batch_name
from batchrunner.app.refused_rows import RefusedRows
from batchrunner.app.row_values import ROWS, json_text, without_empty
from batchrunner.app.schema_classes import SchemaClasses
from batchrunner.errors import InputError, UsageError
from batchrunner.inputs.field_types import INVALID
from batchrunner.inputs.mapping.batch_jobs import BatchJobs
from batchrunner.inputs.mapping.said import TableRequest, said_of
from batchrunner.inputs.mapping.table_jobs import Refuse
from batchrunner.inputs.mapping.wording import leave_out, template_choice
from batchrunner.inputs.nodes import Scalar
from batchrunner.inputs.problem_log import ProblemLog
from batchrunner.inputs.source import Source, SourcePosition
from batchrunner.inputs.tables import Table, TableOptions, open_table
from batchrunner.inputs.yaml import NAME, NO_HEAD, Head, JobFileErrors, parse, parse_head, report
from batchrunner.model import JobFile, Settings, SourceFile

#: What problems in rows from Python name in the place of a file.
ROWS_FILE = Path("rows.jsonl")


def read_input(request: InputRequest) -> JobFile:
    """
    Read what a request names: job files and tables, in their order.

    Rows that are left out are in the file that the request names for them.

    Raises:
        InputError: The files have problems; all of them are in one report.
        UsageError: There is no such file, or the request cannot be carried out.
        CannotContinue: A file cannot be read.
    """
    with ExitStack() as stack:
        refused = RefusedRows(request)
        stack.callback(refused.close)
        reading = _Reading(request, refused, stack)
        try:
            job_file = reading.read()
        except JobFileErrors as errors:
            tip = leave_out(request.style) if errors.can_leave_out else None
            raise InputError(report(errors, tip=tip), errors.problems) from errors
        left_out = tuple(refused.write())
    if not len(job_file.specs):
        raise UsageError(
            f"no row of {request.first} can be loaded",
            next=f"see the reasons in {request.skip_invalid}",
        )
    return replace(job_file, notes=(*job_file.notes, *left_out), is_complete=not left_out)


def rows_as_table(
    rows: Iterable[Mapping[str, Any]],
    request: InputRequest,
    *,
    settings: Mapping[str, Any] | None = None,
    defaults: Mapping[str, Any] | None = None,
) -> JobFile:
    """
    Return the batch of rows whose keys are columns, as the request says.

    *settings* and *defaults* are those of a job file; a goal there is a template.

    Raises:
        InputError: Rows have problems; all of them are in one report.
        UsageError: A row is no mapping, or a value is none that JSON has.
    """
    classes = SchemaClasses()
    lines = [_line(number, row, classes) for number, row in enumerate(rows, 1)]
    jobs = BatchJobs()
    said = {"settings": settings, "defaults": classes.written_out(defaults)}
    try:
        head = _head({**said, **_schema_of(request, defaults)}, file=ROWS)
        content = "\n".join(lines).encode(errors="surrogatepass")
        with open_table(BytesIO(content), file=str(ROWS_FILE), options=request.table) as table:
            jobs.add_table(table, _table_request(request, ROWS_FILE, head))
            name = _checked_name(request.name or "rows")
            empty = JobFile(
                name=name,
                settings=head.settings,
                specs=(),
                from_file=False,
                warnings=head.warnings,
            )
            return jobs.result(empty, file=str(ROWS_FILE))
    except JobFileErrors as errors:
        raise InputError(report(errors), errors.problems) from errors


def _line(number: int, row: object, classes: SchemaClasses) -> str:
    if not isinstance(row, Mapping):
        raise UsageError(
            f"row {number} is {reprlib.repr(row)}, not a mapping of columns to values",
            next='write each row as {"link": "https://…", "product": "lamp"}',
            where=ROWS,
        )
    return json_text(classes.written_out(without_empty(row)))


def _schema_of(
    request: InputRequest, defaults: Mapping[str, Any] | None = None
) -> dict[str, dict[str, Any]]:
    """Return the schema that a request names as `defaults`, beside others."""
    if request.output_schema is None:
        return {}
    schema = {"from": str(request.output_schema.absolute())}
    return {"defaults": {**(defaults or {}), "output_schema": schema}}


def _head(said: Mapping[str, Any], *, file: str) -> Head:
    given = {key: value for key, value in said.items() if value is not None}
    if not given:
        return NO_HEAD
    text = json_text(given, indent=1)
    return parse_head(text, file=file, read_beside=partial(read_beside, Path()))


def _table_request(request: InputRequest, path: Path, head: Head = NO_HEAD) -> TableRequest:
    return TableRequest(
        path=str(path),
        style=request.style,
        said=said_of(request.choices),
        to_options=request.choices.to_options,
        options=request.table,
        defaults=head.defaults,
    )


class _Reading:
    """One reading of the files of a request; it is what opens the tables that job files name."""

    def __init__(self, request: InputRequest, refused: RefusedRows, stack: ExitStack) -> None:
        self._request = request
        self._refused = refused
        self._stack = stack
        self._sources: list[SourceFile] = []
        self._folder = Path()

    @property
    def refuse(self) -> Refuse | None:
        """Takes a row that is left out; None: a row with a problem refuses all."""
        return None if self._request.skip_invalid is None else self._refused.add

    def open(self, path: str, options: TableOptions) -> Table:
        """Open a table that a job file names, from the file's folder."""
        place = self._folder / path
        if not place.exists():
            raise UsageError(
                f"there is no file {place}", next="a path starts at the folder of the job file"
            )
        return self._opened(place, options)

    def _opened(self, path: Path, options: TableOptions) -> Table:
        table = self._stack.enter_context(closing(open_input_table(path, options)))
        if table.kind != "yaml":
            self._refused.expect(path, table)
        place = str(path) if path == STANDARD_INPUT else str(path.absolute())
        self._sources.append(SourceFile(path=place, digest=table.digest))
        return table

    def read(self) -> JobFile:
        request = self._request
        tables = [(path, self._opened(path, request.table)) for path in request.paths]
        if len(tables) == 1 and tables[0][1].kind == "yaml":
            job_file = self._job_file(*tables[0])
        else:
            job_file = self._several(tables)
        self._refuse_idle_options(tables)
        name = job_file.name if request.name is None else _checked_name(request.name)
        return replace(job_file, name=name, sources=tuple(self._sources))

    def _job_file(self, path: Path, table: Table) -> JobFile:
        self._folder = path.parent
        beside = partial(read_beside, path.parent)
        return parse(
            table.text, file=table.file, name=self._name(path), files=self, read_beside=beside
        )

    def _name(self, path: Path) -> str:
        return self._request.name or batch_name(path)

    def _several(self, tables: Iterable[tuple[Path, Table]]) -> JobFile:
        request, jobs, settings = self._request, BatchJobs(self.refuse), Settings()
        head = _head(_schema_of(request), file="--output-schema")
        names: list[str] = []
        for path, table in tables:
            if table.kind != "yaml":
                jobs.add_table(table, _table_request(request, path, head))
                continue
            try:
                job_file = self._job_file(path, table)
            except JobFileErrors as errors:
                jobs.problems += errors.problems
                continue
            settings = _one_of(settings, job_file.settings, path)
            names.append(job_file.name)
            jobs.add_job_file(job_file, file=table.file)
        name = _checked_name(names[0] if names else self._name(request.first))
        empty = JobFile(name=name, settings=settings, specs=(), warnings=head.warnings)
        return jobs.result(empty, file=str(request.first))

    def _refuse_idle_options(self, tables: Iterable[tuple[Path, Table]]) -> None:
        """Refuse options for tables where there is none: they would change nothing."""
        choices = self._request.choices
        if any(table.kind != "yaml" for _, table in tables):
            return
        if self._request.output_schema is not None:
            raise UsageError(
                f"{self._request.first} is a job file: a schema is said in the file itself",
                next="write it there: `defaults: {output_schema: {from: "
                f"{self._request.output_schema}}}}}`",
            )
        if not choices.any():
            return
        goal = choices.goal or "Read the price"
        written = template_choice("job file", "goal", goal)
        raise UsageError(
            f"{self._request.first} is a job file: what columns are is said in the file itself",
            next=f"write it there: `defaults: {{{written}}}`, or `jobs: {{from: pairs.csv, …}}`",
        )


def _one_of(settings: Settings, other: Settings, path: Path) -> Settings:
    """Return the settings of two job files, of which one may have none."""
    if Settings() in (settings, other) or settings == other:
        return other if settings == Settings() else settings
    raise UsageError(
        f"{path} has other `settings` than the files before it",
        next="leave them in one of the files, or load the files as batches of their own",
    )


def _checked_name(name: str) -> str:
    """
    Return a batch's name.

    Raises:
        UsageError: It has characters that a name cannot have.
    """
    start, log = SourcePosition(0, 0), ProblemLog(Source("", ""))
    found = NAME.read(Scalar(start, start, name, plain=False), "the name", log)
    if found is INVALID:
        clean = re.sub(r"[^\w. -]+", " ", name).strip() or "pairs"
        proposed = template_choice("option", "name", " ".join(clean.split())[:100])
        raise UsageError(
            f"the batch cannot be named {name!r}: a name has {NAME.expected}",
            next=f"give it another one: {proposed}",
        )
    return found
