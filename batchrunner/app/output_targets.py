"""Files to export to: their formats, and those that no export may ever replace."""

from __future__ import annotations

import os
import re
import shlex
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from batchrunner.errors import UsageError
from batchrunner.outputs import FORMATS, format_of, suffixes_help
from batchrunner.store.address import file_of, sandbox_journal

STANDARD_OUTPUT = "-"
#: The format of a target that is a job file.
JOB_FILE = "job file"
_JOB_FILES = (".yaml", ".yml")
_EDITION_NAMES = re.compile(r"\{(?:edition|series|date)\}")
#: Ends of the names of files that belong to a database, beside its own.
_DATABASE_FILES = ("", "-journal", "-wal", "-shm")


@dataclass(frozen=True, kw_only=True)
class Target:
    """A file to export to ('-' is standard output), and its format."""

    path: str
    format: str
    guessed: bool = False  #: the user did not name it

    @property
    def is_stdout(self) -> bool:
        """Whether it is standard output."""
        return self.path == STANDARD_OUTPUT


def database_files(address: str) -> list[Path]:
    """Return the files of a database and of its sandbox; none for a server."""
    file = file_of(address)
    if file is None:
        return []
    return [*(Path(f"{file}{end}") for end in _DATABASE_FILES), sandbox_journal(file)]


def kept_files(address: str, inputs: Iterable[str | Path] = ()) -> list[Path]:
    """Return the files that no export may replace: those of the database, and the inputs."""
    return [*database_files(address), *map(Path, inputs)]


def check_outputs(
    paths: Sequence[str],
    format: str | None = None,
    keep: Iterable[str | Path] = (),
    *,
    guessed: bool = False,
    job_files: bool = False,
) -> list[Target]:
    """
    Return where to export to; called before anything is run, not after.

    With *job_files*, a name that ends in .yaml is one.

    Raises:
        UsageError: A file's name does not say its format, its format needs a library that is not
            installed, it cannot be there, or it is one of those to *keep*, by whatever name: the
            job file, the database.
    """
    paths = list(dict.fromkeys(paths))
    for path in paths:
        if path != STANDARD_OUTPUT and any(leads_to(path, kept) for kept in keep):
            raise UsageError(
                f"{path} is in use, and results would replace it",
                next="name another file: -o results.csv",
                where=path,
            )
    _check_distinct([path for path in paths if path != STANDARD_OUTPUT])
    return [_target(path, format, guessed=guessed, job_files=job_files) for path in paths]


def leads_to(path: str | Path, other: str | Path) -> bool:
    """Return whether two names lead to one file: by links, or on a disk that ignores case."""
    try:
        return os.path.samefile(path, other)
    except OSError:
        return _spelling(path) == _spelling(other)


def _spelling(path: str | Path) -> str:
    return unicodedata.normalize("NFC", os.path.realpath(path)).casefold()


def _check_distinct(paths: Sequence[str]) -> None:
    seen: dict[str, str] = {}
    for path in paths:
        first = seen.setdefault(_spelling(path), path)
        if first != path:
            raise UsageError(
                f"{first} and {path} lead to one file, and each would replace the other",
                next="name each file once",
                where=path,
            )


def _target(path: str, format: str | None, *, guessed: bool, job_files: bool) -> Target:
    if job_files and format is None and Path(path).suffix.lower() in _JOB_FILES:
        check_place(path)
        return Target(path=path, format=JOB_FILE)
    on_stdout = "jsonl" if path == STANDARD_OUTPUT else None
    chosen = format or format_of(Path(path).suffix) or on_stdout
    if chosen is None:
        raise UsageError(
            f"the format of {path} is not clear from its name",
            next=f"end it in {suffixes_help()}, or name the format with --format",
            where=path,
        )
    if chosen not in FORMATS:
        raise UsageError(
            f"there is no format {chosen!r}", next=f"name one of these: {', '.join(FORMATS)}"
        )
    FORMATS[chosen].check_installed()
    if path == STANDARD_OUTPUT and not FORMATS[chosen].is_text and sys.stdout.isatty():
        raise UsageError(f"a terminal cannot show {chosen}", next="name a file with -o", where=path)
    check_place(path)
    if chosen == "sqlite":
        _check_unused(path)
    return Target(path=path, format=chosen, guessed=guessed)


def _check_unused(path: str) -> None:
    """Refuse a database whose journal would be applied to the one that takes its place."""
    for journal in (f"{path}-journal", f"{path}-wal"):
        with suppress(OSError):
            if os.stat(journal).st_size:
                raise UsageError(
                    f"another program works on {path}: its {journal} is there",
                    next="close the other program, or name another file",
                    where=path,
                )


def check_place(path: str) -> None:
    """
    Check that a file can be at a path.

    Raises:
        UsageError: There is no such folder, or a folder is there.
    """
    fixed = _EDITION_NAMES.split(path)[0]  # folders with names of editions are made later
    folder = Path(f"{fixed}x").parent
    if path == STANDARD_OUTPUT or (folder.is_dir() and not Path(path).is_dir()):
        return
    if folder.is_dir():
        raise UsageError(
            f"{path} cannot be written: {path} is a folder", next="name a file in it", where=path
        )
    raise UsageError(
        f"{path} cannot be written: there is no folder {folder}",
        next=f"mkdir -p {shlex.quote(str(folder))}",
        where=path,
    )
