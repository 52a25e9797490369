"""`batchrunner selftest`: prove on this machine and database what the program promises."""

from __future__ import annotations

import json
import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import click

from batchrunner.app.error_translation import errors_for_people
from batchrunner.cli.exit_codes import PROMISE_BROKEN, TERMINATED, ShownError
from batchrunner.cli.options import help_option, json_option, new_db_option
from batchrunner.errors import CannotContinue

if TYPE_CHECKING:
    from batchrunner.selftest.invariants import InvariantViolated
    from batchrunner.selftest.summary import ProcessSummary

SIMULATIONS_MOVED = (
    "--nights is ignored: simulated batch runs are part of the tests now; "
    "in a source checkout: python -m tests.simulator --runs 20"
)


@click.command("selftest")
@new_db_option
@click.option(
    "--seed",
    type=click.IntRange(0),
    metavar="N",
    help="Draw the same faults and kills again.  [default: another seed each time]",
)
@click.option(
    "--nights",
    type=click.IntRange(0),
    metavar="N",
    help="Accepted, and ignored: simulated batch runs are part of the tests.",
)
@click.option("-v", "--verbose", is_flag=True, help="Print all figures.")
@json_option
@help_option
def command(db: str, seed: int | None, nights: int | None, verbose: bool, as_json: bool) -> None:
    """
    Prove on this machine and database that no job is lost and no run is paid for twice.

    Three runner processes work on a batch against a sandbox. Eight times one of them is killed
    (kill -9), half of the time while it creates runs; one is stopped and resumed. At the end, the
    database must agree with the sandbox, which knows what it created and charged.

    It needs no key and no network, costs nothing, and takes about a minute. It does not touch your
    own tables: it uses a database in a folder beside the file, or a schema of its own on the
    server, and removes it. If a promise was broken, it keeps it, and the exit code is 1.

    \b
    Examples:
      batchrunner selftest
      batchrunner selftest --db postgresql://me@localhost/mine --seed 481516
    """
    from batchrunner.selftest.invariants import InvariantViolated
    from batchrunner.selftest.summary import SelftestSummary

    seed = secrets.randbelow(10**6) if seed is None else seed
    _say(f"self-test with seed {seed}: no key, no cost, your tables stay untouched")
    if nights:
        _say(SIMULATIONS_MOVED)
    try:
        summary = SelftestSummary(seed=seed, processes=_processes(seed, db))
    except InvariantViolated as broken:
        if as_json:
            click.echo(json.dumps({"held": False, "seed": seed, "broken": str(broken)}))
        raise _error(broken, seed, db) from broken
    if as_json:
        click.echo(json.dumps(summary.as_json()))
        return
    for line in summary.lines(verbose=verbose):
        click.echo(line)


def _processes(seed: int, db: str) -> ProcessSummary:
    """Run the batch in a scratch database that is kept only if a promise was broken."""
    from batchrunner.selftest.chaos import ChaosPlan, ChaosSite, run_chaos
    from batchrunner.selftest.scratch_database import scratch_database

    plan = ChaosPlan(
        jobs=300, runners=3, kills=8, stops=1, concurrency=20, durations=(0.5, 3.0), seed=seed
    )
    _say(f"real processes: {plan.jobs} jobs, {plan.runners} runners")
    with errors_for_people(), _ended_by_signals(), scratch_database(db) as place:
        return run_chaos(plan, ChaosSite(address=place.address), place.folder, _say)


def _error(broken: InvariantViolated, seed: int, db: str) -> ShownError:
    from batchrunner.cli.output.batch_text import db_given
    from batchrunner.text.terminal import term_safe

    words = str(broken).partition("\n")[0]
    kept = "".join(f"\n  {note}" for note in getattr(broken, "__notes__", ()))
    error = CannotContinue(
        f"a promise was broken: {term_safe(words)}{kept}",
        next=f"run it again: batchrunner selftest --seed {seed}{db_given(db)}",
    )
    return ShownError(error, PROMISE_BROKEN)


def _say(line: str) -> None:
    click.echo(line, err=True)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Leave the block at the first signal, and ignore signals while it is cleaned up."""
    ending = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def end(number: int, frame: FrameType | None) -> None:
        for each in ending:
            signal.signal(each, signal.SIG_IGN)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(TERMINATED)

    before = {each: signal.signal(each, end) for each in ending}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
