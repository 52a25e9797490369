"""Makes a database smaller on disk: only while no runner works, and with room for the copy."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from batchrunner.app.clock import now
from batchrunner.app.process_identity import exited_owners
from batchrunner.errors import CannotContinue
from batchrunner.store.address import file_of
from batchrunner.store.batch_reads import active_workers
from batchrunner.store.compaction import RunnersWork, compact, database_bytes
from batchrunner.store.store import Store
from batchrunner.text.format import byte_size

#: Bytes that stay free on a disk beside what the copy needs.
MARGIN_BYTES = 50_000_000
#: Workers that are named.
MAX_NAMED = 3


def compact_database(store: Store, address: str) -> int:
    """
    Give the disk back what the database does not use; return by how many bytes it is smaller.

    Raises:
        CannotContinue: A runner works on it, or a disk lacks room. Nothing was changed.
    """
    workers = store.read(active_workers, now())
    exited = exited_owners([each.owner for each in workers])
    file = file_of(address)
    if file is not None:
        total, free = store.read(database_bytes)
        _check_room(file, total, total - (free or 0))
    try:
        return compact(store, now(), exited)
    except RunnersWork as error:
        named = [f"process {owner.pid} on {owner.machine.split(' ')[0]}" for owner in error.owners]
        more = f" and {len(named) - MAX_NAMED} more" if len(named) > MAX_NAMED else ""
        raise CannotContinue(
            f"nothing was changed: at work on the database: {', '.join(named[:MAX_NAMED])}{more}",
            next="stop them with Ctrl-C or wait for their end, then give the same command again",
            where=store.place,
        ) from error


def _check_room(file: Path, total: int, used: int) -> None:
    """Refuse where SQLite's copy, or its journal beside the file, could fill a disk."""
    beside, temporary = Path(os.path.realpath(file)).parent, temporary_folder(os.environ)
    lacking = shortages(_disk_of(beside), _disk_of(temporary), journal=total, copy=used)
    for folder, needed, free in lacking:
        raise CannotContinue(
            f"nothing was changed: the disk of {folder} has {byte_size(free)} free, "
            f"and this may need {byte_size(needed)} for a while",
            next="make room there, or name another folder for the copy with SQLITE_TMPDIR",
            where=str(file),
        )


#: A folder, the number of its device, and the free bytes there.
Disk = tuple[Path, int, int]


def _disk_of(folder: Path) -> Disk:
    return folder, folder.stat().st_dev, shutil.disk_usage(folder).free


def shortages(
    beside: Disk, temporary: Disk, *, journal: int, copy: int
) -> list[tuple[Path, int, int]]:
    """
    Return the folders whose disks lack room, each with the bytes that it needs and has.

    SQLite writes its copy in the folder for temporary files, and then the old pages to the journal
    beside the database.
    """
    if beside[1] == temporary[1]:
        needs = [(beside, journal + copy)]
    else:
        needs = [(beside, journal), (temporary, copy)]
    return [
        (folder, needed + MARGIN_BYTES, free)
        for (folder, _, free), needed in needs
        if free < needed + MARGIN_BYTES
    ]


def temporary_folder(environment: Mapping[str, str]) -> Path:
    """Return the folder in which SQLite makes its temporary files."""
    named = [environment.get(name) for name in ("SQLITE_TMPDIR", "TMPDIR")]
    for folder in [*named, "/var/tmp", "/usr/tmp", "/tmp"]:
        if folder and os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK):
            return Path(folder)
    return Path()
