"""The entries of a job file that load tables: opens these, and makes jobs of their rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple, Protocol

from batchrunner.errors import UsageError
from batchrunner.inputs.job_specs import Defaults
from batchrunner.inputs.mapping.batch_jobs import BatchJobs
from batchrunner.inputs.mapping.matrix_table import MatrixTable
from batchrunner.inputs.mapping.said import TableRequest
from batchrunner.inputs.mapping.table_entry import TableEntry
from batchrunner.inputs.mapping.table_jobs import Refuse
from batchrunner.inputs.nodes import Scalar
from batchrunner.inputs.problem_log import ProblemLog
from batchrunner.inputs.source import Source
from batchrunner.inputs.tables import Table, TableOptions
from batchrunner.model import JobFile, JobSpec
from batchrunner.model.problems import JobFileErrors


class TableFiles(Protocol):
    """Opens the tables that a job file names, and takes the rows that are left out."""

    @property
    def refuse(self) -> Refuse | None:
        """Takes a row that is left out; None: a row with a problem refuses the whole file."""

    def open(self, path: str, options: TableOptions) -> Table:
        """
        Open a table.

        Raises:
            UsageError: There is no such table.
            JobFileErrors: It cannot be read.
        """


class PlacedEntry(NamedTuple):
    """A table's entry, and how many jobs of the file itself stand above it."""

    above: int
    entry: TableEntry


class TableEntries:
    """Combines the jobs of a job file with those of the tables that it names."""

    def __init__(
        self, files: TableFiles, source: Source, log: ProblemLog, defaults: Defaults
    ) -> None:
        self._files = files
        self._source = source
        self._log = log
        self._defaults = defaults
        self._jobs = BatchJobs(files.refuse)

    def result(self, job_file: JobFile, entries: Sequence[PlacedEntry]) -> JobFile:
        """
        Return the job file with the jobs of its tables, in the order of the file.

        Raises:
            JobFileErrors: The file or a table has problems.
        """
        specs, done = iter(job_file.specs), 0
        for above, entry in entries:
            self._add_specs(islice(specs, above - done))
            done = above
            for path, request in entry.requests(self._defaults):
                self._add(entry, path, request)
        self._add_specs(specs)
        self._jobs.problems += self._log.problems()
        return self._jobs.result(job_file, file=self._source.file)

    def _add_specs(self, specs: Iterator[JobSpec]) -> None:
        self._jobs.add_specs(specs)

    def _add(self, entry: TableEntry, path: Scalar | None, request: TableRequest) -> None:
        if path is None:
            table: Table = MatrixTable(self._source, entry.node)
        else:
            try:
                table = self._files.open(request.path or "", request.options)
            except UsageError as error:
                self._log.add(error.what, path, error.next or None)
                return
            except JobFileErrors as errors:
                self._jobs.problems += errors.problems
                return
        if path is not None and table.kind == "yaml":
            tip = "name a table: CSV, TSV, XLSX, JSONL or a list of urls"
            self._log.add(f"{request.path} is a job file, not a table", path, tip)
            return
        self._jobs.add_table(table, request, self._log)
