"""`batchrunner where`: what a batch's hours and credits were used for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from batchrunner.cli.options import batch_of, db_option, help_option, json_option, opened
from batchrunner.text.format import counted

if TYPE_CHECKING:
    from batchrunner.app.time_and_cost_report import TimeAndCostReport
    from batchrunner.model import Batch

#: Cause of cost → what it means, if its name does not say it.
TEXT_BY_CAUSE = {
    "succeeded": "good rows",
    "invalid_result": "rows that the judge refused",
    "orphans": "runs that nobody needed any more",
    "in_flight": "open now; billed when they end",
}
#: Time bucket → what it means.
TEXT_BY_BUCKET = {
    "running": "its run was at work",
    "queued": "the API had its run, and had not started it",
    "creating": "its create was sent, and not yet answered",
    "in_doubt": "its create got no answer, and its run was searched for",
    "landed": "its run was over, and not yet polled",
    "retry": "it had failed, and was to be tried again later",
    "paused": "the batch was paused",
    "unattended": "no runner was at work",
    "credits": "the account had no credits",
    "held": "the API was busy or away",
    "turn": "it was due: no slot, no budget, or not its hours",
}


@click.command("where")
@click.argument("batch", required=False)
@db_option
@json_option
@help_option
def command(batch: str | None, db: str, as_json: bool) -> None:
    """
    Show where the hours and the credits of BATCH went, in parts that add up to all of them.

    Each attempt's credits and hours are listed by its outcome. Each job's hours, from its loading
    to its end, are listed by what it waited for.

    \b
    Examples:
      batchrunner where
      batchrunner where example --json
    """
    from batchrunner.app.time_and_cost_report import report_time_and_cost

    with opened(db) as store:
        found = batch_of(store, batch)
        report = report_time_and_cost(store, found)
    if as_json:
        click.echo(json.dumps(_as_json(found, report)))
        return
    for line in _lines(found, report):
        click.echo(line)


def _lines(batch: Batch, report: TimeAndCostReport) -> Iterator[str]:
    from batchrunner.app.budget import cost

    used = report.used
    yield f"{batch.name}: {counted(used.jobs, 'job')}, {cost(used.whole.steps, batch.step_price)}"
    if used.causes:
        yield "\nattempts, by what they came to:"
        yield from _aligned(_cause_rows(batch, report))
    if used.time:
        yield "\nhours of all jobs, from their loading to their end:"
        yield from _aligned(_bucket_rows(report))
    if used.whole.unbilled:
        yield (
            f"\n{counted(used.whole.unbilled, 'attempt')} with a run, or perhaps one, "
            "whose bill is not known (yet): in no sum above"
        )


def _cause_rows(batch: Batch, report: TimeAndCostReport) -> Iterator[list[str]]:
    from batchrunner.app.budget import cents
    from batchrunner.app.time_and_cost_report import whole_seconds

    whole = report.used.whole
    causes = sorted(report.used.causes.items(), key=lambda each: (-each[1].steps, str(each[0])))
    seconds = whole_seconds([part.time for _, part in causes], whole.time)
    money = cents([part.steps for _, part in causes], batch.step_price)
    yield ["", "attempts", "steps", "%", *(["cost"] if money else []), "hours", ""]
    for at, (cause, part) in enumerate(causes):
        paid = [money[at]] if money else []
        percent = _percent(report.step_share[cause])
        numbers = [str(part.attempts), str(part.steps), percent, *paid, _hours(seconds[at])]
        yield [str(cause), *numbers, TEXT_BY_CAUSE.get(cause, "")]
    paid, percent = [money[-1]] if money else [], _percent(sum(report.step_share.values()))
    numbers = [str(whole.attempts), str(whole.steps), percent, *paid, _hours(sum(seconds))]
    yield ["all", *numbers, ""]


def _bucket_rows(report: TimeAndCostReport) -> Iterator[list[str]]:
    from batchrunner.app.time_and_cost_report import whole_seconds
    from batchrunner.model.states import TimeBucket

    used = report.used
    buckets = [bucket for bucket in TimeBucket if used.buckets.get(bucket)]
    seconds = whole_seconds([used.buckets[bucket] for bucket in buckets], used.time)
    yield ["", "hours", "%", ""]
    for bucket, span in zip(buckets, seconds, strict=True):
        percent = _percent(report.time_share[bucket])
        yield [bucket, _hours(span), percent, TEXT_BY_BUCKET[bucket]]
    yield ["all", _hours(sum(seconds)), _percent(sum(report.time_share.values())), ""]


def _percent(tenths: int) -> str:
    return f"{tenths // 10}.{tenths % 10}"


def _hours(seconds: int) -> str:
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _aligned(rows: Iterator[list[str]]) -> Iterator[str]:
    """Align rows in columns: text to the left, numbers to the right."""
    table = list(rows)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for name, *numbers, text in table:
        cells = [cell.rjust(width) for cell, width in zip(numbers, widths[1:-1], strict=True)]
        yield "  ".join(["", name.ljust(widths[0]), *cells, text]).rstrip()


def _as_json(batch: Batch, report: TimeAndCostReport) -> dict[str, Any]:
    from batchrunner.app.time_and_cost_report import MICROSECOND

    price, used = batch.step_price.amount if batch.step_price else None, report.used
    return {
        "batch": batch.name,
        "jobs": used.jobs,
        "steps": used.whole.steps,
        "rate": None if price is None else f"{price:f}",
        "cost": None if price is None else f"{used.whole.steps * price:f}",
        "unbilled": used.whole.unbilled,
        "uses": {
            cause: {
                "attempts": part.attempts,
                "steps": part.steps,
                "percent": _percent(report.step_share[cause]),
                "cost": None if price is None else f"{part.steps * price:f}",
                "microseconds": part.time // MICROSECOND,
                "unbilled": part.unbilled,
            }
            for cause, part in used.causes.items()
        },
        "microseconds": used.time // MICROSECOND,
        "stages": {
            bucket: {
                "microseconds": span // MICROSECOND,
                "percent": _percent(report.time_share[bucket]),
            }
            for bucket, span in used.buckets.items()
        },
    }
