"""Searches for control runs: without them, a search that finds nothing proves nothing."""

from __future__ import annotations

from datetime import datetime

from batchrunner.model import Submission, marker_prefix
from batchrunner.policy.control_runs import (
    NO_EVIDENCE,
    ControlEvidence,
    ControlRun,
    ListedRuns,
    MissingRuns,
    after_control_search,
    controls_to_find,
)
from batchrunner.runner.context import RunnerContext
from batchrunner.store.search_checks import deep_runs, later_runs


class ControlSearch:
    """What searches for control runs have shown about each unanswered submission."""

    def __init__(self, context: RunnerContext) -> None:
        self._context = context
        self._evidence: dict[int, ControlEvidence] = {}  # by submission

    def evidence(self, submission: Submission) -> ControlEvidence:
        """Return what earlier searches have shown."""
        return self._evidence.get(submission.id, NO_EVIDENCE)

    def forget(self, submission: Submission) -> None:
        """Forget a submission that is decided."""
        self._evidence.pop(submission.id, None)

    async def test(self, submission: Submission, began: datetime) -> None:
        """
        Search for control runs after a fruitless search that *began* then.

        The search has the same form as the fruitless one: the runs of one submission.

        Raises:
            RequestFailed: The list could not be read.
        """
        missing, evidence = MissingRuns.of(submission), self.evidence(submission)
        if evidence.proves_absence(missing, began):
            return
        known = await self._known(missing, evidence)
        for token in controls_to_find(evidence, missing, known):
            listed = await self._list(token)
            concerned = [run for run in known if run.marker_token == token]
            now = self._context.now()
            evidence = after_control_search(evidence, missing, concerned, listed, now)
            self._evidence[submission.id] = evidence

    async def later_runs(self, submission: Submission) -> list[ControlRun]:
        """Return runs that were created later than a submission's."""
        return await self._known(MissingRuns.of(submission), NO_EVIDENCE, deep=False)

    async def _known(
        self, missing: MissingRuns, evidence: ControlEvidence, *, deep: bool = True
    ) -> list[ControlRun]:
        """Return runs that may serve as control runs; older ones only for their depth."""
        context = self._context
        known = await context.offload(
            lambda: context.store.read(later_runs, context.batch.id, missing.since)
        )
        covered = evidence.sees(missing.depth) or any(
            run.shown and run.depth.covers(missing.depth) for run in known
        )
        if covered or not deep:
            return known
        return known + await context.offload(
            lambda: context.store.read(deep_runs, context.batch.id, missing)
        )

    async def _list(self, token: str) -> ListedRuns:
        await self._context.gates.poll.wait_until_open()
        listed = await self._context.api.search(marker_prefix(token))
        unclear = dict.fromkeys(listed.unclear)
        shown = {run.run_id: run.status for run in listed.runs}
        return ListedRuns(marker_token=token, statuses={**unclear, **shown})
