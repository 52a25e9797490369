"""Compares a batch with the API's own list of runs, and takes runs that it did not know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Concatenate

import anyio

from batchrunner.app.account_check import bind
from batchrunner.app.api_call import call_api
from batchrunner.app.cancel_runs import is_over
from batchrunner.app.clock import store_now
from batchrunner.app.registered_owner import registered_owner
from batchrunner.app.repeat_request import repeat_request
from batchrunner.app.run_observer import Say, say_nothing
from batchrunner.model import Batch, Run
from batchrunner.model.audit import AuditReport, DifferenceKind, Taken
from batchrunner.runner.batch_audit import BatchAudit, P, T
from batchrunner.runner.run_fetcher import chunks
from batchrunner.store.orphans import close_orphans
from batchrunner.store.store import Store

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from batchrunner.app.api_access import ApiAccess
    from batchrunner.tinyfish.console_client import ConsoleClient

#: Polls after which a cancelled run that goes on is left to the next run of the batch.
MAX_CANCEL_POLLS, CANCEL_POLL_SECONDS = 10, 1.0


def audit_batch(
    store: Store, batch: Batch, api: ApiAccess, *, say: Say = say_nothing
) -> AuditReport:
    """
    Compare all runs of a batch with the API's own list, and return what was found.

    An unknown run, of a create that this database sent, is adopted if its job needs one. Otherwise
    it is cancelled, and its cost is counted. Where another database runs the same batch, nothing
    is adopted or cancelled.

    Raises:
        BatchrunnerError: The key is of another account, or the API's list cannot be read.
    """
    bind(store, batch, api, say=say)
    audit = partial(_audit, store, batch)
    return call_api(api, audit, about="the list of runs")


async def _audit(store: Store, batch: Batch, client: ConsoleClient) -> AuditReport:
    transactions = _Transactions(store)
    audit = BatchAudit(
        api=client,
        ask=repeat_request,
        read=transactions.read,
        write=transactions.write,
        batch_id=batch.id,
        now=lambda: store_now(store),
    )
    report = await audit.full()
    kinds = {each.kind for each in report.differences}
    if DifferenceKind.FOREIGN in kinds or DifferenceKind.UNKNOWN not in kinds:
        return report
    with registered_owner(store, batch.id) as owner_id:
        report = await audit.take(report, owner_id, store.new_token)
    cancelled = [each.run_id for each in report.differences if each.taken is Taken.ORPHAN]
    for chunk in chunks(cancelled):
        await _cancel(store, client, chunk)
    return report


async def _cancel(store: Store, client: ConsoleClient, run_ids: Sequence[str]) -> None:
    """Cancel orphans, and store what those cost that are over soon."""
    await client.cancel_many(run_ids)
    ended: list[tuple[str, Run | None]] = []
    for poll in range(MAX_CANCEL_POLLS):
        if poll:
            await anyio.sleep(CANCEL_POLL_SECONDS)
        seen = await client.get_many(run_ids)
        ended = [
            (run.run_id, run) for run in seen.values() if isinstance(run, Run) and is_over(run)
        ]
        if len(ended) == len(run_ids):
            break
    store.write(close_orphans, ended, store_now(store))


class _Transactions:
    """The store's transactions, as an audit calls them; nothing else runs meanwhile."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def read(
        self,
        function: Callable[Concatenate[Connection, P], T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        return self._store.read(function, *args, **kwargs)

    async def write(
        self,
        function: Callable[Concatenate[Connection, P], T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        return self._store.write(function, *args, **kwargs)
