"""The public interface: opens a database of batches, and loads batches into it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, Unpack

from batchrunner.api_facts.environment import BASE_URL
from batchrunner.app.api_access import ApiAddress, access_to, origin_of
from batchrunner.app.argument_types import (
    PATH_TYPES,
    check_budget_type,
    check_rows,
    check_text,
    check_type,
)
from batchrunner.app.batch_handle import (
    BatchHandle,
    api_access,
    in_own_thread,
)
from batchrunner.app.budget import given_budget
from batchrunner.app.choose_edition import SeriesOptions, choose_file_edition
from batchrunner.app.clock import store_now
from batchrunner.app.database_address import DatabaseAddress
from batchrunner.app.error_translation import errors_for_people
from batchrunner.app.follow_edit import decision_of, load_jobs
from batchrunner.app.input_arguments import (
    InputArguments,
    SaidOfColumns,
    input_arguments,
    takes_input_arguments,
)
from batchrunner.app.load import load_report, rows_as_job_file
from batchrunner.app.open_database import find_batch, open_store
from batchrunner.app.places import PlaceChoice, placed
from batchrunner.app.plan import GivenBudget, Plan, plan_load
from batchrunner.app.read_input import ROWS_FILE, read_input, rows_as_table
from batchrunner.app.recover import (
    RecoverableRuns,
    RecoverResult,
    recover,
    recoverable_runs,
)
from batchrunner.app.run_observer import say_nothing
from batchrunner.app.run_window import run_window
from batchrunner.app.series_handle import SeriesHandle
from batchrunner.errors import UsageError
from batchrunner.model import Batch, JobFile
from batchrunner.model.comparison import EditDecision
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

    @takes_input_arguments
    def load(
        self,
        job_file: str | Path | Sequence[str | Path] | None = None,
        *,
        rows: Iterable[Mapping[str, Any]] | None = None,
        name: str | None = None,
        settings: Mapping[str, Any] | None = None,
        defaults: Mapping[str, Any] | None = None,
        on_change: Literal["rerun", "keep"] | None = None,
        on_missing: Literal["withdraw", "append"] | None = None,
        new_batch: bool = False,
        **columns: Unpack[InputArguments],
    ) -> BatchHandle:
        """
        Load a job file, one or several tables, or *rows*, and return their batch.

        Each row has the keys of a job in a job file: `url`, `goal`, and perhaps `id` and options.
        *settings* and *defaults* are those of a job file, and go with rows. Loading the same jobs
        again changes nothing. Jobs that changed run in their new form; jobs that a file has no
        longer are withdrawn, and those of rows only with `on_missing="withdraw"`.

        Raises:
            InputError: The file or the rows have problems; all of them are in `problems`.
            UsageError: The arguments do not fit together.
            EditNeedsDecision: The edit is so large that *on_change* or *on_missing* must say what
                to do with finished jobs that changed, or with jobs that are missing.
            BatchElsewhere: The jobs of a file were run in another batch, under another name; *name*
                goes on with that one, and *new_batch* pays for them again.
        """
        decision = decision_of(on_change, on_missing)
        check_type("new_batch", new_batch, (bool,), "True or False")
        given = _job_file(job_file, rows, name, settings, defaults, columns)
        choice = PlaceChoice(named=name is not None, new_batch=new_batch)
        return self._load(self._placed(given, choice), decision)

    @takes_input_arguments
    def plan(
        self,
        job_file: str | Path | Sequence[str | Path] | None = None,
        *,
        rows: Iterable[Mapping[str, Any]] | None = None,
        name: str | None = None,
        settings: Mapping[str, Any] | None = None,
        defaults: Mapping[str, Any] | None = None,
        budget: str | None = None,
        start_at: str | datetime | None = None,
        until: str | datetime | None = None,
        on_change: Literal["rerun", "keep"] | None = None,
        on_missing: Literal["withdraw", "append"] | None = None,
        api: ApiAddress | None = None,
        **columns: Unpack[InputArguments],
    ) -> Plan:
        """
        Return what `load` would change, and what the run would cost and take; nothing changes.

        The ranges in `outlook` are drawn from the past of this database on the API that would be
        used. No key is needed.

        Raises:
            InputError: The file or the rows have problems; all of them are in `problems`.
            UsageError: The arguments do not fit together.
        """
        check_budget_type(budget)
        with errors_for_people():
            return plan_load(
                self._place.address,
                _job_file(job_file, rows, name, settings, defaults, columns),
                self._origin(api),
                window=run_window(start_at, until, say_nothing),
                budget=None if budget is None else GivenBudget(given_budget(budget)),
                decision=decision_of(on_change, on_missing),
                choice=PlaceChoice(named=name is not None),
            )

    def _origin(self, api: ApiAddress | None) -> str:
        if api is not None:
            return access_to(api).origin
        url = self._place.api_url or os.environ.get(BASE_URL)
        return origin_of(sandboxed=False, api_url=url)

    def _placed(self, given: JobFile, choice: PlaceChoice) -> JobFile:
        with errors_for_people():
            return placed(self._place.address, given, None, choice, say_nothing)

    @takes_input_arguments
    def edition(
        self,
        job_file: str | Path | Sequence[str | Path] | None = None,
        *,
        rows: Iterable[Mapping[str, Any]] | None = None,
        name: str | None = None,
        settings: Mapping[str, Any] | None = None,
        defaults: Mapping[str, Any] | None = None,
        every: str | None = None,
        time_zone: str | None = None,
        fresh: bool = False,
        keep_editions: int | None = None,
        on_change: Literal["rerun", "keep"] | None = None,
        on_missing: Literal["withdraw", "append"] | None = None,
        **columns: Unpack[InputArguments],
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
        given = _job_file(job_file, rows, name, settings, defaults, columns)
        if every is None and given.settings.every is None and not fresh:
            raise UsageError(
                "nothing says how long a slot of the series is",
                next='give every="1d", or fresh=True for an edition that begins now',
            )
        series = SeriesOptions(
            every=every, time_zone=time_zone, fresh=fresh, keep_editions=keep_editions
        )
        placed_file = self._placed(given, PlaceChoice(named=name is not None))
        return self._load(placed_file, decision_of(on_change, on_missing), series)

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
        from batchrunner.store.batch_reads import list_batches

        with errors_for_people():
            return [self._handle(batch) for batch in self._store.read(list_batches)]

    @takes_input_arguments
    def recoverable_runs(
        self,
        job_file: str | Path | Sequence[str | Path],
        *,
        database: str | None = None,
        api: ApiAddress | None = None,
        name: str | None = None,
        **columns: Unpack[InputArguments],
    ) -> RecoverableRuns:
        """
        Return the runs that the API has of the jobs in a file, of all databases or of one.

        Raises:
            BatchrunnerError: The file has problems, or the API did not give the list.
        """
        check_text("database", database)
        read = _job_file(job_file, None, name, None, None, columns)
        access = api_access(self._place, api)
        return in_own_thread(lambda _: recoverable_runs(access, read, database))

    @takes_input_arguments
    def recover(
        self,
        job_file: str | Path | Sequence[str | Path],
        found: RecoverableRuns,
        *,
        api: ApiAddress | None = None,
        name: str | None = None,
        **columns: Unpack[InputArguments],
    ) -> RecoverResult:
        """
        Load a job file or tables, and adopt the runs that `recoverable_runs` found for their jobs.

        Nothing is created, and nothing is cancelled.

        Raises:
            BatchrunnerError: The API refused a request, or the batch belongs to another account.
        """
        read = _job_file(job_file, None, name, None, None, columns)
        access = api_access(self._place, api)
        return in_own_thread(lambda _: recover(self._store, access, read, found))

    def _handle(self, batch: Batch) -> BatchHandle:
        return BatchHandle(self._store, batch, self._place)

    def _load(
        self, given: JobFile, decision: EditDecision, series: SeriesOptions | None = None
    ) -> BatchHandle:
        series = series or SeriesOptions()
        with errors_for_people():
            time = store_now(self._store)
            job_file = choose_file_edition(self._store, given, series, time, say_nothing)
            result = load_jobs(self._store, job_file, say_nothing, decision)
        return BatchHandle(
            self._store,
            result.batch,
            self._place,
            loaded=load_report(result, job_file),
            series_options=series,
            sandbox_urls=[(spec.url, spec.line) for spec in job_file.specs if ".test" in spec.url],
        )


def _job_file(
    path: str | Path | Sequence[str | Path] | None,
    rows: Iterable[Mapping[str, Any]] | None,
    name: str | None,
    settings: Mapping[str, Any] | None,
    defaults: Mapping[str, Any] | None,
    columns: Mapping[str, Any],
) -> JobFile:
    said = input_arguments(columns)
    if path is None or rows is not None:
        return _rows(path, rows, name, settings, defaults, said)
    if settings is not None or defaults is not None:
        raise UsageError(
            "settings and defaults go with rows, not with a file",
            next="write them into a job file; it loads tables by `jobs: {from: pairs.csv}`",
        )
    return read_input(said.request(path, name))


def _rows(
    path: object,
    rows: Iterable[Mapping[str, Any]] | None,
    name: str | None,
    settings: Mapping[str, Any] | None,
    defaults: Mapping[str, Any] | None,
    said: SaidOfColumns,
) -> JobFile:
    if rows is None or path is not None:
        raise UsageError(
            "load takes a job file or rows",
            next='load("jobs.yaml"), or load(rows=[…], name="prices")',
        )
    if name is None:
        raise UsageError("rows need a name", next='name their batch: load(rows=[…], name="prices")')
    check_text("name", name)
    check_rows(rows)
    if not said.choices.any() and said.output_schema is None:
        return rows_as_job_file(rows, name, settings=settings, defaults=defaults)
    request = said.request(ROWS_FILE, name)
    return rows_as_table(rows, request, settings=settings, defaults=defaults)
