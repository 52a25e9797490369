"""Exports a batch's results to files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import chain, islice
from typing import IO, TYPE_CHECKING

from batchrunner.app.binary_stdout import binary_stdout
from batchrunner.app.export_options import ExportOptions
from batchrunner.app.output_targets import Target
from batchrunner.app.owned_files import (
    FileBefore,
    FileOwner,
    check_owned,
    file_before,
    names_like,
    owner_of,
    write_owned,
)
from batchrunner.errors import UsageError
from batchrunner.model import Batch, ExportedAttempt
from batchrunner.outputs import FORMATS, ExportTable, Written
from batchrunner.outputs.sheet import Sheet
from batchrunner.outputs.shown_result import list_paths, shown_result
from batchrunner.store.count_reads import read_counts
from batchrunner.store.export_files import carried_columns
from batchrunner.store.shown_jobs import shown_job_ids, shown_jobs
from batchrunner.store.store import Store
from batchrunner.text.format import counted
from batchrunner.text.terminal import term_safe

if TYPE_CHECKING:
    from batchrunner.app.run_observer import Say

#: Columns with another name in a file that are named.
_MAX_NAMED = 3
#: Paths of lists that are named.
_MAX_LISTS = 10
#: Jobs in whose results a misspelt column is looked for.
_JOBS_COMPARED = 1000
_PLAIN = ExportOptions()


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What an export wrote."""

    path: str
    jobs: int
    guarded: int  #: cells that a spreadsheet would have run as a formula
    rows: int = 0  #: more than jobs where a list was exploded
    cut: int = 0  #: cells that were too long for the format
    replaced_jobs: int = 0  #: jobs in the file that it replaced
    renamed: tuple[tuple[str, str], ...] = ()  #: columns with another name in the file
    absent: tuple[str, ...] = ()  #: selected columns that no result has
    exploded: int | None = None  #: jobs with a list at the path; None: nothing was to be exploded
    explode: str | None = None  #: this path
    lists: tuple[str, ...] = ()  #: paths of the lists that there are, where none is at this one


@dataclass(frozen=True, kw_only=True)
class StoredBatch:
    """A database, and a batch in it."""

    store: Store
    address: str
    batch: Batch


def check_files(
    store: Store,
    address: str,
    owner: FileOwner,
    targets: Sequence[Target],
    *,
    overwrite: bool,
) -> None:
    """
    Check that no export would replace what its owner did not write; before anything is run.

    Raises:
        UsageError: A file is there that is not this batch's.
    """
    for target in targets:
        if not target.is_stdout and not target.guessed:
            check_owned(store, address, owner, target.path, overwrite=overwrite)


def export_batch(
    store: Store, address: str, batch: Batch, target: Target, options: ExportOptions = _PLAIN
) -> Exported:
    """
    Write the chosen jobs of the batch; an older file is replaced when the new one is whole.

    Raises:
        UsageError: A file is there that this batch did not write, or a column is not in its jobs.
    """
    before = FileBefore()
    if not target.is_stdout:
        owner = owner_of(batch)
        before = check_owned(store, address, owner, target.path, overwrite=options.overwrite)
    table = export_table(StoredBatch(store=store, address=address, batch=batch), options, target)
    format = FORMATS[target.format]

    def write(file: IO[bytes]) -> Written:
        written = format.write(table, file)
        if written.absent and not target.is_stdout:
            _refuse_misspelt(table, written.absent)
        return written

    if target.is_stdout:
        with binary_stdout() as file:
            written = write(file)
    else:
        written = write_owned(store, address, batch, target, write)
    return Exported(
        path=target.path,
        jobs=written.jobs,
        guarded=written.guarded,
        rows=written.rows,
        cut=written.cut,
        replaced_jobs=before.jobs,
        renamed=written.renamed,
        absent=written.absent,
        exploded=None if options.explode is None else written.exploded,
        explode=options.explode,
        lists=_lists(table) if options.explode is not None and not written.exploded else (),
    )


def export_table(
    stored: StoredBatch, options: ExportOptions, target: Target | None = None
) -> ExportTable:
    """
    Return the chosen jobs of a batch as the table that formats write.

    Raises:
        UsageError: A selected column can be neither of the batch nor of a result.
    """
    store, batch = stored.store, stored.batch
    carried = store.read(carried_columns, batch.id)
    options.check_columns(carried)
    if target is not None and not options.columns:
        FORMATS[target.format].check_columns(carried)
    on_disk = target is not None and not target.is_stdout
    ids = store.read(shown_job_ids, batch.id, options.choice)  # the same jobs in each pass
    return ExportTable(
        jobs=lambda: shown_jobs(store, batch.id, options.choice, ids),
        columns=carried,
        view=options.view,
        attempts=lambda: _attempts(store, batch.id),
        scratch=os.path.dirname(os.path.realpath(target.path)) if target and on_disk else None,
    )


def _attempts(store: Store, batch_id: int) -> Iterator[ExportedAttempt]:
    from batchrunner.store.attempt_rows import batch_attempts  # imports SQLAlchemy

    return batch_attempts(store, batch_id)


