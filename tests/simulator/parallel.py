"""Runs independent calls on all cores."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

#: Calls after which a process is replaced by a fresh one, to free its memory.
TASKS = 100

S = TypeVar("S")
T = TypeVar("T")


def in_parallel(call: Callable[[S], T], inputs: Sequence[S]) -> Iterator[T]:
    """Yield the result of *call* for each input, as they end; an error ends all of them."""
    # Not forked: a process must not inherit connections and threads.
    context = multiprocessing.get_context("spawn")
    workers = max(min(os.cpu_count() or 1, len(inputs)), 1)
    ignored = (signal.SIGINT, signal.SIG_IGN)
    with context.Pool(workers, signal.signal, ignored, maxtasksperchild=TASKS) as pool:
        yield from pool.imap_unordered(call, inputs)
