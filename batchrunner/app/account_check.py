"""Sees to it that a batch stays on the account that its runs are on."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio

from batchrunner.app.api_key import digest_of, is_digest_of
from batchrunner.app.clock import ledger_now
from batchrunner.app.process_identity import exited_owners, this_process
from batchrunner.app.run_observer import Say, say_nothing
from batchrunner.classify import classify_fault
from batchrunner.errors import CannotContinue
from batchrunner.model import ApiError, Batch, FailureCategory, Run
from batchrunner.policy.create_outcome import settle_unanswered
from batchrunner.policy.run_decision import give_up
from batchrunner.store.account_keys import KeysChanged
from batchrunner.store.schema import SubmissionState
from batchrunner.store.store import Store
from batchrunner.text.format import counted
from batchrunner.text.terminal import term_safe
from batchrunner.tinyfish.client import TinyFishClient

if TYPE_CHECKING:
    from batchrunner.app.api_access import ApiAccess

#: Seconds until an account that could not be told is asked for again; doubled with each try.
AGAIN, LONGEST = 1.0, 30.0
LEFT_BEHIND = "left on another account"


def admit_key(
    store: Store,
    batch: Batch,
    api: ApiAccess,
    *,
    leave_runs: bool = False,
    say: Say | None = None,
) -> str:
    """
    Return the digest by which the ledger knows the key, now that it opens the batch's runs.

    With *leave_runs*, runs of another account are given up for it.

    Raises:
        UsageError: It is another account's key: live runs would look lost and be paid again.
    """
    while True:
        # Of several that start at once each makes a digest of its own; the first one counts.
        with suppress(KeysChanged):
            return _admitted(store, batch, api, say or say_nothing, leave_runs=leave_runs)


def _admitted(store: Store, batch: Batch, api: ApiAccess, say: Say, *, leave_runs: bool) -> str:
    digests = store.known_keys(batch.id)
    known = next((digest for digest in digests if is_digest_of(api.key, digest)), None)
    if known is not None:
        return known
    new = digest_of(api.key)
    if store.admit(batch.id, new, beside=False, read=digests):
        return new
    telling = store.telling_runs(batch.id)
    # Of a ledger that never knew keys nothing speaks against this one, if no run does.
    ours = anyio.run(_shows_any, api, telling, say) if telling else not digests
    if not ours and leave_runs:
        _leave(store, batch, say)
    if store.admit(batch.id, new, beside=ours, read=digests):
        return new
    raise CannotContinue(
        f"batch {batch.name!r} may have runs alive on another account: this key finds none of them",
        next="use the key that it was run with. Or give these runs up: `run … --leave-runs` fails "
        "their jobs as `unanswered`, and they are not paid for again unless you say so",
    )


async def _shows_any(api: ApiAccess, run_ids: Sequence[str], say: Say) -> bool:
    """Whether the key finds any of these runs; waits for as long as the API does not say."""
    wait, said = AGAIN, False
    async with TinyFishClient(api.url, api.key) as remote:
        while True:
            try:
                seen = await remote.get_many(run_ids)
                return any(isinstance(sighting, Run) for sighting in seen.values())
            except ApiError as error:
                failure = classify_fault(error.fault)
            if failure.category in (FailureCategory.UNAUTHORIZED, FailureCategory.REJECTED):
                raise CannotContinue(
                    term_safe(f"the API answered {failure.message!r}"),
                    next="check the key and its rights, then run the same command again",
                )
            if not said:
                why = term_safe(failure.message)
                say(f"waiting to learn whether this key finds its runs: {why}")
                said = True
            await anyio.sleep(wait)
            wait = min(wait * 2, LONGEST)


def _leave(store: Store, batch: Batch, say: Say) -> None:
    """
    Close what is open as `unanswered`: it may go on and cost money, and is not tried again.

    Raises:
        BatchrunnerError: A runner is at work on it.
    """
    me, now = this_process(), ledger_now(store)
    store.enlist(me, now)
    try:
        store.rescue(
            me.id, batch.id, now, exited_owners([owner for owner, _ in store.others(me.id)])
        )
        if store.standing(me.id, batch.id).in_flight_elsewhere:
            raise CannotContinue(
                f"another runner is at work on batch {batch.name!r}",
                next="end it first; `batchrunner status` names it",
            )
        left = _close(store, batch, me.id)
    finally:
        store.retire(me.id, ledger_now(store))
    say(f"gave up {counted(left, 'run')} of another account: unanswered")


def _close(store: Store, batch: Batch, me: str) -> int:
    """Close what is open, and forget what is watched for; count the attempts."""
    now = ledger_now(store)
    verdicts = [give_up(attempt, LEFT_BEHIND) for attempt in store.watched(me, batch.id)]
    closed = store.apply(me, verdicts, [], now)
    for submission, _, _ in store.unanswered(me, batch.id):
        undecided = settle_unanswered(submission, LEFT_BEHIND)
        closed += store.settle(
            me, submission, SubmissionState.UNDECIDED, undecided, now, LEFT_BEHIND
        )
    store.bury([(run_id, None) for run_id in store.living_orphans(batch.id)], now)
    for submission in store.absent(me, batch.id):
        store.watch(me, submission, None)
    return len(closed)
