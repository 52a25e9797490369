"""Judges the stored results of a batch again, by other expectations; changes jobs if asked to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from batchrunner.app.input_file import read_input_file
from batchrunner.classify import MAX_MESSAGE_LENGTH, shortened
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
    StoredResult,
)
from batchrunner.store.judgements import rewrite_judgements, stored_results
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
    failure: Failed | None  #: None: the result is good

    @property
    def category(self) -> FailureCategory | None:
        """What the job fails with; None if it succeeds."""
        return self.failure.category if self.failure else None


@dataclass(frozen=True, kw_only=True)
class Outlier:
    """A good result that is unlike the others of the batch."""

    of: StoredResult
    finding: Finding


@dataclass(frozen=True, kw_only=True)
class RejudgeResult:
    """What judging again has found and changed."""

    judged: int
    set_aside: int  #: results that are too large to be judged; not changed
    changes: Sequence[Change]
    outliers: Sequence[Outlier]  #: not changed
    applied: int | None  #: jobs that were changed; None: changes were only listed


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
    succeed as the results are judged now; nothing is run again.
    """
    judging = _Judging(store, batch, expect_by_key)
    changes, odd = judging.changes, judging.outliers
    if outliers_fail:
        changes, odd = [*changes, *map(_failed, odd)], []
    applied = _apply(store, changes) if apply else None
    return RejudgeResult(
        judged=judging.count,
        set_aside=judging.set_aside,
        changes=changes,
        outliers=odd,
        applied=applied,
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

    def __init__(self, store: Store, batch: Batch, expect_by_key: ExpectByKey) -> None:
        self.count = self.set_aside = 0
        self._changes: list[Change] = []
        self._good: dict[int, StoredResult] = {}
        self._expect_by_key = expect_by_key
        found = outliers(self._good_results(store, batch))
        good = self._good
        self.outliers = [
            Outlier(of=good[attempt_id], finding=finding)
            for attempt_id, finding in found.items()
            if good[attempt_id].category is None
        ]
        # A result that failed as an outlier is one still, even if it meets other expectations.
        self.changes = [each for each in self._changes if each.of.attempt_id not in found]

    def _good_results(self, store: Store, batch: Batch) -> Iterator[tuple[int, PeerResult]]:
        """Judge all results; yield the good ones, to be compared with each other."""
        for stored in stored_results(store, batch.id):
            if not is_parsable(stored.result):
                self.set_aside += 1  # what cannot be judged stays as it is
                continue
            self.count += 1
            failure = judge_result(
                stored.result, self._expectations(stored), _reported_failure(stored)
            ).failure
            if failure is not None:
                failure = replace(failure, message=shortened(failure.message, MAX_MESSAGE_LENGTH))
            brief = replace(stored, result="")  # the results of a batch may not fit into memory
            if stored.category is not (failure.category if failure else None):
                self._changes.append(Change(of=brief, failure=failure))
            if failure is None:
                self._good[stored.attempt_id] = brief
                yield stored.attempt_id, PeerResult(stored.url, stored.goal, stored.result)

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


def _failed(outlier: Outlier) -> Change:
    failure = Failed(
        category=FailureCategory.INVALID_RESULT,
        code=outlier.finding.rule,
        message=f"The result differs from its peers: {outlier.finding.seen}",
        findings=(outlier.finding,),
    )
    return Change(of=outlier.of, failure=failure)


def _apply(store: Store, changes: Sequence[Change]) -> int:
    pairs = [(change.of, change.failure) for change in changes]
    starts = range(0, len(pairs), CHANGES_PER_WRITE)
    return sum(
        store.write(rewrite_judgements, pairs[start : start + CHANGES_PER_WRITE])
        for start in starts
    )
