"""Follows runs to their end: look, classify, decide, apply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import anyio

from batchrunner.classify import classify_fault
from batchrunner.model import (
    ApiError,
    OpenAttempt,
    Run,
    RunStatus,
    Sighting,
    Verdict,
)
from batchrunner.policy import (
    HINT_GAP,
    LONGEST_LOOK,
    LOST_AFTER,
    MOST_SAVED,
    excused,
    judge,
    look_interval,
)
from batchrunner.runner.events import Judged
from batchrunner.runner.looking import Looking
from batchrunner.runner.parked import ParkedHosts
from batchrunner.runner.patience import Patience
from batchrunner.runner.rematching import Rematching
from batchrunner.runner.shift import GLANCE, Shift, of_the_pool
from batchrunner.runner.slots import Slots
from batchrunner.runner.stopping import Stopping


class Watching:
    """The loop that looks at runs in flight, all of them in as few requests as can be."""

    def __init__(self, shift: Shift) -> None:
        self._shift = shift
        self._typical: timedelta | None = None
        self._looking = Looking(shift)
        self._stopping = Stopping(shift, self._looking)
        self._rematching = Rematching(shift)
        self._hinted = False  # a hint asked for this look
        self._hints_come = False  # one did when runs were last seen to have ended
        self._saved = 0.0  # looks that were put off, and may be spent on hints
        self._missing = Patience(shift.now(), LONGEST_LOOK)  # the API does not know them
        self._slots = Slots(shift)
        self._hosts = ParkedHosts(shift)

    async def look(self) -> bool:
        """
        Look once, and wait until the next look is worth it.

        Returns whether there was anything to look at.
        """
        shift = self._shift
        await shift.looks.clear()
        self._hinted = shift.hints.take()
        watched = await self._watched()
        if not watched:
            await shift.news.wait(GLANCE)
            return False
        try:
            sightings = await self._looking.see([attempt.run_id for attempt in watched])
        except ApiError as error:
            # A lost look is not a lost run: nothing follows but to look again.
            shift.leave(error.fault)
            shift.hold([classify_fault(error.fault)], shift.looks)
        else:
            shift.looks.went_well()
            seen = [(a, sightings[a.run_id]) for a in watched if a.run_id in sightings]
            wrong = await self._rematching.put_right(seen)
            seen = [(a, sighting) for a, sighting in seen if a.submission_id not in wrong]
            going_on = await self._judge(seen)
            self._stopping.note(seen, going_on)
            await self._stopping.cancel(going_on)
        self._tell(await self._stopping.give_up(watched))
        oldest = shift.now() - min(attempt.opened_at for attempt in watched)
        await self._slots.learn(look_interval(self._typical, oldest), self._typical)
        await self._rest(oldest)
        return True

    async def _rest(self, oldest: timedelta) -> None:
        """
        Wait until the next look is worth it.

        A hint brings it forward, for as long as looks were put off before: on balance there are
        no more looks than without hints, however many there are.
        """
        shift, began = self._shift, anyio.current_time()
        usual = look_interval(self._typical, oldest).total_seconds()
        longest = look_interval(self._typical, oldest, hinted=self._hints_come)
        await shift.hints.wait(longest.total_seconds())
        if shift.hints.heard:
            soonest = max(usual * (1 - self._saved), min(HINT_GAP.total_seconds(), usual))
            await shift.alarm.wait(began + soonest - anyio.current_time())
        looks = (anyio.current_time() - began) / usual
        self._saved = min(max(self._saved + looks - 1, 0.0), MOST_SAVED)

    async def _watched(self) -> list[OpenAttempt]:
        shift = self._shift
        watched = await shift.offload(lambda: shift.store.watched(shift.owner.id, shift.batch.id))
        leapt_at = shift.clock.leapt_at
        return [excused(attempt, leapt_at) for attempt in watched]

    async def _judge(
        self, seen: Sequence[tuple[OpenAttempt, Sighting]]
    ) -> list[tuple[OpenAttempt, Sighting]]:
        """Apply what follows from a look; return the attempts whose runs go on, as seen."""
        shift, now = self._shift, self._shift.now()
        self._missing.note((a.run_id for a, s in seen if not isinstance(s, Run)), now)
        self._missing.forget(a.run_id for a, s in seen if isinstance(s, Run))
        judged = [(a, s, self._verdict(a, s, now)) for a, s in seen]
        verdicts = [verdict for _, _, verdict in judged if verdict]
        going_on = [(a, s) for a, s, verdict in judged if verdict is None]
        applied = await shift.offload(
            lambda: shift.store.apply(shift.owner.id, verdicts, going_on, now)
        )
        if applied:
            self._hints_come = self._hinted or shift.hints.heard
            self._learn(applied)
            shift.hold(of_the_pool(applied), shift.creates)
            self._tell(applied)
            await self._hosts.tell(applied)
        return [(_as_seen(attempt, sighting, now), sighting) for attempt, sighting in going_on]

    def _verdict(self, attempt: OpenAttempt, seen: Sighting, now: datetime) -> Verdict | None:
        """Judge a run; one that is missing only after looks that were answered, one by one."""
        if not isinstance(seen, Run) and not self._missing.is_over(attempt.run_id, LOST_AFTER):
            return None
        return judge(self._shift.policy, attempt, seen, now)

    def _tell(self, applied: Sequence[Verdict]) -> None:
        """Tell which attempts were closed; their slots are free."""
        if applied:
            self._shift.notify(Judged(verdicts=tuple(applied)))
            self._shift.news.ring()

    def _learn(self, applied: Sequence[Verdict]) -> None:
        """Learn how long runs take: an average in which the last dozens count most."""
        for verdict in applied:
            self._stopping.learn(verdict)
            if isinstance(verdict.attempt, OpenAttempt):
                took = self._shift.now() - verdict.attempt.opened_at
                if not verdict.attempt.cancelling:
                    self._shift.pace = self._shift.pace.learned(took)
                before = took if self._typical is None else self._typical
                self._typical = before + (took - before) / 32


def _as_seen(attempt: OpenAttempt, sighting: Sighting, now: datetime) -> OpenAttempt:
    if not isinstance(sighting, Run):
        return attempt
    starts = sighting.status is RunStatus.RUNNING and attempt.started_at is None
    return replace(
        attempt, status=sighting.status, started_at=now if starts else attempt.started_at
    )
