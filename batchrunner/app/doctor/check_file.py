"""Checks an SQLite database as a file: its kind, mode, journal, file system and disk space."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from shlex import quote
from typing import TYPE_CHECKING

from batchrunner.app.doctor.check_machine import has_wal_race
from batchrunner.app.doctor.finding import Finding, bad, ok, warning
from batchrunner.text.format import byte_size

if TYPE_CHECKING:
    from batchrunner.store.health import Health

#: Maximum bytes of a finished job without its result, and disk bytes for each byte of a result.
JOB_BYTES, RESULT_SHARE = 2200, 1.3
#: Bytes of a result as long as there is none.
TYPICAL_RESULT_BYTES = 4000
#: Bytes for the largest answer (32 MB), once in the database and once in the export.
MIN_FREE_BYTES = 80_000_000

#: File systems whose locks do not work between machines, or not at all.
_REMOTE = re.compile(
    r"nfs4?|cifs|smb\d?|smbfs|9p|afs|ncpfs|davfs|ceph|lustre|beegfs|gpfs|gfs2|vboxsf|prl_fs"
    r"|fuse\.(sshfs|rclone|s3fs|gcsfuse|davfs2?|glusterfs|ceph\S*|cifs|smb\S*|nfs\S*|grpcfuse|osxfs)"
)
_IN_MEMORY = ("tmpfs", "ramfs")
#: The number of `synchronous=FULL` in SQLite.
SYNCHRONOUS_FULL = 2


class FileKind(Enum):
    """What the path of the database leads to."""

    NOTHING = auto()  #: the first run makes the file
    EMPTY = auto()  #: the first run makes the tables
    OURS = auto()  #: a database of this program
    FOREIGN = auto()  #: a database of another program
    NO_DATABASE = auto()
    FOLDER = auto()
    UNREADABLE = auto()
    LOOP = auto()  #: a symbolic link that leads to itself


@dataclass(frozen=True, kw_only=True, slots=True)
class FileFacts:
    """A database file, its journal, its folder and its disk."""

    path: str
    folder: str
    kind: FileKind
    uses_wal: bool = False
    bytes: int = 0
    mode: int = 0o600
    writable: bool = True
    journal: int = 0  #: bytes of an open transaction before the database was opened
    journal_now: int = 0  #: the same after it was opened
    lost: str | None = None  #: that there was a database, and is none any more
    folder_trouble: str | None = None  #: why no file can be made in its folder
    file_system: str | None = None  #: None: not known
    free: int | None = None  #: bytes on its disk


def kind_of(head: bytes, ours: int) -> FileKind:
    """Return what a file is by its first 100 bytes; *ours* is the mark of our databases."""
    if not head:
        return FileKind.EMPTY
    if not head.startswith(b"SQLite format 3\0") or len(head) < 100:
        return FileKind.NO_DATABASE
    mark, pages = int.from_bytes(head[68:72]), int.from_bytes(head[28:32])
    if mark == ours:
        return FileKind.OURS
    # A database of one page has no tables yet.
    return FileKind.EMPTY if mark == 0 and pages <= 1 else FileKind.FOREIGN


def uses_wal(head: bytes) -> bool:
    """Whether an SQLite file with these first bytes is in WAL mode."""
    return len(head) >= 20 and 2 in head[18:20]


def file_system_of(path: str, mountinfo: str) -> str | None:
    """Return the type of the file system that a real, absolute path is on, from mountinfo."""
    best, found = -1, None
    for line in mountinfo.splitlines():
        before, dash, after = line.partition(" - ")
        fields = before.split()
        if not dash or len(fields) < 5:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[4])
        under = path == point or path.startswith(point.rstrip("/") + "/")
        if under and len(point) >= best:  # a later mount on the same point hides the earlier one
            best, found = len(point), after.split()[0]
    return found


# ---- findings ----

_OTHER_PATH = "export BATCHRUNNER_DB=~/batchrunner.db"


def findings(file: FileFacts, sqlite: str, health: Health | None) -> Iterator[Finding]:
    """Check the file and how this version of SQLite has it open."""
    yield _file(file)
    if file.kind in (FileKind.NOTHING, FileKind.EMPTY, FileKind.OURS):
        yield _journal_mode(file, sqlite, health)
    if file.kind in (FileKind.EMPTY, FileKind.OURS):
        yield _mode(file)
    yield _file_system(file)
    yield from _leftover(file)
    yield _space(file, health)


def _file(file: FileFacts) -> Finding:
    path = file.path
    if (unusable := _unusable(file)) is not None:
        return unusable
    if file.lost and not file.journal:  # one with content has a finding of its own
        return bad("file", file.lost, f"batchrunner recover jobs.yaml --db {quote(path)}")
    if file.folder_trouble:
        found = f"no file can be made in {file.folder}: {file.folder_trouble}"
        return bad("file", found, f"mkdir -p {quote(file.folder)} && ls -ld {quote(file.folder)}")
    if not file.writable:
        return bad("file", f"{path} may not be written to", f"chmod u+w {quote(path)}")
    state = {
        FileKind.NOTHING: "is not there yet: the first run makes it",
        FileKind.EMPTY: "is empty",
    }
    return ok("file", f"{path} {state.get(file.kind, f'({byte_size(file.bytes)})')}")


def _unusable(file: FileFacts) -> Finding | None:
    """Return that what is at the path can be no database of ours."""
    path = file.path
    match file.kind:
        case FileKind.FOLDER:
            inside = f"{path.rstrip('/')}/batchrunner.db"
            return bad("file", f"{path} is a folder", f"export BATCHRUNNER_DB={quote(inside)}")
        case FileKind.UNREADABLE:
            return bad("file", f"{path} may not be read", f"ls -l {quote(path)}")
        case FileKind.LOOP:
            return bad("file", f"{path} is a link that leads to itself", f"ls -l {quote(path)}")
        case FileKind.NO_DATABASE:
            return bad("file", f"{path} is not an SQLite file; name another one", _OTHER_PATH)
        case FileKind.FOREIGN:
            return bad("file", f"{path} is another program's database", _OTHER_PATH)
        case _:
            return None


def _journal_mode(file: FileFacts, sqlite: str, health: Health | None) -> Finding:
    race = has_wal_race(sqlite)
    if file.uses_wal:
        danger = f", which SQLite {sqlite} can corrupt (WAL-reset race)" if race else ""
        return bad(
            "journal_mode",
            f"another program has switched the database to WAL{danger}; close that program, "
            "and any command switches it back",
            f"batchrunner status --db {quote(file.path)}",
        )
    if health and (health.journal_mode == "wal" or health.synchronous != SYNCHRONOUS_FULL):
        return bad(
            "journal_mode",
            f"opened with journal_mode={health.journal_mode}, synchronous={health.synchronous}: "
            "a power cut may take back what was written",
            "pip install --force-reinstall batchrunner",
        )
    how = f"journal {health.journal_mode}, sync FULL" if health else "a rollback journal is used"
    return ok(
        "journal_mode",
        f"SQLite {sqlite} has the WAL-reset race; contained: {how}" if race else how,
    )


def _mode(file: FileFacts) -> Finding:
    if file.mode & 0o077 == 0:
        return ok("mode", f"mode {file.mode:04o}: for its owner only")
    found = f"mode {file.mode:04o}: other users of this machine may get at goals and results"
    return warning("mode", found, f"chmod 600 {quote(file.path)}")


def _file_system(file: FileFacts) -> Finding:
    name = file.file_system
    if name is None:
        return ok("file_system", "the type of its file system is not known here")
    if _REMOTE.fullmatch(name):
        found = f"on {name}, a network file system: its locks do not hold; use a local disk"
        return warning("file_system", found, _OTHER_PATH)
    if name in _IN_MEMORY:
        found = f"on {name}, in memory: a restart of the machine loses all; use a disk"
        return warning("file_system", found, _OTHER_PATH)
    return ok("file_system", f"on {name}, a file system of this machine")


def _leftover(file: FileFacts) -> Iterator[Finding]:
    journal = f"{file.path}-journal"
    if file.journal and file.kind is FileKind.NOTHING:
        found = f"{journal} stands alone: bring its database back beside it"
        yield bad("journal", found, f"ls -l {quote(file.folder)}")
    elif file.journal and file.journal_now:
        found = f"{journal} holds {byte_size(file.journal_now)} of a transaction: never delete it"
        yield warning("journal", found, f"fuser -v {quote(file.path)}")
    elif file.journal:
        yield ok("journal", "a transaction was open when we came, and has been ended or undone")


def _space(file: FileFacts, health: Health | None) -> Finding:
    """Check whether the disk has room for the results of the open jobs."""
    if file.free is None:
        return warning("space", "the room on its disk is not known", f"df -h {quote(file.folder)}")
    left = sum(work.open for work in health.open_work) if health else 0
    mean = (health.result_bytes if health else None) or TYPICAL_RESULT_BYTES
    needed = left * (JOB_BYTES + RESULT_SHARE * mean)
    fix = f"df -h {quote(file.folder)}"
    if file.free < MIN_FREE_BYTES:
        return bad("space", f"only {byte_size(file.free)} free: too little for a large result", fix)
    if file.free < MIN_FREE_BYTES + needed:
        most = byte_size(MIN_FREE_BYTES + needed)
        found = f"{byte_size(file.free)} free; {left} open jobs may need {most}"
        return warning("space", found, fix)
    enough = f"; {left} open jobs may need {byte_size(needed)}" if left else ""
    return ok("space", f"{byte_size(file.free)} free{enough}")
