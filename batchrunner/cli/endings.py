"""Says why a run ended before its batch did, and which command goes on."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from batchrunner.cli.money import raised
from batchrunner.cli.phrases import clock, counted
from batchrunner.cli.report import EXAMPLES, db_given, same_command
from batchrunner.cli.state import parked_line
from batchrunner.cli.terminal import term_safe
from batchrunner.model import Batch, ParkedHost, Purse, Tally
from batchrunner.policy.windows import FIRST_LEAD, LAST_CALL, SHORTEST_LEAD
from batchrunner.runner import Ending
from batchrunner.store import Store

UNTIL = "--until"
BUDGET = "--budget"


def why_lines(store: Store, batch: Batch, ending: Ending | None, tally: Tally) -> Iterator[str]:
    """Give why nothing more is submitted though jobs are left; nothing where that is plain."""
    if ending is Ending.GATED:
        reason = batch.pause.reason if batch.pause else None
        yield f"the rest was not started: {term_safe(reason or 'the canary brought too little')}"
    elif ending is Ending.PARKED:
        yield from _parked_lines(store.parked(batch.id))
    elif ending is Ending.OUT_OF_TIME:
        yield _too_near(tally)


def going_on(
    batch: Batch,
    ending: Ending | None,
    args: Sequence[str],
    db: str,
    purse: Purse | None = None,
) -> str:
    """Return the command line that goes on with a batch after such an ending of these arguments."""
    if ending is Ending.GATED:
        resume = f"batchrunner resume {shlex.quote(batch.name)}{db_given(db)}"
        return f"{resume} && {same_command(args)}"
    if ending is Ending.OUT_OF_TIME:
        return same_command(list(_without(args, UNTIL)))
    if ending is Ending.SPENT and purse is not None:
        return same_command([*_without(args, BUDGET), BUDGET, raised(purse, batch.rate)])
    return same_command(args)


def _parked_lines(hosts: Sequence[ParkedHost]) -> Iterator[str]:
    yield "what is left is on hosts that are parked:"
    for host in hosts[:EXAMPLES]:
        yield f"  {term_safe(parked_line(host))}"
    if len(hosts) > EXAMPLES:
        yield f"  … and {counted(len(hosts) - EXAMPLES, 'more host')}"
    yield "use one at once: batchrunner resume --host HOST"


def _too_near(tally: Tally) -> str:
    if tally.attempts:
        lead = f"a run needs the time that others took, {clock(SHORTEST_LEAD)} at least"
    else:
        lead = f"a first run is given {clock(FIRST_LEAD)}"
    more = " more" if tally.attempts else ""
    return (
        f"{UNTIL} is too near: nothing{more} was started, as {lead}, "
        f"and the last {clock(LAST_CALL)} are for cancelling"
    )


def _without(args: Sequence[str], option: str) -> Iterator[str]:
    rest = iter(args)
    for arg in rest:
        if arg == option:
            next(rest, None)
        elif not arg.startswith(f"{option}="):
            yield arg
