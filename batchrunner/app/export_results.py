"""Exports a batch's results to files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from batchrunner.app.atomic_file import replace_when_complete
from batchrunner.app.binary_stdout import binary_stdout
from batchrunner.app.run_observer import Say
from batchrunner.errors import UsageError
from batchrunner.model import Batch
from batchrunner.outputs import FORMATS, ExportTable, Written, format_of, suffixes_help
from batchrunner.store.reports import batch_counts, finished_jobs
from batchrunner.store.store import Store
from batchrunner.text.format import counted

STANDARD_OUTPUT = "-"


@dataclass(frozen=True, kw_only=True)
class Target:
    """A file to export to ('-' is standard output), and its format."""

    path: str
    format: str


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What an export wrote."""

    path: str
    jobs: int
    guarded: int  #: cells that a spreadsheet would have run as a formula


def check_outputs(
    paths: Sequence[str], format: str | None = None, keep: Sequence[str | Path] = ()
) -> list[Target]:
    """
    Return where to export to; called before anything is run, not after.

    Raises:
        UsageError: A file's name does not say its format, or it cannot be there, or it is one of
            those to *keep*: the job file, the database.
    """
    kept = {os.path.realpath(path) for path in keep}
    for path in paths:
        if path != STANDARD_OUTPUT and os.path.realpath(path) in kept:
            raise UsageError(
                f"{path} is in use, and results would replace it",
                next="name another file: -o results.csv",
            )
    return [_target(path, format) for path in paths]


def _target(path: str, format: str | None) -> Target:
    on_stdout = "jsonl" if path == STANDARD_OUTPUT else None
    chosen = format or format_of(Path(path).suffix) or on_stdout
    if chosen is None:
        raise UsageError(
            f"the format of {path} is not clear from its name",
            next=f"end it in {suffixes_help()}, or name the format with "
            "`batchrunner export --format`",
        )
    if chosen not in FORMATS:
        raise UsageError(
            f"there is no format {chosen!r}", next=f"name one of these: {', '.join(FORMATS)}"
        )
    FORMATS[chosen].check_installed()
    folder = Path(path).parent
    if path != STANDARD_OUTPUT and (not folder.is_dir() or Path(path).is_dir()):
        raise UsageError(
            f"{path} cannot be written: "
            + (f"{path} is a folder" if folder.is_dir() else f"there is no folder {folder}"),
            next=f"mkdir -p {folder}" if not folder.is_dir() else "name a file in it",
        )
    return Target(path=path, format=chosen)


def export_batch(store: Store, batch: Batch, target: Target) -> Exported:
    """Write all finished jobs of the batch; an older file is replaced when the new one is whole."""
    written = _write(target, ExportTable(jobs=lambda: finished_jobs(store, batch.id)))
    return Exported(path=target.path, jobs=written.jobs, guarded=written.guarded)


def _write(target: Target, table: ExportTable) -> Written:
    format = FORMATS[target.format]
    if target.path != STANDARD_OUTPUT:
        return replace_when_complete(Path(target.path), lambda file: format.write(table, file))
    with binary_stdout() as file:
        return format.write(table, file)


def export_all(
    store: Store, batch: Batch, targets: Sequence[Target], say: Say, *, guessed: bool = False
) -> None:
    """
    Write all finished jobs of the batch to each target, and report each file.

    A *guessed* target is one that the user did not name: no results do not replace results there.

    Raises:
        CannotContinue: Standard output is lost; only after all files are written.
    """
    for target in sorted(targets, key=lambda target: target.path == STANDARD_OUTPUT):
        if guessed and _has_rows(target.path) and not store.read(batch_counts, batch.id).done:
            say(
                f"warning: {target.path} has results already and no job is done: it was left as "
                "it is (-o FILE exports all the same)"
            )
            continue
        done = export_batch(store, batch, target)
        if target.path != STANDARD_OUTPUT:
            cells = counted(done.guarded, "cell")
            guarded = f", {cells} guarded against formulas" if done.guarded else ""
            say(f"exported {done.path} ({counted(done.jobs, 'job')}{guarded})")


def _has_rows(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return bool(file.readline() and file.readline())
    except OSError:
        return False
