"""The file of an SQLite database: created for its owner only, one name, and watched while open."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from batchrunner.store.errors import StoreError

#: What SQLite leaves beside a database, and needs to repair it after a crash.
JOURNALS = ("-journal", "-wal")
#: What is true whenever a file is lost or damaged while runs are in flight.
STOPPED = "nothing more is submitted; runs in flight go on at the API, and may cost money"
#: The open files of this process, where the system shows them.
_OPEN_FILES = Path("/proc/self/fd")


def recover_command(place: str) -> str:
    """Return the command that builds a database again from what the API has."""
    return f"batchrunner recover jobs.yaml --db {shlex.quote(place)}"


class DatabaseFile:
    """
    One database file, by the path that the user gave.

    While the database is open, the path has to lead to the same file: what is written to a file
    that was removed, moved or replaced is lost, and the next start would pay for it again.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._absolute = os.path.abspath(path)
        #: What SQLite opens. Through another name it would not find the journal of a crash.
        self.target = Path(os.path.realpath(path))
        self._identity: tuple[int, int] | None = None

    @property
    def uri(self) -> str:
        """The address by which SQLite opens the file, and never creates one."""
        return f"file:{quote(os.fsencode(self.target))}?mode=rw"

    def create(self) -> None:
        """
        Create the file if it is missing, also through a link, readable by its owner only.

        SQLite would let other users read it.

        Raises:
            StoreError: It cannot be created, is a folder, or has two names.
        """
        try:
            flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC
            os.close(os.open(self.target, flags, 0o600))
        except FileExistsError:
            self._check_usable()
        except OSError as error:
            raise StoreError(
                f"the database {self.path} cannot be made: {error.strerror}",
                next="name another place with --db PATH",
            ) from error

    def _check_usable(self) -> None:
        if self.target.is_dir():
            advice = f"name a file in it: --db {Path(self.path) / 'batchrunner.db'}"
            raise StoreError(f"{self.path} is a folder", next=advice)
        found = os.stat(self.target)
        if not stat.S_ISREG(found.st_mode):
            raise StoreError(
                f"{self.path} is a device, a pipe or a socket and no database",
                next="name a file: --db batchrunner.db",
            )
        if found.st_nlink > 1:
            raise self._two_names((found.st_dev, found.st_ino))

    def _two_names(self, identity: tuple[int, int]) -> StoreError:
        """Return the refusal of a file with several names, and how to leave one."""
        other = next(_names_beside(self.target, identity), None)
        what = (
            f"the database {self.path} is one file with {other or 'another name'} (a hard link): "
            "under its other name, what a killed runner left is not repaired but damaged"
        )
        if other is None:
            folder = shlex.quote(str(self.target.parent))
            find = f"find {folder} -samefile {shlex.quote(str(self.target))}"
            step = f"list its names, and remove all but one: {find}"
            return StoreError(what, next=step, command=find)
        # The name that a runner worked with has the journal.
        is_used = _journal_sizes(other) > _journal_sizes(self.target)
        keep, drop = (other, self.target) if is_used else (self.target, other)
        remove = f"rm {shlex.quote(str(drop))}"
        step = f"keep the name {keep} and remove the other: {remove}"
        return StoreError(what, next=step, command=remove)

    def opened(self) -> None:
        """Remember the file, now that SQLite has opened it."""
        if self._identity is None:
            self._identity = _identity(self._absolute)
        self.check()

    def check(self) -> None:
        """
        Check that the path still leads to the file that was opened.

        Raises:
            StoreError: It was removed, moved or replaced.
        """
        if self._identity is None:
            return
        try:
            found = os.stat(self._absolute)
        except (FileNotFoundError, NotADirectoryError):
            raise self._lost(self._identity) from None
        except OSError:
            return  # the disk does not say; SQLite's own error will
        if (found.st_dev, found.st_ino) != self._identity:
            raise self._lost(self._identity)

    def _lost(self, identity: tuple[int, int]) -> StoreError:
        moved_to = _place_of_open_file(identity)
        back = f"mv -i {shlex.quote(str(moved_to))} {shlex.quote(self._absolute)}"
        recover = recover_command(self.path)
        if _identity(self._absolute) is not None:
            happened = "was replaced by another file"
            step = f"put the first file back ({back})" if moved_to else "put the first file back"
            step = f"{step}, or go on with the new one: {recover}"
        elif moved_to is not None:
            happened, step = f"was moved to {moved_to}", f"put it back: {back}"
        else:
            happened = "was removed or moved away"
            step = f"put it or a backup of it back (docs/backup.md); without one: {recover}"
        return StoreError(f"the database {self.path} {happened} while in use: {STOPPED}", next=step)


def lost_database(path: Path) -> StoreError | None:
    """Return an error if there is no database at *path* but there was one; else None."""
    target = Path(os.path.realpath(path))
    journal = next((each for each in _journals(target) if os.path.lexists(each)), None)
    is_there = os.path.lexists(target)
    # A journal that holds something belongs to a process that makes the database just now.
    if journal is None or _size(target) or (is_there and _size(journal)):
        return None
    # An empty file that is older than its journal was never filled: a first start ended early. One
    # that was emptied is newer than the journal of its last transaction.
    if is_there and target.stat().st_mtime_ns < journal.stat().st_mtime_ns:
        return None
    happened = "is empty" if is_there else "is gone"
    return StoreError(
        f"the database {path} {happened}, and {journal.name} of the old one was left beside it: "
        "with a new one, every run would be paid for again",
        next=f"put it or a backup of it back (docs/backup.md); without one: "
        f"{recover_command(str(path))}; to begin with an empty one: rm {shlex.quote(str(journal))}",
    )


def had_journal(path: str) -> bool:
    """Return whether SQLite once kept a journal for this file."""
    return any(map(os.path.lexists, _journals(Path(os.path.realpath(path)))))


def has_open_transaction(path: Path) -> bool:
    """Return whether a transaction was cut off, or is being written by another process."""
    return any(map(_size, _journals(Path(os.path.realpath(path)))))


def _journals(target: Path) -> list[Path]:
    return [target.with_name(target.name + suffix) for suffix in JOURNALS]


def _journal_sizes(target: Path) -> list[int]:
    """Return the sizes of the journals of this name, -1 for none."""
    return [_size(each) if os.path.lexists(each) else -1 for each in _journals(target)]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _names_beside(target: Path, identity: tuple[int, int]) -> Iterator[Path]:
    """Give the other names of a file in its folder."""
    try:
        with os.scandir(target.parent) as entries:
            for entry in entries:
                path = target.parent / entry.name
                if path != target and not entry.is_symlink() and _identity(str(path)) == identity:
                    yield path
    except OSError:
        return


def _place_of_open_file(identity: tuple[int, int]) -> Path | None:
    """Return where a file that this process has open is now; None if it has no name any more."""
    # No file is opened here: closing it would drop SQLite's locks on it.
    try:
        numbers = os.listdir(_OPEN_FILES)
    except OSError:
        return None
    for number in numbers:
        entry = _OPEN_FILES / number
        if _identity(str(entry)) != identity:
            continue
        place = Path(os.readlink(entry))
        return place if _identity(str(place)) == identity else None
    return None
