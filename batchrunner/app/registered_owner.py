"""Registers this process as an owner of attempts while a command works without a runner."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from batchrunner.app.clock import store_now
from batchrunner.app.process_identity import exited_owners, this_process
from batchrunner.store.leases import end_owner, other_owners, register_owner, rescue_attempts
from batchrunner.store.store import Store


@contextmanager
def registered_owner(store: Store, batch_id: int) -> Iterator[str]:
    """
    Register this process while the block runs; give its owner id.

    It takes over the batch's open attempts of processes that have ended. Whatever is still open
    after the block is adopted by the next process that works on the batch.
    """
    me = this_process()
    store.write(register_owner, me, store_now(store))
    try:
        others = [owner for owner, _ in store.read(other_owners, me.id)]
        store.write(rescue_attempts, me.id, batch_id, store_now(store), exited_owners(others))
        yield me.id
    finally:
        store.write(end_owner, me.id, store_now(store))
