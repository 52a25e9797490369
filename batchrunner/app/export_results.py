"""Puts the results of a batch into files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from batchrunner.app.atomic_file import replace_when_complete
from batchrunner.app.binary_stdout import binary_stdout
from batchrunner.errors import UsageError
from batchrunner.model import Batch
from batchrunner.outputs import FORMATS, Jobs, Written, format_of, suffixes_help
from batchrunner.store.store import Store
from batchrunner.text.format import counted


@dataclass(frozen=True, kw_only=True)
class Target:
    """A file to export to ('-' is standard output), and its format."""

    path: str
    format: str


def check_outputs(
    paths: Sequence[str], format: str | None = None, keep: Sequence[str | Path] = ()
) -> list[Target]:
    """
    Return where to export to; before anything is run, not after.

    Raises:
        UsageError: A file's format cannot be told from its name, or it cannot be there, or it is
            one of those to *keep*: the job file, the database.
    """
    kept = {os.path.realpath(path) for path in keep}
    for path in paths:
        if path != "-" and os.path.realpath(path) in kept:
            raise UsageError(
                f"{path} is in use, and results would replace it",
                next="name another file: -o results.csv",
            )
    return [_target(path, format) for path in paths]


def _target(path: str, format: str | None) -> Target:
    chosen = format or format_of(Path(path).suffix) or ("jsonl" if path == "-" else None)
    if chosen is None:
        raise UsageError(
            f"the format of {path} cannot be told from its name",
            next=f"end it in {suffixes_help()}, or name the format with "
            "`batchrunner export --format`",
        )
    folder = Path(path).parent
    if path != "-" and (not folder.is_dir() or Path(path).is_dir()):
        raise UsageError(
            f"{path} cannot be written: "
            + (f"{path} is a folder" if folder.is_dir() else f"there is no folder {folder}"),
            next=f"mkdir -p {folder}" if not folder.is_dir() else "name a file in it",
        )
    return Target(path=path, format=chosen)


def export_all(
    store: Store, batch: Batch, targets: Sequence[Target], *, guessed: bool = False
) -> None:
    """
    Write all finished jobs of the batch to each target, and say so.

    Where the user named no target and it is *guessed*, results are not replaced by none.
    """
    for target in targets:
        if guessed and _has_rows(target.path) and not store.tally(batch.id).done:
            click.echo(
                f"warning: {target.path} has results already and no job is done: it was left as "
                "it is (-o FILE exports all the same)",
                err=True,
            )
            continue
        written = _write(target, lambda: store.finished(batch.id))
        if target.path == "-":
            continue
        cells = counted(written.guarded, "cell")
        guarded = f", {cells} guarded against formulas" if written.guarded else ""
        click.echo(f"exported {target.path} ({counted(written.jobs, 'job')}{guarded})", err=True)


def _write(target: Target, jobs: Jobs) -> Written:
    format = FORMATS[target.format]
    if target.path != "-":
        return replace_when_complete(Path(target.path), lambda file: format.write(jobs, file))
    with binary_stdout() as file:
        return format.write(jobs, file)


def _has_rows(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return bool(file.readline() and file.readline())
    except OSError:
        return False
