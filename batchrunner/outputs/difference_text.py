"""Differences between two sets of results as lines for a terminal: the summary, then the jobs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from batchrunner.differences import DiffSummary, JobDiff, JobStatus, NumberMove
from batchrunner.outputs.difference_values import move_text, shown_change
from batchrunner.text.format import counted
from batchrunner.text.terminal import shorten, term_safe

#: Jobs of each status that are shown, and changes of each job.
MAX_JOBS, MAX_CHANGES = 10, 8
#: Fields of the summary.
_MAX_FIELDS = 10
_MAX_VALUE_LENGTH, _MAX_LINE = 60, 200
#: The id of a job to which its user gave none.
_DIGEST = re.compile("[0-9a-f]{32}")
_TEXT_BY_STATUS = {
    JobStatus.LOST: "lost: a result before, and none now",
    JobStatus.GONE: "gone: only in the first",
    JobStatus.ADDED: "added: only in the second",
    JobStatus.REGAINED: "regained: no result before, and one now",
    JobStatus.CHANGED: "changed",
}


class DiffText:
    """Keeps the first jobs of each status as lines, and counts all."""

    def __init__(self, most: int = MAX_JOBS) -> None:
        self._most = most
        self._lines: dict[JobStatus, list[str]] = {status: [] for status in _TEXT_BY_STATUS}
        self._kept: dict[JobStatus, int] = dict.fromkeys(_TEXT_BY_STATUS, 0)
        self.summary = DiffSummary()

    def add(self, job: JobDiff) -> None:
        """Count a job, and keep it if it is among the first of its status."""
        self.summary.add(job)
        if job.status.is_difference and self._kept[job.status] < self._most:
            self._kept[job.status] += 1
            self._lines[job.status] += _job_lines(job)

    def lines(self, before: str, after: str) -> Iterator[str]:
        """Give the summary, then the jobs, those that lost their result first."""
        yield from summary_lines(self.summary, before, after)
        for status, text in _TEXT_BY_STATUS.items():
            count = self.summary.jobs[status]
            if count and self._most:
                yield ""
                yield f"{text} ({count})"
                yield from self._lines[status]
                if count > self._kept[status]:
                    yield f"  … and {count - self._kept[status]} more"

    @property
    def is_cut(self) -> bool:
        """Whether some jobs that differ are not shown."""
        return any(self.summary.jobs[status] > kept for status, kept in self._kept.items())


def summary_lines(summary: DiffSummary, before: str, after: str) -> Iterator[str]:
    """Give how many jobs are the same, changed and so on, by field, and the largest moves."""
    yield f"{term_safe(before)} → {term_safe(after)}"
    yield f"  {_counts(summary)}"
    notes = [
        (summary.suspect_after, f"suspect now, {summary.suspect_before} before"),
        (summary.asks_otherwise, "with another url or goal than before"),
        (summary.whole, "too large or too different to be compared field by field"),
        (summary.jobs[JobStatus.OPEN], "not done yet, and not compared"),
    ]
    for count, text in notes:
        if count:
            yield f"  {counted(count, 'job')} {text}"
    if summary.tolerated:
        yield f"  {counted(summary.tolerated, 'value')} within the tolerance"
    fields = summary.most_changed()
    for name, counts in fields[:_MAX_FIELDS]:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
        yield f"  {shorten(term_safe(name), _MAX_VALUE_LENGTH)}: {kinds}"
    if len(fields) > _MAX_FIELDS:
        yield f"  … and {len(fields) - _MAX_FIELDS} more fields"
    if summary.moves:
        yield "  largest moves:"
        yield from (_move_line(move) for move in summary.moves)


def _counts(summary: DiffSummary) -> str:
    jobs = summary.jobs
    parts = [
        f"{summary.jobs[JobStatus.SAME]} the same",
        f"{summary.jobs[JobStatus.CHANGED]} changed",
    ]
    for status in (JobStatus.ADDED, JobStatus.GONE, JobStatus.LOST, JobStatus.REGAINED):
        if jobs[status]:
            parts.append(f"{jobs[status]} {status.value}")
    if jobs[JobStatus.FAILED]:
        parts.append(f"{jobs[JobStatus.FAILED]} without a result in both")
    return ", ".join(parts)


def _move_line(move: NumberMove) -> str:
    factor = move_text(move.before, move.after)
    of = f"  {move.path}: {move.before:g} → {move.after:g}{f' ({factor})' if factor else ''}"
    return shorten(term_safe(f"  {of}  {_name(move.id, move.url)}"), _MAX_LINE)


def _job_lines(job: JobDiff) -> Iterator[str]:
    marks = [job.after.outcome] if job.after and job.status is not JobStatus.CHANGED else []
    if job.status is JobStatus.CHANGED and job.after and job.after.is_suspect:
        marks.append("suspect")
    if job.asks_otherwise:
        marks.append("another url or goal than before")
    mark = f"  ({', '.join(marks)})" if marks and marks != ["succeeded"] else ""
    yield shorten(term_safe(f"  {_name(job.job.id, job.job.url)}{mark}"), _MAX_LINE)
    for change in job.changes[:MAX_CHANGES]:
        if change.whole:
            yield "      changed as a whole"
            continue
        kind = "" if change.kind.value == "changed" else f" [{change.kind.value}]"
        line = f"      {change.path}: {shown_change(change, _MAX_VALUE_LENGTH)}{kind}"
        yield shorten(term_safe(line), _MAX_LINE)
    if len(job.changes) > MAX_CHANGES:
        yield f"      … and {len(job.changes) - MAX_CHANGES} more changes"


def _name(id: str, url: str) -> str:
    if not id or (url and _DIGEST.fullmatch(id)):
        return url or "?"
    return f"{id}  {url}" if url and url != id else id
