"""Checks this machine: versions, clock, limits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from batchrunner.app.doctor.finding import SET_CLOCK, Finding, ok, warning

#: This version was made in this year: an earlier clock is wrong.
FIRST_YEAR = 2026
#: A clock that shows this year or a later one is wrong.
LAST_YEAR = 2100
#: Open files that a process should be allowed; a runner with a sandbox has about 20.
MIN_OPEN_FILES = 128


@dataclass(frozen=True, kw_only=True, slots=True)
class MachineFacts:
    """Versions, clock and limits of this machine."""

    batchrunner: str
    python: str
    sqlalchemy: str
    sqlite: str
    now: datetime
    open_files: int | None  #: maximum for a process; None: no limit
    has_proc: bool


def findings(machine: MachineFacts) -> Iterator[Finding]:
    """Check the machine."""
    yield ok(
        "versions",
        f"batchrunner {machine.batchrunner}, Python {machine.python}, "
        f"SQLAlchemy {machine.sqlalchemy}, SQLite {machine.sqlite}",
    )
    yield _clock(machine.now)
    yield _files(machine.open_files)
    yield _proc(machine.has_proc)


def _clock(now: datetime) -> Finding:
    shown = f"{now:%Y-%m-%d %H:%M} UTC"
    if FIRST_YEAR <= now.year < LAST_YEAR:
        return ok("clock", f"clock: {shown}")
    return warning("clock", f"the clock shows {shown}, which cannot be", SET_CLOCK)


def _files(open_files: int | None) -> Finding:
    if open_files is None or open_files >= MIN_OPEN_FILES:
        return ok("open_files", f"open files: {open_files or 'no limit'}")
    found = f"only {open_files} files may be open at once: {MIN_OPEN_FILES} are safe"
    return warning("open_files", found, "ulimit -n 1024")


def _proc(has_proc: bool) -> Finding:
    if has_proc:
        return ok("proc", "/proc: a runner of this machine that died is noticed at once")
    return ok("proc", "no /proc: a runner that died is noticed when its lease ends, within 60 s")


def has_wal_race(sqlite: str) -> bool:
    """Whether this version of SQLite can corrupt a database in WAL mode with two connections."""
    version = tuple(int(part) for part in sqlite.split(".")[:3])
    repaired = version >= (3, 51, 3) or any(
        line <= version < (3, line[1] + 1) for line in ((3, 44, 6), (3, 50, 7))
    )
    return not repaired and version >= (3, 7, 0)  # the first version with WAL
