"""Every statement the program runs; one method = one transaction = one verb of the job's life."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from batchrunner.model import (
    Batch,
    Budget,
    ClosedAttempt,
    Failed,
    FailureCategory,
    FinishedJob,
    JobFile,
    Judgeable,
    Loaded,
    OpenAttempt,
    Owner,
    Purse,
    Run,
    Sighting,
    Standing,
    Submission,
    Tally,
    Verdict,
)
from batchrunner.schema import SubmissionState
from batchrunner.store import (
    answering,
    claiming,
    health,
    judging,
    loading,
    reporting,
    spending,
    steering,
    straying,
    watching,
)
from batchrunner.store.claiming import LEASE, LeaseLost
from batchrunner.store.database import Database, StoreError
from batchrunner.store.health import Health, Worker

__all__ = ["LEASE", "LeaseLost", "Store", "StoreError"]

#: Finished jobs read in one transaction: an export never keeps a writer waiting for long.
PAGE = 500


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

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    # ---- batches ----

    def load(self, file: JobFile, now: datetime) -> Loaded:
        """Add a job file's batch, or to it the jobs that are new."""
        with self._database.write() as tx:
            return loading.load(tx, file.name, file.settings, file.specs, now)

    def batch(self, name: str) -> Batch | None:
        """Return the batch of this name."""
        with self._database.read() as tx:
            return loading.find_batch(tx, name)

    def batches(self) -> list[Batch]:
        """Return every batch, oldest first."""
        with self._database.read() as tx:
            return loading.all_batches(tx)

    def bind(self, batch_id: int, origin: str) -> str:
        """Tie a batch to the API that its runs are on, once; return the one it is tied to."""
        with self._database.write() as tx:
            return loading.bind(tx, batch_id, origin)

    # ---- owners ----

    def time(self, now: datetime) -> datetime:
        """Return the ledger's time, by a server's clock or by *now*; it never goes back."""
        with self._database.read() as tx:
            return claiming.time(tx, now)

    def enlist(self, owner: Owner, now: datetime) -> None:
        """Write down a new owner, whose lease begins now."""
        with self._database.write() as tx:
            claiming.enlist(tx, owner, now)

    def renew(self, owner_id: str, now: datetime) -> None:
        """Let an owner's lease begin anew; raises LeaseLost if it was taken for dead."""
        with self._database.write() as tx:
            claiming.renew(tx, owner_id, now)

    def retire(self, owner_id: str, now: datetime) -> None:
        """Say that an owner works no more."""
        with self._database.write() as tx:
            claiming.retire(tx, owner_id, now)

    def living(self, now: datetime, batch_id: int | None = None) -> list[Owner]:
        """Return the owners whose leases run: all, or those with open attempts of a batch."""
        with self._database.read() as tx:
            return claiming.living(tx, now, batch_id)

    def others(self, owner_id: str) -> list[tuple[Owner, datetime]]:
        """Return the other owners that have not retired, and when their leases end."""
        with self._database.read() as tx:
            return claiming.others(tx, owner_id)

    def rescue(
        self,
        owner_id: str,
        batch_id: int,
        now: datetime,
        gone: Collection[str] = (),
        ended_by: datetime | None = None,
    ) -> int:
        """
        Take over a batch's open attempts of dead owners.

        They are known to be *gone*, or their leases were to end by *ended_by*: by now, usually.
        """
        with self._database.write() as tx:
            return claiming.rescue(tx, owner_id, batch_id, now, gone, ended_by or now)

    # ---- a job's way ----

    def claim(self, owner_id: str, batch_id: int, most: int, now: datetime) -> list[Submission]:
        """Take due jobs up to the bound, open their attempts, write their submissions."""
        with self._database.write() as tx:
            return claiming.claim(tx, owner_id, batch_id, most, now, self._new_token)

    def record(
        self, owner_id: str, submission: Submission, runs: Mapping[int, str], now: datetime
    ) -> bool:
        """Write run ids by attempt id; whether all of the submission's runs are known now."""
        with self._database.write() as tx:
            return answering.record(tx, owner_id, submission, runs, now)

    def rematch(
        self, owner_id: str, submission_id: int, runs: Mapping[int, str], now: datetime
    ) -> None:
        """Give a submission's open attempts the runs that the echo of their markers assigns."""
        with self._database.write() as tx:
            answering.rematch(tx, owner_id, submission_id, runs, now)

    def settle(
        self,
        owner_id: str,
        submission: Submission,
        state: SubmissionState,
        verdicts: Sequence[Verdict],
        now: datetime,
        message: str,
        watch_at: datetime | None = None,
    ) -> list[Verdict]:
        """
        Close a submission that has no (more) runs, and the attempts that it carried.

        *watch_at* is when to look whether the runs of an absent one turn up after all.
        """
        with self._database.write() as tx:
            answering.close(tx, owner_id, submission, state, now, message, watch_at)
            return watching.apply(tx, owner_id, verdicts, now)

    def doubt(
        self, owner_id: str, submission: Submission, search_at: datetime, message: str
    ) -> None:
        """Say that a submission's runs may exist, and when to look for them."""
        with self._database.write() as tx:
            answering.doubt(tx, owner_id, submission, search_at, message)

    def doubt_intended(self, owner_id: str, batch_id: int, now: datetime, why: str) -> None:
        """Say of all of the owner's intended submissions that their runs may exist."""
        with self._database.write() as tx:
            answering.doubt_intended(tx, owner_id, batch_id, now, why)

    def unanswered(self, owner_id: str, batch_id: int) -> list[tuple[Submission, datetime, str]]:
        """Return the owner's submissions in doubt, when to look for each, and why."""
        with self._database.read() as tx:
            return answering.unanswered(tx, owner_id, batch_id)

    def watched(self, owner_id: str, batch_id: int) -> list[OpenAttempt]:
        """Return the owner's open attempts whose runs exist."""
        with self._database.read() as tx:
            return watching.watched(tx, owner_id, batch_id)

    def apply(
        self,
        owner_id: str,
        verdicts: Sequence[Verdict],
        seen: Iterable[tuple[OpenAttempt, Sighting]],
        now: datetime,
    ) -> list[Verdict]:
        """Write what a look brought: verdicts on runs that ended, and how the others were seen."""
        with self._database.write() as tx:
            watching.observe(tx, owner_id, seen, now)
            return watching.apply(tx, owner_id, verdicts, now)

    def ask_to_cancel(
        self,
        owner_id: str,
        attempt_ids: Sequence[int],
        why: FailureCategory,
        *,
        recalled: bool = False,
    ) -> None:
        """
        Note that the API is going to be asked to cancel these attempts' runs, and why.

        They are *recalled* for a deadline: that is not held against their jobs.
        """
        with self._database.write() as tx:
            watching.ask_to_cancel(tx, owner_id, attempt_ids, why, recalled=recalled)

    # ---- runs that turn up late ----

    def absent(self, owner_id: str, batch_id: int, due: datetime | None = None) -> list[Submission]:
        """Return the owner's absent submissions that are watched: those *due* by then, or all."""
        with self._database.read() as tx:
            return straying.absent(tx, owner_id, batch_id, due)

    def watch(self, owner_id: str, submission: Submission, watch_at: datetime | None) -> None:
        """Say when to look for an absent submission's runs again; None: never more."""
        with self._database.write() as tx:
            straying.watch(tx, owner_id, submission, watch_at)

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
            return straying.take_in(tx, owner_id, batch_id, submission, runs, now, self._new_token)

    def disown(
        self, batch_id: int, submission: Submission, run_ids: Collection[str], now: datetime
    ) -> None:
        """List those of these runs that no attempt has as orphans."""
        with self._database.write() as tx:
            straying.disown(tx, batch_id, submission.id, run_ids, now)

    def living_orphans(self, batch_id: int) -> list[str]:
        """Return the orphans of which the API has not confirmed that they are over."""
        with self._database.read() as tx:
            return straying.living_orphans(tx, batch_id)

    def bury(self, ended: Sequence[tuple[str, Run | None]], now: datetime) -> None:
        """Write down what orphans that are over have cost."""
        with self._database.write() as tx:
            straying.bury(tx, ended, now)

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
            return steering.retry(tx, batch_id, categories, keys, now)

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
            return steering.cancel(tx, batch_id, keys, now, hosts, categories)

    def pause(self, batch_id: int, reason: str | None, now: datetime) -> None:
        """Let nothing more be submitted; a batch that is paused already may get another reason."""
        with self._database.write() as tx:
            steering.pause(tx, batch_id, reason, now)

    def resume(self, batch_id: int) -> bool:
        """Let jobs be submitted again; whether the batch was paused."""
        with self._database.write() as tx:
            return steering.resume(tx, batch_id)

    def set_concurrency(self, batch_id: int, bound: int) -> None:
        """Set another bound in the place of the loaded one; runs in flight above it go on."""
        with self._database.write() as tx:
            steering.set_concurrency(tx, batch_id, bound)

    def set_budget(self, batch_id: int, budget: Budget | None) -> None:
        """Set another budget in the place of the loaded one, or none at all."""
        with self._database.write() as tx:
            spending.set_budget(tx, batch_id, budget)

    def set_rate(self, batch_id: int, rate: Decimal | None) -> None:
        """Write down what a step costs by the account's wallet; None: it does not say."""
        with self._database.write() as tx:
            spending.set_rate(tx, batch_id, rate)

    # ---- judging again ----

    def judgeable(self, batch_id: int) -> Iterator[Judgeable]:
        """Give the results of a batch that can be judged again, in file order, as they are now."""
        with self._database.read() as tx:
            ids = judging.judgeable_ids(tx, batch_id)
        for start in range(0, len(ids), PAGE):
            with self._database.read() as tx:
                page = judging.judgeable(tx, ids[start : start + PAGE])
            yield from page

    def rejudge(self, judgements: Sequence[tuple[Judgeable, Failed | None]]) -> int:
        """Write what judgements have become, of jobs that are as they were read; count them."""
        with self._database.write() as tx:
            return judging.rejudge(tx, judgements)

    # ---- looking ----

    def tally(self, batch_id: int) -> Tally:
        """Count a batch."""
        with self._database.read() as tx:
            return reporting.tally(tx, batch_id)

    def standing(self, owner_id: str, batch_id: int) -> Standing:
        """Say whether there is more to do; quick, however large the batch."""
        with self._database.read() as tx:
            return reporting.standing(tx, owner_id, batch_id)

    def purse(self, batch_id: int, now: datetime) -> Purse | None:
        """Return how much of a batch's budget is gone; None where it has none."""
        with self._database.read() as tx:
            return claiming.purse(tx, batch_id, now)

    def failures(self, batch_id: int, *, final: bool, most: int) -> list[ClosedAttempt]:
        """Return failed attempts with reasons: *final* ones, or those that were tried again."""
        with self._database.read() as tx:
            return reporting.failures(tx, batch_id, final=final, most=most)

    def finished(self, batch_id: int) -> Iterator[FinishedJob]:
        """Give all jobs in a final state, in file order, as they are at the first one."""
        with self._database.read() as tx:
            ids = reporting.finished_ids(tx, batch_id)
        for start in range(0, len(ids), PAGE):
            with self._database.read() as tx:
                page = reporting.finished(tx, ids[start : start + PAGE])
            yield from page

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
            return health.damage(tx, thorough=thorough)

    def broken_laws(self) -> dict[str, int]:
        """Return the laws of the books that are broken, and by how many jobs or attempts."""
        with self._database.read() as tx:
            return health.broken_laws(tx)

    def workers(self, now: datetime, batch_id: int) -> list[Worker]:
        """Return who works on this ledger, and how many runs of a batch each has in flight."""
        with self._database.read() as tx:
            return health.workers(tx, now, batch_id)
