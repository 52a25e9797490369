"""Adds the jobs of a large new batch in short transactions: nobody waits long for a load."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

from batchrunner.app.clock import store_now
from batchrunner.app.open_database import retry_while_away
from batchrunner.app.run_observer import Say
from batchrunner.model import JobFile
from batchrunner.store.batches import new_rows
from batchrunner.store.database import StoreError
from batchrunner.store.store import Store
from batchrunner.store.unseen_batch import (
    UnseenBatch,
    add_unseen,
    begin_unseen,
    left_over,
    remove_unseen,
)

#: Jobs up to which a file is loaded in one transaction.
AT_ONCE = 10_000


@contextmanager
def prepared(store: Store, file: JobFile, say: Say) -> Iterator[UnseenBatch | None]:
    """
    Add a large file's jobs to a batch that nobody sees, and yield it for the block to show.

    Yields None where the block must add them itself: the file is small, its batch is there, or
    another load took the batch for left over. What the block does not show is removed.
    """
    if len(file.specs) <= AT_ONCE:
        yield None
        return
    for batch_id in store.read(left_over, store_now(store)):
        _remove(store, batch_id)
    begun = store.write(begin_unseen, file, store.new_token(), store_now(store))
    if begun is None:
        yield None
        return
    try:
        yield _filled(store, begun, file, say)
    finally:
        with suppress(StoreError):  # the next large load removes it
            _remove(store, begun.id)


def _filled(store: Store, begun: UnseenBatch, file: JobFile, say: Say) -> UnseenBatch | None:
    unseen: UnseenBatch | None = begun
    for rows in new_rows(begun.id, file, store_now(store)):
        if unseen is None:
            break
        add = partial(store.write, add_unseen, unseen, rows, store_now(store))
        unseen = retry_while_away(add, say)
    return unseen


def _remove(store: Store, batch_id: int) -> None:
    while store.write(remove_unseen, batch_id):
        pass
