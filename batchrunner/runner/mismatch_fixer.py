"""Gives attempts the runs that their markers name, before a result reaches the wrong row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial

from batchrunner.model import OpenAttempt, Run, RunObservation
from batchrunner.policy.create_outcome import MAX_REMATCHES, settle_mixed_up
from batchrunner.runner.context import RunnerContext
from batchrunner.runner.run_matching import mismatched_runs
from batchrunner.runner.submission_record import report_closed
from batchrunner.store.submissions import close_without_runs, reassign_runs


class MismatchFixer:
    """Corrects submissions whose answer named the run ids in another order."""

    def __init__(self, context: RunnerContext) -> None:
        self._context = context
        self._rematches: Counter[int] = Counter()  # by submission

    async def fix(self, observed: Sequence[tuple[OpenAttempt, RunObservation]]) -> frozenset[int]:
        """
        Give attempts the runs that their markers name; return the submissions concerned.

        If the markers of a submission change too often, its attempts are closed: nothing can say
        to whom those runs belong.
        """
        context = self._context
        wrong = mismatched_runs((a, run) for a, run in observed if isinstance(run, Run))
        if not wrong:
            return frozenset()
        self._rematches.update(wrong.keys())
        unstable = {each for each in wrong if self._rematches[each] > MAX_REMATCHES}
        await self._give_up([a for a, _ in observed if a.submission_id in unstable])
        rest = {each: runs for each, runs in wrong.items() if each not in unstable}
        await context.offload(
            partial(context.store.write, reassign_runs, context.owner.id, rest, context.now())
        )
        context.unanswered_added.notify()
        return frozenset(wrong)

    async def _give_up(self, attempts: Sequence[OpenAttempt]) -> None:
        if not attempts:
            return
        context, decisions = self._context, settle_mixed_up(attempts)
        report_closed(
            context,
            await context.offload(
                lambda: context.store.write(
                    close_without_runs, context.owner.id, context.batch.id, decisions, context.now()
                )
            ),
        )
