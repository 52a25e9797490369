"""Writes what a comparison found to a file or to standard output."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from batchrunner.app.atomic_file import replace_when_complete
from batchrunner.app.binary_stdout import binary_stdout
from batchrunner.app.diff_results import ResultDiff
from batchrunner.app.output_targets import STANDARD_OUTPUT, check_place, leads_to
from batchrunner.differences import DiffSummary, JobDiff
from batchrunner.errors import UsageError
from batchrunner.outputs.difference_files import FORMATS
from batchrunner.outputs.difference_text import MAX_JOBS, DiffText, summary_lines
from batchrunner.text.format import counted
from batchrunner.text.terminal import term_safe

#: The format for a terminal.
TEXT = "text"


@dataclass(frozen=True, kw_only=True)
class DiffTarget:
    """Where the differences go, and in which format."""

    path: str
    format: str

    @property
    def is_stdout(self) -> bool:
        """Whether it is standard output."""
        return self.path == STANDARD_OUTPUT


@dataclass(frozen=True, kw_only=True)
class DiffReport:
    """What a comparison found, and the lines that say so."""

    summary: DiffSummary
    lines: tuple[str, ...]
    is_cut: bool = False  #: more jobs differ than the lines name


def diff_target(
    path: str | None, format: str | None, keep: Sequence[Path | str], *, overwrite: bool
) -> DiffTarget:
    """
    Return where to write; called before anything is compared.

    Raises:
        UsageError: The format is not clear, or a file is there that would be replaced.
    """
    place = path or STANDARD_OUTPUT
    chosen = format or _format_of(place)
    if chosen is None:
        raise UsageError(
            f"the format of {place} is not clear from its name",
            next="end it in .csv, .jsonl or .md, or name the format with --format",
            where=place,
        )
    if place == STANDARD_OUTPUT:
        return DiffTarget(path=place, format=chosen)
    check_place(place)
    if any(leads_to(place, kept) for kept in keep):
        raise UsageError(
            f"{place} is in use, and differences would replace it",
            next="name another file: -o diff.csv",
            where=place,
        )
    if os.path.isfile(place) and os.path.getsize(place) and not overwrite:
        raise UsageError(
            f"{place} exists already", next="name another file, or add --overwrite", where=place
        )
    return DiffTarget(path=place, format=chosen)


def _format_of(path: str) -> str | None:
    if path == STANDARD_OUTPUT:
        return TEXT
    suffix = Path(path).suffix.lower()
    if suffix == ".txt":
        return TEXT
    return next((name for name, (_, ends) in FORMATS.items() if suffix in ends), None)


def report_diff(diff: ResultDiff, target: DiffTarget, most: int = MAX_JOBS) -> DiffReport:
    """
    Compare, write the differences, and return the lines for people.

    Raises:
        BatchrunnerError: A side cannot be read, or the file cannot be written.
    """
    if target.format == TEXT:
        return _report_text(diff, target, most)
    write, _ = FORMATS[target.format]
    summary = DiffSummary()

    def write_to(file: IO[bytes]) -> None:
        write(_counted(diff, summary), file)

    _write(target, write_to)
    return DiffReport(summary=summary, lines=tuple(summary_lines(summary, diff.before, diff.after)))


def advice(diff: ResultDiff, done: DiffReport, target: DiffTarget, command: str) -> Iterator[str]:
    """Give what to do next; *command* is the user's own, without an output."""
    if not target.is_stdout:
        differ = counted(done.summary.differences, "job")
        yield f"wrote {term_safe(target.path)} ({differ} that differ{_third(differ)})"
    elif done.is_cut:
        yield f"all of them: {command} -o diff.csv"
    if not diff.has_no_pair(done.summary):
        return
    if diff.by == "url":
        yield "warning: no job of one side is in the other"
    else:
        by_url = f"pair the jobs by another column: {command} --by url"
        yield f"warning: no {diff.by} is in both: {by_url}"


def _third(differ: str) -> str:
    return "s" if differ == "1 job" else ""


def _report_text(diff: ResultDiff, target: DiffTarget, most: int) -> DiffReport:
    text = DiffText(most)
    for job in diff.jobs():
        text.add(job)
    lines = tuple(text.lines(diff.before, diff.after))
    if not target.is_stdout:
        data = "".join(f"{line}\n" for line in lines).encode()
        _write(target, lambda file: _write_all(file, data))
        lines = tuple(summary_lines(text.summary, diff.before, diff.after))
    return DiffReport(summary=text.summary, lines=lines, is_cut=text.is_cut)


def _write_all(file: IO[bytes], data: bytes) -> None:
    file.write(data)


def _write(target: DiffTarget, write: Callable[[IO[bytes]], None]) -> None:
    if target.is_stdout:
        with binary_stdout() as file:
            write(file)
    else:
        replace_when_complete(Path(target.path), write)


def _counted(diff: ResultDiff, summary: DiffSummary) -> Iterator[JobDiff]:
    for job in diff.jobs():
        summary.add(job)
        if job.status.is_difference:
            yield job
