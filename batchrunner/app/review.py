"""Reviewing results: which ones to show, and what follows if a person accepts or rejects one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import overload

from sqlalchemy import Connection

from batchrunner.app.clock import store_now
from batchrunner.classify import outcome_of
from batchrunner.errors import UsageError
from batchrunner.judge import judge_result
from batchrunner.judge.answer import read_answer
from batchrunner.judge.field_paths import MISSING, find
from batchrunner.judge.learned_rules import path_in
from batchrunner.judge.result_values import shown
from batchrunner.model import (
    Batch,
    Failed,
    FailureCategory,
    Finding,
    FinishedJob,
    JobState,
    Judgement,
    StoredResult,
    Verdict,
)
from batchrunner.model.reviews import REJECTED, Review, ReviewDecision
from batchrunner.policy.sample import choose_sample
from batchrunner.store.finished_reads import jobs_among
from batchrunner.store.judgements import results_of_jobs
from batchrunner.store.reviews import (
    ReviewEffect,
    job_ids_of,
    review_details,
    reviewable_jobs,
    reviewed_jobs,
    suspect_jobs,
    write_reviews,
)
from batchrunner.store.shown_jobs import with_long_results
from batchrunner.store.store import Store
from batchrunner.text.terminal import term_safe

#: Results that a review shows beside all suspect ones.
DEFAULT_SAMPLE = 10
#: Longest reason of a person, in characters.
MAX_BECAUSE = 1_000
#: Ids that a message names.
_MAX_NAMED = 3
#: Findings of a result are accepted in this many rounds: each round may bring up others.
_MAX_ROUNDS = 20
#: Results that are read, or whose judgements are written, in one transaction.
_AT_ONCE = 100


@dataclass(frozen=True, kw_only=True)
class ReviewRow:
    """A result that a person should look at."""

    job: FinishedJob
    is_suspect: bool  #: False: it is one of the sample
    findings: tuple[Finding, ...]
    screenshot: str | None  #: the file of the last one, if there is any
    review: Review | None  #: what a person said of it before


class ReviewRows(Sequence[ReviewRow]):
    """The results of a batch that a person has not reviewed yet: suspect ones, then the sample."""

    def __init__(self, store: Store, batch: Batch, *, sample: int, seed: int) -> None:
        self._store, self._batch = store, batch
        suspects = store.read(suspect_jobs, batch.id)
        self._suspects = frozenset(suspects)
        done = set(store.read(reviewed_jobs, batch.id))
        chosen = store.read(_sample, batch.id, sample, seed)
        rest = [id for id in chosen if id not in self._suspects and id not in done]
        self.ids = [*suspects, *rest]
        self.reviewed = len(done)  #: results that a person has reviewed before

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> ReviewRow: ...
    @overload
    def __getitem__(self, index: slice) -> list[ReviewRow]: ...
    def __getitem__(self, index: int | slice) -> ReviewRow | list[ReviewRow]:
        """Read one as it is now, or several."""
        if isinstance(index, slice):
            return list(self._rows(self.ids[index]))
        row = next(self._rows([self.ids[index]]), None)
        if row is None:
            raise UsageError(
                f"{self._batch.name!r} was removed meanwhile: newer editions took its place",
                next="review an edition that is still there: batchrunner status",
            )
        return row

    def __iter__(self) -> Iterator[ReviewRow]:
        """Give each as it is now; few are in memory."""
        for start in range(0, len(self.ids), _AT_ONCE):
            yield from self._rows(self.ids[start : start + _AT_ONCE])

    def _rows(self, ids: Sequence[int]) -> Iterator[ReviewRow]:
        details = self._store.read(review_details, ids)
        ids = [id for id in ids if id in details]  # an old edition may be removed meanwhile
        jobs = self._store.read(jobs_among, self._batch.id, ids, [*JobState])
        for id, job in zip(ids, with_long_results(self._store, jobs), strict=True):
            yield ReviewRow(
                job=job,
                is_suspect=id in self._suspects,
                findings=details[id].findings,
                screenshot=details[id].screenshot,
                review=details[id].review,
            )


def _sample(tx: Connection, batch_id: int, count: int, seed: int) -> list[int]:
    # Drawn from all results, also those that were reviewed: so it is the same after each decision.
    pool = reviewable_jobs(tx, batch_id)
    mixed = ((id, _mixed(seed, host), _mixed(seed, key)) for id, host, key in pool)
    return choose_sample(mixed, count) if count else []


def _mixed(seed: int, text: str) -> str:
    """Return a text that has nothing in common with that of another seed."""
    return hashlib.sha256(f"{seed} {text}".encode("utf-8", "surrogatepass")).hexdigest()


# ---- what a person decides ----


def accept(store: Store, batch: Batch, keys: Sequence[str]) -> int:
    """
    Record that the results of these jobs are good as they are; return how many changed.

    What rules find in them counts no longer, in these jobs and in the same ones of later editions.

    Raises:
        UsageError: A job is unknown, or has no result that was delivered.
    """
    now = store_now(store)

    def decide(result: StoredResult, before: Review | None) -> ReviewEffect:
        findings = before.findings if before else result.findings
        review = Review(decision=ReviewDecision.ACCEPTED, at=now, findings=findings)
        return ReviewEffect(
            result=result,
            outcome=outcome_of(Judgement(verdict=Verdict.GOOD), result.result),
            accepted=_accepted(result, findings),
            review=review,
        )

    return _decide(store, batch, keys, decide)


def reject(store: Store, batch: Batch, keys: Sequence[str], because: str = "") -> int:
    """
    Record that the results of these jobs are not what was asked for; return how many changed.

    The jobs fail as `invalid_result`. They run again only on request.

    Raises:
        UsageError: A job is unknown, or has no result that was delivered; the reason is too long.
    """
    if len(because) > MAX_BECAUSE:
        raise UsageError(
            f"the reason has {len(because)} characters", next=f"use at most {MAX_BECAUSE}"
        )
    now = store_now(store)

    def decide(result: StoredResult, before: Review | None) -> ReviewEffect:
        findings = before.findings if before else result.findings
        review = Review(
            decision=ReviewDecision.REJECTED, at=now, because=because, findings=findings
        )
        return ReviewEffect(
            result=result,
            outcome=_rejected(result, findings, because),
            accepted=frozenset(),
            review=review,
        )

    return _decide(store, batch, keys, decide)


def take_back(store: Store, batch: Batch, keys: Sequence[str]) -> int:
    """
    Take back what a person said of these jobs, also in earlier editions; return how many changed.

    Raises:
        UsageError: A job is unknown, or has no result that was delivered.
    """

    def decide(result: StoredResult, before: Review | None) -> ReviewEffect:
        return ReviewEffect(
            result=result,
            outcome=outcome_of(_judged_anew(result, before), result.result),
            accepted=frozenset(),
            review=None,
        )

    return _decide(store, batch, keys, decide)


def _decide(
    store: Store,
    batch: Batch,
    keys: Sequence[str],
    decide: Callable[[StoredResult, Review | None], ReviewEffect],
) -> int:
    ids = _known(store, batch, [*dict.fromkeys(keys)])
    count = 0
    for start in range(0, len(ids), _AT_ONCE):
        some = ids[start : start + _AT_ONCE]
        details = store.read(review_details, some)
        reviewed = [
            replace(effect, result=replace(effect.result, result=""))
            for result in results_of_jobs(store, some)
            for effect in [decide(result, details[result.job_id].review)]
        ]
        count += len(store.write(write_reviews, reviewed))
    return count


def _known(store: Store, batch: Batch, keys: Sequence[str]) -> list[int]:
    found = store.read(job_ids_of, batch.id, keys)
    if unknown := [key for key in keys if key not in found]:
        named = ", ".join(repr(term_safe(key)) for key in unknown[:_MAX_NAMED])
        more = f" and {len(unknown) - _MAX_NAMED} more" if len(unknown) > _MAX_NAMED else ""
        raise UsageError(
            f"there is no result to review of {named}{more} in {batch.name!r}; nothing was changed",
            next="the `id` column of an export names the jobs; only results that were delivered "
            "can be reviewed",
        )
    return list(found.values())


def _accepted(result: StoredResult, findings: Sequence[Finding]) -> frozenset[tuple[str, str]]:
    """Return what was accepted, with all that rules find in this result."""
    accepted = {*result.expectations.accepted, *((each.rule, each.path) for each in findings)}
    for _ in range(_MAX_ROUNDS):
        expectations = replace(result.expectations, accepted=frozenset(accepted))
        judged = judge_result(result.result, expectations)
        new = {(each.rule, each.path) for each in judged.findings}
        if judged.verdict is not Verdict.SUSPECT or new <= accepted:
            break
        accepted |= new
    return frozenset(accepted)


def _rejected(result: StoredResult, findings: Sequence[Finding], because: str) -> Failed:
    answer = read_answer(result.result)
    if path := path_in(answer.value, because, result.goal):
        there = next((found.value for found in find(answer.value, path)), MISSING)
        where, seen = answer.path_of(path), "nothing" if there is MISSING else shown(there)
    elif findings:
        where, seen = findings[0].path, findings[0].seen
    else:
        where, seen = ".", shown(answer.value)
    why = f": {because}" if because else ""
    return Failed(
        category=FailureCategory.INVALID_RESULT,
        code=REJECTED,
        message=f"A person rejected the result{why}",
        findings=(Finding(rule=REJECTED, path=where, seen=seen, wanted=because),),
    )


def _judged_anew(result: StoredResult, before: Review | None) -> Judgement:
    """Return the judgement from before a person decided."""
    if before is not None and before.findings:
        return Judgement(verdict=Verdict.SUSPECT, findings=before.findings)
    if before is not None:
        return Judgement(verdict=Verdict.GOOD)
    judged = judge_result(result.result, replace(result.expectations, accepted=frozenset()))
    if judged.verdict is Verdict.BAD:  # it was delivered, so it was not bad then
        return Judgement(verdict=Verdict.SUSPECT, findings=judged.findings)
    return judged


def review_rows(
    store: Store, batch: Batch, *, sample: int = DEFAULT_SAMPLE, seed: int = 0
) -> ReviewRows:
    """Return the results that a person should look at: each suspect one, and a sample."""
    return ReviewRows(store, batch, sample=sample, seed=seed)
