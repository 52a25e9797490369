"""Follows runs to their end: look, classify, decide, apply."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import anyio

from batchrunner.classify import classify_fault
from batchrunner.model import (
    ApiError,
    FailureCategory,
    OpenAttempt,
    Run,
    RunStatus,
    Sighting,
    Verdict,
)
from batchrunner.policy import (
    GIVEN_UP_AFTER,
    HINT_GAP,
    LINGERING,
    LONGEST_LOOK,
    LOST_AFTER,
    MOST_SAVED,
    excused,
    give_up,
    is_overdue,
    judge,
    lingers,
    look_interval,
)
from batchrunner.policy.windows import Pace, Phase
from batchrunner.runner.events import Judged, Recalled
from batchrunner.runner.looking import Looking, chunks
from batchrunner.runner.parked import ParkedHosts
from batchrunner.runner.patience import Patience
from batchrunner.runner.rematching import Rematching
from batchrunner.runner.shift import GLANCE, Shift, of_the_pool
from batchrunner.runner.slots import Slots


class Watching:
    """The loop that looks at runs in flight, all of them in as few requests as can be."""

    def __init__(self, shift: Shift) -> None:
        self._shift = shift
        self._typical: timedelta | None = None
        self._looking = Looking(shift)
        self._rematching = Rematching(shift)
        self._cancels = Patience(shift.now())  # asked for, and not confirmed
        self._hinted = False  # a hint asked for this look
        self._hints_come = False  # one did when runs were last seen to have ended
        self._saved = 0.0  # looks that were put off, and may be spent on hints
        self._since = shift.now()
        self._missing = Patience(shift.now(), LONGEST_LOOK)  # the API does not know them
        self._lingering = Patience(shift.now())  # they show a result, and no end
        self._lingered: set[str] = set()  # that are cancelled for it
        self._begun: dict[tuple[str, RunStatus], datetime | None] = {}  # by the API, as told first
        self._running = Pace()  # how long runs are RUNNING
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
            self._note_cancels(seen, going_on)
            await self._cancel(going_on)
        await self._give_up(watched)
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

    async def _cancel(self, going_on: Sequence[tuple[OpenAttempt, Sighting]]) -> None:
        """Ask the API to cancel what is over its limit and what the user gave up."""
        shift, why = self._shift, FailureCategory.TIMED_OUT
        now = shift.now()
        self._lingering.note((_shown(a, s) for a, s in going_on if lingers(s)), now)
        overdue = [a.attempt_id for a, seen in going_on if self._is_over(a, seen, now)]
        if overdue:
            await shift.offload(lambda: shift.store.ask_to_cancel(shift.owner.id, overdue, why))
        late = await self._recall([a for a, _ in going_on if a.attempt_id not in overdue])
        asked = [a.run_id for a, _ in going_on if a.cancelling or a.attempt_id in overdue + late]
        for chunk in chunks(asked):
            try:
                await shift.api.cancel_many(chunk)
            except ApiError as error:
                shift.hold([classify_fault(error.fault)], shift.looks)

    def _is_over(self, attempt: OpenAttempt, seen: Sighting, now: datetime) -> bool:
        """Whether a run is not to be waited for any longer, though it goes on."""
        shown = _shown(attempt, seen)
        if self._lingering.is_over(shown, LINGERING) and not attempt.cancelling:
            self._lingered.add(attempt.run_id)
            return True
        timed = self._timed(seen)
        if not isinstance(timed, Run) or timed.shown_at is None:
            # Only the ledger's time is left, which may have leapt before this process began.
            attempt = excused(attempt, self._since)
        return is_overdue(self._shift.policy, attempt, timed, now, self._running)

    def _timed(self, seen: Sighting) -> Sighting:
        """Return a run without the API's own time where that tells another beginning each time."""
        if not isinstance(seen, Run):
            return seen
        begins = seen.started_at or seen.created_at
        known = self._begun.setdefault((seen.run_id, seen.status), begins)
        return seen if known == begins else replace(seen, shown_at=None)

    async def _recall(self, going_on: Sequence[OpenAttempt]) -> list[int]:
        """Note which runs are cancelled for the deadline; return their attempts."""
        shift, why = self._shift, FailureCategory.TIMED_OUT
        late = [attempt.attempt_id for attempt in going_on if not attempt.cancelling]
        if shift.phase is not Phase.OVER or not late:
            return []
        ask = partial(shift.store.ask_to_cancel, shift.owner.id, late, why, recalled=True)
        await shift.offload(ask)
        shift.notify(Recalled(runs=len(late)))
        return late

    def _note_cancels(
        self,
        seen: Sequence[tuple[OpenAttempt, Sighting]],
        going_on: Sequence[tuple[OpenAttempt, Sighting]],
    ) -> None:
        """Note which runs the API shows as alive that it was asked to cancel."""
        unconfirmed = {a.run_id for a, _ in going_on if a.cancelling}
        self._cancels.note(unconfirmed, self._shift.now())
        self._cancels.forget(a.run_id for a, _ in seen if a.run_id not in unconfirmed)

    async def _give_up(self, watched: Sequence[OpenAttempt]) -> None:
        """Close attempts whose runs the API never shows as ended: waiting for them has no end."""
        shift, now = self._shift, self._shift.now()
        hopeless = [(a, why) for a in watched if (why := self._why_hopeless(a.run_id))]
        if not hopeless:
            return
        # It is asked for once more, as nobody looks at them from here on.
        for chunk in chunks([a.run_id for a, _ in hopeless]):
            with suppress(ApiError):
                await shift.api.cancel_many(chunk)
        verdicts = [give_up(attempt, why) for attempt, why in hopeless]
        self._tell(
            await shift.offload(lambda: shift.store.apply(shift.owner.id, verdicts, [], now))
        )

    def _why_hopeless(self, run_id: str) -> str | None:
        if self._cancels.is_over(run_id, GIVEN_UP_AFTER):
            return "the API was asked to cancel it, and does not show that it ended"
        if self._looking.is_silent(run_id, GIVEN_UP_AFTER):
            return "the API tells nothing about it"
        return None

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
            self._forget(applied)
            shift.hold(of_the_pool(applied), shift.creates)
            self._tell(applied)
            await self._hosts.tell(applied)
        return [(_as_seen(attempt, sighting, now), sighting) for attempt, sighting in going_on]

    def _verdict(self, attempt: OpenAttempt, seen: Sighting, now: datetime) -> Verdict | None:
        """Judge a run; one that is missing only after looks that were answered, one by one."""
        if not isinstance(seen, Run) and not self._missing.is_over(attempt.run_id, LOST_AFTER):
            return None
        lingered = attempt.run_id in self._lingered
        return judge(self._shift.policy, attempt, seen, now, lingered=lingered)

    def _tell(self, applied: Sequence[Verdict]) -> None:
        """Tell which attempts were closed; their slots are free."""
        if applied:
            self._shift.notify(Judged(verdicts=tuple(applied)))
            self._shift.news.ring()

    def _forget(self, applied: Sequence[Verdict]) -> None:
        """Forget what was noted of runs that are closed."""
        for verdict in applied:
            if isinstance(verdict.attempt, OpenAttempt):
                run_id = verdict.attempt.run_id
                self._lingered.discard(run_id)
                for status in RunStatus:
                    self._begun.pop((run_id, status), None)

    def _learn(self, applied: Sequence[Verdict]) -> None:
        """Learn how long runs take: an average in which the last dozens count most."""
        for verdict in applied:
            if isinstance(verdict.attempt, OpenAttempt):
                took = self._shift.now() - verdict.attempt.opened_at
                if not verdict.attempt.cancelling:
                    self._shift.pace = self._shift.pace.learned(took)
                    began = verdict.attempt.started_at or verdict.attempt.opened_at
                    self._running = self._running.learned(self._shift.now() - began)
                before = took if self._typical is None else self._typical
                self._typical = before + (took - before) / 32


def _shown(attempt: OpenAttempt, seen: Sighting) -> str:
    """Name a run and the result that it shows: one that still grows is no result yet."""
    result = seen.result if isinstance(seen, Run) else None
    return f"{attempt.run_id} {zlib.crc32((result or '').encode())}"


def _as_seen(attempt: OpenAttempt, sighting: Sighting, now: datetime) -> OpenAttempt:
    if not isinstance(sighting, Run):
        return attempt
    starts = sighting.status is RunStatus.RUNNING and attempt.started_at is None
    return replace(
        attempt, status=sighting.status, started_at=now if starts else attempt.started_at
    )
