"""Checks whether a run that polls no longer find is really gone, before it counts as lost."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from batchrunner.model import NotFound, OpenAttempt, RequestFailed, Run
from batchrunner.model.markers import marker_search
from batchrunner.policy.run_decision import SINGLE_READ_INTERVAL
from batchrunner.runner.context import RunnerContext
from batchrunner.store.search_checks import newest_runs


class VanishedRuns:
    """What the API says about runs that polls no longer find, when it is asked in other ways."""

    def __init__(self, context: RunnerContext) -> None:
        self._context = context
        self._checked_at: dict[str, datetime] = {}
        #: When a control run was last read by itself, and whether it was shown; by run id.
        self._read_singly: dict[str, tuple[datetime, bool]] = {}

    async def confirm(self, attempts: Sequence[OpenAttempt]) -> frozenset[str]:
        """
        Return the runs that are gone as far as the API can show.

        A request for them must still find a run that is as new, and the list must not show them.
        Where an answer says nothing about one of them, its own request must have said *not found*,
        and such a request must still find the other run.
        """
        now, gone = self._context.now(), set[str]()
        for attempt in attempts:
            checked_at = self._checked_at.get(attempt.run_id)
            if checked_at is None or now - checked_at >= SINGLE_READ_INTERVAL:
                self._checked_at[attempt.run_id] = now
                if await self._is_gone(attempt):
                    gone.add(attempt.run_id)
        return frozenset(gone)

    async def _is_gone(self, attempt: OpenAttempt) -> bool:
        context = self._context
        controls = await context.offload(
            lambda: context.store.read(newest_runs, context.batch.id, attempt.submission_id)
        )
        if not controls:
            return False
        await context.gates.poll.wait_until_open()
        try:
            seen = await context.api.get_many([attempt.run_id, *controls])
            visible = [run_id for run_id in controls if isinstance(seen.get(run_id), Run)]
            if not visible or not isinstance(seen.get(attempt.run_id), NotFound | None):
                return False
            if attempt.run_id not in seen and not await self._is_shown_singly(visible[0]):
                return False
            return attempt.marker is None or not await self._is_listed(attempt)
        except RequestFailed as error:
            context.gates.meet(error.fault, context.gates.poll)
            return False

    async def _is_shown_singly(self, control: str) -> bool:
        """Return whether a request for this run alone shows it; asked at most now and then."""
        now = self._context.now()
        read_at, shown = self._read_singly.get(control, (None, False))
        if read_at is None or now - read_at >= SINGLE_READ_INTERVAL:
            self._read_singly[control] = now, False
            shown = isinstance(await self._context.api.get(control), Run)
            self._read_singly[control] = now, shown
        return shown

    async def _is_listed(self, attempt: OpenAttempt) -> bool:
        """Return whether a search by marker shows the run, or shows too little to say."""
        listed = await self._context.api.search(marker_search(attempt.marker or ""))
        shown = {run.run_id for run in listed.runs} | set(listed.unclear)
        return attempt.run_id in shown or bool(listed.nameless) or not listed.complete
