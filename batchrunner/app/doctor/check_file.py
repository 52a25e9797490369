"""Where an SQLite database stands: the file, what is beside it, and the disk under it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from shlex import quote
from typing import TYPE_CHECKING

from batchrunner.app.doctor.check_machine import has_wal_race
from batchrunner.app.doctor.finding import Finding, bad, ok, size, warning

if TYPE_CHECKING:
    from batchrunner.store.health import Health

#: Bytes of a finished job beside its result, at most; and how much more than itself a result takes.
JOB_BYTES, RESULT_SHARE = 2200, 1.3
#: Bytes of a result where none has been seen.
TYPICAL_RESULT_BYTES = 4000
#: Below this the largest answer (32 MB) may not fit: once in the database, once in the export.
SPACE_FACTOR = 80_000_000

#: File systems on which locks do not hold between machines, or not at all.
_REMOTE = re.compile(
    r"nfs4?|cifs|smb\d?|smbfs|9p|afs|ncpfs|davfs|ceph|lustre|beegfs|gpfs|gfs2|vboxsf|prl_fs"
    r"|fuse\.(sshfs|rclone|s3fs|gcsfuse|davfs2?|glusterfs|ceph\S*|cifs|smb\S*|nfs\S*|grpcfuse|osxfs)"
)
_IN_MEMORY = ("tmpfs", "ramfs")
#: What SQLite calls `synchronous=FULL`.
FULL = 2


class FileKind(Enum):
    """What is found under the name of the database."""

    NOTHING = auto()  #: the first run makes it
    EMPTY = auto()  #: the first run fills it
    LEDGER = auto()  #: ours
    STRANGER = auto()  #: another program's database
    NO_DATABASE = auto()
    FOLDER = auto()
    UNREADABLE = auto()
    LOOP = auto()  #: a symbolic link that leads to itself


@dataclass(frozen=True, kw_only=True, slots=True)
class DatabaseFile:
    """A database file and its surroundings."""

    path: str
    folder: str
    kind: FileKind
    uses_wal: bool = False
    bytes: int = 0
    mode: int = 0o600
    writable: bool = True
    journal: int = 0  #: bytes of a transaction that was not ended when we came
    journal_now: int = 0  #: and after the database had been opened
    folder_trouble: str | None = None  #: why no file can be made beside it
    file_system: str | None = None  #: None: not known
    free: int | None = None  #: bytes on its disk


def kind_of(head: bytes, ours: int) -> FileKind:
    """Tell by the first 100 bytes of a file what it is; *ours* is the mark of our databases."""
    if not head:
        return FileKind.EMPTY
    if not head.startswith(b"SQLite format 3\0") or len(head) < 100:
        return FileKind.NO_DATABASE
    mark, pages = int.from_bytes(head[68:72]), int.from_bytes(head[28:32])
    if mark == ours:
        return FileKind.LEDGER
    # A database of one page has no tables yet: nobody's.
    return FileKind.EMPTY if mark == 0 and pages <= 1 else FileKind.STRANGER


def uses_wal(head: bytes) -> bool:
    """Tell by the first bytes of an SQLite file whether it is in WAL mode."""
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
        if under and len(point) >= best:  # of two on one point the later covers the other
            best, found = len(point), after.split()[0]
    return found


# ---- judging ----

_ELSEWHERE = "export BATCHRUNNER_DB=~/batchrunner.db"


def findings(place: DatabaseFile, sqlite: str, health: Health | None) -> Iterator[Finding]:
    """Judge the file and its surroundings, and how this *sqlite* has it open."""
    yield _file(place)
    if place.kind in (FileKind.NOTHING, FileKind.EMPTY, FileKind.LEDGER):
        yield _journal_mode(place, sqlite, health)
    if place.kind in (FileKind.EMPTY, FileKind.LEDGER):
        yield _mode(place)
    yield _file_system(place)
    yield from _leftover(place)
    yield _space(place, health)


def _file(place: DatabaseFile) -> Finding:
    path = place.path
    if place.kind is FileKind.FOLDER:
        inside = f"{path.rstrip('/')}/batchrunner.db"
        return bad("file", f"{path} is a folder", f"export BATCHRUNNER_DB={quote(inside)}")
    if place.kind is FileKind.UNREADABLE:
        return bad("file", f"{path} may not be read", f"ls -l {quote(path)}")
    if place.kind is FileKind.LOOP:
        return bad("file", f"{path} is a link that leads to itself", f"ls -l {quote(path)}")
    if place.kind is FileKind.NO_DATABASE:
        return bad("file", f"{path} is not an SQLite file; name another one", _ELSEWHERE)
    if place.kind is FileKind.STRANGER:
        return bad("file", f"{path} is another program's database", _ELSEWHERE)
    if place.folder_trouble:
        found = f"no file can be made in {place.folder}: {place.folder_trouble}"
        return bad("file", found, f"mkdir -p {quote(place.folder)} && ls -ld {quote(place.folder)}")
    if not place.writable:
        return bad("file", f"{path} may not be written to", f"chmod u+w {quote(path)}")
    said = {
        FileKind.NOTHING: "is not there yet: the first run makes it",
        FileKind.EMPTY: "is empty",
    }
    return ok("file", f"{path} {said.get(place.kind, f'({size(place.bytes)})')}")


def _journal_mode(place: DatabaseFile, sqlite: str, health: Health | None) -> Finding:
    race = has_wal_race(sqlite)
    if place.uses_wal:
        danger = f", which SQLite {sqlite} can corrupt (WAL-reset race)" if race else ""
        return bad(
            "journal_mode",
            f"another program has switched the database to WAL{danger}; close that program, "
            "and any command switches it back",
            f"batchrunner status --db {quote(place.path)}",
        )
    if health and (health.journal_mode == "wal" or health.synchronous != FULL):
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


def _mode(place: DatabaseFile) -> Finding:
    if place.mode & 0o077 == 0:
        return ok("mode", f"mode {place.mode:04o}: for its owner only")
    found = f"mode {place.mode:04o}: other users of this machine may get at goals and results"
    return warning("mode", found, f"chmod 600 {quote(place.path)}")


def _file_system(place: DatabaseFile) -> Finding:
    name = place.file_system
    if name is None:
        return ok("file_system", "the type of its file system is not known here")
    if _REMOTE.fullmatch(name):
        found = f"on {name}, a network file system: its locks do not hold; use a local disk"
        return warning("file_system", found, _ELSEWHERE)
    if name in _IN_MEMORY:
        found = f"on {name}, in memory: a restart of the machine loses all; use a disk"
        return warning("file_system", found, _ELSEWHERE)
    return ok("file_system", f"on {name}, a file system of this machine")


def _leftover(place: DatabaseFile) -> Iterator[Finding]:
    journal = f"{place.path}-journal"
    if place.journal and place.kind is FileKind.NOTHING:
        found = f"{journal} stands alone: bring its database back beside it"
        yield bad("journal", found, f"ls -l {quote(place.folder)}")
    elif place.journal and place.journal_now:
        found = f"{journal} holds {size(place.journal_now)} of a transaction: never delete it"
        yield warning("journal", found, f"fuser -v {quote(place.path)}")
    elif place.journal:
        yield ok("journal", "a transaction was open when we came, and has been ended or undone")


def _space(place: DatabaseFile, health: Health | None) -> Finding:
    """Judge the room on the disk by what the open jobs will need."""
    if place.free is None:
        return warning("space", "the room on its disk is not known", f"df -h {quote(place.folder)}")
    left = sum(work.open for work in health.open_work) if health else 0
    mean = (health.result_bytes if health else None) or TYPICAL_RESULT_BYTES
    needed = left * (JOB_BYTES + RESULT_SHARE * mean)
    fix = f"df -h {quote(place.folder)}"
    if place.free < SPACE_FACTOR:
        return bad("space", f"only {size(place.free)} free: too little for a large result", fix)
    if place.free < SPACE_FACTOR + needed:
        found = f"{size(place.free)} free; {left} open jobs may need {size(SPACE_FACTOR + needed)}"
        return warning("space", found, fix)
    enough = f"; {left} open jobs may need {size(needed)}" if left else ""
    return ok("space", f"{size(place.free)} free{enough}")
