"""Judges the stored results of a batch again, by other expectations; changes jobs if asked to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from batchrunner.app.input_file import read_input_file
from batchrunner.app.sibling_check import is_allowed
from batchrunner.classify import outcome_of
from batchrunner.errors import InputError
from batchrunner.inputs.yaml import JobFileErrors, parse_expect, report
from batchrunner.judge import REPORTED_SHAPE, expectations_of, judge_result
from batchrunner.judge.outliers import PeerResult, outliers
from batchrunner.model import (
    Batch,
    Expectations,
    Failed,
    FailureCategory,
    Finding,
    JobFile,
    Outcome,
    StoredResult,
    Succeeded,
    Verdict,
)
from batchrunner.model.reviews import REJECTED
from batchrunner.model.verdicts import GOOD, Judgement
from batchrunner.store.judgements import results_of_attempts, rewrite_judgements, stored_results
from batchrunner.store.store import Store
from batchrunner.text.json_size import is_parsable

#: Changes that are written in one transaction.
CHANGES_PER_WRITE = 500

#: Job key → what is expected of its result; None as a key stands for every other job.
ExpectByKey = Mapping[str | None, Any]


@dataclass(frozen=True, kw_only=True)
class Change:
    """A result that is judged differently now; `of` is without the result itself."""

    of: StoredResult
    outcome: Outcome  #: what it is now

    @property
    def failure(self) -> Failed | None:
        """What the job fails with; None if it succeeds."""
        return self.outcome if isinstance(self.outcome, Failed) else None

    @property
    def category(self) -> FailureCategory | None:
        """The category of that failure; None if the job succeeds."""
        return self.failure.category if self.failure else None

    @property
    def verdict(self) -> Verdict:
        """What the result is now."""
        return Verdict.BAD if isinstance(self.outcome, Failed) else self.outcome.verdict

    @property
    def verdict_before(self) -> Verdict:
        """What it was; an older version knew no suspect results."""
        return self.of.verdict or (Verdict.BAD if self.of.category else Verdict.GOOD)

    @property
    def is_news(self) -> bool:
        """Whether the job succeeds, fails or is suspect otherwise than before."""
        before = (self.of.category, self.verdict_before)
        return before != (self.category, self.verdict)

    @property
    def is_to_be_written(self) -> bool:
        """Whether the database says something else of it: also of a result never judged before."""
        other = self.verdict is Verdict.SUSPECT and self.of.findings != self.outcome.findings
        return self.is_news or self.of.verdict is None or other


@dataclass(frozen=True, kw_only=True)
class Outlier:
    """A result that no rule finds anything in, and that is unlike the others of the batch."""

    of: StoredResult
    finding: Finding


@dataclass(frozen=True, kw_only=True)
class RejudgeResult:
    """What judging again has found and changed."""

    judged: int
    set_aside: int  #: results that are too large to be judged; not changed
    changes: Sequence[Change]
    outliers: Sequence[Outlier]  #: suspect only because they are unlike the others
    applied: int | None  #: jobs that were changed; None: changes were only listed
    verdicts: Mapping[Verdict, int]  #: how many results are what


def rejudge(
    store: Store,
    batch: Batch,
    expect_by_key: ExpectByKey,
    *,
    outliers_fail: bool = False,
    apply: bool = False,
) -> RejudgeResult:
    """
    Judge the stored results of a batch again, without a request to the API.

    A job that *expect_by_key* does not name keeps its expectations. With *apply*, jobs fail or
    succeed as the results are judged now; nothing is run again. With *outliers_fail*, suspect
    results fail, too.
    """
    judging = _Judging(store, expect_by_key, suspects_fail=outliers_fail, apply=apply)
    judging.judge_all(batch)
    return RejudgeResult(
        judged=judging.count,
        set_aside=judging.set_aside,
        changes=judging.changes,
        outliers=judging.outliers,
        applied=judging.applied if apply else None,
        verdicts=judging.verdicts,
    )


def expectations_of_job_file(job_file: JobFile) -> ExpectByKey:
    """Return what a job file expects of each job."""
    return {spec.key: spec.expect for spec in job_file.specs}


def read_expectations(path: Path) -> ExpectByKey:
    """
    Read a file with what is expected of every job, as below `expect` in a job file.

    Raises:
        InputError: It has mistakes.
        UsageError: There is no such file, or it is a folder.
    """
    try:
        return {None: parse_expect(read_input_file(path), file=str(path))}
    except JobFileErrors as errors:
        raise InputError(
            report(errors, not_done="nothing was judged again"), errors.problems
        ) from errors


class _Judging:
    """One pass over the results of a batch, without keeping them in memory."""

    def __init__(
        self, store: Store, expect_by_key: ExpectByKey, *, suspects_fail: bool, apply: bool
    ) -> None:
        self.count = self.set_aside = self.applied = 0
        self.changes: list[Change] = []
        self.outliers: list[Outlier] = []
        self.verdicts = Counter[Verdict]()
        self._expect_by_key = expect_by_key
        self._store, self._suspects_fail, self._apply = store, suspects_fail, apply
        self._unwritten: list[Change] = []
        self._now_good: dict[int, Change] = {}  # by attempt, until they were compared with others

    def judge_all(self, batch: Batch) -> None:
        """Judge each result by itself, then the good ones beside each other."""
        found = outliers(self._good_results(batch))
        self._write_rest()  # what is read next is as judged so far
        for stored in results_of_attempts(self._store, sorted(found)):
            finding, change = found[stored.attempt_id], self._now_good.pop(stored.attempt_id, None)
            if not (stored.reviewed or is_allowed(finding, self._expectations(stored))):
                self._compared(change.of if change else replace(stored, result=""), finding)
            elif change is not None:
                self._note(change)
        for change in self._now_good.values():
            self._note(change)
        self._write_rest()

    def _good_results(self, batch: Batch) -> Iterator[tuple[int, PeerResult]]:
        """Judge all results; yield the good ones, to be compared with each other."""
        for stored in stored_results(self._store, batch.id):
            if not is_parsable(stored.result):
                self.set_aside += 1  # what cannot be judged stays as it is
                continue
            if stored.reviewed and stored.code == REJECTED:
                continue  # a person's word stays until it is taken back
            self.count += 1
            judgement = self._judgement(stored)
            self.verdicts[judgement.verdict] += 1
            brief = replace(stored, result="")  # the results of a batch may not fit into memory
            outcome = self._final(outcome_of(judgement, stored.result))
            change = Change(of=brief, outcome=outcome)
            if judgement.verdict is Verdict.GOOD:
                if change.is_news:
                    self._now_good[stored.attempt_id] = change
                else:
                    self._note(change)
                yield stored.attempt_id, PeerResult(stored.url, stored.goal, stored.result)
            else:
                self._note(change)

    def _judgement(self, stored: StoredResult) -> Judgement:
        judgement = judge_result(
            stored.result, self._expectations(stored), _reported_failure(stored)
        )
        # No rule makes a result suspect that a person has accepted; only certainty fails it.
        is_accepted = stored.reviewed and judgement.verdict is Verdict.SUSPECT
        return GOOD if is_accepted else judgement

    def _compared(self, stored: StoredResult, finding: Finding) -> None:
        """Turn a good result into a suspect one; one that failed as such stays failed."""
        self.verdicts[Verdict.GOOD] -= 1
        self.verdicts[Verdict.SUSPECT] += 1
        if stored.category is None or stored.code != finding.rule:
            self.outliers.append(Outlier(of=stored, finding=finding))
            outcome = Succeeded(verdict=Verdict.SUSPECT, findings=(finding,))
            self._note(Change(of=stored, outcome=self._final(outcome)))

    def _final(self, outcome: Outcome) -> Outcome:
        """Return the outcome, or the failure that it is where suspect results are to fail."""
        if isinstance(outcome, Failed) or not (outcome.findings and self._suspects_fail):
            return outcome
        first = outcome.findings[0]
        return Failed(
            category=FailureCategory.INVALID_RESULT,
            code=first.rule,
            message=f"The result is suspect: {first.seen}",
            findings=outcome.findings,
        )

    def _note(self, change: Change) -> None:
        if change.is_news:
            self.changes.append(change)
        if self._apply and change.is_to_be_written:
            self._unwritten.append(change)
            if len(self._unwritten) >= CHANGES_PER_WRITE:
                self._write_rest()

    def _write_rest(self) -> None:
        """Write what is noted in one transaction; only jobs that change count."""
        news = [change for change in self._unwritten if change.is_news]
        rest = [change for change in self._unwritten if not change.is_news]
        self._unwritten = []
        for changes in (news, rest):
            pairs = [(change.of, change.outcome) for change in changes]
            written = self._store.write(rewrite_judgements, pairs) if pairs else 0
            self.applied += written if changes is news else 0

    def _expectations(self, stored: StoredResult) -> Expectations:
        expect = self._expect_by_key.get(stored.key, self._expect_by_key.get(None))
        if expect is None:
            return stored.expectations
        written = expectations_of(stored.expectations.schema, expect)
        asked = stored.expectations
        return replace(written, goal=asked.goal, accepted=asked.accepted)


def _reported_failure(stored: StoredResult) -> list[str] | None:
    """Return what the API reported against a result: our expectations do not change that."""
    rules = {finding.rule for finding in stored.findings}
    by_api = REPORTED_SHAPE in rules or (stored.code is None and not rules)
    reported = stored.category is FailureCategory.INVALID_RESULT and by_api
    return [stored.message] if reported else None
