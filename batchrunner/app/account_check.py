"""Keeps a batch on the API and on the account that its runs belong to."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio

from batchrunner.app.api_key import digest_of, is_digest_of
from batchrunner.app.clock import store_now
from batchrunner.app.registered_owner import registered_owner
from batchrunner.app.run_observer import Say, say_nothing
from batchrunner.classify import classify_fault
from batchrunner.errors import CannotContinue, UsageError
from batchrunner.model import ApiFault, ApiFaultKind, Batch, FailureCategory, RequestFailed, Run
from batchrunner.policy.create_outcome import settle_unanswered
from batchrunner.policy.run_decision import give_up
from batchrunner.store import account_keys
from batchrunner.store.account_keys import KeysChanged, account_check_runs, known_keys
from batchrunner.store.attempts import apply_poll, runs_in_flight
from batchrunner.store.batches import bind_to_api
from batchrunner.store.orphans import (
    close_orphans,
    late_run_watchlist,
    open_orphans,
    schedule_late_check,
)
from batchrunner.store.reports import work_left
from batchrunner.store.schema import SubmissionState
from batchrunner.store.store import Store
from batchrunner.store.submissions import settle_submission, unanswered_submissions
from batchrunner.text.format import counted
from batchrunner.text.terminal import term_safe
from batchrunner.tinyfish.client import TinyFishClient

if TYPE_CHECKING:
    from batchrunner.app.api_access import ApiAccess

#: Seconds before the API is asked again whether a key finds the runs; doubled with each try.
FIRST_RECHECK_SECONDS, MAX_RECHECK_SECONDS = 1.0, 30.0
#: The message of attempts whose runs are given up.
LEFT_BEHIND = "left on another account"


def bind(
    store: Store,
    batch: Batch,
    api: ApiAccess,
    *,
    leave_runs: bool = False,
    say: Say = say_nothing,
) -> str:
    """
    Bind a batch to an API and an account, unless it is; return the key's digest in the database.

    With *leave_runs*, the batch's runs on another account are given up. *say* gets sentences about
    waiting and about runs that were given up.

    Raises:
        BatchrunnerError: It is bound to another API or account, where its runs would not be found.
    """
    check_origin(batch, store.write(bind_to_api, batch.id, api.origin), api)
    return admit_key(store, batch, api, leave_runs=leave_runs, say=say)


def check_origin(batch: Batch, bound: str | None, api: ApiAccess) -> None:
    """Refuse an API other than the one that a batch is bound to; None: it is bound to none."""
    if bound not in (None, api.origin):
        raise UsageError(
            f"batch {batch.name!r} was run on {bound}, and this is {api.origin}",
            next="results of the two do not mix; name another database: --db other.db",
            where=api.url,
        )


def admit_key(
    store: Store,
    batch: Batch,
    api: ApiAccess,
    *,
    leave_runs: bool = False,
    say: Say = say_nothing,
) -> str:
    """
    Let a batch be run with this key; return the key's digest in the database.

    With *leave_runs*, the batch's runs on another account are given up. *say* gets sentences about
    waiting and about runs that were given up.

    Raises:
        UsageError: The key belongs to another account: live runs would look lost and be paid again.
    """
    while True:
        # Several processes that start together each make their own digest; the first one counts.
        with suppress(KeysChanged):
            return _admitted(store, batch, api, leave_runs=leave_runs, say=say)


def _admitted(store: Store, batch: Batch, api: ApiAccess, *, leave_runs: bool, say: Say) -> str:
    digests = store.read(known_keys, batch.id)
    known = next((digest for digest in digests if is_digest_of(api.key, digest)), None)
    if known is not None:
        return known
    new = digest_of(api.key)
    if store.write(account_keys.admit_key, batch.id, new, beside=False, read=digests):
        return new
    run_ids = store.read(account_check_runs, batch.id)
    # In a database that knows no key yet and has no run to check, nothing contradicts this key.
    same_account = (
        anyio.run(_finds_run_when_answered, api, run_ids, say) if run_ids else not digests
    )
    if not same_account and leave_runs:
        _give_up_runs(store, batch, say)
    if store.write(account_keys.admit_key, batch.id, new, beside=same_account, read=digests):
        return new
    raise CannotContinue(
        f"batch {batch.name!r} may have runs alive on another account: this key finds none of them",
        next="use the key that it was run with. Or give these runs up: `run … --leave-runs` fails "
        "their jobs as `unanswered`, and they are not paid for again unless you say so",
        where=api.url,
    )


async def _finds_run_when_answered(api: ApiAccess, run_ids: Sequence[str], say: Say) -> bool:
    """Whether the key finds any of these runs; waits until the API answers."""
    seconds, said = FIRST_RECHECK_SECONDS, False
    async with TinyFishClient(api.url, api.key) as remote:
        while True:
            try:
                seen = await remote.get_many(run_ids)
                return any(isinstance(run, Run) for run in seen.values())
            except RequestFailed as error:
                message = _reason_to_wait(error.fault, api)
            if not said:
                say(f"waiting to learn whether this key finds its runs: {message}")
                said = True
            await anyio.sleep(seconds)
            seconds = min(seconds * 2, MAX_RECHECK_SECONDS)


def _reason_to_wait(fault: ApiFault, api: ApiAccess) -> str:
    """
    Return why the API cannot answer now.

    Raises:
        CannotContinue: It refuses the key, so waiting is no use.
    """
    failure = classify_fault(fault)
    if fault.kind is ApiFaultKind.BARRED:
        said = term_safe(fault.message)
        raise CannotContinue(said, next=fault.advice, where=api.url, why=said)
    if failure.category in (FailureCategory.UNAUTHORIZED, FailureCategory.REJECTED):
        raise CannotContinue(
            term_safe(f"the API answered {failure.message!r}"),
            next="check the key and its rights, then run the same command again",
            where=api.url,
            why=term_safe(failure.message),
        )
    return term_safe(failure.message)


def _give_up_runs(store: Store, batch: Batch, say: Say) -> None:
    """
    Close open attempts as `unanswered`: their runs may go on and cost money.

    Raises:
        CannotContinue: Another runner works on the batch.
    """
    with registered_owner(store, batch.id) as owner_id:
        if store.read(work_left, owner_id, batch.id).in_flight_elsewhere:
            raise CannotContinue(
                f"another runner is at work on batch {batch.name!r}",
                next="end it first; `batchrunner status` names it",
            )
        count = _close_attempts(store, batch, owner_id)
        _forget_late_runs(store, batch, owner_id)
    say(f"gave up {counted(count, 'run')} of another account: unanswered")


def _close_attempts(store: Store, batch: Batch, owner_id: str) -> int:
    """Close all open attempts of a batch; return how many there were."""
    now = store_now(store)
    decisions = [
        give_up(attempt, LEFT_BEHIND) for attempt in store.read(runs_in_flight, owner_id, batch.id)
    ]
    closed = len(apply_poll(store, owner_id, decisions, [], now))
    for submission, _, _ in store.read(unanswered_submissions, owner_id, batch.id):
        undecided = settle_unanswered(submission, LEFT_BEHIND)
        state = SubmissionState.UNDECIDED
        closed += len(
            store.write(settle_submission, owner_id, submission, state, undecided, now, LEFT_BEHIND)
        )
    return closed


def _forget_late_runs(store: Store, batch: Batch, owner_id: str) -> None:
    """Stop searching for late runs and cancelling orphans: this key does not reach them."""
    orphans = [(run_id, None) for run_id in store.read(open_orphans, batch.id)]
    store.write(close_orphans, orphans, store_now(store))
    for submission in store.read(late_run_watchlist, owner_id, batch.id):
        store.write(schedule_late_check, owner_id, submission, None)
