"""The specs of all files of a batch: job files and tables, in their order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from batchrunner.inputs.mapping.said import TableRequest
from batchrunner.inputs.mapping.table_jobs import Refuse, TableJobs, add_table
from batchrunner.inputs.problem_log import ProblemLog
from batchrunner.inputs.spec_collector import Clash, Repeats, SpecCollector
from batchrunner.inputs.tables import Table
from batchrunner.model import JobFile, JobSpec
from batchrunner.model.problems import JobFileErrors, Problem

#: Rows whose ids clash that are shown; the others are counted.
_MAX_CLASHES = 50


class BatchJobs:
    """Collects specs, columns, notes and problems; a row that repeats another one is one job."""

    def __init__(self, refuse: Refuse | None = None) -> None:
        self.problems: list[Problem] = []
        self.hidden = 0  #: problems that are only counted
        self.refused = 0
        self._row_problems = 0  # those of `problems` that are of single rows
        self._refuse = refuse
        self._collector = SpecCollector()
        self._columns: dict[str, None] = {}
        self._notes: list[str] = []
        self._warnings: list[str] = []
        self._tables: list[Table] = []
        self._duplicates = 0

    def add_specs(self, specs: Iterable[JobSpec]) -> None:
        """Add specs of a job file."""
        for spec in specs:
            self._collector.add(spec)

    def add_job_file(self, job_file: JobFile, *, file: str) -> None:
        """Add a whole job file, whose name is *file*; its settings are another matter."""
        self.add_specs(spec._replace(source=spec.source or file) for spec in job_file.specs)
        self._columns |= dict.fromkeys(job_file.columns)
        self._notes += job_file.notes
        self._warnings += job_file.warnings
        self._duplicates += job_file.duplicates

    def add_table(self, table: Table, request: TableRequest, log: ProblemLog | None = None) -> None:
        """Add the rows of a table; problems of what a job file says of it go to *log*."""
        self._tables.append(table)
        self._take(add_table(table, request, self._collector, self._refuse), log)

    def _take(self, found: TableJobs, log: ProblemLog | None) -> None:
        self.problems += found.problems
        self._row_problems += found.row_problems
        self.hidden += found.hidden
        self.refused += found.refused
        self._columns |= dict.fromkeys(found.columns)
        self._notes += found.notes
        self._warnings += found.warnings
        for problem in found.role_problems:
            if log is not None and problem.said is not None and problem.said.at is not None:
                log.add(problem.message, problem.said.at, problem.tip)

    def result(self, job_file: JobFile, *, file: str) -> JobFile:
        """
        Return *job_file* with everything that was added; *file* is that of specs without a source.

        Raises:
            JobFileErrors: Something is wrong.
        """
        repeats = self._collector.finish(file, max_clashes=None if self._refuse else _MAX_CLASHES)
        if repeats.clashes:
            self._report(repeats)
        if self.problems:
            some_are_right = len(self._collector.specs) > 0
            can_leave_out = some_are_right and self._row_problems == len(self.problems)
            raise JobFileErrors(tuple(self.problems), more=self.hidden, can_leave_out=can_leave_out)
        warnings = (*job_file.warnings, *self._warnings, *_repeated(repeats))
        return replace(
            job_file,
            specs=self._collector.specs,
            columns=tuple(self._columns),
            duplicates=job_file.duplicates + self._duplicates + repeats.duplicates,
            warnings=warnings,
            notes=(*job_file.notes, *self._notes),
        )

    def _report(self, repeats: Repeats) -> None:
        """Report rows whose ids clash, which are known only when all rows were read."""
        by_line = {(clash.source, clash.line): clash for clash in repeats.clashes}
        for table in self._tables:
            lines = {line for source, line in by_line if source == table.file}
            for row in table.rows() if lines else ():
                if row.line not in lines:
                    continue
                clash = by_line.pop((table.file, row.line), None)
                if clash is not None and self._refuse is not None:
                    self.refused += 1
                    self._refuse(table, row, [f"{clash.message}: {clash.tip}"])
                elif clash is not None:
                    self.problems.append(table.problem(clash.message, row, None, clash.tip))
                    self._row_problems += 1
        self.problems += [_problem(clash) for clash in by_line.values()]
        self.hidden += repeats.clash_count - len(repeats.clashes)


def _problem(clash: Clash) -> Problem:
    return Problem(
        file=clash.source,
        line=clash.line,
        column=1,
        message=clash.message,
        source_line="",
        tip=clash.tip,
    )


def _repeated(repeats: Repeats) -> Iterator[str]:
    """Yield warnings of rows that repeat others."""
    if repeats.duplicates:
        named = ", ".join(map(str, repeats.named))
        more = repeats.duplicates - len(repeats.named)
        rest = f" and {more:,} more" if more else ""
        yield (
            f"{repeats.named[0].file}: {repeats.duplicates:,} of the jobs are given twice, and run "
            f"once: {named}{rest}; give each an id to run it for itself"
        )
    if repeats.same_page is not None:
        pair = repeats.same_page
        more = repeats.same_pages - 1
        rest = f" (and {more:,} more)" if more else ""
        yield (
            f"{pair.file}: {pair}: the same page and goal, but for the id, the protocol, tracking "
            f"parameters, a fragment or a slash at the end{rest}; each is paid for"
        )
