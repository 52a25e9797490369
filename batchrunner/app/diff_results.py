"""Compares two sets of results: the last two editions of a series, two batches, two files."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

from batchrunner.app.argument_types import PATH_TYPES, texts_of
from batchrunner.app.error_translation import errors_for_people
from batchrunner.app.open_database import find_batch
from batchrunner.app.result_sets import BatchResults, FileResults, ResultSet, RowResults
from batchrunner.differences import (
    DiffRules,
    DiffSummary,
    JobDiff,
    JobStatus,
    compare_jobs,
    merge_join,
    rules_of,
)
from batchrunner.differences.rules import TOLERANCE_SAYS
from batchrunner.errors import UsageError
from batchrunner.model import Batch
from batchrunner.model.diff_settings import DiffSettings
from batchrunner.store.editions import summaries
from batchrunner.store.store import Store

#: Ends of the names of files that can be compared.
FILE_SUFFIXES: Final = (".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".json", ".xlsx", ".gz")


@dataclass(frozen=True, kw_only=True)
class DiffOptions:
    """What a comparison overlooks, as the user writes it, and what joins the two sides."""

    tolerance: Mapping[str, str] = field(default_factory=dict)  #: by field: `1%` or `0.05`
    ignore: Collection[str] = ()  #: fields
    keys: Mapping[str, str] = field(default_factory=dict)  #: of lists: what tells elements apart
    by: str = "id"

    def rules(self, file: DiffSettings | None = None) -> DiffRules:
        """
        Return the rules, together with those of a job *file*, which come second.

        Raises:
            UsageError: A tolerance is none.
        """
        file = file or DiffSettings()
        try:
            return rules_of(
                {**file.tolerance, **self.tolerance},
                [*file.ignore, *self.ignore],
                {**file.keys, **self.keys},
            )
        except ValueError as error:
            raise UsageError(
                f"a tolerance is wrong: {error}", next=f"write {TOLERANCE_SAYS}: price=1%"
            ) from error

    def arguments(self) -> list[str]:
        """Return it as options of the command."""
        pairs = [("--tolerance", self.tolerance), ("--key", self.keys)]
        given = [f"{name}={shlex.quote(f'{a}={b}')}" for name, of in pairs for a, b in of.items()]
        ignored = [f"--ignore {shlex.quote(path)}" for path in self.ignore]
        return [*given, *ignored, *([] if self.by == "id" else [f"--by {shlex.quote(self.by)}"])]


@runtime_checkable
class HasResults(Protocol):
    """A batch or a series."""

    def result_set(self) -> ResultSet:
        """Return its results."""


@runtime_checkable
class HasEditions(Protocol):
    """A batch or a series that may have editions."""

    def last_two(self) -> tuple[ResultSet, ResultSet]:
        """Return its newest edition, and the one before it first."""


class ResultDiff:
    """Two sets of results, compared job by job; each iteration reads them anew."""

    def __init__(
        self, before: ResultSet, after: ResultSet, options: DiffOptions | None = None
    ) -> None:
        """
        Prepare the comparison.

        Raises:
            UsageError: A tolerance is none.
        """
        options = options or DiffOptions()
        self._before, self._after, self._by = before, after, options.by
        is_typed = before.is_typed and after.is_typed
        self._rules = replace(options.rules(_overlooks(before, after)), untyped=not is_typed)

    def __repr__(self) -> str:
        """Name both sides."""
        return f"<diff {self.before!r} → {self.after!r}>"

    @property
    def before(self) -> str:
        """The name of the first side."""
        return self._before.name

    @property
    def after(self) -> str:
        """The name of the second side."""
        return self._after.name

    @property
    def by(self) -> str:
        """The column that joins the two sides."""
        return self._by

    def jobs(self) -> Iterator[JobDiff]:
        """
        Give all jobs of both sides, sorted by what joins them.

        Raises:
            BatchrunnerError: A side cannot be read.
        """
        with errors_for_people():
            sides = [side.sorted_results(self._by) for side in (self._before, self._after)]
            for before, after in merge_join(*sides):
                yield compare_jobs(before, after, self._rules)

    def __iter__(self) -> Iterator[JobDiff]:
        """Give the jobs that differ."""
        return (job for job in self.jobs() if job.status.is_difference)

    def summary(self) -> DiffSummary:
        """Count what differs."""
        found = DiffSummary()
        for job in self.jobs():
            found.add(job)
        return found

    def has_no_pair(self, summary: DiffSummary) -> bool:
        """Whether no job is in both sides, although both have some."""
        one_sided = (JobStatus.ADDED, JobStatus.GONE)
        paired = sum(summary.jobs[status] for status in JobStatus if status not in one_sided)
        return not paired and all(summary.jobs[status] for status in one_sided)


def _overlooks(before: ResultSet, after: ResultSet) -> DiffSettings:
    return before.overlooks if after.overlooks == DiffSettings() else after.overlooks


def diff(
    before: Any,
    after: Any = None,
    *,
    tolerance: Mapping[str, str] | None = None,
    ignore: str | Collection[str] = (),
    keys: Mapping[str, str] | None = None,
    by: str = "id",
) -> ResultDiff:
    """
    Compare two sets of results: batches, exported files, or rows such as `batch.rows()` gives.

    A series alone is compared with itself: its last two editions. An edition alone is compared with
    the one before it.

    Raises:
        UsageError: There is nothing to compare it with, or a tolerance is none.
    """
    options = DiffOptions(
        tolerance=tolerance or {}, ignore=texts_of("ignore", ignore), keys=keys or {}, by=by
    )
    with errors_for_people():
        if after is not None:
            return ResultDiff(_set_of("before", before), _set_of("after", after), options)
        if not isinstance(before, HasEditions):
            raise UsageError(
                "there is nothing to compare it with", next="give two: diff(before, after)"
            )
        return ResultDiff(*before.last_two(), options)


def _set_of(name: str, given: object) -> ResultSet:
    if isinstance(given, HasResults):
        return given.result_set()
    if isinstance(given, PATH_TYPES):
        return FileResults(Path(given))
    if isinstance(given, Iterable) and not isinstance(given, bytes | Mapping):
        return RowResults(name, given)
    raise UsageError(
        f"{name} is of the type {type(given).__name__}, which has no results",
        next="give a batch, the path of an exported file, or rows",
    )


# ---- what a name means ----


def is_file(given: str) -> bool:
    """Whether an argument names a file and no batch."""
    return given.lower().endswith(FILE_SUFFIXES) or Path(given).is_file()


def named_sets(store: Store | None, names: Sequence[str]) -> tuple[ResultSet, ResultSet]:
    """
    Return the two sides that the user names: two batches or files, or one with editions, or none.

    Without a *store*, both are files.

    Raises:
        UsageError: There is no such batch or file, or nothing to compare it with.
    """
    if len(names) == 2:
        before, after = (_named_set(store, name) for name in names)
        return before, after
    if names and is_file(names[0]):
        raise UsageError(
            f"there is nothing to compare {names[0]} with",
            next=f"name two: batchrunner diff OTHER {shlex.quote(names[0])}",
        )
    assert store is not None
    batch = find_batch(store, names[0] if names else None)
    return last_two(store, batch)


def _named_set(store: Store | None, name: str) -> ResultSet:
    if store is None or is_file(name):
        return FileResults(Path(name))
    return BatchResults(store, find_batch(store, name))


def last_two(store: Store, batch: Batch) -> tuple[ResultSet, ResultSet]:
    """
    Return the edition before a batch, and the batch.

    Raises:
        UsageError: There is no edition before it.
    """
    name = shlex.quote(batch.name)
    if batch.series is None:
        raise UsageError(
            f"{batch.name!r} has no editions, so there is nothing to compare it with",
            next=f"name another batch or file: batchrunner diff OTHER {name}",
        )
    editions = [each.batch for each in store.read(summaries, batch.series)]
    older = [each for each in editions if each.id < batch.id]
    if not older:
        is_only = "has only one edition" if len(editions) == 1 else "has no older edition than"
        raise UsageError(
            f"{batch.series!r} {is_only} {batch.edition}: there is nothing to compare it with",
            next="run the next edition first, or name another batch or file: "
            f"batchrunner diff OTHER {name}",
        )
    return BatchResults(store, older[0]), BatchResults(store, batch)
