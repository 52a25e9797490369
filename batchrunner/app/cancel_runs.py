"""Cancels runs of the account, whether or not a batch knows them, and polls until they are over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import anyio

from batchrunner.api_facts.limits import MAX_RUNS_PER_REQUEST
from batchrunner.app.api_call import call_api
from batchrunner.model import Run, RunObservation

if TYPE_CHECKING:
    from batchrunner.app.api_access import ApiAccess
    from batchrunner.tinyfish.console_client import ConsoleClient

#: Polls after which a run that goes on counts as not cancelled.
MAX_CANCEL_POLLS = 10
CANCEL_POLL_SECONDS = 1.0


def cancel_runs(api: ApiAccess, run_ids: Sequence[str]) -> Mapping[str, RunObservation]:
    """
    Cancel runs, and return the last observation of each by its id.

    A run that is over already stays as it is. An id without an observation was not in any answer.

    Raises:
        BatchrunnerError: The API refused the request or could not be reached.
    """
    return call_api(api, lambda client: _cancel(client, run_ids), about="the cancelled runs")


async def _cancel(client: ConsoleClient, run_ids: Sequence[str]) -> Mapping[str, RunObservation]:
    seen: dict[str, RunObservation] = {}
    for start in range(0, len(run_ids), MAX_RUNS_PER_REQUEST):
        chunk = list(run_ids[start : start + MAX_RUNS_PER_REQUEST])
        await client.cancel_many(chunk)
        await _poll_until_over(client, chunk, seen)
    return seen


async def _poll_until_over(
    client: ConsoleClient, run_ids: list[str], seen: dict[str, RunObservation]
) -> None:
    """Poll runs until they are over, and store what was seen last in *seen*."""
    for poll in range(MAX_CANCEL_POLLS):
        if poll:
            await anyio.sleep(CANCEL_POLL_SECONDS)
        seen |= await client.get_many(run_ids)
        run_ids = [run_id for run_id in run_ids if _goes_on(seen.get(run_id))]
        if not run_ids:
            return


def _goes_on(seen: RunObservation | None) -> bool:
    return isinstance(seen, Run) and not seen.status.is_final


def is_over(seen: RunObservation | None) -> bool:
    """Whether a run is known to be over."""
    return isinstance(seen, Run) and seen.status.is_final
