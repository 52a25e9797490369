"""Every statement the program runs; one method = one transaction = one verb of the job's life."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
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
from batchrunner.model.time_and_cost import Hold, PastJob, TimeAndCost
from batchrunner.policy.slots import SlotUsage
from batchrunner.policy.time_and_cost import time_and_cost
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
    orphans,
    reports,
    search_checks,
    slot_usage,
    submissions,
)
from batchrunner.store import (
    budget as budget_module,
)
from batchrunner.store import (
    judgements as judgements_module,
)
from batchrunner.store import (
    time_and_cost as time_and_cost_module,
)
from batchrunner.store.database import Database
from batchrunner.store.health import ForeignChanges, Health, Worker
from batchrunner.store.schema import SubmissionState

#: Finished jobs read in one transaction: an export never keeps a writer waiting for long.
EXPORT_PAGE = 500


def _new_token() -> str:
    return secrets.token_hex(6)


class Store:
    """
    The ledger of batches, jobs, submissions and attempts.

    Synchronous; any thread may call it, one at a time. Every method is one transaction: when it
    has returned, what it wrote is on disk. Raises StoreError where the database cannot be used.
    """

    def __init__(self, database: Database, new_token: Callable[[], str] = _new_token) -> None:
        self._database = database
        self._new_token = new_token

    @classmethod
    def open(cls, address: str) -> Store:
        """Open the ledger at *address*, a path or postgresql://…; makes and migrates it."""
        return cls(Database.open(address))

    def brief(self) -> AbstractContextManager[None]:
        """Let no call in the block wait for long for another program's lock: the caller repeats."""
        return self._database.brief()

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    # ---- batches ----

    def load(self, file: JobFile, now: datetime) -> LoadResult:
        """Add a job file's batch, or to it the jobs that are new."""
        with self._database.write() as tx:
            return batches.load_jobs(tx, file.name, file.settings, file.specs, now)

    def batch(self, name: str) -> Batch | None:
        """Return the batch of this name."""
        with self._database.read() as tx:
            return batches.find_batch(tx, name)

    def batches(self) -> list[Batch]:
        """Return every batch, oldest first."""
        with self._database.read() as tx:
            return batches.all_batches(tx)

    def bind(self, batch_id: int, origin: str) -> str:
        """Tie a batch to the API that its runs are on, once; return the one it is tied to."""
        with self._database.write() as tx:
            return batches.bind_to_api(tx, batch_id, origin)

    def known_keys(self, batch_id: int) -> tuple[str, ...]:
        """Return the digests of the keys that open a batch's runs; none before its first run."""
        with self._database.read() as tx:
            return account_keys.known_keys(tx, batch_id)

    def admit(
        self, batch_id: int, digest: str, *, beside: bool, read: tuple[str, ...] | None = None
    ) -> bool:
        """
        Take a key for one of the batch's account; return whether it was taken.

        *beside* those that are known, or in their place: not while runs of theirs may be alive.
        Raises KeysChanged where the digests are not those that were *read* any more.
        """
        with self._database.write() as tx:
            return account_keys.admit_key(tx, batch_id, digest, beside=beside, read=read)

    def telling_runs(self, batch_id: int) -> list[str]:
        """Return up to a look's worth of runs by which the batch's account can be told."""
        with self._database.read() as tx:
            return account_keys.account_check_runs(tx, batch_id)

    # ---- owners ----

    def time(self, now: datetime) -> datetime:
        """Return the ledger's time, by a server's clock or by *now*; it never goes back."""
        with self._database.read() as tx:
            return claims.store_time(tx, now)

    def enlist(self, owner: Owner, now: datetime) -> None:
        """Write down a new owner, whose lease begins now."""
        with self._database.write() as tx:
            claims.register_owner(tx, owner, now)

    def renew(self, owner_id: str, now: datetime) -> None:
        """Let an owner's lease begin anew; raises LeaseLost if it was taken for dead."""
        with self._database.write() as tx:
            claims.renew_lease(tx, owner_id, now)

    def retire(self, owner_id: str, now: datetime) -> None:
        """Say that an owner works no more."""
        with self._database.write() as tx:
            claims.end_owner(tx, owner_id, now)

    def living(self, now: datetime, batch_id: int | None = None) -> list[Owner]:
        """Return the owners whose leases run: all, or those with open attempts of a batch."""
        with self._database.read() as tx:
            return claims.live_owners(tx, now, batch_id)

    def others(self, owner_id: str) -> list[tuple[Owner, datetime]]:
        """Return the other owners that have not retired, and when their leases end."""
        with self._database.read() as tx:
            return claims.other_owners(tx, owner_id)

    def rescue(
        self,
        owner_id: str,
        batch_id: int,
        now: datetime,
        gone: Collection[str] = (),
        ended_by: datetime | None = None,
        key: str | None = None,
    ) -> int:
        """
        Take over a batch's open attempts of dead owners.

        They are known to be *gone*, or their leases were to end by *ended_by*: by now, usually.
        *key* is the digest of the key that their runs are to be watched with.
        """
        with self._database.write() as tx:
            return claims.rescue(tx, owner_id, batch_id, now, gone, ended_by or now, key)

    # ---- a job's way ----

    def claim(
        self,
        owner_id: str,
        batch_id: int,
        most: int,
        now: datetime,
        key: str | None = None,
    ) -> list[Submission]:
        """
        Take due jobs up to the bound, open their attempts, write their submissions.

        *key* is the digest of the key that they are submitted with.
        """
        with self._database.write() as tx:
            return claims.claim(tx, owner_id, batch_id, most, now, self._new_token, key)

    def record(
        self, owner_id: str, submission: Submission, runs: Mapping[int, str], now: datetime
    ) -> frozenset[int]:
        """Write run ids by attempt id; return the submission's open attempts that have none yet."""
        with self._database.write() as tx:
            return submissions.record_runs(tx, owner_id, submission, runs, now)

    def rematch(self, owner_id: str, runs: Mapping[int, Mapping[int, str]], now: datetime) -> None:
        """Give the open attempts of submissions the runs that the echo of their markers assigns."""
        with self._database.write() as tx:
            submissions.reassign_runs(tx, owner_id, runs, now)

    def disband(
        self, owner_id: str, batch_id: int, verdicts: Sequence[AttemptDecision], now: datetime
    ) -> list[AttemptDecision]:
        """Close attempts of which nobody can tell which run is whose; the runs are orphans."""
        attempt_ids = [verdict.attempt.attempt_id for verdict in verdicts]
        with self._database.write() as tx:
            orphans.release_runs(tx, owner_id, batch_id, attempt_ids, now)
            return attempts.apply_decisions(tx, owner_id, verdicts, now)

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
        """
        Close a submission that has no (more) runs, and the attempts that it carried.

        *watch_at* is when to look whether the runs of an absent one turn up after all.
        """
        with self._database.write() as tx:
            submissions.close_submission(tx, owner_id, submission, state, now, message, watch_at)
            return attempts.apply_decisions(tx, owner_id, verdicts, now)

    def doubt(
        self, owner_id: str, submission: Submission, search_at: datetime, message: str
    ) -> None:
        """Say that a submission's runs may exist, and when to look for them."""
        with self._database.write() as tx:
            submissions.mark_unanswered(tx, owner_id, submission, search_at, message)

    def doubt_intended(self, owner_id: str, batch_id: int, now: datetime, why: str) -> None:
        """Say of all of the owner's intended submissions that their runs may exist."""
        with self._database.write() as tx:
            submissions.mark_intended_unanswered(tx, owner_id, batch_id, now, why)

    def unanswered(self, owner_id: str, batch_id: int) -> list[tuple[Submission, datetime, str]]:
        """Return the owner's submissions in doubt, when to look for each, and why."""
        with self._database.read() as tx:
            return submissions.unanswered_submissions(tx, owner_id, batch_id)

    def landmark(self, batch_id: int, before: datetime) -> ControlRun | None:
        """Return the newest run that was known *before* a moment, by which searches are tried."""
        with self._database.read() as tx:
            return search_checks.control_run(tx, batch_id, before)

    def given_back(self, job_ids: Collection[int]) -> frozenset[int]:
        """Return those of these jobs that were given back because a run of theirs was absent."""
        with self._database.read() as tx:
            return search_checks.jobs_given_back(tx, job_ids)

    def watched(self, owner_id: str, batch_id: int) -> list[OpenAttempt]:
        """Return the owner's open attempts whose runs exist."""
        with self._database.read() as tx:
            return attempts.runs_in_flight(tx, owner_id, batch_id)

    def apply(
        self,
        owner_id: str,
        verdicts: Sequence[AttemptDecision],
        seen: Iterable[tuple[OpenAttempt, RunObservation]],
        now: datetime,
    ) -> list[AttemptDecision]:
        """Write what a look brought: verdicts on runs that ended, and how the others were seen."""
        changes = attempts.observed_changes(seen, now)
        if not changes and not verdicts:
            return []
        with self._database.write() as tx:
            attempts.observe(tx, owner_id, changes)
            return attempts.apply_decisions(tx, owner_id, verdicts, now)

    def ask_to_cancel(
        self,
        owner_id: str,
        attempt_ids: Sequence[int],
        why: FailureCategory,
        *,
        recalled: bool = False,
        lingered: bool = False,
    ) -> None:
        """
        Note that the API is going to be asked to cancel these attempts' runs, and why.

        They are *recalled* for a deadline: that is not held against their jobs. Or they *lingered*
        with their results, which count.
        """
        with self._database.write() as tx:
            attempts.request_cancel(
                tx, owner_id, attempt_ids, why, recalled=recalled, lingered=lingered
            )

    def adopt(self, owner_id: str, batch_id: int, runs: Sequence[Run], now: datetime) -> int:
        """Take runs into a batch that something else started: up to 100, as jobs of their own."""
        with self._database.write() as tx:
            return adoption.adopt_runs(tx, owner_id, batch_id, runs, now, self._new_token())

    def newest_run(self, batch_id: int, key: str) -> str | None:
        """Return the run of a job's newest attempt that has one."""
        with self._database.read() as tx:
            return reports.newest_run(tx, batch_id, key)

    # ---- runs that turn up late ----

    def absent(self, owner_id: str, batch_id: int, due: datetime | None = None) -> list[Submission]:
        """Return the owner's absent submissions that are watched: those *due* by then, or all."""
        with self._database.read() as tx:
            return orphans.late_run_watchlist(tx, owner_id, batch_id, due)

    def watch(self, owner_id: str, submission: Submission, watch_at: datetime | None) -> None:
        """Say when to look for an absent submission's runs again; None: never more."""
        with self._database.write() as tx:
            orphans.schedule_late_check(tx, owner_id, submission, watch_at)

    def take_in(
        self,
        owner_id: str,
        batch_id: int,
        submission: Submission,
        runs: Mapping[int, str],
        now: datetime,
    ) -> int:
        """Adopt late runs whose jobs still wait, list the others as orphans; count the adopted."""
        with self._database.write() as tx:
            return orphans.adopt_late_runs(
                tx, owner_id, batch_id, submission, runs, now, self._new_token
            )

    def disown(
        self, batch_id: int, submission: Submission, run_ids: Collection[str], now: datetime
    ) -> None:
        """List those of these runs that no attempt has as orphans."""
        with self._database.write() as tx:
            orphans.add_orphans(tx, batch_id, submission.id, run_ids, now)

    def living_orphans(self, batch_id: int) -> list[str]:
        """Return the orphans of which the API has not confirmed that they are over."""
        with self._database.read() as tx:
            return orphans.open_orphans(tx, batch_id)

    def bury(self, ended: Sequence[tuple[str, Run | None]], now: datetime) -> None:
        """Write down what orphans that are over have cost."""
        with self._database.write() as tx:
            orphans.close_orphans(tx, ended, now)

    # ---- steering ----

    def retry(
        self,
        batch_id: int,
        categories: Collection[FailureCategory],
        keys: Collection[str],
        now: datetime,
    ) -> int:
        """Put failed jobs back, all or those chosen; return how many."""
        with self._database.write() as tx:
            return controls.retry_jobs(tx, batch_id, categories, keys, now)

    def cancel(
        self,
        batch_id: int,
        keys: Collection[str],
        now: datetime,
        hosts: Collection[str] = (),
        categories: Collection[FailureCategory] = (),
    ) -> tuple[int, int]:
        """Cancel jobs; return how many are cancelled, and how many wait for their runs."""
        with self._database.write() as tx:
            return controls.cancel_jobs(tx, batch_id, keys, now, hosts, categories)

    def pause(self, batch_id: int, reason: str | None, now: datetime) -> None:
        """Let nothing more be submitted; a batch that is paused already may get another reason."""
        with self._database.write() as tx:
            controls.pause_batch(tx, batch_id, reason, now)

    def resume(self, batch_id: int, now: datetime) -> bool:
        """Let jobs be submitted again; whether the batch was paused."""
        with self._database.write() as tx:
            return controls.resume_batch(tx, batch_id, now)

    def set_concurrency(self, batch_id: int, bound: int) -> None:
        """Set another bound in the place of the loaded one; runs in flight above it go on."""
        with self._database.write() as tx:
            controls.set_concurrency(tx, batch_id, bound)

    def set_budget(self, batch_id: int, budget: Budget | None) -> None:
        """Set another budget in the place of the loaded one, or none at all."""
        with self._database.write() as tx:
            budget_module.set_budget(tx, batch_id, budget)

    def set_rate(self, batch_id: int, rate: Decimal | None) -> None:
        """Write down what a step costs by the account's wallet; None: it does not say."""
        with self._database.write() as tx:
            budget_module.set_rate(tx, batch_id, rate)

    def hold(
        self, owner_id: str, batch_id: int, check_at: datetime, why: str, now: datetime
    ) -> None:
        """Write down that an owner submits nothing for lack of credits, and when it tries again."""
        with self._database.write() as tx:
            holds.start_hold(tx, owner_id, batch_id, check_at, why, now)

    def release(self, owner_id: str, batch_id: int, now: datetime) -> None:
        """Write down that an owner submits again."""
        with self._database.write() as tx:
            holds.end_hold(tx, owner_id, batch_id, now)

    # ---- artifacts ----

    def want_artifacts(self, batch_id: int, key: str | None = None, *, lasting: bool) -> None:
        """Ask for what was captured of ended runs; *lasting*: of those still to end as well."""
        with self._database.write() as tx:
            artifacts.want_artifacts(tx, batch_id, key, lasting=lasting)

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
        """Return what is to be asked for next: of an owner and of dead ones, or of all."""
        with self._database.read() as tx:
            return artifacts.wanted_artifacts(tx, batch_id, most, owner_id, key, kinds, without)

    def note_artifacts(self, asked: WantedArtifact, found: Sequence[ListedArtifact]) -> None:
        """Write down which artifacts a run has."""
        with self._database.write() as tx:
            artifacts.record_listing(tx, asked, found)

    def settle_artifact(self, asked: WantedArtifact, fetched: ArtifactResult) -> bool:
        """Write down what came of fetching an artifact; whether nobody had before."""
        with self._database.write() as tx:
            return artifacts.settle_artifact(tx, asked, fetched)

    def gallery(self, batch_id: int) -> ArtifactCounts:
        """Count a batch's artifacts."""
        with self._database.read() as tx:
            return artifacts.artifact_counts(tx, batch_id)

    def artifacts(
        self, batch_id: int, key: str | None = None, kinds: Collection[ArtifactKind] = ()
    ) -> list[Artifact]:
        """Return a batch's artifacts in the order of the job file."""
        with self._database.read() as tx:
            return artifacts.artifact_rows(tx, batch_id, key, kinds)

    # ---- hosts and slots ----

    def unpark(self, batch_id: int, hosts: Collection[str]) -> int:
        """Let parked hosts be used again, all or those named; return how many."""
        with self._database.write() as tx:
            return host_breaker.unpark(tx, batch_id, hosts)

    def queue(self, batch_id: int, now: datetime) -> tuple[SlotUsage, int] | None:
        """Return how runs wait for slots and the bound; None where the user has set one."""
        with self._database.read() as tx:
            return slot_usage.slot_usage(tx, batch_id, now)

    def learn_slots(self, batch_id: int, most: int) -> None:
        """Write down how many runs may be in flight, as the account's queue has taught."""
        with self._database.write() as tx:
            slot_usage.store_slots(tx, batch_id, most)

    # ---- judging again ----

    def judgeable(self, batch_id: int) -> Iterator[StoredResult]:
        """Give the results of a batch that can be judged again, in file order, as they are now."""
        with self._database.read() as tx:
            ids = judgements_module.stored_result_ids(tx, batch_id)
        for start in range(0, len(ids), EXPORT_PAGE):
            with self._database.read() as tx:
                page = judgements_module.stored_results(tx, ids[start : start + EXPORT_PAGE])
            yield from page

    def rejudge(self, judgements: Sequence[tuple[StoredResult, Failed | None]]) -> int:
        """Write what judgements have become, of jobs that are as they were read; count them."""
        with self._database.write() as tx:
            return judgements_module.rewrite_judgements(tx, judgements)

    # ---- looking ----

    def tally(self, batch_id: int) -> BatchCounts:
        """Count a batch."""
        with self._database.read() as tx:
            return reports.batch_counts(tx, batch_id)

    def standing(self, owner_id: str, batch_id: int) -> WorkLeft:
        """Say whether there is more to do; quick, however large the batch."""
        with self._database.read() as tx:
            return reports.work_left(tx, owner_id, batch_id)

    def parked(self, batch_id: int) -> list[ParkedHost]:
        """Return the hosts that are kept back, and how many jobs wait for each."""
        with self._database.read() as tx:
            return host_breaker.parked_hosts(tx, batch_id)

    def purse(self, batch_id: int, now: datetime) -> BudgetStatus | None:
        """Return how much of a batch's budget is gone; None where it has none."""
        with self._database.read() as tx:
            return claims.budget_status(tx, batch_id, now)

    def held(self, batch_id: int, now: datetime) -> Hold | None:
        """Return since when and why living owners have no credits, and when they try again."""
        with self._database.read() as tx:
            return holds.current_hold(tx, batch_id, now)

    def account(self, batch_id: int, now: datetime) -> TimeAndCost:
        """Split a batch's hours and credits up to now into parts that add up to the whole."""
        with self._database.read() as tx:
            ids = time_and_cost_module.job_ids_of(tx, batch_id)
            background = time_and_cost_module.batch_history(tx, batch_id, now)
        past = self._past(batch_id, ids)
        return time_and_cost(past, lambda: self._stray_bills(batch_id), background, now)

    def taken(self, origin: str) -> list[PastRun]:
        """Return what finished jobs took on an API, of all batches here, newest first."""
        with self._database.read() as tx:
            return time_and_cost_module.past_runs(tx, origin)

    def final_keys(self, batch_id: int) -> set[str]:
        """Return the keys of a batch's jobs that are in a final state."""
        with self._database.read() as tx:
            return time_and_cost_module.final_job_keys(tx, batch_id)

    def _past(self, batch_id: int, ids: Sequence[int]) -> Iterator[PastJob]:
        for start in range(0, len(ids), EXPORT_PAGE):
            with self._database.read() as tx:
                page = time_and_cost_module.past_jobs(
                    tx, batch_id, ids[start : start + EXPORT_PAGE]
                )
            yield from page

    def _stray_bills(self, batch_id: int) -> list[int | None]:
        with self._database.read() as tx:
            return time_and_cost_module.orphan_bills(tx, batch_id)

    def failures(self, batch_id: int, *, final: bool, most: int) -> list[ClosedAttempt]:
        """Return failed attempts with reasons: *final* ones, or those that were tried again."""
        with self._database.read() as tx:
            return reports.failed_attempts(tx, batch_id, final=final, most=most)

    def cancelled(self, batch_id: int, *, most: int) -> list[tuple[str, str]]:
        """Return key and url of jobs that were cancelled while no run was in flight."""
        with self._database.read() as tx:
            return reports.cancelled_jobs(tx, batch_id, most=most)

    def finished(self, batch_id: int) -> Iterator[FinishedJob]:
        """Give all jobs in a final state, in file order, as they are at the first one."""
        with self._database.read() as tx:
            ids = reports.finished_job_ids(tx, batch_id)
        for start in range(0, len(ids), EXPORT_PAGE):
            with self._database.read() as tx:
                page = reports.finished_jobs(tx, batch_id, ids[start : start + EXPORT_PAGE])
            yield from page

    def finished_among(self, batch_id: int, job_ids: Sequence[int]) -> list[FinishedJob]:
        """Return those of these jobs that are in a final state, in file order."""
        with self._database.read() as tx:
            return reports.finished_jobs(tx, batch_id, job_ids)

    # ---- health ----

    @classmethod
    def found(cls, address: str) -> Store:
        """Open the ledger that is at *address* as it was found, to look at its health only."""
        return cls(Database.connect(address))

    def health(self, clock: Callable[[], datetime]) -> Health:
        """Return what a glance at the ledger shows; *clock* is read beside a server's."""
        with self._database.read() as tx:
            return health.health(tx, clock)

    def damage(self, *, thorough: bool) -> list[str]:
        """Return what is wrong with the file, in SQLite's words; *thorough* takes longer."""
        with self._database.read() as tx:
            return health.integrity_errors(tx, thorough=thorough)

    def tampering(self, *, thorough: bool) -> ForeignChanges:
        """Return what another program did to the tables; *thorough* reads each cell."""
        with self._database.read() as tx:
            return health.foreign_changes(tx, thorough=thorough)

    def broken_laws(self) -> dict[str, int]:
        """Return the laws of the books that are broken, and by how many jobs or attempts."""
        with self._database.read() as tx:
            return health.consistency_errors(tx)

    def workers(self, now: datetime, batch_id: int) -> list[Worker]:
        """Return who works on this ledger, and how many runs of a batch each has in flight."""
        with self._database.read() as tx:
            return health.active_workers(tx, now, batch_id)
