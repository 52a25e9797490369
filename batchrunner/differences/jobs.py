"""Compares a job of one set of results with the same job of another set."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from batchrunner.differences.changes import Change, ChangeKind, ComparedResult, JobDiff, JobStatus
from batchrunner.differences.paths import WHOLE
from batchrunner.differences.rules import DiffRules
from batchrunner.differences.values import Comparison
from batchrunner.judge.answer import Answer, read_answer
from batchrunner.text.json_size import may_have_long_integer

#: A number of so many digits, or with an exponent of so many.
_HUGE = re.compile(r"(?<!\d)\d{300,}+|(?<![\d.])\d[\d.]*+[eE]\+?\d{3,}+", re.ASCII)
_LARGE_EXPONENT = re.compile(r"[0-9][eE]\+?[0-9]{3}")


def compare_jobs(
    before: ComparedResult | None, after: ComparedResult | None, rules: DiffRules
) -> JobDiff:
    """Return what became of a job; of the two, at least one is there."""
    status = _status(before, after)
    if status is not None or before is None or after is None:
        return JobDiff(status=status or JobStatus.SAME, before=before, after=after)
    if before.text == after.text:
        return JobDiff(status=JobStatus.SAME, before=before, after=after)
    return _compare_results(before, after, rules)


def _status(before: ComparedResult | None, after: ComparedResult | None) -> JobStatus | None:
    """Return the status that follows without a look at the results, if one does."""
    if before is None or after is None:
        return JobStatus.ADDED if before is None else JobStatus.GONE
    if before.is_open or after.is_open:
        return JobStatus.OPEN
    if before.has_result and after.has_result:
        return None
    if before.has_result or after.has_result:
        return JobStatus.LOST if before.has_result else JobStatus.REGAINED
    return JobStatus.FAILED


def _compare_results(before: ComparedResult, after: ComparedResult, rules: DiffRules) -> JobDiff:
    old, new = _answer(before), _answer(after)
    if old.set_aside or new.set_aside or _huge_numbers(before) != _huge_numbers(after):
        whole = Change((), WHOLE, ChangeKind.CHANGED, before.text, after.text, whole=True)
        return JobDiff(status=JobStatus.CHANGED, before=before, after=after, changes=(whole,))
    found = Comparison(rules)
    found.compare(old.value, new.value)
    return JobDiff(
        status=JobStatus.CHANGED if found.changes else JobStatus.SAME,
        before=before,
        after=after,
        changes=tuple(found.changes),
        tolerated=found.tolerated,
    )


def _huge_numbers(job: ComparedResult) -> list[str]:
    """Return the numbers that are beyond all floats: read as values, they would be equal."""
    text = job.text or ""
    if not may_have_long_integer(text) and not _LARGE_EXPONENT.search(text):
        return []
    return sorted(_HUGE.findall(text))


def _answer(job: ComparedResult) -> Answer:
    return Answer(None) if job.text is None else read_answer(job.text, job.named)


def merge_join(
    before: Iterable[ComparedResult], after: Iterable[ComparedResult]
) -> Iterator[tuple[ComparedResult | None, ComparedResult | None]]:
    """
    Give the jobs of two sets that are sorted by key side by side; None: it is not in that set.

    Where a set has a key more than once, the first goes with the first, and so on.
    """
    befores, afters = iter(before), iter(after)
    old, new = next(befores, None), next(afters, None)
    while old is not None or new is not None:
        if new is None or (old is not None and old.key < new.key):
            yield old, None
            old = next(befores, None)
        elif old is None or new.key < old.key:
            yield None, new
            new = next(afters, None)
        else:
            yield old, new
            old, new = next(befores, None), next(afters, None)
