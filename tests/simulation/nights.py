"""A series on virtual time: cron starts it each night, and processes are killed on the way."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import anyio
from sqlalchemy import select

from batchrunner.app.choose_edition import SeriesOptions, choose_file_edition
from batchrunner.app.prune_editions import prune_editions
from batchrunner.model import Batch, JobFile, JobState
from batchrunner.model.markers import markers_in
from batchrunner.runner.runner import ExitReason
from batchrunner.sandbox import SandboxConfig
from batchrunner.sandbox.journal import SandboxRun
from batchrunner.sandbox.seeded_random import seeded_share
from batchrunner.selftest.invariants import check_always, check_end, invariant
from batchrunner.selftest.row_invariants import check_rows
from batchrunner.store import editions  # its functions are replaced where bugs are planted
from batchrunner.store.batches import load_jobs
from batchrunner.store.editions import summaries
from batchrunner.store.reports import batch_counts
from batchrunner.store.schema import batches
from tests.simulation.checked_batch import CheckedBatch
from tests.simulation.recovering import KilledAtRun, specs_of
from tests.simulation.short_batches import SETTINGS
from tests.simulator.fixture_agent import FixtureAgent
from tests.simulator.simulated_batch import KillSwitch, ProcessKilled, now, pages

BERLIN = ZoneInfo("Europe/Berlin")
SERIES, EVERY = "prices", SeriesOptions(every="1d", time_zone="Europe/Berlin")
NIGHT = timedelta(days=1)
#: Minutes after which a process that was killed is started again in the same night.
RESTART_SECONDS = 300.0
#: Runs that the API has created when a process is killed; more jobs wait.
RUNS_BEFORE_KILL = 3
#: No process of these works longer.
MAX_SECONDS = 4 * 3600.0


@dataclass
class Series:
    """A series on one sandbox, and its processes: cron's, and those that somebody starts again."""

    simulated: CheckedBatch
    jobs: int
    nights: list[str] = field(default_factory=list)  #: days on which cron started a process
    kills: int = 0
    drained: int = 0  #: runs in flight that a later edition collected
    resumed: int = 0  #: starts that found the night's edition begun

    @classmethod
    def of(cls, jobs: int, **config: object) -> Series:
        """Return a series of so many pages; nothing is loaded yet."""
        conditions = SandboxConfig(**{"durations": (20.0, 90.0), "retry_after": 1.0, **config})
        simulated = CheckedBatch.of([], conditions, SETTINGS, agent=FixtureAgent())
        simulated.waits = False  # no process remembers what another one was told
        return cls(simulated, jobs)

    async def start(
        self, kill_switch: KillSwitch | None = None, keep: int | None = None
    ) -> ExitReason | None:
        """Do what `run prices.yaml --every 1d` does; None: the process was killed."""
        try:
            with anyio.fail_after(MAX_SECONDS):
                return await self._run(kill_switch or KillSwitch(), keep)
        except ProcessKilled:
            self.kills += 1
            return None
        finally:
            self.check_always()

    async def _run(self, kill_switch: KillSwitch, keep: int | None) -> ExitReason:
        store = self.simulated.store
        file = JobFile(name=SERIES, settings=SETTINGS, specs=specs_of(pages(self.jobs)))
        chosen = await kill_switch.offload(
            partial(choose_file_edition, store, file, EVERY, now(), lambda _: None)
        )
        loaded = await kill_switch.offload(partial(store.write, load_jobs, chosen, now()))
        self.resumed += not loaded.added
        for older in store.read(editions.unfinished_before, SERIES, loaded.batch.id):
            await kill_switch.offload(partial(store.write, editions.close_edition, older.id, now()))
            running = store.read(batch_counts, older.id).jobs[JobState.RUNNING]
            self.drained += running
            if running:
                await self._on(older).run(kill_switch, submit=False)
        reason = await self._on(loaded.batch).run(kill_switch)
        if keep is not None:
            prune = partial(prune_editions, store, SERIES, keep, lambda _: None)
            await kill_switch.offload(prune)
        return reason

    def _on(self, batch: Batch) -> CheckedBatch:
        self.simulated.starts += 1
        return replace(self.simulated, batch=batch, loaded=self.jobs)

    # ---- what must hold ----

    def runs_by_edition(self) -> dict[str, list[SandboxRun]]:
        """Return all runs of the API by the edition that their markers name."""
        with self.simulated.store._database.read() as tx:
            rows = tx.execute(select(batches.c.marker_token, batches.c.edition))
            by_token = {row.marker_token: row.edition for row in rows}
        found = defaultdict(list)
        for run in self.simulated.sandbox.journal.runs:
            found[by_token[markers_in(run.goal)[-1].batch]].append(run)
        return found

    def check_always(self) -> None:
        """Check what holds at every moment."""
        for edition in self.simulated.store.read(summaries, SERIES):
            check_always(self.simulated.store, edition.batch.id, edition.jobs)

    def check_end(self) -> None:
        """Check that each night has one edition, and that no page was bought twice in a night."""
        store = self.simulated.store
        found = store.read(summaries, SERIES)
        names = [edition.edition for edition in reversed(found)]
        # A night whose process was killed at once may have none.
        one_each = names == sorted({*names} & {*self.nights}) and names[-1:] == self.nights[-1:]
        invariant(one_each, "not one edition a night", names)
        of_edition = self.runs_by_edition()
        for edition in found:
            runs = of_edition[edition.edition]
            invariant(edition.open == 0, "an edition was left unfinished", edition.edition)
            bought = Counter(run.url for run in runs)
            invariant(max(bought.values(), default=0) <= 1, "a page was bought twice in a night")
            cancelled = [run for run in runs if run.status == "CANCELLED"]
            invariant(not cancelled, "a run in flight was thrown away", edition.edition)
            invariant(edition.succeeded == len(runs), "a run that was paid for has no result")
            check_end(store, edition.batch.id, edition.jobs, runs, set())
            check_rows(store, edition.batch.id, runs, set(), {}, one_clock=True, webhook=None)
        newest = found[0]
        invariant(newest.succeeded == newest.jobs, "the last night is not complete", newest)


