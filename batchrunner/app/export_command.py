"""Exports a batch to files, tables and streams: what `batchrunner export` does."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from batchrunner.app.edition_paths import targets_of_edition
from batchrunner.app.export_options import ExportOptions, ExportRequest
from batchrunner.app.export_results import StoredBatch, check_files, export_all, export_table
from batchrunner.app.output_targets import (
    JOB_FILE,
    STANDARD_OUTPUT,
    Target,
    check_outputs,
    kept_files,
)
from batchrunner.app.owned_files import owner_of
from batchrunner.errors import UsageError
from batchrunner.model import Batch
from batchrunner.store.export_files import source_paths
from batchrunner.store.store import Store
from batchrunner.text.format import counted
from batchrunner.text.terminal import term_safe

if TYPE_CHECKING:
    from batchrunner.app.run_observer import Say
    from batchrunner.app.table_export import IntoTable


def export_command(
    store: Store,
    address: str,
    batch: Batch,
    outputs: Sequence[str],
    request: ExportRequest,
    say: Say,
    *,
    overwrite: bool = False,
    follow: bool = False,
) -> None:
    """
    Export a batch to each output and into a table, or follow it into a file.

    Everything is checked before anything is written.

    Raises:
        UsageError: An option, a file or the table cannot be used.
    """
    options = request.with_overwrite(overwrite).options
    stored = StoredBatch(store=store, address=address, batch=batch)
    keep = kept_files(address, store.read(source_paths, batch.id))
    paths = outputs or (() if request.into else (STANDARD_OUTPUT,))
    targets = check_outputs(paths, request.format, keep, job_files=True)
    targets = targets_of_edition(targets, batch)
    if request.into is not None:
        from batchrunner.app.table_export import check_into  # imports SQLAlchemy

        check_into(request.into, address, keep)
    if follow:
        _check_follow(targets, request)
        follow_to(stored, targets[0], say)
        return
    job_files = [each for each in targets if each.format == JOB_FILE]
    if job_files:
        from batchrunner.app.job_file_export import check_job_file  # imports YAML

        for target in job_files:
            check_job_file(target, options)
    check_files(store, address, owner_of(batch), targets, overwrite=overwrite)
    for target in job_files:
        _write_job_file(stored, target, say, options)
    export_all(stored, [each for each in targets if each.format != JOB_FILE], say, options)
    if request.into is not None:
        say(into_line(stored, request.into, options))


def _write_job_file(stored: StoredBatch, target: Target, say: Say, options: ExportOptions) -> None:
    from batchrunner.app.job_file_export import export_job_file

    done = export_job_file(stored.store, stored.address, stored.batch, target, options)
    run = f"batchrunner run {shlex.quote(target.path)}"
    say(f"exported {term_safe(target.path)} ({counted(done.jobs, 'job')}): fix it, then {run}")


def into_line(stored: StoredBatch, into: IntoTable, options: ExportOptions) -> str:
    """Insert or update the rows in a table, and return what that did, for people."""
    from batchrunner.app.table_export import write_into

    done = write_into(into, export_table(stored, options))
    table = "new table, " if done.created else ""
    added = f", new columns: {', '.join(map(term_safe, done.added))}" if done.added else ""
    return (
        f"exported into {term_safe(into.place)} "
        f"({table}{counted(done.inserted, 'row')} inserted, {done.updated} updated{added})"
    )


def _check_follow(targets: Sequence[Target], request: ExportRequest) -> None:
    if len(targets) != 1 or request.into is not None:
        raise UsageError("--follow writes one file", next="give one -o, and no --into")
    if targets[0].format != "jsonl":
        raise UsageError(
            f"--follow appends lines of JSONL, and {targets[0].path} is not JSONL",
            next="name a file that ends in .jsonl",
        )
    if request.options != ExportOptions():
        raise UsageError(
            "--follow writes whole jobs, so that it can go on after a kill",
            next="leave out the options that choose rows or columns, and use them in an export "
            "afterwards",
        )


def follow_to(stored: StoredBatch, target: Target, say: Say) -> None:
    """Follow a batch into a file until it is finished, and say what that did."""
    from batchrunner.app.follow_export import follow_batch

    name = term_safe(stored.batch.name)
    begun = False
    for seen in follow_batch(stored.store, stored.address, stored.batch, target):
        if not begun:
            known = f"; the file had {counted(seen.known, 'job')}" if seen.known else ""
            say(
                f"following batch {name!r} until it is finished{known}; Ctrl-C ends it, and the "
                "same command goes on"
            )
            begun = True
        if seen.is_finished:
            say(f"followed {name!r} to its end ({counted(seen.written, 'job')} added)")
