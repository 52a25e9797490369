"""The store with one method for each function: kept until all callers use `write` and `read`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from batchrunner.model import (
    AttemptDecision,
    Batch,
    BatchCounts,
    Budget,
    BudgetStatus,
    ClosedAttempt,
    ControlRun,
    Failed,
    FailureCategory,
    FinishedJob,
    JobFile,
    LoadResult,
    OpenAttempt,
    Owner,
    ParkedHost,
    Run,
    RunObservation,
    StoredResult,
    Submission,
    WorkLeft,
)
from batchrunner.model.artifacts import (
    Artifact,
    ArtifactCounts,
    ArtifactKind,
    ArtifactResult,
    ListedArtifact,
    WantedArtifact,
)
from batchrunner.model.estimate import PastRun
from batchrunner.model.time_and_cost import Hold, TimeAndCost
from batchrunner.policy.slots import SlotUsage
from batchrunner.store import (
    account_keys,
    adoption,
    artifacts,
    attempts,
    batches,
    claims,
    controls,
    health,
    holds,
    host_breaker,
    leases,
    orphans,
    reports,
    search_checks,
    slot_usage,
    submissions,
    time_and_cost,
)
from batchrunner.store import budget as budgets
from batchrunner.store import judgements as judging
from batchrunner.store.health import ForeignChanges, Health, Worker
from batchrunner.store.schema import SubmissionState
from batchrunner.store.transactions import PAGE_SIZE, Transactions

#: Finished jobs read in one transaction.
EXPORT_PAGE = PAGE_SIZE


class Store(Transactions):
    """A database, its transactions, and one method for each function; to be replaced by these."""

    brief = Transactions.short_lock_timeout

    @classmethod
    def found(cls, address: str) -> Store:
        """Call `connect`."""
        return cls.connect(address)

    def load(self, file: JobFile, now: datetime) -> LoadResult:
        """Call `load_jobs`."""
        return self.write(batches.load_jobs, file, now)

    def batch(self, name: str) -> Batch | None:
        """Call `find_batch`."""
        return self.read(batches.find_batch, name)

    def batches(self) -> list[Batch]:
        """Call `list_batches`."""
        return self.read(
            batches.list_batches,
        )

    def bind(self, batch_id: int, origin: str) -> str:
        """Call `bind_to_api`."""
        return self.write(batches.bind_to_api, batch_id, origin)

    def known_keys(self, batch_id: int) -> tuple[str, ...]:
        """Call `known_keys`."""
        return self.read(account_keys.known_keys, batch_id)

    def admit(
        self, batch_id: int, digest: str, *, beside: bool, read: tuple[str, ...] | None = None
    ) -> bool:
        """Call `admit_key`."""
        return self.write(account_keys.admit_key, batch_id, digest, beside=beside, read=read)

    def telling_runs(self, batch_id: int) -> list[str]:
        """Call `account_check_runs`."""
        return self.read(account_keys.account_check_runs, batch_id)

    def time(self, now: datetime) -> datetime:
        """Call `store_time`."""
        return self.read(leases.store_time, now)

    def enlist(self, owner: Owner, now: datetime) -> None:
        """Call `register_owner`."""
        self.write(leases.register_owner, owner, now)

    def renew(self, owner_id: str, now: datetime) -> None:
        """Call `renew_lease`."""
        self.write(leases.renew_lease, owner_id, now)

    def retire(self, owner_id: str, now: datetime) -> None:
        """Call `end_owner`."""
        self.write(leases.end_owner, owner_id, now)

    def living(self, now: datetime, batch_id: int | None = None) -> list[Owner]:
        """Call `live_owners`."""
        return self.read(leases.live_owners, now, batch_id)

    def others(self, owner_id: str) -> list[tuple[Owner, datetime]]:
        """Call `other_owners`."""
        return self.read(leases.other_owners, owner_id)

    def rescue(
        self,
        owner_id: str,
        batch_id: int,
        now: datetime,
        gone: Collection[str] = (),
        ended_by: datetime | None = None,
        key: str | None = None,
    ) -> int:
        """Call `rescue_attempts`."""
        return self.write(leases.rescue_attempts, owner_id, batch_id, now, gone, ended_by, key)

    def claim(
        self,
        owner_id: str,
        batch_id: int,
        most: int,
        now: datetime,
        key: str | None = None,
    ) -> list[Submission]:
        """Call `claim_jobs`."""
        return self.write(
            claims.claim_jobs, owner_id, batch_id, most, now, key, new_token=self.new_token
        )

    def record(
        self, owner_id: str, submission: Submission, runs: Mapping[int, str], now: datetime
    ) -> frozenset[int]:
        """Call `record_runs`."""
        return self.write(submissions.record_runs, owner_id, submission, runs, now)

    def rematch(self, owner_id: str, runs: Mapping[int, Mapping[int, str]], now: datetime) -> None:
        """Call `reassign_runs`."""
        self.write(submissions.reassign_runs, owner_id, runs, now)

    def disband(
        self, owner_id: str, batch_id: int, verdicts: Sequence[AttemptDecision], now: datetime
    ) -> list[AttemptDecision]:
        """Call `close_without_runs`."""
        return self.write(submissions.close_without_runs, owner_id, batch_id, verdicts, now)

    def settle(
        self,
        owner_id: str,
        submission: Submission,
        state: SubmissionState,
        verdicts: Sequence[AttemptDecision],
        now: datetime,
        message: str,
        watch_at: datetime | None = None,
    ) -> list[AttemptDecision]:
        """Call `settle_submission`."""
        return self.write(
            submissions.settle_submission,
            owner_id,
            submission,
            state,
            verdicts,
            now,
            message,
            watch_at,
        )

    def doubt(
        self, owner_id: str, submission: Submission, search_at: datetime, message: str
    ) -> None:
        """Call `mark_unanswered`."""
        self.write(submissions.mark_unanswered, owner_id, submission, search_at, message)

    def doubt_intended(self, owner_id: str, batch_id: int, now: datetime, why: str) -> None:
        """Call `mark_intended_unanswered`."""
        self.write(submissions.mark_intended_unanswered, owner_id, batch_id, now, why)

    def unanswered(self, owner_id: str, batch_id: int) -> list[tuple[Submission, datetime, str]]:
        """Call `unanswered_submissions`."""
        return self.read(submissions.unanswered_submissions, owner_id, batch_id)

    def landmark(self, batch_id: int, before: datetime) -> ControlRun | None:
        """Call `control_run`."""
        return self.read(search_checks.control_run, batch_id, before)

    def given_back(self, job_ids: Collection[int]) -> frozenset[int]:
        """Call `jobs_given_back`."""
        return self.read(search_checks.jobs_given_back, job_ids)

    def watched(self, owner_id: str, batch_id: int) -> list[OpenAttempt]:
        """Call `runs_in_flight`."""
        return self.read(attempts.runs_in_flight, owner_id, batch_id)

    def apply(
        self,
        owner_id: str,
        verdicts: Sequence[AttemptDecision],
        seen: Iterable[tuple[OpenAttempt, RunObservation]],
        now: datetime,
    ) -> list[AttemptDecision]:
        """Call `apply_poll`."""
        return attempts.apply_poll(self, owner_id, verdicts, seen, now)

    def ask_to_cancel(
        self,
        owner_id: str,
        attempt_ids: Sequence[int],
        why: FailureCategory,
        *,
        recalled: bool = False,
        lingered: bool = False,
    ) -> None:
        """Call `request_cancel`."""
        self.write(
            attempts.request_cancel,
            owner_id,
            attempt_ids,
            why,
            for_deadline=recalled,
            after_result=lingered,
        )

    def adopt(self, owner_id: str, batch_id: int, runs: Sequence[Run], now: datetime) -> int:
        """Call `adopt_runs`."""
        return self.write(
            adoption.adopt_runs, owner_id, batch_id, runs, now, new_token=self.new_token
        )

    def newest_run(self, batch_id: int, key: str) -> str | None:
        """Call `newest_run`."""
        return self.read(reports.newest_run, batch_id, key)

    def absent(self, owner_id: str, batch_id: int, due: datetime | None = None) -> list[Submission]:
        """Call `late_run_watchlist`."""
        return self.read(orphans.late_run_watchlist, owner_id, batch_id, due)

    def watch(self, owner_id: str, submission: Submission, watch_at: datetime | None) -> None:
        """Call `schedule_late_check`."""
        self.write(orphans.schedule_late_check, owner_id, submission, watch_at)

    def take_in(
        self,
        owner_id: str,
        batch_id: int,
        submission: Submission,
        runs: Mapping[int, str],
        now: datetime,
    ) -> int:
        """Call `adopt_late_runs`."""
        return self.write(
            orphans.adopt_late_runs,
            owner_id,
            batch_id,
            submission,
            runs,
            now,
            new_token=self.new_token,
        )

    def disown(
        self, batch_id: int, submission: Submission, run_ids: Collection[str], now: datetime
    ) -> None:
        """Call `add_orphans`."""
        self.write(orphans.add_orphans, batch_id, submission, run_ids, now)

    def living_orphans(self, batch_id: int) -> list[str]:
        """Call `open_orphans`."""
        return self.read(orphans.open_orphans, batch_id)

    def bury(self, ended: Sequence[tuple[str, Run | None]], now: datetime) -> None:
        """Call `close_orphans`."""
        self.write(orphans.close_orphans, ended, now)

    def retry(
        self,
        batch_id: int,
        categories: Collection[FailureCategory],
        keys: Collection[str],
        now: datetime,
    ) -> int:
        """Call `retry_jobs`."""
        return self.write(controls.retry_jobs, batch_id, categories, keys, now)

    def cancel(
        self,
        batch_id: int,
        keys: Collection[str],
        now: datetime,
        hosts: Collection[str] = (),
        categories: Collection[FailureCategory] = (),
    ) -> tuple[int, int]:
        """Call `cancel_jobs`."""
        return self.write(controls.cancel_jobs, batch_id, keys, now, hosts, categories)

    def pause(self, batch_id: int, reason: str | None, now: datetime) -> None:
        """Call `pause_batch`."""
        self.write(controls.pause_batch, batch_id, reason, now)

    def resume(self, batch_id: int, now: datetime) -> bool:
        """Call `resume_batch`."""
        return self.write(controls.resume_batch, batch_id, now)

    def set_concurrency(self, batch_id: int, bound: int) -> None:
        """Call `set_concurrency`."""
        self.write(controls.set_concurrency, batch_id, bound)

    def set_budget(self, batch_id: int, budget: Budget | None) -> None:
        """Call `set_budget`."""
        self.write(budgets.set_budget, batch_id, budget)

    def set_rate(self, batch_id: int, rate: Decimal | None) -> None:
        """Call `set_step_price`."""
        self.write(budgets.set_step_price, batch_id, rate)

    def hold(
        self, owner_id: str, batch_id: int, check_at: datetime, why: str, now: datetime
    ) -> None:
        """Call `start_hold`."""
        self.write(holds.start_hold, owner_id, batch_id, check_at, why, now)

    def release(self, owner_id: str, batch_id: int, now: datetime) -> None:
        """Call `end_hold`."""
        self.write(holds.end_hold, owner_id, batch_id, now)

    def want_artifacts(self, batch_id: int, key: str | None = None, *, lasting: bool) -> None:
        """Call `want_artifacts`."""
        self.write(artifacts.want_artifacts, batch_id, key, lasting=lasting)

    def wanted_artifacts(
        self,
        batch_id: int,
        most: int,
        *,
        owner_id: str | None = None,
        key: str | None = None,
        kinds: Collection[ArtifactKind] = (),
        without: Collection[tuple[int, str, int]] = (),
    ) -> list[WantedArtifact]:
        """Call `wanted_artifacts`."""
        return self.read(
            artifacts.wanted_artifacts,
            batch_id,
            most,
            owner_id=owner_id,
            key=key,
            kinds=kinds,
            without=without,
        )

    def note_artifacts(self, asked: WantedArtifact, found: Sequence[ListedArtifact]) -> None:
        """Call `record_listing`."""
        self.write(artifacts.record_listing, asked, found)

    def settle_artifact(self, asked: WantedArtifact, fetched: ArtifactResult) -> bool:
        """Call `settle_artifact`."""
        return self.write(artifacts.settle_artifact, asked, fetched)

    def gallery(self, batch_id: int) -> ArtifactCounts:
        """Call `artifact_counts`."""
        return self.read(artifacts.artifact_counts, batch_id)

    def artifacts(
        self, batch_id: int, key: str | None = None, kinds: Collection[ArtifactKind] = ()
    ) -> list[Artifact]:
        """Call `artifact_rows`."""
        return self.read(artifacts.artifact_rows, batch_id, key, kinds)

    def unpark(self, batch_id: int, hosts: Collection[str]) -> int:
        """Call `unpark_hosts`."""
        return self.write(host_breaker.unpark_hosts, batch_id, hosts)

    def queue(self, batch_id: int, now: datetime) -> tuple[SlotUsage, int] | None:
        """Call `slot_usage`."""
        return self.read(slot_usage.slot_usage, batch_id, now)

    def learn_slots(self, batch_id: int, most: int) -> None:
        """Call `store_learned_concurrency`."""
        self.write(slot_usage.store_learned_concurrency, batch_id, most)

    def judgeable(self, batch_id: int) -> Iterator[StoredResult]:
        """Call `stored_results`."""
        return judging.stored_results(self, batch_id)

    def rejudge(self, judgements: Sequence[tuple[StoredResult, Failed | None]]) -> int:
        """Call `rewrite_judgements`."""
        return self.write(judging.rewrite_judgements, judgements)

    def tally(self, batch_id: int) -> BatchCounts:
        """Call `batch_counts`."""
        return self.read(reports.batch_counts, batch_id)

    def standing(self, owner_id: str, batch_id: int) -> WorkLeft:
        """Call `work_left`."""
        return self.read(reports.work_left, owner_id, batch_id)

    def parked(self, batch_id: int) -> list[ParkedHost]:
        """Call `parked_hosts`."""
        return self.read(host_breaker.parked_hosts, batch_id)

    def purse(self, batch_id: int, now: datetime) -> BudgetStatus | None:
        """Call `budget_status`."""
        return self.read(claims.budget_status, batch_id, now)

    def held(self, batch_id: int, now: datetime) -> Hold | None:
        """Call `current_hold`."""
        return self.read(holds.current_hold, batch_id, now)

    def account(self, batch_id: int, now: datetime) -> TimeAndCost:
        """Call `batch_time_and_cost`."""
        return time_and_cost.batch_time_and_cost(self, batch_id, now)

    def taken(self, origin: str) -> list[PastRun]:
        """Call `past_runs`."""
        return self.read(time_and_cost.past_runs, origin)

    def final_keys(self, batch_id: int) -> set[str]:
        """Call `final_job_keys`."""
        return self.read(time_and_cost.final_job_keys, batch_id)

    def failures(self, batch_id: int, *, final: bool, most: int) -> list[ClosedAttempt]:
        """Call `failed_attempts`."""
        return self.read(reports.failed_attempts, batch_id, final=final, most=most)

    def cancelled(self, batch_id: int, *, most: int) -> list[tuple[str, str]]:
        """Call `cancelled_jobs`."""
        return self.read(reports.cancelled_jobs, batch_id, most=most)

    def finished(self, batch_id: int) -> Iterator[FinishedJob]:
        """Call `finished_jobs`."""
        return reports.finished_jobs(self, batch_id)

    def health(self, clock: Callable[[], datetime]) -> Health:
        """Call `database_health`."""
        return self.read(health.database_health, clock)

    def damage(self, *, thorough: bool) -> list[str]:
        """Call `integrity_errors`."""
        return self.read(health.integrity_errors, thorough=thorough)

    def tampering(self, *, thorough: bool) -> ForeignChanges:
        """Call `foreign_changes`."""
        return self.read(health.foreign_changes, thorough=thorough)

    def broken_laws(self) -> dict[str, int]:
        """Call `consistency_errors`."""
        return self.read(
            health.consistency_errors,
        )

    def workers(self, now: datetime, batch_id: int) -> list[Worker]:
        """Call `active_workers`."""
        return self.read(health.active_workers, now, batch_id)

    def finished_among(self, batch_id: int, job_ids: Sequence[int]) -> list[FinishedJob]:
        """Call `finished_jobs_among`."""
        return self.read(reports.finished_jobs_among, batch_id, job_ids)
