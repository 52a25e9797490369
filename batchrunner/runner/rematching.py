"""Puts right which run is whose, before any result lands in a wrong row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial

from batchrunner.model import OpenAttempt, Run, Sighting
from batchrunner.policy import MOST_REMATCHES, settle_changeable
from batchrunner.runner.events import Judged
from batchrunner.runner.matching import mismatched
from batchrunner.runner.shift import Shift


class Rematching:
    """What is done where an answer named other runs than those that it was asked for."""

    def __init__(self, shift: Shift) -> None:
        self._shift = shift
        self._times: Counter[int] = Counter()  # rematches, by submission

    async def put_right(self, seen: Sequence[tuple[OpenAttempt, Sighting]]) -> frozenset[int]:
        """
        Give attempts the runs that their markers assign; return the submissions concerned.

        Where the markers change too often, nothing can tell whose those runs are.
        """
        shift = self._shift
        wrong = mismatched((a, sighting) for a, sighting in seen if isinstance(sighting, Run))
        if not wrong:
            return frozenset()
        self._times.update(wrong.keys())
        changeable = {each for each in wrong if self._times[each] > MOST_REMATCHES}
        await self._give_up([a for a, _ in seen if a.submission_id in changeable])
        rest = {each: runs for each, runs in wrong.items() if each not in changeable}
        await shift.offload(partial(shift.store.rematch, shift.owner.id, rest, shift.now()))
        shift.doubts.ring()
        return frozenset(wrong)

    async def _give_up(self, attempts: Sequence[OpenAttempt]) -> None:
        if not attempts:
            return
        shift, verdicts = self._shift, settle_changeable(attempts)
        disband = partial(shift.store.disband, shift.owner.id, shift.batch.id, verdicts)
        applied = await shift.offload(lambda: disband(shift.now()))
        shift.notify(Judged(verdicts=tuple(applied)))
        shift.news.ring()
