"""`batchrunner runs cancel`: cancel runs at the API, and check whether they have ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from batchrunner.cli.exit_codes import SOME_MISSED
from batchrunner.cli.options import api_options, db_option, help_option

if TYPE_CHECKING:
    from batchrunner.model import RunObservation


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
    from batchrunner.app.api_call import api_of
    from batchrunner.app.cancel_runs import cancel_runs, is_over

    named = list(dict.fromkeys(run_ids))
    with api_of(**given) as api:
        seen = cancel_runs(api, named)
    for run_id in named:
        _show(run_id, seen.get(run_id))
    if not all(is_over(seen.get(run_id)) for run_id in named):
        raise SystemExit(SOME_MISSED)


def _show(run_id: str, seen: RunObservation | None) -> None:
    """Print what became of a run."""
    from batchrunner.model import NotFound, Run, RunStatus
    from batchrunner.text.terminal import term_safe

    if isinstance(seen, Run) and seen.status is RunStatus.CANCELLED:
        state = "cancelled"
    elif isinstance(seen, Run):
        is_final = seen.status.is_final
        state = f"was over before: {seen.status}" if is_final else f"still {seen.status}"
    else:
        state = "not known to the API" if isinstance(seen, NotFound) else "cannot be seen"
    click.echo(f"{term_safe(run_id)}  {state}")
