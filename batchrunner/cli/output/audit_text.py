"""The page of an audit: this database and the API side by side, and every difference."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from batchrunner.model.audit import AuditReport, Difference, DifferenceKind, Taken
from batchrunner.text.format import counted, dated
from batchrunner.text.terminal import term_safe

if TYPE_CHECKING:
    from batchrunner.model import Batch, Rate

#: Differences of one kind that are listed; the others are in `--json`.
MAX_LISTED = 20
#: What a kind of difference is, and what is to be done.
TITLES = {
    DifferenceKind.FOREIGN: "started by another database, and not touched",
    DifferenceKind.UNKNOWN: "started by this database, and not known to it",
    DifferenceKind.MISSING: "known to this database, and shown nowhere by the API",
    DifferenceKind.ALIVE: "closed in this database, and still alive at the API",
    DifferenceKind.STEPS: "with another cost at the API",
}


def audit_lines(report: AuditReport, batch: Batch, db: str) -> Iterator[str]:
    """Give the page; *db* is the option that names the database, with a blank before it."""
    yield f"audit of {batch.name}, {dated(report.at)}"
    yield ""
    yield from _table(report, batch.step_price)
    yield ""
    notes = list(_notes(report))
    yield from notes
    yield from [""] if notes else []
    if report.agrees:
        yield "no difference" + ("" if report.unfinished is None else " in what could be compared")
        return
    yield f"{counted(len(report.differences), 'difference')}:"
    for kind, title in TITLES.items():
        found = [each for each in report.differences if each.kind is kind]
        if found:
            yield ""
            yield f"  {counted(len(found), 'run')} {title}:"
            yield from _rows(found)
    yield ""
    yield from _advice(report, db)


def _table(report: AuditReport, rate: Rate | None) -> Iterator[str]:
    from batchrunner.app.budget import money

    sides = report.ours, report.theirs
    rows = [["", "this database", "the API"]]
    rows.append(["runs", *(f"{side.runs:,}" for side in sides)])
    shown = report.theirs.runs == 0 or report.theirs.unbilled < report.theirs.runs
    rows.append(["steps", f"{report.ours.steps:,}", f"{report.theirs.steps:,}" if shown else "-"])
    if rate is not None:
        dollars = [money(side.steps * rate.amount) for side in sides]
        rows.append(["estimate", dollars[0], dollars[1] if shown else "-"])
    if any(side.unbilled for side in sides):
        rows.append(["no steps yet", *(f"{side.unbilled:,}" for side in sides)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, ours, theirs in rows:
        cells = f"  {name:<{widths[0]}}  {ours:>{widths[1]}}  {theirs:>{widths[2]}}"
        yield cells + (f"   at ${rate.amount:f} a step" if name == "estimate" and rate else "")


def _notes(report: AuditReport) -> Iterator[str]:
    """Give what explains the numbers, and what the audit cannot see."""
    if report.unfinished is not None:
        yield f"the API's list could not be read to its end: {report.unfinished}"
    if report.not_yet_shown:
        yield f"{counted(report.not_yet_shown, 'run')} not yet shown by the API"
    if report.other_account:
        yield (
            f"{counted(report.other_account, 'run')} not compared: the batch was run with another "
            "account's key then, and this key does not show them"
        )
    if report.unlisted:
        yield f"{counted(report.unlisted, 'run')} shown by the API, and not yet in its list"
    if report.lost:
        yield f"{counted(report.lost, 'run')} lost: the API did not know them any more"
    if report.unmarked:
        yield (
            f"{counted(report.unmarked, 'run')} without a marker, compared by their ids: runs that "
            "this database never heard of cannot be seen among them"
        )
    if report.old_submissions:
        yield (
            f"{counted(report.old_submissions, 'create request')} of an older version, compared "
            "one by one: runs that another database started cannot be seen among them"
        )


def _rows(found: Sequence[Difference]) -> Iterator[str]:
    width = max(len(each.run_id) for each in found[:MAX_LISTED])
    for each in found[:MAX_LISTED]:
        yield term_safe(f"    {each.run_id:<{width}}  {_about(each)}".rstrip())
    if len(found) > MAX_LISTED:
        more = counted(len(found) - MAX_LISTED, "more run")
        yield f"    … and {more} (all of them: the same command with --json)"


def _about(each: Difference) -> str:
    parts = [] if each.job is None else [f"job {each.job}"]
    if each.kind is DifferenceKind.STEPS:
        parts.append(f"{_steps(each.ours)} here, {_steps(each.theirs)} at the API")
    elif each.theirs is not None:
        parts.append(_steps(each.theirs))
    return ", ".join([*parts, *_done_about(each)])


def _done_about(each: Difference) -> Iterator[str]:
    if each.taken is Taken.ADOPTED:
        yield "adopted"
    elif each.taken is Taken.ORPHAN:
        yield "cancelled" if each.theirs is None else "over, and in the bill now"


def _steps(steps: int | None) -> str:
    return "not known" if steps is None else counted(steps, "step")


def _advice(report: AuditReport, db: str) -> Iterator[str]:
    """Give what to do about each kind of difference."""
    kinds = {each.kind for each in report.differences}
    if DifferenceKind.FOREIGN in kinds:
        yield (
            "another database runs this batch: a copy of this one, this one restored from a "
            "backup, or a colleague. Nothing is submitted here. End the other runner, then take "
            "its runs over, with the job file of this batch in the place of jobs.yaml:"
        )
        yield f"  batchrunner recover jobs.yaml{db}"
    if DifferenceKind.ALIVE in kinds:
        alive = [each.run_id for each in report.differences if each.kind is DifferenceKind.ALIVE]
        yield "runs that are alive cost money until they end:"
        yield f"  batchrunner runs cancel {shlex.join(alive[:MAX_LISTED])}"
    if any(each.taken is Taken.ADOPTED for each in report.differences):
        yield "the next run of the batch collects the adopted runs"
    if DifferenceKind.UNKNOWN in kinds and not any(each.taken for each in report.differences):
        yield "the next audit adopts or cancels the unknown runs, unless another database runs them"


def audit_summary(report: AuditReport | None, batch: Batch, db: str) -> Iterator[str]:
    """Give the audit in a line, for the end of a run; nothing without one."""
    if report is None or not (report.ours.runs or report.theirs.runs):
        return
    command = f"batchrunner audit {shlex.quote(batch.name)}{db}"
    if report.differences:
        found = counted(len(report.differences), "difference")
        yield f"audited: {found} between this database and the API's list: {command}"
    elif report.unfinished is not None:
        yield f"audited in part: the API's list has no usable end ({report.unfinished}): {command}"
    elif not report.full:
        newest = f"the newest runs ({report.theirs.runs} at the API)"
        yield f"audited in part: no difference in {newest}: {command}"
    else:
        runs = f"{counted(report.ours.runs, 'run')} here, {report.theirs.runs} at the API"
        if report.other_account:
            runs += f", {report.other_account} of another account not compared"
        yield f"audited: no difference ({runs}): {command}"


def audit_as_json(report: AuditReport, batch: Batch) -> dict[str, Any]:
    """Return an audit as a program wants it; dollars are text, null where the rate is unknown."""
    rate = batch.step_price

    def side(runs: int, steps: int, unbilled: int) -> dict[str, Any]:
        estimate = None if rate is None else f"{steps * rate.amount:f}"
        return {"runs": runs, "steps": steps, "unbilled": unbilled, "estimate": estimate}

    ours, theirs = report.ours, report.theirs
    return {
        "at": report.at.isoformat(),
        "full": report.full,
        "agrees": report.agrees,
        "ours": side(ours.runs, ours.steps, ours.unbilled),
        "api": side(theirs.runs, theirs.steps, theirs.unbilled),
        "rate": None if rate is None else f"{rate.amount:f}",
        "not_yet_shown": report.not_yet_shown,
        "other_account": report.other_account,
        "unlisted": report.unlisted,
        "lost": report.lost,
        "unmarked": report.unmarked,
        "old_submissions": report.old_submissions,
        "unfinished": report.unfinished,
        "differences": [
            {
                "kind": each.kind,
                "run_id": each.run_id,
                "job": each.job,
                "marker": each.marker,
                "ours": each.ours,
                "api": each.theirs,
                "taken": each.taken,
            }
            for each in report.differences
        ],
    }
