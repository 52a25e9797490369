"""Exports jobs as a job file that can be fixed and run."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import IO

from batchrunner.app.export_options import ExportOptions
from batchrunner.app.export_results import Exported
from batchrunner.app.output_targets import Target
from batchrunner.app.owned_files import check_owned, owner_of, write_owned
from batchrunner.errors import UsageError
from batchrunner.model import Batch
from batchrunner.outputs import Written
from batchrunner.outputs.job_file import write_job_file
from batchrunner.store.export_rows import job_entries
from batchrunner.store.shown_jobs import shown_job_ids
from batchrunner.store.store import Store
from batchrunner.text.format import counted


def check_job_file(target: Target, options: ExportOptions) -> None:
    """
    Refuse a job file of jobs that nobody chose, or with columns of results.

    Raises:
        UsageError: It is one.
    """
    if not options.choice.is_filtered or options.choice.join:
        raise UsageError(
            f"{target.path} would be a job file, and it is not said of which jobs",
            next="add --only failed, or a failure category, and leave --join out",
            where=target.path,
        )
    if options.columns or options.explode:
        raise UsageError(
            f"{target.path} would be a job file, which has no columns of results",
            next="leave --columns and --explode out",
            where=target.path,
        )


def export_job_file(
    store: Store, address: str, batch: Batch, target: Target, options: ExportOptions
) -> Exported:
    """
    Write the chosen jobs as a job file.

    It is a batch of its own when it is loaded: no other job of this one is run for it.
    """
    before = check_owned(store, address, owner_of(batch), target.path, overwrite=options.overwrite)
    ids = store.read(shown_job_ids, batch.id, options.choice)
    run = f"batchrunner run {shlex.quote(target.path)}"

    def write(file: IO[bytes]) -> Written:
        entries = job_entries(store, batch.id, ids)
        jobs = write_job_file(entries, batch.settings, _notes(batch, len(ids), run), file)
        return Written(jobs=jobs, rows=jobs)

    written = write_owned(store, address, batch, target, write)
    return Exported(
        path=target.path,
        jobs=written.jobs,
        guarded=0,
        rows=written.jobs,
        replaced_jobs=before.jobs,
    )


def _notes(batch: Batch, jobs: int, run: str) -> Iterator[str]:
    yield f"{counted(jobs, 'job')} of the batch {batch.name!r}, each below the reason for it."
    yield f"Fix what is wrong, remove what is not worth it, and run the rest: {run}"
    yield "This file is a batch of its own: it runs all its jobs, and none of the other batch."
