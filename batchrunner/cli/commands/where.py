"""`batchrunner where`: what a batch's hours and credits were used for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from batchrunner.cli.options import batch_of, db_option, help_option, json_option, opened
from batchrunner.text.format import counted

if TYPE_CHECKING:
    from batchrunner.model import Batch
    from batchrunner.model.time_and_cost import TimeAndCost

_TICK = timedelta(microseconds=1)
_SECOND = timedelta(seconds=1)

#: Use of an attempt's credits → what it means, where its name does not say it.
USES = {
    "succeeded": "good rows",
    "invalid_result": "rows that the judge refused",
    "orphans": "runs that nobody needed any more",
    "in_flight": "open now; billed when they end",
}
#: Where a job's time goes → what it means.
STAGES = {
    "running": "its run was at work",
    "queued": "the API had its run, and had not started it",
    "creating": "its create was sent, and not yet answered",
    "in_doubt": "its create got no answer, and its run was looked for",
    "landed": "its run was over, and not yet looked at",
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
    from batchrunner.app.clock import ledger_now

    with opened(db) as store:
        found = batch_of(store, batch)
        told = store.account(found.id, ledger_now(store))
    if as_json:
        click.echo(json.dumps(_as_json(found, told)))
        return
    for line in _lines(found, told):
        click.echo(line)


def _lines(batch: Batch, told: TimeAndCost) -> Iterator[str]:
    from batchrunner.app.budget import cost

    yield f"{batch.name}: {counted(told.jobs, 'job')}, {cost(told.whole.steps, batch.step_price)}"
    if told.causes:
        yield "\nattempts, by what they came to:"
        yield from _aligned(_use_rows(batch, told))
    if told.time:
        yield "\nhours of all jobs, from their loading to their end:"
        yield from _aligned(_stage_rows(told))
    if told.whole.unbilled:
        yield (
            f"\n{counted(told.whole.unbilled, 'attempt')} with a run, or perhaps one, "
            "whose bill is not known (yet): in no sum above"
        )


def _use_rows(batch: Batch, told: TimeAndCost) -> Iterator[list[str]]:
    from batchrunner.app.budget import cents
    from batchrunner.policy.time_and_cost import shares

    uses = sorted(told.causes.items(), key=lambda each: (-each[1].steps, str(each[0])))
    parts = [part for _, part in uses]
    percent = shares([part.steps for part in parts], 1000)
    seconds = _seconds([part.time for part in parts], told.whole.time)
    money = cents([part.steps for part in parts], batch.step_price)
    yield ["", "attempts", "steps", "%", *(["cost"] if money else []), "hours", ""]
    for at, (use, part) in enumerate(uses):
        paid = [money[at]] if money else []
        numbers = [str(part.attempts), str(part.steps), _percent(percent[at])]
        yield [str(use), *numbers, *paid, _hours(seconds[at]), USES.get(use, "")]
    whole, paid = told.whole, [money[-1]] if money else []
    total = [str(whole.attempts), str(whole.steps), _percent(sum(percent))]
    yield ["all", *total, *paid, _hours(sum(seconds)), ""]


def _stage_rows(told: TimeAndCost) -> Iterator[list[str]]:
    from batchrunner.model.states import TimeBucket
    from batchrunner.policy.time_and_cost import shares

    stages = [(stage, told.buckets[stage]) for stage in TimeBucket if told.buckets.get(stage)]
    percent = shares([span // _TICK for _, span in stages], 1000)
    seconds = _seconds([span for _, span in stages], told.time)
    yield ["", "hours", "%", ""]
    for at, (stage, _) in enumerate(stages):
        yield [stage, _hours(seconds[at]), _percent(percent[at]), STAGES[stage]]
    yield ["all", _hours(sum(seconds)), _percent(sum(percent)), ""]


def _seconds(parts: list[timedelta], whole: timedelta) -> list[int]:
    """Round to seconds that add up to the whole's."""
    from batchrunner.policy.time_and_cost import shares

    return shares([part // _TICK for part in parts], round(whole / _SECOND))


def _percent(tenths: int) -> str:
    return f"{tenths // 10}.{tenths % 10}"


def _hours(seconds: int) -> str:
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _aligned(rows: Iterator[list[str]]) -> Iterator[str]:
    """Give rows as lines: names and words to the left, numbers to the right."""
    table = list(rows)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for name, *numbers, words in table:
        cells = [cell.rjust(width) for cell, width in zip(numbers, widths[1:-1], strict=True)]
        yield "  ".join(["", name.ljust(widths[0]), *cells, words]).rstrip()


def _as_json(batch: Batch, told: TimeAndCost) -> dict[str, Any]:
    from batchrunner.policy.time_and_cost import shares

    rate, stages = batch.step_price.amount if batch.step_price else None, told.buckets
    tenths = shares([part.steps for part in told.causes.values()], 1000)
    of_hours = shares([span // _TICK for span in stages.values()], 1000)
    return {
        "batch": batch.name,
        "jobs": told.jobs,
        "steps": told.whole.steps,
        "rate": None if rate is None else f"{rate:f}",
        "cost": None if rate is None else f"{told.whole.steps * rate:f}",
        "unbilled": told.whole.unbilled,
        "uses": {
            use: {
                "attempts": part.attempts,
                "steps": part.steps,
                "percent": _percent(share),
                "cost": None if rate is None else f"{part.steps * rate:f}",
                "microseconds": part.time // _TICK,
                "unbilled": part.unbilled,
            }
            for (use, part), share in zip(told.causes.items(), tenths, strict=True)
        },
        "microseconds": told.time // _TICK,
        "stages": {
            stage: {"microseconds": span // _TICK, "percent": _percent(share)}
            for (stage, span), share in zip(stages.items(), of_hours, strict=True)
        },
    }