async def sleep_until_night(number: int, minutes: float = 0) -> str:
    """Sleep until the n-th night at 2:30 in Berlin, or *minutes* later; return its day there."""
    at = datetime(2026, 11, 23, 1, 30, tzinfo=UTC) + number * NIGHT + timedelta(minutes=minutes)
    await anyio.sleep((at - now()).total_seconds())
    return f"{at.astimezone(BERLIN):%Y-%m-%d}"


async def drawn_nights(seed: int, nights: int = 4, jobs: int = 6, steps: int = 160) -> Series:
    """
    Run some nights in which processes are killed at drawn steps; the last one is left alone.

    A killed process is started again in the same night, or only in the next one.
    """
    series = Series.of(jobs)
    for night in range(nights):
        series.nights.append(await sleep_until_night(night))
        last = night == nights - 1
        for start in range(3):
            drawn = seeded_share(seed, "kill", night, start)
            kill_at = None if last or start == 2 else 1 + int(drawn * steps)
            if await series.start(KillSwitch(kill_at)) is not None:
                break
            if not last and seeded_share(seed, "away", night, start) < 0.5:
                break  # nobody starts it again before the next night
            await anyio.sleep(RESTART_SECONDS)
    series.check_end()
    return series


async def killed_and_started_again() -> None:
    """Kill a night's process in the middle, and start it again in the same night."""
    series = Series.of(4)
    series.nights.append(await sleep_until_night(0))
    assert await series.start(KilledAtRun(series.simulated, RUNS_BEFORE_KILL)) is None
    await anyio.sleep(RESTART_SECONDS)
    await series.start()
    series.check_end()


async def killed_until_the_next_night() -> None:
    """Kill a night's process in the middle; the next night drains what is left of it."""
    series = Series.of(8)
    series.nights.append(await sleep_until_night(0))
    assert await series.start(KilledAtRun(series.simulated, RUNS_BEFORE_KILL)) is None
    series.nights.append(await sleep_until_night(1))
    await series.start()
    series.check_end()
    assert series.kills


async def killed_at_midnight() -> Series:
    """Kill a process whose runs still go on when the next day's process drains them."""
    series = Series.of(8, durations=(300.0, 420.0))
    series.nights.append(await sleep_until_night(0, minutes=-154))  # 23:56 in Berlin
    assert await series.start(KilledAtRun(series.simulated, RUNS_BEFORE_KILL)) is None
    series.nights.append(await sleep_until_night(0, minutes=-149))
    await series.start()
    series.check_end()
    return series