def export_all(
    stored: StoredBatch, targets: Sequence[Target], say: Say, options: ExportOptions = _PLAIN
) -> None:
    """
    Write the chosen jobs of the batch to each target, and report each file.

    A file that somebody made or changed meanwhile stays as it is: the results go beside it. A
    guessed target is one that the user did not name: no results do not replace results there.

    Raises:
        CannotContinue: Standard output is lost; only after all files are written.
    """
    for target in sorted(targets, key=lambda target: target.is_stdout):
        if target.guessed and _would_lose_all(stored, target.path):
            say(
                f"warning: {target.path} has results already and no job is done: it was left as "
                "it is (-o FILE exports all the same)"
            )
            continue
        beside = _beside(stored, target, options)
        if beside.path != target.path:
            say(f"warning: {term_safe(target.path)} is not this batch's file: it stays as it is")
        done = export_batch(stored.store, stored.address, stored.batch, beside, options)
        for line in export_lines(done, _open_jobs(stored, options), is_stdout=target.is_stdout):
            say(line)


def _open_jobs(stored: StoredBatch, options: ExportOptions) -> int:
    """Return how many jobs are missing in an export because they are not done."""
    if options.choice.is_filtered or options.choice.join:
        return 0
    return stored.store.read(read_counts, stored.batch.id).open


def _beside(stored: StoredBatch, target: Target, options: ExportOptions) -> Target:
    """Return the target, or one beside it where a file is there that is not this batch's."""
    if target.is_stdout or options.overwrite:
        return target
    owner = owner_of(stored.batch)
    for path in chain([target.path], names_like(target.path)):
        if file_before(stored.store, stored.address, owner, path).foreign is None:
            return replace(target, path=path)
    return target


def _would_lose_all(stored: StoredBatch, path: str) -> bool:
    return _has_rows(path) and not stored.store.read(read_counts, stored.batch.id).done


def export_lines(done: Exported, open_jobs: int, *, is_stdout: bool) -> Iterator[str]:
    """Give what a user should know about an export that leaves out *open_jobs*."""
    if not is_stdout:
        of = f"{done.jobs} of {counted(done.jobs + open_jobs, 'job')}, the others are not done"
        jobs = of if open_jobs else counted(done.jobs, "job")
        rows = f", {counted(done.rows, 'row')}" if done.rows > done.jobs else ""
        guarded = f", {counted(done.guarded, 'cell')} guarded against formulas"
        parts = f"{jobs}{rows}{guarded if done.guarded else ''}"
        yield f"exported {term_safe(done.path)} ({parts})"
    if done.cut:
        yield (
            f"warning: {counted(done.cut, 'cell')} had more text than the format takes and lost "
            "the end: export to .jsonl to have it all"
        )
    if done.replaced_jobs > done.jobs:
        yield (
            f"warning: {term_safe(done.path)} had {counted(done.replaced_jobs, 'job')} before and "
            f"has {done.jobs} now"
        )
    if done.absent and done.jobs:
        named = ", ".join(term_safe(name) for name in done.absent)
        yield f"warning: no result has {named}: the column is empty"
    if done.exploded == 0 and done.jobs:
        yield _no_list(done)
    for own, name in done.renamed[:_MAX_NAMED]:
        yield (
            f"the column {term_safe(own)} is {term_safe(name)} in {term_safe(done.path)}: another "
            "column has this name, or it is too much like one for some programs"
        )
    if len(done.renamed) > _MAX_NAMED:
        yield f"… and {len(done.renamed) - _MAX_NAMED} more columns have other names"


def _no_list(done: Exported) -> str:
    path = term_safe(done.explode or "")
    missing = f"warning: no result has a list at {path}, the path of --explode: each job is one row"
    if not done.lists:
        return f"{missing}; no result that was searched has any list"
    known = {path.removeprefix("result."): path for path in done.lists}
    close = get_close_matches(path.removeprefix("result."), [*known], n=1, cutoff=0.6)
    meant = f"did you mean {term_safe(known[close[0]])}? " if close else ""
    named = ", ".join(map(term_safe, done.lists[:_MAX_LISTS]))
    more = f" and {len(done.lists) - _MAX_LISTS} more" if len(done.lists) > _MAX_LISTS else ""
    return f"{missing}; {meant}there are lists at {named}{more}"


def _lists(table: ExportTable) -> tuple[str, ...]:
    """Return the paths of the lists in the first results."""
    found: dict[str, None] = {}
    for job in islice(table.jobs(), _JOBS_COMPARED):
        for path in list_paths(shown_result(job, unwrap=table.view.unwrap)):
            if len(found) < _JOBS_COMPARED:
                found.setdefault(path)
    return tuple(found)


def _refuse_misspelt(table: ExportTable, absent: Sequence[str]) -> None:
    """
    Refuse columns that no result has, where a column that some result has is spelt alike.

    Raises:
        UsageError: One is probably misspelt.
    """
    view = replace(table.view, columns=())
    first = replace(table, view=view, jobs=lambda: islice(table.jobs(), _JOBS_COMPARED))
    known = [name for name in Sheet(first).names if name.startswith("result.")]
    for name in absent:
        if close := get_close_matches(name, known, n=1, cutoff=0.75):
            raise UsageError(
                f"no result has {name}, and nothing was written", next=f"did you mean {close[0]}?"
            )


def _has_rows(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return bool(file.readline() and file.readline())
    except OSError:
        return False
