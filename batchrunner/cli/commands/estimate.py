"""`batchrunner estimate`: what a job file may cost and how long it may take, before it is run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchrunner.cli.input_options import input_options
from batchrunner.cli.options import (
    api_options,
    db_option,
    help_option,
    json_option,
    opened,
    read_input,
)
from batchrunner.text.format import clock, counted

if TYPE_CHECKING:
    from batchrunner.app.estimate import BatchEstimate
    from batchrunner.app.input_request import InputRequest
    from batchrunner.model import Wallet

#: With fewer finished jobs, a range holds less often than nine times in ten.
MIN_RELIABLE_PAST = 60
#: Jobs to try first if nothing is known.
FIRST_TRY_JOBS = 20


@click.command("estimate")
@input_options
@api_options
@db_option
@json_option
@help_option
def command(
    inputs: InputRequest,
    sandboxed: bool,
    api_key_file: str | None,
    api_url: str | None,
    db: str,
    as_json: bool,
) -> None:
    """
    Estimate what the jobs of FILE may cost and how long they may take; nothing is loaded or run.

    The estimate follows from finished jobs in this database on the same API: those of the same
    host if there are enough, else all.

    \b
    Examples:
      batchrunner estimate jobs.yaml
      batchrunner estimate jobs.yaml --db last-month.db
    """
    from batchrunner.app.api_access import SANDBOX, api_access
    from batchrunner.app.estimate import estimate_jobs, estimate_without_history

    job_file = read_input(inputs)
    origin = SANDBOX if sandboxed else api_access(api_url, "").origin
    wallet = None if sandboxed else _wallet(api_url, api_key_file)
    if "://" not in db and not Path(db).exists():
        found = estimate_without_history(job_file, wallet)
    else:
        with opened(db) as store:
            found = estimate_jobs(store, job_file, origin, wallet)
    if as_json:
        click.echo(json.dumps(_as_json(found)))
        return
    for line in _lines(found):
        click.echo(line)


def _wallet(api_url: str | None, key_file: str | None) -> Wallet | None:
    """Return the wallet; None without a key or an answer, as an estimate needs neither."""
    from batchrunner.app.account_info import wallet_if_readable
    from batchrunner.app.api_access import api_access
    from batchrunner.app.api_key import api_key
    from batchrunner.errors import BatchrunnerError

    try:
        key = api_key(key_file)
    except BatchrunnerError:
        return None
    return wallet_if_readable(api_access(api_url, key))


def _lines(found: BatchEstimate) -> Iterator[str]:
    from batchrunner.app.budget import cost

    known = f" ({found.done} are done)" if found.done else ""
    yield f"{counted(found.jobs, 'job')} to run{known}"
    if not found.jobs:
        return
    if found.forecast is None:
        yield "nothing here shows what such jobs take: no range can be given"
        if found.jobs > FIRST_TRY_JOBS:
            yield f"try {FIRST_TRY_JOBS} of them first, in this database: then it can"
    else:
        (low, high), (soonest, latest) = found.forecast.steps, found.forecast.time
        yield f"cost, likely: {low} to {cost(high, found.rate)}"
        yield f"time, likely: {clock(soonest)} to {clock(latest)}"
        own = f", {found.forecast.own} of these jobs by their own host's"
        own = own if found.forecast.own else ""
        yield f"based on {counted(found.forecast.past, 'finished job')}{own}"
        if found.forecast.past < MIN_RELIABLE_PAST:
            yield "that is a short past: rare expensive jobs may not be in it"
    yield f"at the very most: {cost(found.once, found.rate)} where each job runs once,"
    yield f"  {cost(found.worst, found.rate)} with all attempts that the policy allows"
    yield from _warnings(found)


def _warnings(found: BatchEstimate) -> Iterator[str]:
    """Warn if the budget or the wallet does not cover the upper end."""
    from batchrunner.app.budget import few_at_once, money
    from batchrunner.policy.budget import limit_of

    if found.budget is not None:
        covered = limit_of(found.budget, found.rate)
        if covered < found.most:
            yield f"warning: the budget of {found.budget} may end before the jobs do"
        runs = covered // found.first if found.first else 0
        if line := few_at_once(runs, found.slots):
            yield line
    if found.wallet is not None and found.rate is not None:
        needed = found.most * found.rate.amount
        if found.wallet.balance < needed:
            has = money(found.wallet.balance)
            yield f"warning: the account has {has}, and {money(needed)} may be needed"


def _as_json(found: BatchEstimate) -> dict[str, Any]:
    past, rate = found.forecast, found.rate
    return {
        "jobs": found.jobs,
        "done": found.done,
        "steps": list(past.steps) if past else None,
        "seconds": [round(end.total_seconds()) for end in past.time] if past else None,
        "cost": [f"{end * rate.amount:f}" for end in past.steps] if past and rate else None,
        "past": past.past if past else 0,
        "by_host": past.own if past else 0,
        "most_once": found.once,
        "most": found.worst,
        "rate": f"{rate.amount:f}" if rate else None,
        "balance": f"{found.wallet.balance:f}" if found.wallet else None,
        "warnings": list(_warnings(found)),
    }
