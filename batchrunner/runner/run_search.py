"""Looks for the runs of one submission in the API's list, and says how far the list tells."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from batchrunner.model import (
    MAX_RUNS_PER_REQUEST,
    ControlRun,
    Run,
    Submission,
    marker,
    marker_in,
    marker_prefix,
)
from batchrunner.runner.run_matching import belongs_to, match_runs, may_belong_to
from batchrunner.tinyfish.client import TinyFishClient

#: By how much older than its submission a run may seem: clocks run at different speeds.
SEARCH_MARGIN = timedelta(hours=1)
#: Most runs that are looked at by themselves because a list does not tell whose they are.
MAX_UNSURE_RUNS = 5 * MAX_RUNS_PER_REQUEST


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """What one look for a submission's runs brought."""

    runs: Mapping[int, str]  #: by attempt id
    spare: Collection[str]  #: runs of the submission that no attempt needs
    echoed: bool  #: the list showed a marker of the submission: it can be searched for
    complete: bool  #: the list was seen to its end
    doubt: str | None = None  #: why a run that was not found may be in the list nevertheless


async def search_runs(api: TinyFishClient, submission: Submission, now: datetime) -> SearchResult:
    """
    Look for a submission's runs once.

    What the list does not tell of a run is asked of the run itself.

    Raises:
        ApiError: The list, or a run that it shows, could not be read.
    """
    listed = await api.search(marker_prefix(submission.marker_token))
    runs, spare = match_runs(submission, listed.runs)
    rest = _without(submission, runs)
    untold = (run.run_id for run in listed.runs if _may_be_cut(run, now - submission.intended_at))
    unsure = [*listed.unclear, *untold]
    if rest.attempts and unsure:
        seen = await _fetch_each(api, unsure[-MAX_UNSURE_RUNS:])
        runs, spare = match_runs(submission, ({r.run_id: r for r in listed.runs} | seen).values())
        rest = _without(submission, runs)
        unsure = [at for at in unsure if at not in seen or may_belong_to(rest, seen[at].goal)]
    doubt = None
    if rest.attempts and not listed.complete:
        doubt = "the API's list of runs has no end"
    elif rest.attempts and (unsure or listed.nameless):
        doubt = "the API's list shows runs, and not whose they are"
    return SearchResult(
        runs=runs,
        spare=spare,
        echoed=any(belongs_to(submission, run.goal) for run in listed.runs),
        complete=listed.complete,
        doubt=doubt,
    )


async def finds_control_run(api: TinyFishClient, landmark: ControlRun) -> bool:
    """
    Whether a search finds a run that is known to exist.

    Raises:
        ApiError: The list could not be read.
    """
    listed = await api.search(f"{marker_prefix(landmark.marker_token)}{landmark.batch_index}")
    text = marker(landmark.marker_token, landmark.batch_index)
    if any(text in (run.goal or "") for run in listed.runs):
        return True
    if landmark.run_id not in {*listed.unclear, *(run.run_id for run in listed.runs)}:
        return False
    # As with a run that is sought: what the list does not tell, the run itself has to.
    seen = await _fetch_each(api, [landmark.run_id])
    return any(text in (run.goal or "") for run in seen.values())


def _may_be_cut(run: Run, elapsed: timedelta) -> bool:
    """
    Whether a run may be one that was asked for, of whose goal the list shows too little.

    Its age is told by the API's clock alone, and what *elapsed* since it was asked for by ours: one
    of them may be hours off.
    """
    if marker_in(run.goal) is not None:
        return False
    if run.created_at is None or run.shown_at is None:
        return True
    return run.shown_at - run.created_at <= elapsed + SEARCH_MARGIN


def _without(submission: Submission, runs: Mapping[int, str]) -> Submission:
    rides = tuple(ride for ride in submission.attempts if ride.attempt_id not in runs)
    return replace(submission, attempts=rides)


async def _fetch_each(api: TinyFishClient, run_ids: Sequence[str]) -> dict[str, Run]:
    found: dict[str, Run] = {}
    for at in range(0, len(run_ids), MAX_RUNS_PER_REQUEST):
        seen = await api.get_many(run_ids[at : at + MAX_RUNS_PER_REQUEST])
        found |= {run_id: run for run_id, run in seen.items() if isinstance(run, Run)}
    return found
