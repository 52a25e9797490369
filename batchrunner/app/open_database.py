"""Opens the database of batches, and finds a batch in it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from batchrunner.app.clock import now
from batchrunner.app.error_translation import errors_for_people
from batchrunner.app.process_identity import exited_owners
from batchrunner.errors import CannotContinue, UsageError
from batchrunner.model import Batch
from batchrunner.model.edition_names import SEPARATOR
from batchrunner.store.address import file_of, names_memory
from batchrunner.store.batch_reads import active_workers, list_batches
from batchrunner.store.database_file import has_open_transaction, lost_database
from batchrunner.store.errors import StoreError
from batchrunner.store.file_store import FileStore
from batchrunner.store.store import Store

if TYPE_CHECKING:
    from batchrunner.app.run_observer import Say

T = TypeVar("T")

#: Seconds for which a start waits for a database that is away, and between two tries.
OPEN_PATIENCE_SECONDS, OPEN_RETRY_SECONDS = 10.0, 1.0
#: Longest check for damage after a crash: other runners cannot write meanwhile.
CHECK_SECONDS = 8.0


@contextmanager
def opened_store(
    address: str, say: Say, *, must_exist: bool = True, after_loss: bool = False
) -> Iterator[Store]:
    """Open the database while the block runs; errors of the block become errors for people."""
    with errors_for_people():
        store = open_store(address, say, must_exist=must_exist, after_loss=after_loss)
        try:
            yield store
        finally:
            store.close()


def open_store(
    address: str, say: Say, *, must_exist: bool = False, after_loss: bool = False
) -> Store:
    """
    Open the database, make it where there is none, and wait for one that is away for a moment.

    A new one takes the place of one that was lost only *after_loss*. Before work begins on one that
    was not closed, it is checked for damage.

    Raises:
        BatchrunnerError: It is in memory, or must exist and does not.
        StoreError: It cannot be opened, is lost or damaged.
    """
    if names_memory(address):
        raise UsageError(
            f"{address} is a database in memory: with the program's end it would lose which runs "
            "exist",
            next="name a file with --db, such as --db batchrunner.db",
        )
    file = file_of(address)
    if file is not None and not after_loss and (lost := lost_database(file)) is not None:
        raise lost
    if must_exist and file is not None and not file.exists():
        step = "load a job file first: batchrunner load jobs.yaml (or name the database: --db)"
        if of_sandbox := sandbox_beside(file):
            step = f"add --sandbox to use the sandbox's own database, {of_sandbox}"
        raise CannotContinue(f"there is no database {file}", next=step, where=str(file))
    cut_off = file is not None and has_open_transaction(file)
    if must_exist and file is not None and str(file) == address and not address.startswith("file:"):
        return FileStore(address)
    store = retry_while_away(lambda: Store.open(address), say)
    if file is not None and not must_exist:
        try:
            _check_after_crash(store, cut_off=cut_off)
        except BaseException:
            store.close()
            raise
    return store


def sandbox_beside(file: Path) -> Path | None:
    """Return the sandbox's own database beside the usual one, if there is one."""
    found = file.with_name(f"{file.stem}.sandbox.db")
    return found if found.exists() else None


def _check_after_crash(store: Store, *, cut_off: bool) -> None:
    """Raise StoreError if a process that was killed left a damaged file."""
    from batchrunner.store.damage import damaged, wrong_numbers
    from batchrunner.store.health import quick_damage, quick_drift

    workers = store.read(active_workers, now())
    exited = exited_owners([worker.owner for worker in workers])
    unclean = cut_off or any(each.owner.id in exited or not each.leased for each in workers)
    damage = store.read(quick_damage, CHECK_SECONDS) if unclean else None
    if damage is not None:
        raise damaged(store.place, damage)
    if unclean and (names := store.read(quick_drift, CHECK_SECONDS)):
        raise wrong_numbers(store.place, names)


def retry_while_away(call: Callable[[], T], say: Say) -> T:
    """
    Return what *call* returns; repeat it for as long as a restart of the database's server takes.

    Only for calls that may be repeated after they took effect unseen.
    """
    begun, said = time.monotonic(), False
    while True:
        try:
            return call()
        except StoreError as error:
            if not error.passing or time.monotonic() - begun > OPEN_PATIENCE_SECONDS:
                raise
            if not said:
                say(f"waiting for the database: {error.message}")
                said = True
        time.sleep(OPEN_RETRY_SECONDS)


def find_batch(store: Store, name: str | None) -> Batch:
    """
    Return the batch called *name*, the newest edition of that series, or the only one there is.

    Raises:
        UsageError: There is no such batch or series, or several and no name.
    """
    batches = store.read(list_batches)
    # The newest edition of each series, and each other batch.
    current = {batch.series or batch.name: batch for batch in batches}
    found = [batch for known, batch in current.items() if name in (None, known)]
    found = found or [batch for batch in batches if batch.name == name]
    if len(found) == 1:
        return found[0]
    series = (name or "").partition(SEPARATOR)[0]
    editions = [batch.name for batch in batches if batch.series == series]
    names = ", ".join(editions or current) or "none yet"
    if name is not None and sandbox_beside(Path(store.place)):
        names += "; the sandbox has its own database: add --sandbox"
    raise UsageError(
        f"there is no batch {name!r}" if name else f"there are {len(current)} batches: which one?",
        next=f"name one of those in the database {store.place}: {names}",
    )
