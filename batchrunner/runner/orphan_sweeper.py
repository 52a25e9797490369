"""Finds late runs of submissions that were given up: adopts them, or cancels them as orphans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import anyio

from batchrunner.model import NotFound, RequestFailed, Run, RunObservation, Submission
from batchrunner.policy.audit import foreign_runs, shown_marker
from batchrunner.policy.create_outcome import next_final_search, next_late_check
from batchrunner.policy.run_decision import (
    GIVEN_UP_AFTER,
    ORPHAN_GONE_AFTER,
    with_cancel_answer,
)
from batchrunner.runner.backpressure import is_permanent
from batchrunner.runner.condition_timer import ConditionTimer
from batchrunner.runner.context import RunnerContext
from batchrunner.runner.events import LateRunsFound
from batchrunner.runner.refusal_check import RefusalCheck
from batchrunner.runner.run_fetcher import cancel, chunks
from batchrunner.runner.run_search import search_runs
from batchrunner.runner.submission_record import add_orphans
from batchrunner.store.audit import audit_records
from batchrunner.store.orphans import (
    adopt_late_runs,
    close_orphans,
    drop_orphans,
    late_run_watchlist,
    lost_runs,
    open_orphans,
    schedule_late_check,
    take_lost_runs_back,
)
from batchrunner.store.search_checks import newest_runs

#: Seconds between two reads of the list of submissions whose runs may still appear.
SWEEP_SECONDS = 15.0
#: Least time to wait before a final search that failed is repeated.
FINAL_CHECK_RETRY_AFTER = timedelta(seconds=5)
#: Attempts to have the last orphans cancelled before the end; after that they are reported.
FINAL_CHECKS = 5
#: Longest time between two polls of orphans that counts.
MAX_ORPHAN_POLL_GAP = timedelta(seconds=2 ** (FINAL_CHECKS - 1))


class OrphanSweeper:
    """The loop that keeps a run from being paid for and then forgotten."""

    def __init__(self, context: RunnerContext) -> None:
        self._context = context
        self._not_found = ConditionTimer(context.now(), MAX_ORPHAN_POLL_GAP)
        self._foreign: set[str] = set()  # runs of another database
        self._unfinished = ConditionTimer(context.now(), MAX_ORPHAN_POLL_GAP)

    async def run(self) -> None:
        """Search for late runs when a check is due, and cancel orphans; forever."""
        context = self._context
        while True:
            await anyio.sleep(SWEEP_SECONDS)
            due = await context.offload(
                lambda: context.store.read(
                    late_run_watchlist, context.owner.id, context.batch.id, context.now()
                )
            )
            for submission in due:
                await self._search(submission)
            await self._watch_lost_runs()
            await self._cancel_orphans()

    async def final_check(self) -> None:
        """Search for all late runs a last time."""
        context = self._context
        submissions = await context.offload(
            lambda: context.store.read(late_run_watchlist, context.owner.id, context.batch.id)
        )
        for submission in submissions:
            await self._final_search(submission)
        await RefusalCheck(context).confirm_all()
        await self._watch_lost_runs()

    async def finish_orphans(self) -> None:
        """Cancel orphans, and wait for a while until they have ended."""
        context, tries = self._context, 0
        while tries < FINAL_CHECKS and not context.stop.polling_disabled:
            left = await self._cancel_orphans()
            if left == 0:
                return
            if left is not None:
                await anyio.sleep(2.0**tries)
                tries += 1

    async def _final_search(self, submission: Submission) -> None:
        began = self._context.now()
        while not self._context.stop.polling_disabled:
            again_at = await self._search(submission, began)
            if again_at is None:
                return
            await anyio.sleep(max((again_at - self._context.now()).total_seconds(), 0))

    async def _search(
        self, submission: Submission, final_since: datetime | None = None
    ) -> datetime | None:
        """
        Search for a submission's runs; return when to repeat a final search.

        *final_since* is when its final search began; None before that.
        """
        context, gates = self._context, self._context.gates
        await gates.poll.wait_until_open()
        try:
            found = await search_runs(context.api, submission, context.now())
        except RequestFailed as error:
            stopped = gates.stop_if_not_api(error.fault)
            gates.meet(error.fault, gates.poll)
            if not stopped and is_permanent(error.fault):
                return None
            return context.now() + FINAL_CHECK_RETRY_AFTER
        gates.poll.record_success()
        await add_orphans(context, submission, found.spare)
        await self._adopt(submission, found.runs)
        again_at = None
        if final_since and not found.complete:
            again_at = next_final_search(final_since, context.now())
        if again_at is None:
            check_at = None if final_since else next_late_check(submission, context.now())
            await context.offload(
                lambda: context.store.write(
                    schedule_late_check, context.owner.id, submission, check_at
                )
            )
        return again_at

    async def _adopt(self, submission: Submission, runs: Mapping[int, str]) -> None:
        """Adopt runs whose jobs still need them; list the others as orphans."""
        if not runs:
            return
        context = self._context
        adopted = await context.offload(
            lambda: context.store.write(
                adopt_late_runs,
                context.owner.id,
                context.batch.id,
                submission,
                runs,
                context.now(),
                new_token=context.store.new_token,
            )
        )
        self._report(adopted, len(runs) - adopted)

    async def _watch_lost_runs(self) -> None:
        """Take back runs that counted as lost and have appeared again."""
        context, back = self._context, list[str]()
        lost = await context.offload(lambda: context.store.read(lost_runs, context.batch.id))
        for chunk in chunks(lost):
            await context.gates.poll.wait_until_open()
            try:
                seen = await context.api.get_many(chunk)
            except RequestFailed as error:
                context.gates.meet(error.fault, context.gates.poll)
                continue
            back += [run_id for run_id in chunk if isinstance(seen.get(run_id), Run)]
        if back:
            adopted, orphans = await context.offload(
                lambda: context.store.write(
                    take_lost_runs_back,
                    context.owner.id,
                    context.batch.id,
                    back,
                    context.now(),
                    new_token=context.store.new_token,
                )
            )
            self._report(adopted, orphans)

    def _report(self, adopted: int, orphans: int) -> None:
        self._context.notify(LateRunsFound(adopted=adopted, orphans=orphans))
        self._context.work_changed.notify()

    async def _cancel_orphans(self) -> int | None:
        """Cancel orphans; return how many have not ended, None if the API did not say."""
        context, gates = self._context, self._context.gates
        orphans = await context.offload(lambda: context.store.read(open_orphans, context.batch.id))
        observations: dict[str, RunObservation] = {}
        for chunk in chunks(orphans):
            await gates.poll.wait_until_open()
            try:
                ours = await self._without_foreign(chunk)
                answers = await cancel(context, ours)
                seen = await context.api.get_many(ours) if ours else {}
            except RequestFailed as error:
                gates.meet(error.fault, gates.poll)
                return len(orphans) if is_permanent(error.fault) else None
            for run_id, run in seen.items():
                observations[run_id] = with_cancel_answer(run, answers.get(run_id))
        orphans = [run_id for run_id in orphans if run_id not in self._foreign]
        now = context.now()
        not_found = {run_id for run_id, seen in observations.items() if isinstance(seen, NotFound)}
        if not_found and not await self._shows_others():
            not_found = set()
        self._not_found.observe([run_id for run_id in orphans if run_id in not_found], now)
        self._not_found.forget(run_id for run_id in observations if run_id not in not_found)
        self._unfinished.observe(orphans, now)
        ended = [
            (run_id, _as_run(observations.get(run_id)))
            for run_id in orphans
            if self._has_ended(run_id, observations.get(run_id))
        ]
        if ended:
            await context.offload(lambda: context.store.write(close_orphans, ended, now))
        return len(orphans) - len(ended)

    async def _shows_others(self) -> bool:
        """Return whether the API shows other runs: only then an orphan that it does not is gone."""
        context = self._context
        others = await context.offload(lambda: context.store.read(newest_runs, context.batch.id))
        try:
            seen = await context.api.get_many(others) if others else {}
        except RequestFailed:
            return False
        return any(isinstance(run, Run) for run in seen.values())

    async def _without_foreign(self, run_ids: Sequence[str]) -> list[str]:
        """
        Return the runs whose submissions this database wrote; forget the others.

        An answer may have named runs of another database: these are never cancelled.
        """
        context = self._context
        seen = await context.api.get_many(run_ids)
        shown = [run for run in seen.values() if isinstance(run, Run)]
        tokens = {marker.token for run in shown if (marker := shown_marker(run))}
        records = await context.offload(lambda: context.store.read(audit_records, [], tokens))
        foreign = foreign_runs(shown, records.submissions)
        if foreign:
            self._foreign |= foreign
            await context.offload(lambda: context.store.write(drop_orphans, foreign))
        return [run_id for run_id in run_ids if run_id not in foreign]

    def _has_ended(self, run_id: str, observation: RunObservation | None) -> bool:
        """Return whether an orphan costs nothing more; one poll without it proves nothing."""
        if isinstance(observation, Run) and observation.status.is_final:
            return True
        if isinstance(observation, NotFound) and self._not_found.has_lasted(
            run_id, ORPHAN_GONE_AFTER
        ):
            return True
        return self._unfinished.has_lasted(run_id, GIVEN_UP_AFTER)


def _as_run(observation: RunObservation | None) -> Run | None:
    return observation if isinstance(observation, Run) else None
