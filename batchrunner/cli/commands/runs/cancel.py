"""`batchrunner runs cancel`: cancel runs at the API, and check whether they have ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import anyio
import click

from batchrunner.cli.errors import SOME_MISSED
from batchrunner.cli.options import api_options, db_option, help_option

if TYPE_CHECKING:
    from batchrunner.api.reader import Reader
    from batchrunner.model import Sighting

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
    from batchrunner.cli.asking import api_of, ask

    asked = list(dict.fromkeys(run_ids))
    with api_of(**given) as api:
        seen = ask(api, lambda reader: _cancelled(reader, asked), about="the cancelled runs")
    if not all(_tell(run_id, seen.get(run_id)) for run_id in asked):
        raise SystemExit(SOME_MISSED)


async def _cancelled(reader: Reader, run_ids: Sequence[str]) -> Mapping[str, Sighting]:
    """Cancel the runs, and return how they were seen last; what is over is not looked at again."""
    from batchrunner.model import MOST_RUNS, Run

    seen: dict[str, Sighting] = {}
    for start in range(0, len(run_ids), MOST_RUNS):
        chunk = list(run_ids[start : start + MOST_RUNS])
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


def _tell(run_id: str, sighting: Sighting | None) -> bool:
    """Say what became of a run; whether it is over."""
    from batchrunner.cli.terminal import term_safe
    from batchrunner.model import NotFound, Run, RunStatus

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
