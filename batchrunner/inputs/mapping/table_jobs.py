"""The rows of a table, times a matrix → job specs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, product
from typing import Any

from batchrunner.inputs.mapping.column_options import misspelt_options, option_columns
from batchrunner.inputs.mapping.column_roles import RoleProblem, Roles, find_roles
from batchrunner.inputs.mapping.row_log import RowLog
from batchrunner.inputs.mapping.row_mapper import RowMapper, is_export
from batchrunner.inputs.mapping.said import ROLES, TableRequest
from batchrunner.inputs.mapping.templates import listed, normal
from batchrunner.inputs.mapping.wording import switch
from batchrunner.inputs.spec_collector import SpecCollector
from batchrunner.inputs.tables import Row, Table
from batchrunner.model.problems import Problem

#: Rows by which columns are recognized.
_SAMPLE = 30
#: Takes a row that is left out, with the reasons.
Refuse = Callable[[Table, Row, list[str]], None]


@dataclass(kw_only=True)
class TableJobs:
    """What a table gave, beside the specs."""

    columns: tuple[str, ...] = ()  #: carried
    problems: list[Problem] = field(default_factory=list)
    row_problems: int = 0  #: those of `problems` that are of single rows
    hidden: int = 0  #: problems that are only counted
    role_problems: list[RoleProblem] = field(default_factory=list)  #: of what a job file says
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    refused: int = 0  #: rows that were left out


def add_table(
    table: Table, request: TableRequest, collector: SpecCollector, refuse: Refuse | None = None
) -> TableJobs:
    """
    Add the specs of a table's rows to *collector*.

    With *refuse*, rows with problems are given to it and left out.
    """
    return _TableReading(table, request, collector, refuse).read()


class _TableReading:
    """One reading of a table."""

    def __init__(
        self, table: Table, request: TableRequest, collector: SpecCollector, refuse: Refuse | None
    ) -> None:
        self._table, self._request = table, request
        self._collector, self._refuse = collector, refuse
        self._log = RowLog(table.file, only_reasons=refuse is not None)
        self._jobs = TableJobs()
        said = request.to_options
        self._to_options = table.kind == "json" if said is None else said
        width = len(table.columns)
        own = {column.name: column.number for column in table.columns}
        added = {each.name: width + at for at, each in enumerate(request.matrix)}
        self._columns: Mapping[str, int] = own | added
        self._clashing = [each.name for each in request.matrix if each.name in own]

    def read(self) -> TableJobs:
        """Read the rows, and return what was found."""
        roles = find_roles(self._request, self._columns, self._sample())
        for name in self._clashing:
            message = f"`{name}` is a column of the table, and a name of the matrix"
            roles.problems.append(RoleProblem(message, "give one of them another name"))
        self._report(roles)
        carried = {
            name: number
            for name, number in self._columns.items()
            if not (normal(name) in ROLES and self._is_role(roles, number))
        }
        self._jobs.columns = tuple(carried)
        options = option_columns(self._columns) if self._to_options else []
        self._note_options(roles)
        if is_export(self._table):
            self._jobs.notes.append(
                f"{self._table.file} is an export: ids of 32 hex digits there are those of jobs "
                "without an id, and count as none"
            )
        templates = [*roles.by_role.values(), *([roles.default_goal] if roles.default_goal else [])]
        used = {number for template in templates for number in template.columns}
        self._table.needed = frozenset(used | {each.number for each in options})
        if "url" in roles.by_role:
            mapper = RowMapper(
                self._table,
                self._request,
                roles,
                carried=carried,
                options=options,
                log=self._log,
            )
            self._read_rows(mapper, keep=not roles.problems)
        return self._result()

    def _sample(self) -> list[Sequence[Any]]:
        rows = islice(self._table.rows(), _SAMPLE)
        return [cells for row in rows for cells in islice(self._cells(row), 1)]

    def _cells(self, row: Row) -> Iterator[Sequence[Any]]:
        """Give the cells of a row with each combination of the matrix."""
        if not self._request.matrix:
            yield row.cells
            return
        for combination in product(*(each.values for each in self._request.matrix)):
            yield (*row.cells, *combination)

    def _is_role(self, roles: Roles, number: int) -> bool:
        return any(each.sole_column == number for each in roles.by_role.values())

    def _report(self, roles: Roles) -> None:
        for problem in roles.problems:
            if problem.said is not None and problem.said.at is not None:
                self._jobs.role_problems.append(problem)
            else:
                self._jobs.problems.append(self._at_header(problem))
        where = f"{self._table.file}: "
        self._jobs.notes += [where + note for note in roles.notes]
        self._jobs.warnings += [where + warning for warning in roles.warnings]

    def _at_header(self, problem: RoleProblem) -> Problem:
        return self._table.problem(problem.message, self._table.header_row, None, problem.tip)

    def _note_options(self, roles: Roles) -> None:
        """Say which columns are options, and warn of those that look like it."""
        found = {
            each.name: each.number
            for each in option_columns(self._columns)
            if not self._is_role(roles, each.number)
        }
        where = f"{self._table.file}:"
        if found and self._to_options:
            self._jobs.notes.append(f"{where} options of each job: {listed(found)}")
        elif found and self._request.to_options is None:
            self._jobs.warnings.append(
                f"{where} {listed(found)}: named like a key of a job, and only carried along; "
                f"{switch(self._request.style)} makes options of such columns"
            )
        for name, tip in misspelt_options(self._columns):
            self._jobs.warnings.append(f"{where} column `{name}` is only carried along; {tip}")

    def _read_rows(self, mapper: RowMapper, *, keep: bool) -> None:
        add, log, matrix = self._collector.add, self._log, self._request.matrix
        count = 0
        for row in self._table.rows():
            count += 1
            if row.problem is not None:
                log.add_problem(row.problem)
            elif not matrix:
                spec = mapper.spec(row, row.cells)
                if spec is not None and keep:
                    add(spec)
            else:
                self._add_combinations(mapper, row, keep=keep)
            if log.reasons:
                self._leave_out(row, log.take_reasons())
        if not count and not self._table.log.problems():
            message = "the table has a header, and no rows"
            self._jobs.problems.append(self._at_header(RoleProblem(message, "add rows below it")))

    def _add_combinations(self, mapper: RowMapper, row: Row, *, keep: bool) -> None:
        """Add the jobs of a row with a matrix: all of them, or none."""
        specs = [mapper.spec(row, cells) for cells in self._cells(row)]
        if keep and not self._log.reasons:
            for spec in specs:
                if spec is not None:
                    self._collector.add(spec)

    def _leave_out(self, row: Row, reasons: list[str]) -> None:
        if self._refuse is not None:
            self._jobs.refused += 1
            self._refuse(self._table, row, reasons)

    def _result(self) -> TableJobs:
        jobs, logs = self._jobs, (self._table.log, self._log)
        for log in logs:
            jobs.problems += log.problems()
            jobs.warnings += log.warnings()
        jobs.row_problems, jobs.hidden = len(self._log.problems()), self._log.hidden
        return jobs
