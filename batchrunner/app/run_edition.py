"""Runs an edition of a series: first drains older ones, and afterwards removes the oldest."""

from __future__ import annotations

from dataclasses import replace

from batchrunner.app.account_check import bind
from batchrunner.app.api_access import ApiAccess
from batchrunner.app.clock import store_now
from batchrunner.app.prune_editions import prune_editions
from batchrunner.app.run_batch import BatchRunEnded, RunOptions, work
from batchrunner.app.run_observer import Notice, RunEvent, RunObserver, Say, StopRequested
from batchrunner.app.stop_control import StopControl, StopRequest
from batchrunner.model import Batch, JobState
from batchrunner.runner.runner import ExitReason
from batchrunner.store.editions import close_edition, unfinished_before
from batchrunner.store.reports import batch_counts
from batchrunner.store.store import Store
from batchrunner.text.format import counted

#: Ends of a drain after which the edition may begin.
_DRAINED = (ExitReason.FINISHED, ExitReason.DRAINED)


def run_edition(
    store: Store,
    batch: Batch,
    api: ApiAccess,
    observer: RunObserver,
    *,
    key: str,
    control: StopControl | None = None,
    options: RunOptions | None = None,
) -> BatchRunEnded:
    """
    Run a batch as `work` does; if it is an edition, first drain the unfinished ones before it.

    Nothing of an older edition is submitted any more: its jobs that wait are cancelled. Its runs in
    flight are collected, and kept. Where that does not come to its end, the batch is not begun.

    Raises:
        BatchrunnerError: An older edition has runs on another API or account.
    """
    control, options = control or StopControl(), options or RunOptions()
    for older in _older(store, batch):
        drained = _drain(store, older, api, _NoticesOnly(observer), control, options)
        counts = store.read(batch_counts, batch.id)
        if drained is not None and drained.reason not in _DRAINED:
            return replace(drained, counts=counts, audit=None)
        if control.request is not StopRequest.NONE:
            reason = ExitReason.DRAINED if control.request is StopRequest.DRAIN else None
            return BatchRunEnded(reason=reason, counts=counts)
    ended = work(store, batch, api, observer, key=key, control=control, options=options)
    keep = options.series.keep_editions or batch.settings.keep_editions
    if batch.series is not None and keep is not None:
        prune_editions(store, batch.series, keep, _say(observer))
    return ended


class _NoticesOnly:
    """Passes sentences on, and nothing about the jobs and numbers of another batch."""

    count_seconds = None

    def __init__(self, observer: RunObserver) -> None:
        self._observer = observer

    def notify(self, event: RunEvent) -> None:
        """Pass a sentence on."""
        if isinstance(event, Notice | StopRequested):
            self._observer.notify(event)


def _say(observer: RunObserver) -> Say:
    return lambda line: observer.notify(Notice(text=line))


def _older(store: Store, batch: Batch) -> list[Batch]:
    if batch.series is None:
        return []
    return store.read(unfinished_before, batch.series, batch.id)


def _drain(
    store: Store,
    older: Batch,
    api: ApiAccess,
    observer: RunObserver,
    control: StopControl,
    options: RunOptions,
) -> BatchRunEnded | None:
    """Close an older edition, and collect its runs in flight; None: there are none."""
    cancelled, _ = store.write(close_edition, older.id, store_now(store))
    running = store.read(batch_counts, older.id).jobs[JobState.RUNNING]
    say = _say(observer)
    say(
        f"edition {older.name!r} ends unfinished: {counted(cancelled, 'waiting job')} cancelled, "
        f"{counted(running, 'run')} in flight to be collected first"
    )
    if not running:
        return None
    key = bind(store, older, api, leave_runs=options.leave_runs, say=say)
    options = replace(options, folder=None, part=None)
    ended = work(
        store, older, api, observer, key=key, control=control, submit=False, options=options
    )
    control.reopen()
    return ended
