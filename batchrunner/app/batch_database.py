"""The public interface: opens a database of batches, and loads batches into it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from batchrunner.app.api_access import ApiAddress
from batchrunner.app.argument_types import (
    PATH_TYPES,
    check_rows,
    check_text,
    check_type,
    path_of,
)
from batchrunner.app.batch_handle import (
    BatchHandle,
    DatabaseAddress,
    api_access,
    in_own_thread,
)
from batchrunner.app.choose_edition import SeriesOptions, choose_file_edition
from batchrunner.app.clock import store_now
from batchrunner.app.error_translation import errors_for_people
from batchrunner.app.load import load_jobs, load_report, read_job_file, rows_as_job_file
from batchrunner.app.open_database import find_batch, open_store
from batchrunner.app.recover import (
    RecoverableRuns,
    RecoverResult,
    recover,
    recoverable_runs,
)
from batchrunner.app.run_observer import say_nothing
from batchrunner.app.series_handle import SeriesHandle
from batchrunner.errors import UsageError
from batchrunner.model import Batch, JobFile
from batchrunner.store.address import redacted


class BatchDatabase:
    """A database of batches; a context that closes it."""

    def __init__(
        self,
        address: str | Path,
        *,
        api_key: str | None = None,
        api_url: str | None = None,
        after_loss: bool = False,
    ) -> None:
        """
        Open the database at *address*, a path or postgresql://…; a missing file is made.

        With *after_loss*, a new database may take the place of one that was lost, to `recover` it.

        Raises:
            BatchrunnerError: It cannot be opened.
        """
        check_type("address", address, PATH_TYPES, "a path or postgresql://…")
        check_text("api_key", api_key)
        check_text("api_url", api_url)
        self._place = DatabaseAddress(address=str(address), api_key=api_key, api_url=api_url)
        with errors_for_people():
            self._store = open_store(self._place.address, say_nothing, after_loss=after_loss)

    def __repr__(self) -> str:
        """Name the database, without a password."""
        return f"<database {redacted(self._place.address)}>"

    def __enter__(self) -> Self:
        """Return the database."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Close the database."""
        self.close()

    def close(self) -> None:
        """Close the database."""
        self._store.close()

    def load(
        self,
        job_file: str | Path | None = None,
        *,
        rows: Iterable[Mapping[str, Any]] | None = None,
        name: str | None = None,
        settings: Mapping[str, Any] | None = None,
        defaults: Mapping[str, Any] | None = None,
    ) -> BatchHandle:
        """
        Load the jobs of a job file, or *rows* as the batch *name*, and return their batch.

        Each row has the keys of a job in a job file: `url`, `goal`, and perhaps `id` and options.
        *settings* and *defaults* are those of a job file. Jobs that are there already are left as
        they are, so that loading again is safe.

        Raises:
            InputError: The file or the rows have problems; all of them are in `problems`.
            UsageError: The arguments do not fit together.
        """
        return self._load(_job_file(job_file, rows, name, settings, defaults))

    def edition(
        self,
        job_file: str | Path | None = None,
        *,
        rows: Iterable[Mapping[str, Any]] | None = None,
        name: str | None = None,
        settings: Mapping[str, Any] | None = None,
        defaults: Mapping[str, Any] | None = None,
        every: str | None = None,
        time_zone: str | None = None,
        fresh: bool = False,
        keep_editions: int | None = None,
    ) -> BatchHandle:
        """
        Load the jobs as the edition of their series that is due now, and return it.

        It resumes while its slot lasts (*every* `1d`, `12h`, `1w`, `1mo`, in *time_zone*, else that
        of the machine). Then a new one begins, with all jobs; with *fresh*, one begins now. Its run
        first drains the unfinished ones before it, and removes all but the newest *keep_editions*.

        Raises:
            InputError: The file or the rows have problems; all of them are in `problems`.
            UsageError: There is no such slot or time zone, or the arguments do not fit together.
        """
        check_text("every", every)
        check_text("time_zone", time_zone)
        check_type("fresh", fresh, (bool,), "True or False")
        check_type("keep_editions", keep_editions, (int,), "a number from 1 on")
        if keep_editions is not None and keep_editions < 1:
            raise UsageError("keep_editions is less than 1", next="keep at least 1 edition")
        given = _job_file(job_file, rows, name, settings, defaults)
        if every is None and given.settings.every is None and not fresh:
            raise UsageError(
                "nothing says how long a slot of the series is",
                next='give every="1d", or fresh=True for an edition that begins now',
            )
        series = SeriesOptions(
            every=every, time_zone=time_zone, fresh=fresh, keep_editions=keep_editions
        )
        return self._load(given, series)

    def series(self, name: str) -> SeriesHandle:
        """
        Return the series of this name, with all its editions.

        Raises:
            UsageError: There is no such series.
        """
        check_text("name", name)
        found = SeriesHandle(self._store, name, self._place)
        if not found.editions():
            raise UsageError(
                f"there is no series {name!r}", next='begin one: edition("jobs.yaml", every="1d")'
            )
        return found

    def batch(self, name: str | None = None) -> BatchHandle:
        """
        Return the batch of this name, or the only one there is; of a series, its newest edition.

        Raises:
            UsageError: There is no such batch or series.
        """
        with errors_for_people():
            check_text("name", name)
            return self._handle(find_batch(self._store, name))

    def batches(self) -> list[BatchHandle]:
        """Return all batches, the oldest first."""
        from batchrunner.store.batches import list_batches

        with errors_for_people():
            return [self._handle(batch) for batch in self._store.read(list_batches)]

    def recoverable_runs(
        self,
        job_file: str | Path,
        *,
        database: str | None = None,
        api: ApiAddress | None = None,
    ) -> RecoverableRuns:
        """
        Return the runs that the API has of a job file's jobs, of all databases or of one.

        Raises:
            BatchrunnerError: The file has problems, or the API did not give the list.
        """
        check_text("database", database)
        read = read_job_file(path_of("job_file", job_file))
        access = api_access(self._place, api)
        return in_own_thread(lambda _: recoverable_runs(access, read, database))

    def recover(
        self,
        job_file: str | Path,
        found: RecoverableRuns,
        *,
        api: ApiAddress | None = None,
    ) -> RecoverResult:
        """
        Load a job file, and adopt the runs that `recoverable_runs` found as attempts of its jobs.

        Nothing is created, and nothing is cancelled.

        Raises:
            BatchrunnerError: The API refused a request, or the batch belongs to another account.
        """
        read = read_job_file(path_of("job_file", job_file))
        access = api_access(self._place, api)
        return in_own_thread(lambda _: recover(self._store, access, read, found))

    def _handle(self, batch: Batch) -> BatchHandle:
        return BatchHandle(self._store, batch, self._place)

    def _load(self, given: JobFile, series: SeriesOptions | None = None) -> BatchHandle:
        series = series or SeriesOptions()
        with errors_for_people():
            time = store_now(self._store)
            job_file = choose_file_edition(self._store, given, series, time, say_nothing)
            result = load_jobs(self._store, job_file, say_nothing)
        return BatchHandle(
            self._store,
            result.batch,
            self._place,
            loaded=load_report(result, job_file),
            series_options=series,
            sandbox_urls=[(spec.url, spec.line) for spec in job_file.specs if ".test" in spec.url],
        )


def _job_file(
    path: str | Path | None,
    rows: Iterable[Mapping[str, Any]] | None,
    name: str | None,
    settings: Mapping[str, Any] | None,
    defaults: Mapping[str, Any] | None,
) -> JobFile:
    if path is not None and rows is None:
        if name is not None or settings is not None or defaults is not None:
            raise UsageError(
                "name, settings and defaults go with rows, not with a job file",
                next="write them into the file, or leave them out",
            )
        return read_job_file(path_of("job_file", path))
    if rows is None or path is not None:
        raise UsageError(
            "load takes a job file or rows",
            next='load("jobs.yaml"), or load(rows=[…], name="prices")',
        )
    if name is None:
        raise UsageError("rows need a name", next='name their batch: load(rows=[…], name="prices")')
    check_text("name", name)
    check_rows(rows)
    return rows_as_job_file(rows, name, settings=settings, defaults=defaults)
