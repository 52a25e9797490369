"""Says why a run ended before its batch did, and which command goes on."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from batchrunner.app.budget import raised
from batchrunner.cli.output.batch_text import (
    MAX_EXAMPLES,
    db_given,
    same_command,
    without_option,
)
from batchrunner.cli.output.status_text import parked_line
from batchrunner.model import Batch, BatchCounts, BudgetStatus, JobState, ParkedHost
from batchrunner.model.part import Part
from batchrunner.policy.schedule import FIRST_LEAD, LAST_CALL, MIN_LEAD
from batchrunner.runner.runner import ExitReason
from batchrunner.store.batch_reads import parked_hosts
from batchrunner.store.store import Store
from batchrunner.text.format import clock, counted
from batchrunner.text.terminal import term_safe

UNTIL = "--until"
BUDGET = "--budget"
RERUN = "--rerun"
KEEP = "--keep"
LIMIT, SAMPLE = "--limit", "--sample"


def exit_lines(
    store: Store, batch: Batch, reason: ExitReason | None, counts: BatchCounts, db: str
) -> Iterator[str]:
    """Give why nothing more is submitted though jobs are left; nothing where that is plain."""
    if reason is ExitReason.CANARY_FAILED:
        said = batch.pause.reason if batch.pause else None
        yield f"the rest was not started: {term_safe(said or 'the canary brought too little')}"
    elif reason is ExitReason.BAD_QUALITY:
        yield from _bad_data_lines(batch, db)
    elif reason is ExitReason.PARKED:
        yield from _parked_lines(store.read(parked_hosts, batch.id))
    elif reason is ExitReason.OUT_OF_TIME:
        yield _too_near(counts)
    elif reason is ExitReason.STOPPED and (left := counts.jobs[JobState.RUNNING]):
        yield (
            f"{counted(left, 'run')} may go on and cost money, because the API refuses to show or "
            "cancel what is in flight; the next start takes over"
        )


def nothing_line(batch: Batch, part: Part | None, counts: BatchCounts) -> str:
    """Return why a run has nothing to do."""
    if part is None or not counts.open:
        return f"batch {batch.name!r} is finished: nothing to run"
    return (
        f"batch {batch.name!r}: the jobs of `{part}` are final: nothing to run; "
        f"{counted(counts.open, 'other')} left"
    )


def age_lines(
    batch: Batch, newest_result_at: datetime, now: datetime, args: Sequence[str], *, every: bool
) -> Iterator[str]:
    """Give how old the results are where nothing was run, and the commands that bring new ones."""
    age = clock(max(now - newest_result_at, timedelta(0)))
    if every:
        yield f"its newest result is {age} old; another edition now: {with_option(args, '--fresh')}"
        return
    args = without_option(without_option(args, KEEP), RERUN)  # new results are of the file as it is
    yield f"warning: nothing was run, and the newest result is {age} old. For new results:"
    yield f"  all jobs anew once a day, as an edition: {with_option(args, '--every 1d')}"
    yield f"  all jobs of this batch anew, now: {with_option(args, '--rerun all')}"


def with_option(args: Sequence[str], option: str) -> str:
    """Return the command line of these arguments with one more option."""
    return f"{same_command(args)} {option}"


def rerun_command(args: Sequence[str]) -> str:
    """Return the command line that buys the suspect results of a run with these arguments again."""
    return with_option(without_option(args, RERUN), f"{RERUN} suspect")


def continue_command(
    batch: Batch,
    reason: ExitReason | None,
    args: Sequence[str],
    db: str,
    budget_status: BudgetStatus | None = None,
) -> str:
    """Return the command line that goes on with a batch after a run with these arguments."""
    args = without_option(args, RERUN)  # once more, it would buy again what was run since
    if reason in (ExitReason.CANARY_FAILED, ExitReason.BAD_QUALITY):
        resume = f"batchrunner resume {shlex.quote(batch.name)}{db_given(db)}"
        return f"{resume} && {same_command(args)}"
    if reason is ExitReason.OUT_OF_TIME:
        return same_command(without_option(args, UNTIL))
    if reason is ExitReason.PART_DONE:
        return same_command(without_option(without_option(args, LIMIT), SAMPLE))
    if reason is ExitReason.BUDGET_USED_UP and budget_status is not None:
        return same_command(
            [*without_option(args, BUDGET), BUDGET, raised(budget_status, batch.step_price)]
        )
    return same_command(args)


def _bad_data_lines(batch: Batch, db: str) -> Iterator[str]:
    yield "the rest was not started, because the data went bad:"
    for reason in batch.quality_stop.reasons if batch.quality_stop else ():
        yield f"  {term_safe(reason.text)}"
    yield "nothing more of it is submitted until you resume it, also at the next start"
    yield f"look at its rows: batchrunner quality {shlex.quote(batch.name)}{db_given(db)}"


def _parked_lines(hosts: Sequence[ParkedHost]) -> Iterator[str]:
    yield "what is left is on hosts that are parked:"
    for host in hosts[:MAX_EXAMPLES]:
        yield f"  {term_safe(parked_line(host))}"
    if len(hosts) > MAX_EXAMPLES:
        yield f"  … and {counted(len(hosts) - MAX_EXAMPLES, 'more host')}"
    yield "use one at once: batchrunner resume --host HOST"


def _too_near(counts: BatchCounts) -> str:
    if counts.attempts:
        lead = f"a run needs the time that others took, {clock(MIN_LEAD)} at least"
    else:
        lead = f"a first run is given {clock(FIRST_LEAD)}"
    more = " more" if counts.attempts else ""
    return (
        f"{UNTIL} is too near: nothing{more} was started, as {lead}, "
        f"and the last {clock(LAST_CALL)} are for cancelling"
    )
