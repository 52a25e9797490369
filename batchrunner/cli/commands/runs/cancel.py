"""`batchrunner runs cancel`: cancel runs at the API, and check whether they have ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import anyio
import click

from batchrunner.cli.exit_codes import SOME_MISSED
from batchrunner.cli.options import api_options, db_option, help_option

if TYPE_CHECKING:
    from batchrunner.model import RunObservation
    from batchrunner.tinyfish.console_client import ConsoleClient

#: Looks after which a run that goes on counts as not cancelled, and seconds between two of them.
LOOKS, PAUSE = 10, 1.0


@click.command("cancel")
@click.argument("run_ids", metavar="RUN_ID...", nargs=-1, required=True)
@api_options
@db_option
@help_option
def command(
    run_ids: tuple[str, ...],
    **given: Any,
) -> None:
    """
    Cancel runs, and check whether they have ended; one request cancels up to 100.

    It works for runs that are PENDING or RUNNING, unless they were started by the synchronous
    endpoint or in the dashboard. A run that has already ended stays as it is; that is not an error.
    Use `batchrunner cancel` for jobs of a batch, because it also records this in the database.

    Exit code 1 says that a run may still be alive, or that the API does not know it.

    \b
    Example:
      batchrunner runs cancel 6f1f0c3e-7a57-4b2c-9d0e-2f7f4c1e8a11
    """
    from batchrunner.app.api_call import api_of, call_api

    asked = list(dict.fromkeys(run_ids))
    with api_of(**given) as api:
        seen = call_api(api, lambda reader: _cancelled(reader, asked), about="the cancelled runs")
    if not all(_tell(run_id, seen.get(run_id)) for run_id in asked):
        raise SystemExit(SOME_MISSED)


async def _cancelled(reader: ConsoleClient, run_ids: Sequence[str]) -> Mapping[str, RunObservation]:
    """Cancel the runs, and return how they were seen last; what is over is not looked at again."""
    from batchrunner.model import MAX_RUNS_PER_REQUEST, Run

    seen: dict[str, RunObservation] = {}
    for start in range(0, len(run_ids), MAX_RUNS_PER_REQUEST):
        chunk = list(run_ids[start : start + MAX_RUNS_PER_REQUEST])
        await reader.cancel_many(chunk)
        for look in range(LOOKS):
            seen |= await reader.get_many(chunk)
            chunk = [
                each
                for each in chunk
                if isinstance(run := seen.get(each), Run) and not run.status.is_final
            ]
            if not chunk:
                break
            if look + 1 < LOOKS:
                await anyio.sleep(PAUSE)
    return seen


def _tell(run_id: str, sighting: RunObservation | None) -> bool:
    """Say what became of a run; whether it is over."""
    from batchrunner.model import NotFound, Run, RunStatus
    from batchrunner.text.terminal import term_safe

    over = isinstance(sighting, Run) and sighting.status.is_final
    if isinstance(sighting, Run):
        told = {RunStatus.CANCELLED: "cancelled"}.get(
            sighting.status,
            f"was over before: {sighting.status}" if over else f"still {sighting.status}",
        )
    else:
        told = "not known to the API" if isinstance(sighting, NotFound) else "cannot be seen"
    click.echo(f"{term_safe(run_id)}  {told}")
    return over
