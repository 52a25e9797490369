"""Refuses to run jobs in an empty database while the API has fresh runs of them."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import anyio

from batchrunner.app.run_observer import Say
from batchrunner.classify import classify_fault, is_not_the_api
from batchrunner.errors import UsageError
from batchrunner.model import ApiFaultKind, Batch, FailureCategory, RequestFailed, Run
from batchrunner.model.markers import job_search, markers_in
from batchrunner.policy.recovery import is_fresh
from batchrunner.runner.run_fetcher import chunks
from batchrunner.store.recovery import batch_tokens, has_submitted, sample_jobs
from batchrunner.store.store import Store
from batchrunner.text.format import counted
from batchrunner.text.terminal import term_safe
from batchrunner.tinyfish.client import TinyFishClient

if TYPE_CHECKING:
    from batchrunner.app.api_access import ApiAccess

#: Seconds before the API is asked again; doubled with each try.
FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS = 1.0, 30.0
#: Most runs that are read one by one because the list does not show their markers.
MAX_UNCLEAR_RUNS = 500


def refuse_runs_elsewhere(
    store: Store, batch: Batch, api: ApiAccess, say: Say, files: str = ""
) -> None:
    """
    Refuse to run a batch that never ran here if the API has fresh runs of its jobs.

    The first, the middle and the last job are searched for. Runs that are alive or younger than a
    day are of a lost database, of a copy, or of a colleague: the same jobs would be paid twice.
    *files* are those of the batch, as they are given to a shell.

    Raises:
        UsageError: There are such runs.
        RequestFailed: The API refuses the key.
    """
    if store.read(has_submitted, batch.id):
        return
    digests = store.read(sample_jobs, batch.id)
    runs = anyio.run(_fresh_runs, api, digests, say)
    # Other batches of this database may have the same jobs, and another runner may have begun.
    own = store.read(batch_tokens)
    fresh = [run for run in runs if markers_in(run.goal)[-1].batch not in own]
    if fresh:
        raise _refusal(store, fresh, files)


async def _fresh_runs(api: ApiAccess, digests: Collection[str], say: Say) -> list[Run]:
    """Return the fresh runs of these jobs; wait until the API answers."""
    seconds, said = FIRST_RETRY_SECONDS, False
    async with TinyFishClient(api.url, api.key) as client:
        while True:
            try:
                return await find_fresh_runs(client, digests)
            except RequestFailed as error:
                failure = classify_fault(error.fault)
                barred = error.fault.kind is ApiFaultKind.BARRED  # waiting is no use
                if barred or failure.category is FailureCategory.UNAUTHORIZED:
                    raise
                if is_not_the_api(error.fault):
                    return []  # the runner says so, and creates nothing
                message = term_safe(failure.message)
                if failure.category is FailureCategory.REJECTED:
                    say(f"the API does not let us search for runs of these jobs: {message}")
                    return []
            if not said:
                say(f"waiting to learn whether {api.url} has runs of these jobs: {message}")
                said = True
            await anyio.sleep(seconds)
            seconds = min(seconds * 2, MAX_RETRY_SECONDS)


async def find_fresh_runs(client: TinyFishClient, digests: Collection[str]) -> list[Run]:
    """
    Return the runs of these jobs that are alive or younger than a day, of any database.

    Raises:
        RequestFailed: The list could not be read.
    """
    found = [await client.search(job_search(digest)) for digest in digests]
    runs = {run.run_id: run for listed in found for run in listed.runs}
    cut = [run.run_id for run in runs.values() if not markers_in(run.goal)]
    unclear = [*cut, *(run_id for listed in found for run_id in listed.unclear)]
    for chunk in chunks(unclear[:MAX_UNCLEAR_RUNS]):
        seen = await client.get_many(chunk)
        runs |= {run_id: run for run_id, run in seen.items() if isinstance(run, Run)}
    return [run for run in runs.values() if _is_of(run, digests) and is_fresh(run)]


def _is_of(run: Run, digests: Collection[str]) -> bool:
    markers = markers_in(run.goal)
    return bool(markers) and markers[-1].job in digests


def _refusal(store: Store, runs: Sequence[Run], files: str) -> UsageError:
    alive = sum(not run.status.is_final for run in runs)
    databases = sorted({marker.batch or "" for run in runs for marker in markers_in(run.goal)[-1:]})
    what = (
        f"the API has runs of these jobs that {store.place} does not know: of three jobs that were "
        f"looked up, {counted(len(runs), 'run')} of {counted(len(databases), 'other database')} "
        f"({', '.join(databases)}), {alive} of them alive, the others younger than a day"
    )
    named = files or "JOBFILE"
    db = "" if "://" in store.place else f" --db {shlex.quote(store.place)}"
    return UsageError(
        what,
        next=f"`batchrunner recover {named}{db}` lists them and adopts them, if their database is "
        "lost. Was the file run with another --db? Go on with that one. To pay for new runs of all "
        f"jobs on purpose: `batchrunner run {named}{db} --anew`",
        where=store.place,
    )
