"""Puts right which run is whose, before any result lands in a wrong row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial

from batchrunner.model import OpenAttempt, Run, RunObservation
from batchrunner.policy.create_outcome import MAX_REMATCHES, settle_mixed_up
from batchrunner.runner.context import RunnerContext
from batchrunner.runner.events import AttemptsClosed
from batchrunner.runner.run_matching import mismatched_runs


class MismatchFixer:
    """What is done where an answer named other runs than those that it was asked for."""

    def __init__(self, shift: RunnerContext) -> None:
        self._shift = shift
        self._times: Counter[int] = Counter()  # rematches, by submission

    async def fix(self, seen: Sequence[tuple[OpenAttempt, RunObservation]]) -> frozenset[int]:
        """
        Give attempts the runs that their markers assign; return the submissions concerned.

        Where the markers change too often, nothing can tell whose those runs are.
        """
        shift = self._shift
        wrong = mismatched_runs((a, sighting) for a, sighting in seen if isinstance(sighting, Run))
        if not wrong:
            return frozenset()
        self._times.update(wrong.keys())
        changeable = {each for each in wrong if self._times[each] > MAX_REMATCHES}
        await self._give_up([a for a, _ in seen if a.submission_id in changeable])
        rest = {each: runs for each, runs in wrong.items() if each not in changeable}
        await shift.offload(partial(shift.store.rematch, shift.owner.id, rest, shift.now()))
        shift.unanswered_added.notify()
        return frozenset(wrong)

    async def _give_up(self, attempts: Sequence[OpenAttempt]) -> None:
        if not attempts:
            return
        shift, verdicts = self._shift, settle_mixed_up(attempts)
        disband = partial(shift.store.disband, shift.owner.id, shift.batch.id, verdicts)
        applied = await shift.offload(lambda: disband(shift.now()))
        shift.notify(AttemptsClosed(decisions=tuple(applied)))
        shift.work_changed.notify()
