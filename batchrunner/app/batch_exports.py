"""What a batch handle gives away: rows, frames, files and tables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Unpack

from batchrunner.app import data_frames
from batchrunner.app.argument_types import check_text, path_of, texts_of
from batchrunner.app.database_address import DatabaseAddress
from batchrunner.app.diff_results import last_two
from batchrunner.app.error_translation import errors_for_people
from batchrunner.app.export_options import (
    ExportArguments,
    ViewArguments,
    options_of_arguments,
)
from batchrunner.app.export_results import Exported, StoredBatch, export_batch, export_table
from batchrunner.app.follow_export import Followed, follow_batch
from batchrunner.app.job_file_export import check_job_file, export_job_file
from batchrunner.app.job_results import export_rows
from batchrunner.app.output_targets import JOB_FILE, check_outputs, kept_files
from batchrunner.app.result_sets import BatchResults, ResultSet
from batchrunner.app.table_export import check_into, into_table, write_into
from batchrunner.model import Batch
from batchrunner.outputs import ExportTable
from batchrunner.store.export_files import carried_columns, source_paths
from batchrunner.store.shown_jobs import shown_jobs
from batchrunner.store.store import Store
from batchrunner.store.user_table import Upserted


class BatchExports:
    """The results of one batch, in the forms in which they are used."""

    _store: Store
    _batch: Batch
    _database: DatabaseAddress

    def rows(self, **how: Unpack[ViewArguments]) -> Iterator[dict[str, Any]]:
        """
        Give the chosen jobs as rows with the columns of an export and the result as values.

        Without a choice, these are all final jobs. With *explode*, there is a row for each element
        of a list in the results.

        Raises:
            UsageError: An argument has no meaning, or there is no such column.
        """
        options = options_of_arguments(how)
        with errors_for_people():
            carried = self._store.read(carried_columns, self._batch.id)
            options.check_columns(carried)
            jobs = shown_jobs(self._store, self._batch.id, options.choice)
            yield from export_rows(jobs, carried, options.view)

    def to_pandas(self, **how: Unpack[ViewArguments]) -> Any:
        """Return the chosen jobs as a frame of pandas, with nullable types and times in UTC."""
        with errors_for_people():
            return data_frames.to_pandas(self._table(how))

    def to_polars(self, **how: Unpack[ViewArguments]) -> Any:
        """Return the chosen jobs as a frame of polars."""
        with errors_for_people():
            return data_frames.to_polars(self._table(how))

    def to_arrow(self, **how: Unpack[ViewArguments]) -> Any:
        """Return the chosen jobs as a table of pyarrow."""
        with errors_for_people():
            return data_frames.to_arrow(self._table(how))

    def export(
        self, path: str | Path, format: str | None = None, **how: Unpack[ExportArguments]
    ) -> Exported:
        """
        Write the chosen jobs to a file, in the format that its name says.

        A file of an earlier export is replaced when the new one is complete. A file that this batch
        did not write, or that was changed since, is replaced only with `overwrite=True`. A name
        that ends in .yaml makes a job file, for example of `only="failed"`.

        Raises:
            UsageError: The format is not known, or the file cannot be there.
        """
        options = options_of_arguments(how)
        with errors_for_people():
            (target,) = check_outputs(
                [str(path_of("path", path))], format, self._kept(), job_files=True
            )
            address = self._database.address
            if target.format == JOB_FILE:
                check_job_file(target, options)
                return export_job_file(self._store, address, self._batch, target, options)
            return export_batch(self._store, address, self._batch, target, options)

    def export_into(
        self, table: str, *, key: str | list[str] = "id", **how: Unpack[ViewArguments]
    ) -> Upserted:
        """
        Insert or update the chosen jobs in a table such as `sqlite:prices.db:prices`.

        *key* names the columns that tell its rows apart. All is done in one transaction.

        Raises:
            UsageError: The key is missing or not unique, or a column cannot hold the values.
            CannotContinue: The database refuses it; nothing was changed.
        """
        check_text("table", table)
        into = into_table(table, texts_of("key", key))
        with errors_for_people():
            check_into(into, self._database.address, self._kept())
            return write_into(into, self._table(how))

    def follow(self, path: str | Path) -> Iterator[Followed]:
        """
        Append each job to a JSONL file as it ends, and give the counts after each pass.

        What the file has already is read from the file, so that each job is in it once, also if the
        loop is left and begun again. It ends when the batch is finished.

        Raises:
            UsageError: The file has lines of something else.
        """
        with errors_for_people():
            (target,) = check_outputs([str(path_of("path", path))], "jsonl", self._kept())
            yield from follow_batch(self._store, self._database.address, self._batch, target)

    def result_set(self) -> BatchResults:
        """Return the results of the batch, to compare them with others: see `diff`."""
        return BatchResults(self._store, self._batch)

    def last_two(self) -> tuple[ResultSet, ResultSet]:
        """
        Return the edition before this one, and this one: see `diff`.

        Raises:
            UsageError: There is no edition before it.
        """
        return last_two(self._store, self._batch)

    def _table(self, how: ViewArguments) -> ExportTable:
        stored = StoredBatch(store=self._store, address=self._database.address, batch=self._batch)
        return export_table(stored, options_of_arguments(how))

    def _kept(self) -> list[Path]:
        return kept_files(self._database.address, self._store.read(source_paths, self._batch.id))
