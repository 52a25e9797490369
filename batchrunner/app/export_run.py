"""Checks where a run exports to before it begins, and exports when it ends."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from batchrunner.app.export_command import into_line
from batchrunner.app.export_options import ExportRequest
from batchrunner.app.export_results import StoredBatch, check_files, export_all
from batchrunner.app.output_targets import Target, check_outputs, kept_files
from batchrunner.app.owned_files import FileOwner
from batchrunner.app.run_observer import Say
from batchrunner.app.table_export import check_into
from batchrunner.model import Batch, JobFile
from batchrunner.outputs import FORMATS
from batchrunner.store.batches import find_batch
from batchrunner.store.store import Store


def check_run_outputs(
    job_file: JobFile,
    outputs: Sequence[str],
    request: ExportRequest,
    address: str,
    inputs: Sequence[Path],
) -> list[Target]:
    """
    Return where a run exports to; without any output, to NAME.results.csv.

    Raises:
        UsageError: An output, a column or the table cannot be used.
    """
    sources = [source.path for source in job_file.sources]
    keep = kept_files(address, [*inputs, *sources])
    request.options.check_columns(job_file.columns)
    if request.into is not None:
        check_into(request.into, address, keep)
    if outputs or request.into is not None:
        targets = check_outputs(outputs, request.format, keep)
    else:
        path = _guessed_name(job_file, request)
        targets = check_outputs([path], request.format, keep, guessed=True)
    for target in () if request.options.columns else targets:
        FORMATS[target.format].check_columns(job_file.columns)
    return targets


def _guessed_name(job_file: JobFile, request: ExportRequest) -> str:
    format = FORMATS[request.format or "csv"]
    suffix = format.suffixes[0] if format.suffixes else ".csv"
    return f"{job_file.name}.results{suffix}"


def check_run_files(
    store: Store,
    address: str,
    job_file: JobFile,
    targets: Sequence[Target],
    request: ExportRequest,
) -> None:
    """
    Check that a run would replace no file that its batch did not write; before it is loaded.

    Raises:
        UsageError: A file is there that is not this batch's.
    """
    known = store.read(find_batch, job_file.name)
    owner = FileOwner(batch_id=None if known is None else known.id, series=job_file.series)
    check_files(store, address, owner, targets, overwrite=request.options.overwrite)


def export_run(
    store: Store,
    address: str,
    batch: Batch,
    targets: Sequence[Target],
    request: ExportRequest,
    say: Say,
) -> None:
    """Export a batch to each target and into the table, and report each."""
    stored = StoredBatch(store=store, address=address, batch=batch)
    export_all(stored, targets, say, request.options)
    if request.into is not None:
        say(into_line(stored, request.into, request.options))
