"""The checks are checked: each bug that is planted into the program breaks the promise named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import chain
from typing import Any

import anyio
import httpx
import pytest
from sqlalchemy import bindparam, insert, select, update

from batchrunner.classify import classify_fault
from batchrunner.model import (
    ApiError,
    ApiFault,
    FailureCategory,
    JobState,
    Owner,
    Run,
    RunStatus,
    Settings,
    Submission,
    Unanswered,
    WorkLeft,
)
from batchrunner.model.categories import NOT_COUNTED
from batchrunner.policy import create_outcome, run_decision
from batchrunner.policy import retry as policy_retry
from batchrunner.runner import poller as runner_watching
from batchrunner.runner import reconciler
from batchrunner.runner.heartbeat import Heartbeat
from batchrunner.runner.mismatch_fixer import MismatchFixer
from batchrunner.runner.orphan_sweeper import OrphanSweeper
from batchrunner.runner.reconciler import Reconciler
from batchrunner.runner.run_fetcher import RunFetcher
from batchrunner.runner.runner import innermost
from batchrunner.runner.submission_record import close_submission
from batchrunner.sandbox import SandboxConfig
from batchrunner.store import attempts as attempts_module
from batchrunner.store import claims, reports, submissions
from batchrunner.store.database import StoreError
from batchrunner.store.leases import LeaseLost
from batchrunner.store.schema import SubmissionState, attempts, jobs, results
from batchrunner.store.serialization import json_text
from batchrunner.store.store import Store
from batchrunner.tinyfish.client import TinyFishClient
from tests.simulation.held import Night
from tests.simulator.machine_faults import (
    MachineFaults,
    SimulatedMachine,
    SimulatedProcess,
    TimeSpan,
)
from tests.simulator.network.proxy import FaultWindow, FaultyNetwork
from tests.simulator.simulated_batch import KillSwitch, ProcessKilled, now, pages, simulate

Patch = pytest.MonkeyPatch
Scenario = Callable[[], Coroutine[Any, Any, None]]

#: No night of these needs longer.
LONGEST = timedelta(minutes=30)
BRIEF = (3.0, 9.0)
SETTINGS = Settings(concurrency=3, backoff=timedelta(seconds=2))


# ---- nights ----


async def to_its_end(night: Night, power: KillSwitch | None = None, **kwargs: Any) -> None:
    """Run a batch, and check that it comes to its end and keeps every promise."""
    with anyio.move_on_after(LONGEST.total_seconds()) as limit:
        await night.run(power, **kwargs)
    night.check_always()
    assert not limit.cancelled_caught, "the batch did not come to its end"
    night.check_end()


async def quiet(urls: Iterable[str], **world: Any) -> None:
    """Run a small batch in a world like this."""
    conditions = SandboxConfig(**{"durations": BRIEF, "retry_after": 20, **world})
    await to_its_end(Night.of(urls, conditions, SETTINGS))


def fault(fate: str, **world: Any) -> Scenario:
    """Return a night on which one job of two meets a fault."""
    return partial(quiet, [f"http://faults.test/{fate}", *pages(1)], **world)


async def blinded() -> None:
    """Let an answer get lost when one run is known, and searches find nothing."""
    urls = [*pages(1), "http://faults.test/dropped_after/1"]
    night = Night.of(urls, SandboxConfig(durations=(90, 90)), Settings(concurrency=1))
    line, spell = night.sandbox.transport(), FaultWindow("blind_search", 0, 3600, 1.0)
    night.network = FaultyNetwork(line, spells=[spell], fired=Counter())
    await to_its_end(night)


class Cut(KillSwitch):
    """A process that is killed some steps after an answer in which it finds a word."""

    def __init__(self, word: bytes, later: int) -> None:
        super().__init__()
        self.word = word
        self.later = later

    async def receive(self, response: httpx.Response) -> None:
        """Take an answer, perhaps the last one."""
        if self.fuse is None and self.word in await response.aread():
            self.fuse = self.steps + 1 + self.later
        self.step()


async def cut_after(word: bytes) -> None:
    """Kill a runner when it hears a word, then one step later, and so on; the next goes on."""
    for later in range(24):
        night = Night.of(pages(1), SandboxConfig(durations=(3, 3)), SETTINGS)
        with pytest.raises(ProcessKilled):
            await night.run(Cut(word, later))
        night.check_always()
        await to_its_end(night)


async def side_by_side() -> None:
    """Let two runners work on one batch, both in good health."""
    night = Night.of(pages(12), SandboxConfig(durations=(30, 60)), SETTINGS)

    async def work() -> None:
        try:
            await to_its_end(night, exited_owners=nobody)
        except LeaseLost:
            raise AssertionError("a living owner was taken for dead") from None

    await at_once(work, work)


class Nap(KillSwitch):
    """A laptop that is suspended when it hears that a run failed, and wakes much later."""

    def __init__(self) -> None:
        super().__init__()
        self.until: float | None = None

    async def receive(self, response: httpx.Response) -> None:
        """Take an answer; if it is the first that tells of a failure, after the nap."""
        told = b'"FAILED"' in await response.aread()
        if told and self.until is None:
            self.until = anyio.current_time() + 45  # less than a look's deadline
            await anyio.sleep_until(self.until)

    async def offload(self, call: Callable[[], Any], /) -> Any:
        """Run a transaction, but not during the nap; what was heard before it comes first."""
        if self.until is not None and anyio.current_time() < self.until:
            await anyio.sleep_until(self.until + 1)
        return await super().offload(call)


async def asleep() -> None:
    """Suspend a runner with a verdict in its hands; another one takes over and goes on."""
    urls = ["http://faults.test/system_failure/1"]
    night = Night.of(urls, SandboxConfig(durations=(60, 60), retry_after=1), SETTINGS)
    fenced: list[LeaseLost] = []

    async def doze() -> None:
        try:
            await night.run(Nap(), exited_owners=nobody)
        except LeaseLost as lost:
            fenced.append(lost)

    async def take_over() -> None:
        await anyio.sleep(80)
        await to_its_end(night)  # the one that sleeps is taken for dead

    await at_once(doze, take_over)
    assert fenced, "nobody was suspended for long enough: this night proves nothing"
    night.check_end()


async def cancelled() -> None:
    """Cancel a batch while its runs have long to go."""
    night = Night.of(pages(6), SandboxConfig(durations=(300, 600)), SETTINGS)

    async def cancel() -> None:
        await anyio.sleep(30)
        night.store.cancel(night.batch.id, [], now())

    await at_once(partial(to_its_end, night), cancel)


async def once_more() -> None:
    """Run a batch again that is finished."""
    night = Night.of(pages(3), SandboxConfig(durations=BRIEF), SETTINGS)
    await to_its_end(night)
    await to_its_end(night)


async def set_forward() -> None:
    """Set the clock eight hours forward while runs have some minutes to go."""
    night = Night.of(pages(3), SandboxConfig(durations=(300, 600)), SETTINGS)
    night.one_clock = night.waits = False
    machine = SimulatedMachine(night.store, MachineFaults(steps=[(60, 8 * 3600)]), 0, Counter())
    process = SimulatedProcess(machine=machine)
    await to_its_end(night, process, now=machine.wall, monotonic=machine.monotonic)


async def asleep_together() -> None:
    """Suspend the machine on which two runners live."""
    night = Night.of(pages(12), SandboxConfig(durations=(30, 60)), SETTINGS)
    machine = SimulatedMachine(
        night.store, MachineFaults(sleeps=[TimeSpan(20, 1500)]), 0, Counter()
    )

    async def work() -> None:
        clock = {"now": machine.wall, "monotonic": machine.monotonic, "exited_owners": nobody}
        try:
            await to_its_end(night, SimulatedProcess(machine=machine), **clock)
        except LeaseLost:
            raise AssertionError("a living owner was taken for dead") from None

    await at_once(work, work)


def nobody(_: object) -> list[str]:
    return []


async def at_once(*nights: Scenario) -> None:
    try:
        async with anyio.create_task_group() as tasks:
            for night in nights:
                tasks.start_soon(night)
    except BaseExceptionGroup as group:
        raise innermost(group) from None


# ---- bugs: submitting ----


def send_before_the_intent(patch: Patch) -> None:
    """Claim without a commit; what was claimed is written with what became of it."""
    unwritten: list[tuple[tuple[Any, ...], list[Submission]]] = []
    real: Callable[..., list[Submission]] = claims.claim

    def claim(store: Store, *args: Any) -> list[Submission]:
        *claimed, key = args
        with store._database.read() as tx:
            found = real(tx, *claimed, store._new_token, key)
        unwritten.append((tuple(claimed), found))
        return found

    def late(verb: Callable[..., Any]) -> Callable[..., Any]:
        def written(store: Store, *args: Any) -> Any:
            while unwritten:
                claimed, found = unwritten.pop()
                tokens = iter([submission.marker_token for submission in found])
                with store._database.write() as tx:
                    real(tx, *claimed, tokens.__next__)
            return verb(store, *args)

        return written

    patch.setattr(Store, "claim", claim)
    patch.setattr(Store, "enlist", forgetting(Store.enlist, unwritten))
    patch.setattr(Store, "record", late(Store.record))


def forgetting(enlist: Callable[..., None], memory: Any) -> Callable[..., None]:
    """Empty a memory when a process starts: the one before took it along."""

    def enlisted(store: Store, *args: Any) -> None:
        memory.clear()
        enlist(store, *args)

    return enlisted


def send_again(which: Callable[[ApiFault], bool], patch: Patch) -> None:
    real = TinyFishClient._create

    async def create(api: TinyFishClient, *args: Any) -> Any:
        answer = await real(api, *args)
        if isinstance(answer, Unanswered) and which(answer.fault):
            return await real(api, *args)
        return answer

    patch.setattr(TinyFishClient, "_create", create)


def put_back_without_a_search(patch: Patch) -> None:
    async def search(loop: Reconciler, submission: Submission, why: str) -> None:
        now = loop._context.now()
        verdicts = create_outcome.settle_absent(submission, now)
        watch_at = create_outcome.next_late_check(submission, now)
        await close_submission(
            loop._context, submission, SubmissionState.ABSENT, verdicts, why, watch_at
        )

    patch.setattr(Reconciler, "_search", search)


def give_up_after_one_search(patch: Patch) -> None:
    patch.setattr(reconciler, "next_search", lambda *_: None)


def trust_every_search(patch: Patch) -> None:
    async def is_proved(*_: Any) -> bool:
        return True

    patch.setattr(Reconciler, "_is_proved", is_proved)


def trust_the_order_of_ids(patch: Patch) -> None:
    async def put_right(*_: Any) -> frozenset[int]:
        return frozenset()

    patch.setattr(MismatchFixer, "fix", put_right)


def lose_run_ids(patch: Patch) -> None:
    def record(tx: Any, owner_id: str, submission: Submission, runs: Any, now: datetime) -> Any:
        submissions.close_submission(tx, owner_id, submission, SubmissionState.CREATED, now)
        return frozenset()

    patch.setattr(submissions, "record_runs", record)


def ignore_stragglers(patch: Patch) -> None:
    async def look_for(*_: Any) -> None:
        return None

    patch.setattr(OrphanSweeper, "_search", look_for)


def ignore_retry_after(patch: Patch) -> None:
    hasty = lambda met: replace(classify_fault(met), retry_after=None)  # noqa: E731
    patch.setattr(create_outcome, "classify_fault", hasty)


# ---- bugs: owners and the bound ----


def bound_each_process(patch: Patch) -> None:
    real, in_flight, standing = claims.claim, claims._in_flight, reports.work_left

    def without_others(*args: Any) -> WorkLeft:
        found: WorkLeft = standing(*args)
        return replace(found, free_slots=found.free_slots + found.in_flight_elsewhere)

    def claim(tx: Any, owner_id: str, *args: Any) -> list[Submission]:
        def mine(tx: Any, batch_id: int) -> int:
            others = reports.work_left(tx, owner_id, batch_id).in_flight_elsewhere
            return in_flight(tx, batch_id) - others

        patch.setattr(claims, "_in_flight", mine)
        return real(tx, owner_id, *args)

    patch.setattr(claims, "claim", claim)
    patch.setattr(reports, "work_left", without_others)


def rob_the_living(patch: Patch) -> None:
    real = Store.rescue

    def rescue(
        store: Store, owner_id: str, batch_id: int, now: datetime, *_: Collection[str] | datetime
    ) -> int:
        everybody = [owner.id for owner, _ in store.others(owner_id)]
        return real(store, owner_id, batch_id, now, everybody)

    patch.setattr(Store, "rescue", rescue)


def rob_those_who_slept_too(patch: Patch) -> None:
    patch.setattr(Heartbeat, "_lease_cutoff", lambda loop: loop._context.now())


def hold_a_leap_against_runs(patch: Patch) -> None:
    patch.setattr(runner_watching, "reset_after_clock_jump", lambda attempt, leapt_at: attempt)
    patch.setattr(run_decision, "_lasted", lambda run, queued: None)


def let_zombies_write(patch: Patch) -> None:
    named = attempts.c.id.in_(bindparam("attempts", expanding=True))
    patch.setattr(
        attempts_module, "_STILL_HELD", select(attempts.c.id, attempts.c.batch_id).where(named)
    )


# ---- bugs: judging and counting ----


def count_throttling(patch: Patch) -> None:
    patch.setattr(policy_retry, "NOT_COUNTED", NOT_COUNTED - {FailureCategory.THROTTLED})


def count_without_end(patch: Patch) -> None:
    real = policy_retry._decide_failure

    def forgetful(rules: Any, job: Any, failure: Any, now: datetime) -> Any:
        return real(rules, replace(job, failures=0, failures_by_category={}), failure, now)

    patch.setattr(policy_retry, "_decide_failure", forgetful)


def count_no_category(patch: Patch) -> None:
    patch.setattr(
        attempts_module, "_met", lambda verdict: json_text(verdict.attempt.job.failures_by_category)
    )


def tell_of_options_and_run_without_them(patch: Patch) -> None:
    real = claims._submitted_attempt

    def plain(*args: Any) -> Any:
        ride = real(*args)
        kept = {
            name: ride.options[name] for name in ride.options if name not in ride.option_overrides
        }
        return replace(ride, options=kept)

    patch.setattr(claims, "_submitted_attempt", plain)


def believe_not_found_at_once(patch: Patch) -> None:
    patch.setattr(run_decision, "is_lost", lambda attempt, now: True)
    patch.setattr(runner_watching, "LOST_AFTER", timedelta(0))


def take_a_failed_look_for_a_failed_run(patch: Patch) -> None:
    real = RunFetcher.fetch

    async def see(looking: RunFetcher, run_ids: list[str]) -> Any:
        try:
            return await real(looking, run_ids)
        except ApiError:
            return {id: Run(run_id=id, status=RunStatus.FAILED) for id in run_ids}

    patch.setattr(RunFetcher, "fetch", see)


def count_before_the_result(patch: Patch) -> None:
    """Write results in the transaction after the one that counts their jobs."""
    unwritten: list[dict[str, Any]] = []
    apply, standing = Store.apply, Store.standing

    def counted(store: Store, owner_id: str, verdicts: Any, *args: Any) -> Any:
        for verdict in verdicts:
            if verdict.run and verdict.run.result is not None:
                at = verdict.attempt.attempt_id
                unwritten.append({"attempt_id": at, "body": verdict.run.result})
        bare = [replace(v, run=v.run and replace(v.run, result=None)) for v in verdicts]
        return apply(store, owner_id, bare, *args)

    def written(store: Store, *args: Any) -> Any:
        if unwritten:
            with store._database.write() as tx:
                tx.execute(insert(results), unwritten)
            unwritten.clear()
        return standing(store, *args)

    patch.setattr(Store, "enlist", forgetting(Store.enlist, unwritten))
    patch.setattr(Store, "apply", counted)
    patch.setattr(Store, "standing", written)


def mix_up_results(patch: Patch) -> None:
    real = attempts_module.apply_decisions

    def apply(tx: Any, owner_id: str, verdicts: Any, now: datetime) -> Any:
        bodies = [verdict.run and verdict.run.result for verdict in verdicts]
        shifted = chain(bodies[1:], bodies[:1])
        mixed = [
            replace(verdict, run=verdict.run and replace(verdict.run, result=body))
            for verdict, body in zip(verdicts, shifted, strict=True)
        ]
        return real(tx, owner_id, mixed, now)

    patch.setattr(attempts_module, "apply_decisions", apply)


def forget_the_cost_of_failures(patch: Patch) -> None:
    real = attempts_module._closing

    def closing(verdict: Any) -> dict[str, Any]:
        row = real(verdict)
        return row | {"new_steps": row["new_steps"] if row["new_code"] is None else None}

    patch.setattr(attempts_module, "_closing", closing)


# ---- bugs: steering and exporting ----


def cancel_only_here(patch: Patch) -> None:
    def cancel(store: Store, batch_id: int, keys: object, now: datetime) -> None:
        ends = {"closed_at": now, "outcome": FailureCategory.RUN_CANCELLED, "counted": True}
        running = attempts.c.closed_at.is_(None)
        unfinished = jobs.c.finished_at.is_(None)
        with store._database.write() as tx:
            tx.execute(update(attempts).where(running).values(**ends))
            tx.execute(
                update(jobs).where(unfinished).values(state=JobState.CANCELLED, finished_at=now)
            )

    patch.setattr(Store, "cancel", cancel)


def start_all_over(patch: Patch) -> None:
    real = Store.enlist

    def enlist(store: Store, owner: Owner, now: datetime) -> None:
        real(store, owner, now)
        with store._database.write() as tx:
            tx.execute(update(jobs).values(state=JobState.AVAILABLE, finished_at=None))

    patch.setattr(Store, "enlist", enlist)


def export_only_results(patch: Patch) -> None:
    real = reports.finished_jobs

    def finished(*args: Any) -> Any:
        return [job for job in real(*args) if job.result is not None]

    patch.setattr(reports, "finished_jobs", finished)


# ---- the table ----


@dataclass(frozen=True)
class Bug:
    """A bug, the night on which it shows, and what is said about it."""

    plant: Callable[[Patch], None]
    night: Scenario
    caught: str  #: the promise that it breaks, or the database's refusal
    label: str = ""

    @property
    def name(self) -> str:
        """What it does."""
        return self.label or getattr(self.plant, "__name__", "")


BUGS = [
    Bug(
        send_before_the_intent,
        partial(cut_after, b'"run_ids"'),
        "created before its intent was on disk",
    ),
    Bug(
        partial(send_again, lambda met: met.status == 500),
        fault("error_after/1"),
        "two runs have one marker",
        label="send_again_after_a_500",
    ),
    Bug(
        partial(send_again, lambda met: met.status is None),
        fault("dropped_after/1"),
        "two runs have one marker",
        label="send_again_after_a_dropped_connection",
    ),
    Bug(put_back_without_a_search, fault("dropped_after/1"), "a run on the list was given up"),
    Bug(give_up_after_one_search, fault("dropped_after/1", late=25), "before the grace was over"),
    Bug(trust_every_search, blinded, "a run on the list was given up"),
    Bug(
        trust_the_order_of_ids,
        partial(quiet, pages(3), variants={"run_ids": "reversed"}),
        "another job's row",
    ),
    Bug(let_zombies_write, asleep, "UNIQUE constraint failed: attempts.job_id"),
    Bug(rob_the_living, side_by_side, "a living owner was taken for dead"),
    Bug(rob_those_who_slept_too, asleep_together, "a living owner was taken for dead"),
    Bug(hold_a_leap_against_runs, set_forward, "a run was given up before its limit"),
    Bug(lose_run_ids, fault("system_failure/1"), "the run ids of a submission were lost"),
    Bug(bound_each_process, side_by_side, "more in flight than the bound"),
    Bug(count_throttling, fault("throttled/1"), "waiting used up an attempt"),
    Bug(ignore_retry_after, fault("throttled/1"), "before Retry-After was over"),
    Bug(count_without_end, fault("system_failure/9"), "more failures than the policy allows"),
    Bug(count_no_category, fault("unknown/1"), "does not know what it failed of"),
    Bug(
        tell_of_options_and_run_without_them,
        fault("blocked-unless-stealth"),
        "other options than its row tells",
    ),
    Bug(believe_not_found_at_once, fault("lost/1"), "called lost at the first look"),
    Bug(
        take_a_failed_look_for_a_failed_run,
        partial(quiet, ["http://faults.test/unreachable/1"], durations=(60, 60)),
        "closed while its run went on",
    ),
    Bug(
        count_before_the_result,
        partial(cut_after, b'"COMPLETED"'),
        "a success without a result on disk",
    ),
    Bug(mix_up_results, partial(quiet, pages(3), durations=(5, 5)), "not what the API served"),
    Bug(forget_the_cost_of_failures, fault("system_failure/1"), "not what the API charged"),
    Bug(cancel_only_here, cancelled, "a run was left alive"),
    Bug(
        ignore_stragglers,
        partial(quiet, ["http://faults.test/dropped_after/1"], late=120, durations=(60, 90)),
        "a run was created that belongs to nobody",
    ),
    Bug(export_only_results, fault("agent_failure"), "not in the export once"),
    Bug(start_all_over, once_more, "UNIQUE constraint failed: attempts.job_id"),
]

every_bug = pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)


@pytest.mark.sweep
@every_bug
def test_the_night_passes_without_the_bug(bug: Bug) -> None:
    simulate(bug.night)


@every_bug
def test_the_bug_is_caught(bug: Bug, monkeypatch: Patch) -> None:
    bug.plant(monkeypatch)
    with pytest.raises((AssertionError, StoreError), match=bug.caught):
        simulate(bug.night)
