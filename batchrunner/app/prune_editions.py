"""Removes the oldest editions of a series, a few rows at a time."""

from __future__ import annotations

from contextlib import suppress

from batchrunner.app.clock import store_now
from batchrunner.app.run_observer import Say
from batchrunner.store.database import StoreError
from batchrunner.store.editions import hide_edition, prunable, prune_chunk
from batchrunner.store.store import Store
from batchrunner.text.format import counted


def prune_editions(store: Store, series: str, keep: int, say: Say) -> int:
    """
    Remove the editions of a series beyond the newest *keep*; return how many are gone.

    An edition of which something may still happen stays, and so does the newest complete one. Each
    transaction is small. What is left when this ends early is removed the next time.
    """
    removed = 0
    with suppress(StoreError):  # it is no reason to lose what a run has brought
        for batch_id in store.read(prunable, series, keep):
            if not store.write(hide_edition, batch_id, store_now(store)):
                continue
            while store.write(prune_chunk, batch_id):
                pass
            removed += 1
    if removed:
        say(f"{counted(removed, 'older edition')} of {series!r} removed; the newest {keep} stay")
    return removed
